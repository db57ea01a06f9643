use glam::DMat3;
use proptest::prelude::*;
use space::{AxisCode, Point};

use super::*;
use crate::terminology;

fn grid(direction: DMat3) -> ImageGeometry {
    ImageGeometry::new([4, 3, 2], [0.7, 0.9, 2.5], Point::new(-120.5, 33.25, 810.0), direction).unwrap()
}

fn ramp(geometry: ImageGeometry) -> Volume<i16> {
    Volume::from_fn(geometry, |[i, j, k]| (i as i16) - 1024 + 10 * (j as i16) + 100 * (k as i16))
}

#[track_caller]
fn check_round_trip(scan: &ScanVolume, name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    write_scan(scan, &path).unwrap();
    let back = read_scan(&path).unwrap();
    assert!(back.geometry().is_same_grid(scan.geometry(), 1e-9), "{:?}", back.geometry());
    assert!((0..scan.geometry().voxel_count()).all(|i| back.value(i).to_bits() == scan.value(i).to_bits()));
    assert!(inspect(&path).unwrap().oriented);
}

proptest! {
    #[test]
    fn scans_come_back(x in -3.2..3.2f64, y in -3.2..3.2f64, z in -3.2..3.2f64) {
        let turn = DMat3::from_euler(glam::EulerRot::XYZ, x, y, z);
        let scan = ramp(grid(turn));
        check_round_trip(&ScanVolume::F32(scan.map(|&v| f32::from(v) * 0.1)), "s.nrrd");
        check_round_trip(&ScanVolume::I16(scan), "s.nhdr");
    }

    #[test]
    fn labels_come_back(labels in proptest::collection::vec(any::<u16>(), 24), small: bool) {
        let labels: Vec<_> = labels.into_iter().map(|l| if small { l & 255 } else { l }).collect();
        let segments = labels.iter().filter(|&&l| l > 0).take(3).map(|&l| (l, terminology::segment(l, "liver")));
        let map = LabelMap {
            voxels: Volume::new(grid(DMat3::IDENTITY), labels.clone()).unwrap(),
            segments: segments.collect(),
        };
        prop_assert_eq!(through_file(&map), map);
    }
}

fn through_file(map: &LabelMap) -> LabelMap {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l.seg.nrrd");
    write_labels(map, &path).unwrap();
    read_labels(&path).unwrap()
}

#[test]
fn unions_come_back_from_their_layers() {
    let mut liver = terminology::segment(1, "liver");
    liver.parts = vec![2, 9];
    let mut vessel = terminology::segment(3, "portal_vein");
    vessel.parts = vec![9];
    let lesion = terminology::segment(2, "liver_lesion");
    let voxels = (0..24).map(|n| [0, 1, 1, 2, 9, 3, 0, 7][n % 8]).collect();
    let map = LabelMap {
        voxels: Volume::new(grid(DMat3::IDENTITY), voxels).unwrap(),
        segments: [(1, liver), (2, lesion), (3, vessel)].into(),
    };
    let back = through_file(&map);
    let union = |map: &LabelMap, name: &str| -> Vec<bool> {
        let segment = map.segments.values().find(|s| s.name == name).unwrap().clone();
        map.voxels.data().iter().map(|l| *l == segment.label || segment.parts.contains(l)).collect()
    };
    for name in ["liver", "liver_lesion", "portal_vein"] {
        assert_eq!(union(&back, name), union(&map, name), "{name}");
    }
    assert_eq!(back.segments.len(), 3);
}

/// A file of text voxels with these header lines.
fn text_file(lines: &str) -> Vec<u8> {
    let voxels: String = (0..24).map(|n| format!("{n} ")).collect();
    format!("NRRD0004\n# comment\n{lines}\nencoding: ascii\n\n{voxels}\n").into_bytes()
}

const PLAIN: &str = "type: short\ndimension: 3\nsizes: 4 3 2";

#[test]
fn spaces_and_units_are_turned_to_lps_millimetres() {
    let directions = "space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (10,20,30)";
    for (space, code, origin) in [
        ("left-posterior-superior", "LPS", [10.0, 20.0, 30.0]),
        ("right-anterior-superior", "RAS", [-10.0, -20.0, 30.0]),
        ("RAS", "RAS", [-10.0, -20.0, 30.0]),
        ("left-anterior-superior", "LAS", [10.0, -20.0, 30.0]),
    ] {
        let scan = scan_from_bytes(&text_file(&format!("{PLAIN}\nspace: {space}\n{directions}"))).unwrap();
        let geometry = scan.geometry();
        assert_eq!(geometry.axis_code(), code.parse::<AxisCode>().unwrap());
        assert_eq!(geometry.origin(), Point::from_array(origin), "{space}");
        assert_eq!(geometry.spacing(), [2.0, 3.0, 4.0]);
        assert_eq!(scan.value(23), 23.0);
    }
    let metres = format!("{PLAIN}\nspace: LPS\nspace units: \"m\" \"m\" \"m\"\n{directions}");
    assert_eq!(scan_from_bytes(&text_file(&metres)).unwrap().geometry().spacing(), [2000.0, 3000.0, 4000.0]);
    let spacings = format!("{PLAIN}\nspacings: 1.5 nan -2");
    assert_eq!(scan_from_bytes(&text_file(&spacings)).unwrap().geometry().spacing(), [1.5, 1.0, 2.0]);
}

#[test]
fn layers_on_either_end_are_understood() {
    let seg = "Segment0_Name:=liver\nSegment0_LabelValue:=1\nSegment1_Name:=my cyst\nSegment1_LabelValue:=1\nSegment1_Layer:=1";
    let file = |sizes: &str, directions: &str, voxels: &str| {
        format!(
            "NRRD0004\ntype: uchar\ndimension: 4\nspace: LPS\nsizes: {sizes}\nspace directions: {directions}\n\
             encoding: text\n{seg}\n\n{voxels}\n"
        )
    };
    // Four voxels; layer 0 is 1 1 1 0, layer 1 is 0 1 0 0.
    let fast = file("2 4 1 1", "none (1,0,0) (0,1,0) (0,0,1)", "1 0 1 1 1 0 0 0");
    let slow = file("4 1 1 2", "(1,0,0) (0,1,0) (0,0,1) none", "1 1 1 0 0 1 0 0");
    for file in [fast, slow] {
        let map = labels_from_bytes(file.as_bytes()).unwrap();
        assert_eq!(map.voxels.data(), [1, 2, 1, 0]);
        assert_eq!(map.segments[&1].parts, [2]);
        assert_eq!(map.segments[&2].display, "my cyst");
        assert!(matches!(scan_from_bytes(file.as_bytes()), Err(NrrdError::ManyLayers { layers: 2 })));
    }
}

#[test]
fn a_layer_for_each_byte_is_refused() {
    let head = "NRRD0004\ntype: uchar\ndimension: 4\nspace: LPS\nsizes: 1 1 1 1000000\n\
                space directions: (1,0,0) (0,1,0) (0,0,1) none\nencoding: gzip\n\n";
    let mut file = head.as_bytes().to_vec();
    gzip::write(&mut file, &[&vec![0; 1_000_000]]).unwrap();
    assert!(matches!(labels_from_bytes(&file), Err(NrrdError::TooManyLayers { layers: 1_000_000 })));
}

#[test]
fn raw_skips_and_byte_order() {
    let head = "NRRD0001\ntype: unsigned short\ndimension: 2\nsizes: 2 1\nspace dimension: 3\nspace: LPS\n\
                space directions: (0,0,-2) (0,1,0)\nendian: big\nencoding: raw\n";
    let values = |extra: &str, body: &[u8]| {
        let file = [head.as_bytes(), extra.as_bytes(), b"\n", body].concat();
        scan_from_bytes(&file).map(|s| (s.value(0), s.value(1), s.geometry().axis_code().to_string()))
    };
    // An image of two axes gets the third across them: inferior times posterior points left.
    let expected = (1.0, 258.0, "IPL".to_owned());
    assert_eq!(values("", &[0, 1, 1, 2]).unwrap(), expected);
    assert_eq!(values("line skip: 1\nbyte skip: 2\n", b"words\n..\x00\x01\x01\x02").unwrap(), expected);
    assert_eq!(values("byte skip: -1\n", b"anything\x00\x01\x01\x02").unwrap(), expected);
    assert!(values("byte skip: 3\n", &[0, 1, 1, 2]).is_err());
}

#[track_caller]
fn check_refused(bytes: &[u8], expected: &str) {
    let error = scan_from_bytes(bytes).expect_err(expected).to_string();
    assert!(error.contains(expected), "`{error}` should hold `{expected}`");
}

#[test]
fn hostile_headers_are_refused() {
    check_refused(b"", "not a NRRD");
    check_refused(b"NRRD0004", "`type` is missing");
    check_refused(b"NRRD0004\nnonsense\n\n", "`nonsense` is no field");
    let refused = |lines: &str, expected: &str| check_refused(&text_file(lines), expected);
    refused("type: block\ndimension: 3\nsizes: 4 3 2", "`type` cannot be `block`");
    refused("type: short\ndimension: 2\nsizes: 4 3 2", "`sizes`");
    refused("type: short\ndimension: 3\nsizes: 4 0 2", "`sizes`");
    refused("type: short\ndimension: 3\nsizes: 4 -3 2", "`sizes`");
    refused("type: short\ndimension: 3\nsizes: 4 3 20", "truncated");
    refused("type: short\ndimension: 3\nsizes: 4000000000 4000000000 4000000000", "position");
    refused("type: short\ndimension: 3\nsizes: 40000 40000 40000", "truncated");
    refused("type: short\ndimension: 5\nsizes: 1 2 2 3 2", "axes");
    refused(&format!("{PLAIN}\nspace: LPS\nspace directions: (nan,0,0) (0,1,0) (0,0,1)"), "position");
    refused(&format!("{PLAIN}\nspace: LPS\nspace directions: (1,0,0) (1,0,0) (0,0,1)"), "position");
    refused(&format!("{PLAIN}\nspace: LPS\nspace directions: (1,0 (0,1,0) (0,0,1)"), "space directions");
    refused(&format!("{PLAIN}\nspace: LPS\nspace directions: none none none"), "axes");
    refused(&format!("{PLAIN}\nspace: LPS\nspace directions: (1,0,0)"), "space directions");
    refused(&format!("{PLAIN}\nspace: mars"), "`space` cannot be `mars`");
    refused(&format!("{PLAIN}\nspace origin: (1,2)"), "space origin");
    check_refused(b"NRRD0004\ntype: short\ndimension: 3\nsizes: 1 1 1\nencoding: raw\n\n\0\0", "`endian` is missing");
    check_refused(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1 1 1\nencoding: bzip2\n\n", "bzip2");
    check_refused(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 99 99 99\nencoding: gzip\n\nnot gzip", "truncated");
    check_refused(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 1 1\nencoding: gzip\n\nnot gzip", "damaged");
    check_refused(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 1 1 1\nencoding: text\n\nabc", "no number");
}

#[test]
fn detached_header_stays_in_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.nhdr");
    for file in ["/etc/passwd", "../x.raw", "LIST", "x%03d.raw 1 2 1"] {
        fs::write(&path, format!("NRRD0004\n{PLAIN}\nendian: little\nencoding: raw\ndata file: {file}\n")).unwrap();
        let error = read_scan(&path).expect_err(file).to_string();
        assert!(error.contains("header's folder"), "{error}");
    }
    check_refused(format!("NRRD0004\n{PLAIN}\nendian: little\nencoding: raw\ndata file: x\n").as_bytes(), "folder");
}
