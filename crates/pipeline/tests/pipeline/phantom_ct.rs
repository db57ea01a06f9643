//! `ct-basic` against the phantom's truth.

use glam::DMat3;
use space::{AxisCode, Index, Point};
use volume::{ImageGeometry, Volume};

use crate::support::{build, centre, coarse_phantom, dice, inside, open, write_nifti};

#[test]
fn structures_agree_with_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("phantom.nii.gz"), dir.path().join("case"));
    let body = coarse_phantom();
    write_nifti(&body.hounsfield, &scan);
    let summary = build(&scan, &out, |_| ()).unwrap();
    assert_eq!(summary.recipe, "ct-basic");
    let case = open(&out);
    let found = case.labels().unwrap();
    let mut named = found.clone();
    for entry in &case.manifest.segments {
        named.segments.insert(entry.label, volume::terminology::segment(entry.label, &entry.name));
    }
    let truth = &body.labels;
    let is_bone = |n: &str| volume::terminology::group_of(n) == volume::terminology::Group::Bone;
    let checks: [(&str, Vec<bool>, f64); 4] = [
        ("lung_left", inside(truth, |n| n == "lung_left" || n.starts_with("lung_") && n.ends_with("_left")), 0.93),
        ("lung_right", inside(truth, |n| n == "lung_right" || n.starts_with("lung_") && n.ends_with("_right")), 0.93),
        ("skeleton", inside(truth, is_bone), 0.80),
        ("airways", inside(truth, |n| n == "trachea" || n.starts_with("bronch") || n == "airways"), 0.60),
    ];
    for (name, expected, least) in &checks {
        let agreement = dice(&inside(&named, |n| n == *name), expected);
        println!("{name}: Dice {agreement:.3}");
        assert!(agreement >= *least, "{name}: Dice {agreement:.3}, expected {least} or more");
    }
    // The body is everything in it, couch left out.
    let expected: Vec<bool> = truth.voxels.data().iter().map(|&l| l != 0).collect();
    let all: Vec<bool> = found.voxels.data().iter().map(|&l| l != 0).collect();
    let agreement = dice(&all, &expected);
    println!("body: Dice {agreement:.3}");
    assert!(agreement >= 0.97, "body: Dice {agreement:.3}");
    let side = |name: &str| centre(found.geometry(), &inside(&named, |n| n == name))[0];
    assert!(side("lung_left") > side("lung_right") + 80.0, "left is where LPS x grows");
}

#[test]
fn storage_order_does_not_change_what_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let body = coarse_phantom();
    let upright = &body.hounsfield;
    let labels_of = |volume: &Volume<i16>, name: &str| {
        let (scan, out) = (dir.path().join(format!("{name}.nii.gz")), dir.path().join(name));
        write_nifti(volume, &scan);
        build(&scan, &out, |_| ()).unwrap();
        open(&out).labels().unwrap()
    };
    let expected = labels_of(upright, "LPS");
    // Axes along the patient's, in another order and direction: sagittal, coronal, and as NIfTI likes it.
    for code in ["RAS", "PSL", "LSA"] {
        let relaid = relaid(upright, code.parse().unwrap());
        let found = labels_of(&relaid, code);
        let from = found.geometry().index_from_lps() * expected.geometry().lps_from_index();
        let [ni, nj, _] = expected.geometry().size();
        for (at, &label) in expected.voxels.data().iter().enumerate() {
            let p = from * Point::<Index>::new((at % ni) as f64, (at / ni % nj) as f64, (at / ni / nj) as f64);
            let [i, j, k] = p.to_array().map(|x| x.round() as usize);
            assert_eq!(found.voxels.get(i, j, k), Some(&label), "{code}: voxel {at}");
        }
    }
}

/// The same voxels in the same places, stored along other axes.
fn relaid(volume: &Volume<i16>, code: AxisCode) -> Volume<i16> {
    let g = volume.geometry();
    let direction: DMat3 = code.direction();
    // Which axis of the old grid each new axis runs along: the old one is LPS.
    let columns = direction.to_cols_array_2d();
    let along = columns.map(|c| c.iter().position(|x| x.abs() > 0.5).unwrap());
    let size = along.map(|a| g.size()[a]);
    let spacing = along.map(|a| g.spacing()[a]);
    let corner: Vec<f64> = (0..3)
        .map(|body| {
            let new = along.iter().position(|&a| a == body).unwrap();
            let flipped = columns[new][body] < 0.0;
            let last = (g.size()[body] - 1) as f64 * g.spacing()[body];
            g.origin().to_array()[body] + if flipped { last } else { 0.0 }
        })
        .collect();
    let geometry = ImageGeometry::new(size, spacing, Point::new(corner[0], corner[1], corner[2]), direction).unwrap();
    let from = g.index_from_lps() * geometry.lps_from_index();
    Volume::from_fn(geometry, |p| {
        let old = from * Point::new(p[0] as f64, p[1] as f64, p[2] as f64);
        let [i, j, k] = old.to_array().map(|x| x.round() as usize);
        *volume.get(i, j, k).unwrap()
    })
}

#[test]
fn a_truth_beside_the_series_is_taken_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan"), dir.path().join("case"));
    let options = phantom::PhantomOptions { seed: 3, spacing_mm: [4.0, 4.0, 6.0], ..Default::default() };
    let written = phantom::write_phantom(&scan, &options, &|_| ()).unwrap();
    let inspection = pipeline::inspect(&scan).unwrap();
    assert_eq!(inspection.series.len(), 1);
    let recipes: Vec<_> = inspection.series[0].recipes.iter().map(|r| (r.name, r.default)).collect();
    assert_eq!(recipes, [("labels", true), ("ct-basic", false)]);
    let summary = build(&scan, &out, |_| ()).unwrap();
    assert_eq!(summary.recipe, "labels");
    assert!(summary.notes.iter().any(|n| n.contains("DICOM SEG beside the series")), "{:?}", summary.notes);
    assert!(
        summary.segments.len() >= 25 && summary.segments.len() <= written.structures + 20,
        "{}",
        summary.segments.len()
    );
    let summary = build(&scan, &out, |r| r.recipe = Some("ct-basic".to_owned())).unwrap();
    assert_eq!(summary.recipe, "ct-basic");
}
