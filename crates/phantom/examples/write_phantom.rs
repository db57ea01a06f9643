//! Writes a phantom as DICOM and says how long it took: `write_phantom DIR [SEED [PLANE_MM SLICE_MM]]`.

use std::path::PathBuf;
use std::time::Instant;

use phantom::{PhantomOptions, write_phantom};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let mut options = PhantomOptions::default();
    if let Some(seed) = arguments.next() {
        options.seed = seed.parse()?;
    }
    if let (Some(plane), Some(slice)) = (arguments.next(), arguments.next()) {
        options.spacing_mm = [plane.parse()?, plane.parse()?, slice.parse()?];
    }
    let start = Instant::now();
    let summary = write_phantom(&dir, &options, &|_| ())?;
    eprintln!("{summary}; {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
