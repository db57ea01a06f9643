//! Writes a phantom with a scanner's settings: `write_images DIR PLANE_MM SLICE_MM [SETTING…]`, as in
//! `write_images out 2 3 modality=ct,mr-t1,pet tilt=-15 kernel=sharp dose=0.25 thickness=5 implant=hip-left hardening breathing=1`.

use std::path::PathBuf;
use std::time::Instant;

use phantom::{PhantomOptions, write_phantom};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let mut options = PhantomOptions::default();
    if let (Some(plane), Some(slice)) = (arguments.next(), arguments.next()) {
        options.spacing_mm = [plane.parse()?, plane.parse()?, slice.parse()?];
    }
    let imaging = &mut options.imaging;
    for setting in arguments {
        let (name, value) = setting.split_once('=').unwrap_or((&setting, ""));
        match name {
            "modality" => imaging.modalities = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "dose" => imaging.ct.dose = value.parse()?,
            "kernel" => imaging.ct.kernel = value.parse()?,
            "thickness" => imaging.ct.slice_thickness_mm = Some(value.parse()?),
            "tilt" => imaging.ct.tilt_deg = value.parse()?,
            "breathing" => imaging.ct.breathing = value.parse()?,
            "hardening" => imaging.ct.beam_hardening = true,
            "implant" => imaging.implants.push(value.parse()?),
            "field" => imaging.mr.field_t = value.parse()?,
            "misregistered" => imaging.misregistered = Some(value.parse()?),
            "finding" => options.findings.push(value.parse()?),
            "phase" => options.phase = value.parse()?,
            "noise" => options.noise_hu = value.parse()?,
            _ => return Err(format!("`{name}` is no setting").into()),
        }
    }
    let start = Instant::now();
    let summary = write_phantom(&dir, &options, &|_| ())?;
    eprintln!("{summary}; {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
