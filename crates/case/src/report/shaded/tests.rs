use super::*;
use surface::{Fidelity, SurfaceLod};
use volume::{ImageGeometry, LabelMap, ScanVolume, Volume};

/// A closed octahedron of `radius` mm about a point.
fn octahedron(center: [f32; 3], radius: f32) -> Mesh {
    let corners: [[f32; 3]; 6] =
        [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]];
    Mesh {
        positions: corners.map(|c| [0, 1, 2].map(|i| center[i] + radius * c[i])).to_vec(),
        normals: corners.to_vec(),
        triangles: vec![[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]],
    }
}

fn surface(label: u16, mesh: Mesh) -> SegmentSurface {
    let fidelity = Fidelity { hausdorff_mm: 0.1, p95_mm: 0.1, volume_error_percent: 0.0, sample_spacing_mm: 0.5 };
    SegmentSurface { label, closed: true, lods: vec![SurfaceLod { mesh, fidelity }], volume_ml: 1.0 }
}

/// Draws segments by name, and gives the views' pixels.
fn views(named: &[(&str, Mesh)]) -> Vec<(Picture, Vec<u8>)> {
    let geometry = ImageGeometry::new([2; 3], [1.0; 3], space::Point::ZERO, glam::DMat3::IDENTITY).unwrap();
    let segments = named.iter().zip(1..).map(|((name, _), label)| (label, volume::terminology::segment(label, name)));
    let labels = LabelMap { voxels: Volume::filled(geometry, 0), segments: segments.collect() };
    let scan = ScanVolume::I16(Volume::filled(geometry, 0));
    let surfaces: Vec<_> = named.iter().zip(1..).map(|((_, mesh), label)| surface(label, mesh.clone())).collect();
    let contents = crate::CaseContents {
        scan: &scan,
        labels: &labels,
        surfaces: &surfaces,
        modality: "CT".to_owned(),
        recipe: crate::RecipeRef::new("labels", "1"),
        alias: None,
        provenance: crate::Provenance::new("test"),
        windows: Vec::new(),
        trust: crate::Trust::default(),
    };
    let manifest = crate::write::describe(&contents).unwrap();
    let pictures = draw_views(&manifest, &surfaces).unwrap();
    pictures
        .into_iter()
        .map(|picture| {
            let mut reader = png::Decoder::new(std::io::Cursor::new(picture.png.clone())).read_info().unwrap();
            let mut pixels = vec![0; picture.size[0] * picture.size[1] * 3];
            reader.next_frame(&mut pixels).unwrap();
            (picture, pixels)
        })
        .collect()
}

fn pixel((picture, pixels): &(Picture, Vec<u8>), x: f32, y: f32) -> [u8; 3] {
    let [w, h] = picture.size;
    let at = ((y * h as f32) as usize * w + (x * w as f32) as usize) * 3;
    [pixels[at], pixels[at + 1], pixels[at + 2]]
}

fn lit(pixel: [u8; 3]) -> bool {
    pixel.iter().any(|&c| c > 70)
}

#[test]
fn left_and_right_are_where_a_viewer_expects_them() {
    // One to the patient's left (+x), one to the right and lower.
    let views = views(&[
        ("kidney_left", octahedron([60.0, 0.0, 40.0], 30.0)),
        ("kidney_right", octahedron([-60.0, 0.0, -40.0], 30.0)),
    ]);
    assert_eq!(views.len(), 3);
    let (front, behind) = (&views[0], &views[2]);
    assert!(lit(pixel(front, 0.75, 0.3)) && lit(pixel(front, 0.25, 0.7)), "from the front, left is on the right");
    assert!(!lit(pixel(front, 0.25, 0.3)) && !lit(pixel(front, 0.75, 0.7)));
    assert!(lit(pixel(behind, 0.25, 0.3)) && !lit(pixel(behind, 0.75, 0.3)), "from behind, left is on the left");
}

#[test]
fn the_nearer_structure_hides_the_farther() {
    let red = ("kidney_left", octahedron([0.0, -50.0, 0.0], 40.0));
    let blue = ("spleen", octahedron([0.0, 50.0, 0.0], 40.0));
    let alone = views(std::slice::from_ref(&red));
    let both = views(&[red, blue]);
    let apart = |a: [u8; 3], b: [u8; 3]| (0..3).map(|i| a[i].abs_diff(b[i])).max().unwrap();
    assert!(apart(pixel(&alone[0], 0.5, 0.47), pixel(&both[0], 0.5, 0.47)) < 6, "from the front");
    assert!(apart(pixel(&both[0], 0.5, 0.47), pixel(&both[2], 0.5, 0.47)) > 20, "from behind");
}

#[test]
fn skin_is_seen_through_if_there_is_something_to_see() {
    let alone = views(&[("skin", octahedron([0.0; 3], 80.0))]);
    let around = views(&[("skin", octahedron([0.0; 3], 80.0)), ("liver", octahedron([0.0; 3], 30.0))]);
    let liver = pixel(&around[0], 0.5, 0.46);
    assert!(liver[0] > liver[2] + 20, "the liver shows through: {liver:?}");
    let skin_alone = pixel(&alone[0], 0.5, 0.3);
    let skin_around = pixel(&around[0], 0.5, 0.3);
    assert!(u32::from(skin_around[0]) * 2 < u32::from(skin_alone[0]), "{skin_around:?} {skin_alone:?}");
}

#[test]
fn no_surface_no_view() {
    assert!(views(&[]).is_empty());
}
