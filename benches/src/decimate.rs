//! Decimation of one large mesh to a tenth, beside VTK; both results measured by the same samples.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use surface::{DecimateOptions, IsosurfaceOptions, Mesh, decimate, hausdorff_mm, isosurface};
use volume::ScanVolume;

use crate::peer;
use crate::record::{BenchArgs, Record, best, data};
use crate::scratch::Scratch;

const SHARE: f64 = 0.1;
/// Bone and what contrast agent fills; about a million triangles.
const ISO_VALUE: f32 = 150.0;

/// An isosurface of the chest CT.
pub(crate) fn run(arguments: &BenchArgs) -> Result<Vec<Record>> {
    let Some(folder) = data("ct-chest") else { return Ok(Vec::new()) };
    let mesh = match dicom::read_series(&dicom::inspect(&folder)?, 0)?.volume {
        ScanVolume::I16(v) => isosurface(&v, ISO_VALUE, &IsosurfaceOptions::default())?,
        ScanVolume::F32(v) => isosurface(&v, ISO_VALUE, &IsosurfaceOptions::default())?,
    };
    let measured = DecimateOptions { target_share: SHARE, ..DecimateOptions::default() };
    let alone = DecimateOptions { is_measured: false, ..measured };
    let start = Instant::now();
    let made = decimate(&mesh, &alone)?;
    let first_s = start.elapsed().as_secs_f64();
    let warm_s = best(5, || Ok(decimate(&mesh, &alone)?))?;
    let measured_s = best(3, || Ok(decimate(&mesh, &measured)?))?;
    let error_mm = hausdorff_mm(&mesh, &made.mesh, made.sample_spacing_mm)?;

    let scratch = Scratch::new()?;
    let (input, output) = (scratch.path("mesh.bin"), scratch.path("decimated.bin"));
    if arguments.python.is_some() {
        write_mesh(&mesh, &input)?;
    }
    let paths = [input.as_os_str().to_owned(), SHARE.to_string().into(), output.as_os_str().to_owned()];
    let answer = peer::run(arguments.python.as_deref(), "quadric_decimation.py", paths)?;
    let their_s = peer::seconds(answer.as_ref(), "seconds");
    let (mut peer, mut theirs_mm) = (String::new(), None);
    if let Some(answer) = &answer {
        peer = format!("vtkQuadricDecimation of VTK {}, 1 thread", answer["version"].as_str().unwrap_or("?"));
        theirs_mm = Some(hausdorff_mm(&mesh, &read_mesh(&output)?, made.sample_spacing_mm)?);
    }
    let size = format!("ct-chest at {ISO_VALUE}, {} → {} triangles", mesh.triangles.len(), made.mesh.triangles.len());
    let millions = mesh.triangles.len() as f64 / 1e6;
    let record = |how: &str, ours: f64| {
        Record::new("decimate", format!("{size}; {how}"), ours, "Mtriangle/s", millions / ours).beside(&peer, their_s)
    };
    let unit = match theirs_mm {
        Some(theirs) => format!("mm Hausdorff, samples {:.2} mm apart; the peer {theirs:.3}", made.sample_spacing_mm),
        None => format!("mm Hausdorff, samples {:.2} mm apart", made.sample_spacing_mm),
    };
    let error = Record::new("decimate", format!("{size}; error"), warm_s, &unit, error_mm);
    Ok(vec![
        record("first call", first_s),
        record("warm", warm_s),
        record("Hausdorff measured both ways, warm", measured_s),
        error.beside(&peer, their_s),
    ])
}

/// The numbers of vertices and triangles, positions, triangles; little-endian.
fn write_mesh(mesh: &Mesh, path: &Path) -> Result<()> {
    let mut bytes = Vec::with_capacity(16 + 12 * (mesh.positions.len() + mesh.triangles.len()));
    bytes.extend((mesh.positions.len() as u64).to_le_bytes());
    bytes.extend((mesh.triangles.len() as u64).to_le_bytes());
    bytes.extend(mesh.positions.iter().flatten().flat_map(|x| x.to_le_bytes()));
    bytes.extend(mesh.triangles.iter().flatten().flat_map(|v| v.to_le_bytes()));
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn read_mesh(path: &Path) -> Result<Mesh> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let truncated = || format!("{} is too short", path.display());
    let (counts, rest) = bytes.split_at_checked(16).with_context(truncated)?;
    let count = |n: usize| counts.as_chunks::<8>().0.get(n).map_or(0, |c| u64::from_le_bytes(*c) as usize);
    let (positions, triangles) = rest.split_at_checked(12 * count(0)).with_context(truncated)?;
    let three = |bytes: &[u8; 12]| [0, 1, 2].map(|n| [0, 1, 2, 3].map(|m| bytes[4 * n + m]));
    Ok(Mesh {
        positions: positions.as_chunks::<12>().0.iter().map(|b| three(b).map(f32::from_le_bytes)).collect(),
        normals: Vec::new(),
        triangles: triangles.as_chunks::<12>().0.iter().map(|b| three(b).map(u32::from_le_bytes)).collect(),
    })
}
