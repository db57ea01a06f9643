//! Writes a small CT series with two nested ellipsoids and its segmentation into a folder.
use std::collections::BTreeMap;
use std::path::PathBuf;

use dicom::{CtOptions, InventedPatient, write_ct_series, write_segmentation};
use volume::{Code, ImageGeometry, LabelMap, Segment, Volume};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: write_sample DIR [SIZE SLICES]")?);
    let argument = |n, default| std::env::args().nth(n).map_or(Ok(default), |text| text.parse::<usize>());
    let (size, slices) = (argument(2, 96)?, argument(3, 40)?);
    let spacing = [300.0 / size as f64, 300.0 / size as f64, 1.25];
    let origin = space::Point::new(-150.0, -150.0, -25.0);
    let geometry = ImageGeometry::new([size, size, slices], spacing, origin, glam::DMat3::IDENTITY)?;
    let label = |[i, j, k]: [usize; 3]| {
        let p = [(i, size), (j, size), (k, slices)].map(|(n, of)| 2.0 * (n as f64 + 0.5) / of as f64 - 1.0);
        let r = p.iter().map(|x| x * x).sum::<f64>().sqrt();
        if r < 0.4 { 2 } else { u16::from(r < 0.9) }
    };
    let labels = Volume::from_fn(geometry, label);
    let mut noise = 1u32;
    let ct = labels.map(|&l| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        [-1000i16, 40, 110][usize::from(l)] + (noise >> 27) as i16 - 16
    });
    let segment = |label, name: &str, code: Option<(&str, &str)>, parts| Segment {
        label,
        parts,
        name: name.to_owned(),
        display: name.replace('_', " "),
        code: code.map(|(v, m)| Code { scheme: "SCT".to_owned(), value: v.to_owned(), meaning: m.to_owned() }),
        color: [200, 120, label as u8],
    };
    let segments = BTreeMap::from([
        (1, segment(1, "liver", Some(("10200004", "Liver")), vec![2])),
        (2, segment(2, "liver_lesion", None, vec![])),
    ]);
    let patient = InventedPatient::from_seed(1);
    let options = CtOptions { seed: 1, contrast_agent: Some("Iohexol".to_owned()), ..CtOptions::default() };
    let series = write_ct_series(&dir, &ct, &patient, &options)?;
    write_segmentation(&dir.join("segmentation.dcm"), &LabelMap { voxels: labels, segments }, &series)?;
    Ok(())
}
