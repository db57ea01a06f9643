//! Writes labels and HU as raw little-endian files with a JSON header, for looking at the phantom with other tools.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |n: usize, default: f64| arguments.get(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    let folder = std::path::PathBuf::from(arguments.get(1).map_or(".", |a| a));
    let plane = number(2, 1.5);
    let options = phantom::PhantomOptions {
        seed: number(4, 0.0) as u64,
        spacing_mm: [plane, plane, number(3, 2.5)],
        ..Default::default()
    };
    let start = std::time::Instant::now();
    let body = phantom::body(&options, &|_| ())?;
    eprintln!("{:?} {:.2} s", body.labels.geometry().size(), start.elapsed().as_secs_f64());
    let bytes: Vec<u8> = body.labels.voxels.data().iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("labels.raw"), bytes)?;
    let bytes: Vec<u8> = body.hounsfield.data().iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("hu.raw"), bytes)?;
    let mut header = std::fs::File::create(folder.join("header.json"))?;
    let g = body.labels.geometry();
    let names: Vec<String> = body.labels.segments.values().map(|s| format!("\"{}\"", s.name)).collect();
    write!(header, "{{\"size\":{:?},\"spacing\":{:?},\"origin\":{:?},\"names\":[{}]}}", g.size(), g.spacing(), g.origin().to_array(), names.join(","))?;
    Ok(())
}
