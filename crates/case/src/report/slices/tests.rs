use super::*;
use glam::DMat3;
use volume::Volume;

fn geometry(code: &str, size: [usize; 3], spacing: [f64; 3]) -> ImageGeometry {
    let code: AxisCode = code.parse().unwrap();
    ImageGeometry::new(size, spacing, Point::ZERO, code.direction()).unwrap()
}

/// A scan whose values say where a voxel is: the picture must show the patient's right on the left, whatever the grid.
#[test]
fn every_grid_is_drawn_the_radiological_way() {
    use AnatomicalDirection::{Anterior, Inferior, Left, Posterior, Right, Superior};
    let mut seen = 0;
    for a in AnatomicalDirection::ALL {
        for b in AnatomicalDirection::ALL {
            for c in AnatomicalDirection::ALL {
                let code = AxisCode([a, b, c]);
                if code.direction().determinant() == 0.0 {
                    continue;
                }
                seen += 1;
                let geometry = ImageGeometry::new([5, 6, 7], [1.0; 3], Point::ZERO, code.direction()).unwrap();
                for (plane, right, down) in [
                    (Plane::Axial, Left, Posterior),
                    (Plane::Coronal, Left, Inferior),
                    (Plane::Sagittal, Posterior, Inferior),
                ] {
                    let [x, y, normal] = grid_axes(&geometry, plane);
                    let at = |axis: GridAxis, end: bool| {
                        let samples = samples(&geometry, axis, 10);
                        let mut index = [0.0; 3];
                        index[axis.axis] = samples[if end { 9 } else { 0 }].nearest as f64;
                        (geometry.lps_from_index() * Point::from_array(index)).get()
                    };
                    assert!((at(x, true) - at(x, false)).dot(right.lps().get()) > 0.0, "{code} {plane:?} columns");
                    assert!((at(y, true) - at(y, false)).dot(down.lps().get()) > 0.0, "{code} {plane:?} rows");
                    assert_eq!([x.axis, y.axis, normal.axis].iter().sum::<usize>(), 3, "{code} {plane:?}");
                    let name = |d: AnatomicalDirection| d.display_letter().to_string();
                    assert_eq!(letters(&geometry, x, false), name(right), "{code} {plane:?}");
                    assert_eq!(letters(&geometry, x, true), name(right.opposite()), "{code} {plane:?}");
                    assert_eq!(letters(&geometry, y, false), name(down), "{code} {plane:?}");
                }
            }
        }
    }
    assert_eq!(seen, 48);
    let _ = (Right, Anterior, Superior);
}

#[test]
fn oblique_axes_get_a_second_letter() {
    let turned = DMat3::from_rotation_z(0.4);
    let geometry = ImageGeometry::new([4, 4, 4], [1.0; 3], Point::ZERO, turned).unwrap();
    let [x, y, _] = grid_axes(&geometry, Plane::Axial);
    assert_eq!(letters(&geometry, x, false), "LP");
    assert_eq!(letters(&geometry, x, true), "RA");
    assert_eq!(letters(&geometry, y, false), "PR");
    let slightly = ImageGeometry::new([4, 4, 4], [1.0; 3], Point::ZERO, DMat3::from_rotation_z(0.1)).unwrap();
    assert_eq!(letters(&slightly, x, false), "L");
}

fn manifest_and_scan(labels: &LabelMap) -> (Manifest, ScanVolume) {
    let scan = ScanVolume::I16(labels.voxels.map(|&l| l as i16 * 100));
    let contents = contents(&scan, labels);
    let manifest = crate::write::describe(&contents).unwrap();
    (manifest, scan)
}

fn contents<'a>(scan: &'a ScanVolume, labels: &'a LabelMap) -> CaseContents<'a> {
    CaseContents {
        scan,
        labels,
        surfaces: &[],
        modality: "CT".to_owned(),
        recipe: crate::RecipeRef::new("labels", "1"),
        alias: None,
        provenance: crate::Provenance::new("test"),
        windows: Vec::new(),
        trust: crate::Trust::default(),
    }
}

fn two_boxes() -> LabelMap {
    let geometry = geometry("LPS", [40, 30, 10], [1.0, 1.0, 5.0]);
    let voxels = Volume::from_fn(geometry, |[i, j, k]| match (i, j, k) {
        (5..15, 5..25, 1..4) => 1,
        (25..35, 5..25, 6..9) => 2,
        _ => 0,
    });
    let segments = [(1, "kidney_right"), (2, "kidney_left")]
        .map(|(label, name)| (label, volume::terminology::segment(label, name)))
        .into();
    LabelMap { voxels, segments }
}

#[test]
fn slices_are_chosen_where_structures_are() {
    let labels = two_boxes();
    let (manifest, _) = manifest_and_scan(&labels);
    let cuts = choose(&manifest, &labels);
    let axial: Vec<_> = cuts.iter().filter(|c| c.plane == Plane::Axial).map(|c| c.position).collect();
    assert_eq!(axial.len(), 2, "two slices show all there is: {axial:?}");
    assert!((6..9).contains(&axial[0]) && (1..4).contains(&axial[1]), "from the head down: {axial:?}");
    let coronal = cuts.iter().find(|c| c.plane == Plane::Coronal).unwrap();
    assert!((5..25).contains(&coronal.position));
}

#[test]
fn pictures_keep_the_proportions_and_show_outlines() {
    let labels = two_boxes();
    let (manifest, scan) = manifest_and_scan(&labels);
    let contents = contents(&scan, &labels);
    let painter = Painter::new(&manifest, &contents);
    let axial = painter.draw(&Cut { plane: Plane::Axial, position: 2 }).unwrap();
    assert_eq!(axial.size, [600, 450], "40 mm by 30 mm");
    assert_eq!(axial.labels, [1]);
    let coronal = painter.draw(&Cut { plane: Plane::Coronal, position: 10 }).unwrap();
    assert_eq!(coronal.size, [480, 600], "40 mm by 50 mm");
    assert_eq!(coronal.labels, [1, 2]);
    assert!(coronal.detail.starts_with("slice 11 of 30, 10.0 mm P"), "{}", coronal.detail);
    let mut reader = png::Decoder::new(std::io::Cursor::new(axial.png)).read_info().unwrap();
    let mut pixels = vec![0; 600 * 450 * 3];
    reader.next_frame(&mut pixels).unwrap();
    let pixel = |x: usize, y: usize| &pixels[(y * 600 + x) * 3..][..3];
    // Label 1 begins at column 5 of 15-pixel voxels: the border is its colour, its inside mostly grey.
    let color = bright(manifest.segments[0].color);
    let near = |p: &[u8]| p.iter().zip(color).map(|(&a, b)| a.abs_diff(b)).max().unwrap();
    assert!(near(pixel(75, 200)) < 30, "{:?} is not {color:?}", pixel(75, 200));
    assert!(near(pixel(150, 200)) > 30, "the inside is not painted over");
    assert_eq!(pixel(300, 100), [102, 102, 102], "water in a soft-tissue window, and no outline");
}
