//! How long each operation takes on a scan: `timings [SCAN]`; without one, on a made-up 512 × 512 × 64 CT.
//!
//! Best of five, in milliseconds, on all cores of the pool: wall time, and processor time over all cores (Linux).

use std::path::Path;
use std::time::Instant;

use glam::DMat3;
use space::Point;
use volume::components::{self, Connectivity};
use volume::{ImageGeometry, ScanVolume, Volume, distance, formats, morphology, nifti, resample};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scan = match std::env::args().nth(1) {
        Some(path) => formats::read_scan(Path::new(&path))?,
        None => ScanVolume::I16(made_up()?),
    };
    let ScanVolume::I16(ct) = &scan else { return Err("expected a CT in whole numbers".into()) };
    let geometry = *ct.geometry();
    eprintln!("{:?} voxels of {:?} mm", geometry.size(), geometry.spacing());

    let body = timed("mask above -300", || ct.par_map(|hu| *hu > -300));
    let bone = ct.map(|hu| *hu > 200);
    timed("label components of the body, faces", || components::label_components(&body, Connectivity::Faces));
    timed("label components of bone, corners", || components::label_components(&bone, Connectivity::Corners));
    timed("largest component of the body", || components::largest(&body));
    timed("fill holes", || morphology::fill_holes(&body));
    timed("fill holes in slices", || morphology::fill_holes_in_slices(&body));
    timed("dilate body by 3 mm", || morphology::dilate_mm(&body, 3.0));
    timed("open body by 5 mm", || morphology::open_mm(&body, 5.0));
    timed("close bone by 10 mm", || morphology::close_mm(&bone, 10.0));
    timed("erode body by 40 mm", || morphology::erode_mm(&body, 40.0));
    timed("squared distance to bone", || distance::squared_distance_mm2(&bone));
    timed("signed distance to the body's skin", || distance::signed_distance_mm(&body));

    let size = geometry.size().map(|n| n / 2);
    let spacing = [0, 1, 2].map(|a| geometry.spacing()[a] * geometry.size()[a] as f64 / size[a] as f64);
    let half = ImageGeometry::new(size, spacing, geometry.origin(), geometry.direction())?;
    let turned =
        ImageGeometry::new(size, spacing, geometry.origin(), DMat3::from_rotation_z(0.1) * geometry.direction())?;
    timed("linear, same grid", || resample::linear(ct, &geometry, -1024));
    timed("linear, half the size, parallel", || resample::linear(ct, &half, -1024));
    timed("linear, half the size, turned", || resample::linear(ct, &turned, -1024));
    timed("nearest, half the size, turned", || resample::nearest(ct, &turned, -1024));

    let folder = std::env::temp_dir().join(format!("vestibule-timings-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (plain, packed) = (folder.join("scan.nii"), folder.join("scan.nii.gz"));
    timed("write .nii", || nifti::write_scan(&scan, &plain))
        .and(timed("write .nii.gz", || nifti::write_scan(&scan, &packed)))?;
    timed("read .nii", || nifti::read_scan(&plain))?;
    timed("read .nii.gz", || nifti::read_scan(&packed))?;
    let bytes = std::fs::metadata(&packed)?.len();
    eprintln!("packed to {:.1} MB of {:.1}", bytes as f64 / 1e6, 2.0 * geometry.voxel_count() as f64 / 1e6);
    Ok(std::fs::remove_dir_all(folder)?)
}

fn timed<T>(name: &str, action: impl Fn() -> T) -> T {
    let (mut wall, mut busy) = (f64::INFINITY, f64::INFINITY);
    let mut result = None;
    for _ in 0..5 {
        drop(result.take());
        let (start, before) = (Instant::now(), processor_seconds());
        result = Some(action());
        wall = wall.min(start.elapsed().as_secs_f64());
        busy = busy.min(processor_seconds() - before);
    }
    eprintln!("{:>9.1} ms  {:>9.1} ms of processor  {name}", wall * 1e3, busy * 1e3);
    result.unwrap_or_else(action)
}

/// Time that all threads of this process have run; zero where the kernel does not say.
fn processor_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|t| {
        let text = std::fs::read_to_string(t.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() * 1e-9
}

/// A cylinder of soft tissue with two lungs, a spine and noise.
fn made_up() -> Result<Volume<i16>, Box<dyn std::error::Error>> {
    let geometry = ImageGeometry::new([512, 512, 64], [0.84, 0.84, 5.0], Point::ZERO, DMat3::IDENTITY)?;
    let mut state = 1u32;
    Ok(Volume::from_fn(geometry, |[i, j, k]| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 25) as i16 - 64;
        let within = |x: f64, y: f64, a: f64, b: f64| ((i as f64 - x) / a).powi(2) + ((j as f64 - y) / b).powi(2) < 1.0;
        let lungs = k > 20 && (within(170.0, 240.0, 60.0, 90.0) || within(342.0, 240.0, 60.0, 90.0));
        let hu = match () {
            () if within(256.0, 340.0, 24.0, 24.0) => 400,
            () if lungs => -850,
            () if within(256.0, 256.0, 190.0, 140.0) => 40,
            () => -1000,
        };
        hu + noise
    }))
}
