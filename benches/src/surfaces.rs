//! Surfaces of labels and of a field, beside VTK and 3D Slicer.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;
use surface::{
    IsosurfaceOptions, SegmentSurface, Smoothing, SurfaceOptions, isosurface, label_surface, surfaces_of_labels,
};
use volume::{LabelMap, ScanVolume, Volume, nifti};

use crate::generated;
use crate::peer;
use crate::record::{BenchArgs, Record, best, data};
use crate::scratch::Scratch;

/// Runs after the first.
const WARM_RUNS: usize = 7;
const NAME: &str = "surfaces";

/// Surface nets alone, all levels of detail, one isosurface.
pub(crate) fn run(arguments: &BenchArgs) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let scratch = Scratch::new()?;
    if let Some(path) = data("torso-labels/s0327_labels.nii.gz") {
        let map = nifti::read_labels(&path)?;
        records.extend(nets(arguments, "torso-labels", &map, &path)?);
        records.extend(levels(arguments, &map, &path)?);
    }
    let dense = generated::dense_labels()?;
    let path = scratch.path("dense.nii");
    if arguments.python.is_some() {
        nifti::write_labels(&dense, &path)?;
    }
    records.extend(nets(arguments, "generated, densely packed", &dense, &path)?);
    drop(dense);
    for (name, iso_values) in [("ct-chest", &[-300.0, 200.0][..]), ("mr-head-t1", &[60.0][..])] {
        let Some(folder) = data(name) else { continue };
        let scan = dicom::read_series(&dicom::inspect(&folder)?, 0)?.volume;
        let path = scratch.path(format!("{name}.nii"));
        if arguments.python.is_some() {
            nifti::write_scan(&scan, &path)?;
        }
        for &iso_value in iso_values {
            records.extend(iso(arguments, name, &scan, &path, iso_value)?);
        }
    }
    Ok(records)
}

/// All boundaries in one extraction; 8-bit labels, as the peer has them.
fn nets(arguments: &BenchArgs, what: &str, map: &LabelMap, path: &Path) -> Result<Vec<Record>> {
    let labels = map.voxels.map(|l| *l as u8);
    let plain = Smoothing { passes: 0, ..Smoothing::default() };
    let start = Instant::now();
    let triangles = label_surface(&labels, &Smoothing::default())?.triangles.len();
    let first_s = start.elapsed().as_secs_f64();
    let warm_s = best(WARM_RUNS, || Ok(label_surface(&labels, &Smoothing::default())?))?;
    let plain_s = best(WARM_RUNS, || Ok(label_surface(&labels, &plain)?))?;

    let answer = peer::run(arguments.python.as_deref(), "surface_nets.py", [path])?;
    let peer = named("vtkSurfaceNets3D", answer.as_ref());
    let their_triangles = answer.as_ref().map_or_else(String::new, |a| format!(", the peer's {}", a["triangles"]));
    let [i, j, k] = labels.geometry().size();
    let size =
        format!("{what} {i}×{j}×{k}, {} labels, {triangles} triangles{their_triangles}; nets", map.counts().len());
    let megavoxels = labels.geometry().voxel_count() as f64 / 1e6;
    let record = |how: &str, ours: f64, key: &str| {
        Record::new(NAME, format!("{size}, {how}"), ours, "Mvoxel/s", megavoxels / ours)
            .beside(&peer, peer::seconds(answer.as_ref(), key))
    };
    Ok(vec![
        record("smoothed, first call", first_s, "first_s"),
        record("smoothed, warm", warm_s, "warm_s"),
        record("not smoothed, warm", plain_s, "plain_s"),
    ])
}

/// Closed surfaces in four levels with measured error, beside Slicer's one without.
fn levels(arguments: &BenchArgs, map: &LabelMap, path: &Path) -> Result<Vec<Record>> {
    let once = || -> Result<Vec<SegmentSurface>> { Ok(surfaces_of_labels(map, &SurfaceOptions::default(), &|_| {})?) };
    let start = Instant::now();
    let surfaces = once()?;
    let first_s = start.elapsed().as_secs_f64();
    let count = |level: usize| surfaces.iter().map(|s| s.lods[level].mesh.triangles.len()).sum::<usize>();
    let counts = [0, 1, 2, 3].map(count);
    let structures = surfaces.len();
    drop(surfaces);
    let warm_s = best(3, once)?;
    let answer = peer::run(arguments.slicer.as_deref(), "slicer_surfaces.py", [path])?;
    let threads = answer.as_ref().map_or(0, |a| a["threads"].as_u64().unwrap_or(0));
    let record = |how: &str, ours: f64, peer: &str, key: &str| {
        let size = format!("torso-labels, {structures} structures, 4 LODs of {counts:?} triangles, fidelity; {how}");
        Record::new(NAME, size, ours, "structures/s", structures as f64 / ours)
            .beside(&format!("3D Slicer's core, {peer}, {threads} threads"), peer::seconds(answer.as_ref(), key))
    };
    Ok(vec![
        record("first call", first_s, "default, one level", "default_s"),
        record("warm", warm_s, "default, one level", "default_s"),
        record("warm", warm_s, "surface nets, one level", "nets_s"),
        record("warm", warm_s, "decimated by 90 %, one level", "decimated_s"),
    ])
}

/// One isosurface with normals, on one thread and on all.
fn iso(arguments: &BenchArgs, what: &str, scan: &ScanVolume, path: &Path, iso_value: f32) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for threads in [1, rayon::current_num_threads()] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("cannot start threads")?;
        let once = || {
            pool.install(|| match scan {
                ScanVolume::I16(v) => extract(v, iso_value),
                ScanVolume::F32(v) => extract(v, iso_value),
            })
        };
        let mut triangles = 0;
        let mut seconds = [0.0; 2];
        for (n, runs) in [1, WARM_RUNS].into_iter().enumerate() {
            seconds[n] = best(runs, || {
                let mesh = once()?;
                triangles = mesh.triangles.len();
                Ok(mesh)
            })?;
        }
        let arguments_of_peer = [path.as_os_str().to_owned(), iso_value.to_string().into(), threads.to_string().into()];
        let answer = peer::run(arguments.python.as_deref(), "flying_edges.py", arguments_of_peer)?;
        let peer = named("vtkFlyingEdges3D", answer.as_ref());
        let their_triangles = answer.as_ref().map_or_else(String::new, |a| format!(", the peer's {}", a["triangles"]));
        let [i, j, k] = scan.geometry().size();
        let size = format!("{what} {i}×{j}×{k} at {iso_value}, {triangles} triangles{their_triangles}; isosurface");
        let megavoxels = scan.geometry().voxel_count() as f64 / 1e6;
        for (how, ours, key) in [("first call", seconds[0], "first_s"), ("warm", seconds[1], "warm_s")] {
            let size = format!("{size}, {threads} threads, {how}");
            let record = Record::new(NAME, size, ours, "Mvoxel/s", megavoxels / ours);
            records.push(record.beside(&peer, peer::seconds(answer.as_ref(), key)));
        }
    }
    Ok(records)
}

fn extract<T: volume::Voxel>(volume: &Volume<T>, iso_value: f32) -> Result<surface::Mesh> {
    Ok(isosurface(volume, iso_value, &IsosurfaceOptions::default())?)
}

/// The peer with its version and threads.
fn named(filter: &str, answer: Option<&Value>) -> String {
    answer.map_or_else(String::new, |a| {
        format!("{filter} of VTK {}, {} threads", a["version"].as_str().unwrap_or("?"), a["threads"])
    })
}
