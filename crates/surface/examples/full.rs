#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::print_stdout)]
use std::time::Instant;
use surface::*;
use volume::*;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let n: Vec<usize> = a[2].split('x').map(|s| s.parse().unwrap()).collect();
    let sp: Vec<f64> = a[3].split(',').map(|s| s.parse().unwrap()).collect();
    let d = std::fs::read(&a[1]).unwrap();
    let g = ImageGeometry::new([n[0], n[1], n[2]], [sp[0], sp[1], sp[2]], space::Point::ZERO, glam::DMat3::IDENTITY)
        .unwrap();
    let v16 = Volume::new(g, d).unwrap().map(|&x| x as u16);
    let mut map = LabelMap { voxels: v16, segments: Default::default() };
    if let Some(parts) = a.get(4) {
        let parts: Vec<u16> = parts.split(',').map(|s| s.parse().unwrap()).collect();
        map.segments.insert(
            parts[0],
            Segment {
                label: parts[0],
                parts: parts[1..].to_vec(),
                name: "u".into(),
                display: "u".into(),
                code: None,
                color: [0; 3],
            },
        );
    }
    for r in 0..3 {
        let c = cpu();
        let t = Instant::now();
        let s = surfaces_of_labels(&map, &SurfaceOptions::default(), &|_| ()).unwrap();
        let dt = t.elapsed().as_secs_f64();
        println!(
            "run {r}: {dt:.3} s (cpu {:.2}), {} segments, closed {}",
            cpu() - c,
            s.len(),
            s.iter().all(|s| s.closed)
        );
        if r == 2 {
            for l in 0..4 {
                let tri: usize = s.iter().map(|s| s.lods[l].mesh.triangles.len()).sum();
                let crowded: usize = s.iter().map(|s| s.lods[l].mesh.topology().crowded_edges).sum();
                let f = |g: fn(&Fidelity) -> f64| s.iter().map(|s| g(&s.lods[l].fidelity)).fold(0.0, f64::max);
                println!(
                    "LOD {l}: {tri} triangles, crowded {crowded}, hausdorff {:.3} p95 {:.3} volume {:.2} % spacing {:.2}",
                    f(|f| f.hausdorff_mm),
                    f(|f| f.p95_mm),
                    f(|f| f.volume_error_percent),
                    f(|f| f.sample_spacing_mm)
                );
            }
            if let Ok(dir) = std::env::var("OUT") {
                for s in &s {
                    for (l, lod) in s.lods.iter().enumerate() {
                        let mut b = Vec::new();
                        for x in [lod.mesh.positions.len() as u32, lod.mesh.triangles.len() as u32] {
                            b.extend(x.to_le_bytes());
                        }
                        for p in lod.mesh.positions.iter().chain(&lod.mesh.normals).flatten() {
                            b.extend(p.to_le_bytes());
                        }
                        for p in lod.mesh.triangles.iter().flatten() {
                            b.extend(p.to_le_bytes());
                        }
                        std::fs::write(format!("{dir}/{}.{l}.bin", s.label), b).unwrap();
                    }
                }
            }
        }
    }
}
