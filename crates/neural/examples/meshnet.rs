//! Runs a MeshNet on a scan and prints volumes and time: `meshnet WEIGHTS.safetensors SCAN.nii.gz`.

use std::io::Write;
use std::time::Instant;

use neural::meshnet::{MeshNet, MeshNetConfig};
use neural::model::volumes_mm3;
use neural::safetensors::Safetensors;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(weights), Some(scan)) = (arguments.next(), arguments.next()) else {
        return Err("usage: meshnet WEIGHTS.safetensors SCAN.nii.gz".into());
    };
    let weights = Safetensors::parse(std::fs::read(weights)?)?;
    let net = MeshNet::load(&weights, &MeshNetConfig::of(&weights)?)?;
    let scan = volume::formats::read_scan(scan.as_ref())?;
    let start = Instant::now();
    let last = std::sync::Mutex::new(0.0);
    let found = net.segment(&scan, 1.0, &|share| {
        if let Ok(mut last) = last.lock() {
            *last = share;
            let _ = writeln!(std::io::stderr(), "{share:.2} after {:.1} s", start.elapsed().as_secs_f64());
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let mut out = std::io::stdout();
    writeln!(out, "{seconds:.1} s, network's grid {:?}", found.conformed.geometry().size())?;
    let own = volumes_mm3(&found.labels);
    for (label, mm3) in volumes_mm3(&found.conformed) {
        writeln!(
            out,
            "{label:3} {mm3:10.0} mm³ at 1 mm {:10.0} mm³ on the scan's grid",
            own.get(&label).unwrap_or(&0.0)
        )?;
    }
    Ok(())
}
