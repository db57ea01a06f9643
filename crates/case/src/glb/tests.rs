use super::*;
use crate::error::GlbError;
use proptest::prelude::*;
use space::{Point, scene_from_lps};

/// A tetrahedron about `center`, outward counter-clockwise.
fn tetrahedron(center: [f32; 3], size: f32) -> SceneMesh {
    let corners = [[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]];
    SceneMesh {
        positions: corners.map(|c: [f32; 3]| [0, 1, 2].map(|i| center[i] + size * c[i])).to_vec(),
        normals: corners.map(|c| c.map(|x| x / 3f32.sqrt())).to_vec(),
        triangles: vec![[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]],
    }
}

fn borrowed(mesh: &SceneMesh) -> GlbMesh<'_> {
    GlbMesh { positions: &mesh.positions, normals: &mesh.normals, triangles: &mesh.triangles }
}

fn segment<'a>(label: Label, name: &'a str, lods: &'a [SceneMesh]) -> GlbSegment<'a> {
    GlbSegment { label, name, code: None, color: [200, 30, 30], lods: lods.iter().map(borrowed).collect() }
}

/// A grid of this many vertices, to need 32-bit indices or not.
fn strip(vertices: usize) -> SceneMesh {
    SceneMesh {
        positions: (0..vertices).map(|n| [n as f32, (n % 2) as f32, 0.0]).collect(),
        normals: vec![[0.0, 0.0, 1.0]; vertices],
        triangles: (0..vertices as u32 - 2).map(|n| [n, n + 1, n + 2]).collect(),
    }
}

fn two_segments() -> Vec<u8> {
    let liver = [tetrahedron([10.0, -20.0, 30.0], 5.0), tetrahedron([10.0, -20.0, 30.0], 4.0)];
    write_glb(&[segment(5, "liver", &liver), segment(9, "nothing", &[])]).unwrap()
}

#[test]
fn written_and_read_again() {
    let [fine, coarse] = [tetrahedron([10.0, -20.0, 30.0], 5.0), tetrahedron([10.0, -20.0, 30.0], 4.0)];
    let read = read_meshes(&two_segments()).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!((read[0].label, read[0].name.as_str(), read[0].lods.len()), (5, "liver", 2));
    assert_eq!((read[1].label, read[1].name.as_str(), read[1].lods.len()), (9, "nothing", 0));
    for (written, read) in [fine, coarse].iter().zip(&read[0].lods) {
        assert_eq!(written.triangles, read.triangles);
        for (mm, m) in written.positions.iter().zip(&read.positions) {
            let scene = scene_from_lps() * Point::from_array(mm.map(f64::from));
            assert_eq!(*m, scene.get().as_vec3().to_array());
        }
        for (lps, scene) in written.normals.iter().zip(&read.normals) {
            let expected = [lps[0], lps[2], -lps[1]];
            assert!((0..3).all(|i| (expected[i] - scene[i]).abs() < 1e-6), "{expected:?} {scene:?}");
        }
    }
}

#[test]
fn another_reader_sees_one_surface_a_segment() {
    let gltf = gltf::Gltf::from_slice(&two_segments()).unwrap();
    let scene = gltf.default_scene().unwrap();
    let nodes: Vec<_> = scene.nodes().collect();
    assert_eq!(nodes.iter().map(|n| n.name().unwrap()).collect::<Vec<_>>(), ["liver", "nothing"]);
    let extras: serde_json::Value = serde_json::from_str(nodes[0].extras().as_ref().unwrap().get()).unwrap();
    assert_eq!(extras["vestibule"]["label"], 5);
    let all: Vec<_> = gltf.nodes().map(|n| n.name().unwrap()).collect();
    assert_eq!(all, ["liver", "liver.lod1", "nothing"]);
    let primitive = nodes[0].mesh().unwrap().primitives().next().unwrap();
    let bounds = primitive.bounding_box();
    assert_eq!((bounds.min, bounds.max), ([0.005, 0.025, 0.015], [0.015, 0.035, 0.025]));
    let reader = primitive.reader(|_| gltf.blob.as_deref());
    assert_eq!(reader.read_indices().unwrap().into_u32().count(), 12);
    assert!(primitive.material().pbr_metallic_roughness().base_color_factor()[0] < 0.6, "linear, not sRGB");
}

#[test]
fn indices_are_short_as_long_as_they_fit() {
    for (vertices, bytes) in [(65_535, 2), (65_536, 4)] {
        let mesh = [strip(vertices)];
        let glb = write_glb(&[segment(1, "strip", &mesh)]).unwrap();
        let gltf = gltf::Gltf::from_slice(&glb).unwrap();
        let indices = gltf.meshes().next().unwrap().primitives().next().unwrap().indices().unwrap();
        assert_eq!(indices.size(), bytes, "{vertices} vertices");
        assert_eq!(read_meshes(&glb).unwrap()[0].lods[0].triangles, mesh[0].triangles, "{vertices} vertices");
    }
}

#[test]
fn nothing_at_all_is_a_glb_too() {
    assert_eq!(read_meshes(&write_glb(&[]).unwrap()).unwrap(), []);
}

#[test]
fn broken_meshes_are_refused() {
    let check = |mesh: SceneMesh| {
        let error = write_glb(&[segment(1, "bad", &[mesh])]).unwrap_err();
        assert!(matches!(error, GlbError::Mesh { .. }), "{error}");
    };
    let good = tetrahedron([0.0; 3], 1.0);
    check(SceneMesh { triangles: vec![[0, 1, 4]], ..good.clone() });
    check(SceneMesh { normals: Vec::new(), ..good.clone() });
    let mut positions = good.positions.clone();
    positions[2][1] = f32::NAN;
    check(SceneMesh { positions, ..good });
}

#[test]
fn normals_are_of_unit_length_whatever_comes_in() {
    let mut mesh = tetrahedron([0.0; 3], 1.0);
    mesh.normals = vec![[0.0; 3], [f32::NAN, 0.0, 0.0], [0.0, 0.0, 7.0], [1e-20, 0.0, 0.0]];
    let read = read_meshes(&write_glb(&[segment(1, "odd", &[mesh])]).unwrap()).unwrap();
    for n in &read[0].lods[0].normals {
        assert!((n.iter().map(|c| c * c).sum::<f32>().sqrt() - 1.0).abs() < 1e-6, "{n:?}");
    }
}

/// Takes a GLB apart, changes its JSON, and puts it together again.
fn with_json(glb: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let json_bytes = u32::from_le_bytes(*glb[12..].first_chunk().unwrap()) as usize;
    let mut value: serde_json::Value = serde_json::from_slice(&glb[20..20 + json_bytes]).unwrap();
    change(&mut value);
    let mut json = serde_json::to_vec(&value).unwrap();
    json.resize(json.len().next_multiple_of(4), b' ');
    let bin = &glb[20 + json_bytes..];
    let total = (20 + json.len() + bin.len()) as u32;
    [&glb[..8], &total.to_le_bytes(), &(json.len() as u32).to_le_bytes(), b"JSON", &json, bin].concat()
}

#[test]
fn hostile_json_is_an_error() {
    let glb = two_segments();
    assert!(read_meshes(&with_json(&glb, |_| {})).is_ok());
    let hostile: &[(&str, serde_json::Value)] = &[
        ("/scene", 7.into()),
        ("/scenes/0/nodes/0", 99.into()),
        ("/nodes/0/mesh", 99.into()),
        ("/nodes/0/extensions/MSFT_lod/ids/0", 99.into()),
        ("/nodes/0/extensions/MSFT_lod/ids/0", (-1).into()),
        ("/nodes/0/extensions/MSFT_lod/ids/0", 0.into()),
        ("/nodes/0/extensions/MSFT_lod", "x".into()),
        ("/meshes/0/primitives/0/attributes/POSITION", 99.into()),
        ("/meshes/0/primitives/0/attributes/POSITION", 2.into()),
        ("/meshes/0/primitives/0/indices", 0.into()),
        ("/meshes/0/primitives", serde_json::json!([])),
        ("/accessors/0/count", 4_000_000_000u64.into()),
        ("/accessors/0/count", u64::MAX.into()),
        ("/accessors/0/count", 3.into()),
        ("/accessors/0/bufferView", 99.into()),
        ("/accessors/0/componentType", 5121.into()),
        ("/accessors/0/type", "VEC2".into()),
        ("/accessors/2/count", 11.into()),
        ("/bufferViews/1/byteOffset", u64::MAX.into()),
        ("/bufferViews/1/byteLength", u64::MAX.into()),
        ("/bufferViews/1/byteLength", 4.into()),
        ("/bufferViews/1/buffer", 3.into()),
        ("/accessors/1/byteOffset", 0.into()),
    ];
    for (pointer, value) in hostile {
        let bad = with_json(&glb, |json| match json.pointer_mut(pointer) {
            Some(place) => *place = value.clone(),
            None => json["accessors"][1]["byteOffset"] = u64::MAX.into(),
        });
        assert!(read_meshes(&bad).is_err(), "{pointer} = {value}");
    }
}

#[test]
fn the_same_data_twice_is_an_error() {
    let [a, b] = [tetrahedron([0.0; 3], 1.0), tetrahedron([9.0; 3], 1.0)];
    let glb = write_glb(&[segment(1, "a", &[a]), segment(2, "b", &[b])]).unwrap();
    let shared_mesh = with_json(&glb, |json| json["nodes"][1]["mesh"] = 0.into());
    assert!(matches!(read_meshes(&shared_mesh), Err(GlbError::Reference { what: "mesh", .. })));
    // Ever more meshes over the same bytes: the file stays small, the answer would not.
    let bomb = with_json(&glb, |json| {
        let mesh = json["meshes"][0].clone();
        let node = json["nodes"][0].clone();
        for n in 0..2000 {
            json["meshes"].as_array_mut().unwrap().push(mesh.clone());
            let mut node = node.clone();
            node["mesh"] = (2 + n).into();
            json["nodes"].as_array_mut().unwrap().push(node);
            json["scenes"][0]["nodes"].as_array_mut().unwrap().push((2 + n).into());
        }
    });
    assert!(matches!(read_meshes(&bomb), Err(GlbError::Reference { .. })));
}

proptest! {
    #[test]
    fn any_surfaces_come_back(
        segments in prop::collection::vec((1..u16::MAX, prop::collection::vec((0.0..50.0f32, 3usize..40), 0..4)), 0..6)
    ) {
        let surfaces: Vec<Vec<SceneMesh>> = segments
            .iter()
            .map(|(_, lods)| lods.iter().map(|&(size, n)| if n > 20 { strip(n) } else { tetrahedron([size; 3], size + 0.1) }).collect())
            .collect();
        let names: Vec<String> = (0..segments.len()).map(|n| format!("segment <{n}> \"ü\"")).collect();
        let input: Vec<_> = (0..segments.len()).map(|n| segment(segments[n].0, &names[n], &surfaces[n])).collect();
        let glb = write_glb(&input).unwrap();
        prop_assert_eq!(&glb, &write_glb(&input).unwrap(), "the same bytes each time");
        let read = read_meshes(&glb).unwrap();
        prop_assert_eq!(read.len(), segments.len());
        for (n, read) in read.iter().enumerate() {
            prop_assert_eq!(read.label, segments[n].0);
            prop_assert_eq!(&read.name, &names[n]);
            prop_assert_eq!(read.lods.len(), surfaces[n].len());
            for (a, b) in surfaces[n].iter().zip(&read.lods) {
                prop_assert_eq!(&a.triangles, &b.triangles);
                prop_assert_eq!(a.positions.len(), b.positions.len());
            }
        }
    }

    #[test]
    fn changed_and_cut_bytes_never_panic(at in 0usize..4000, byte in any::<u8>(), end in 0usize..4000) {
        let mut glb = two_segments();
        let at = at % glb.len();
        glb[at] = byte;
        let _ = read_meshes(&glb);
        glb.truncate(end);
        let _ = read_meshes(&glb);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_meshes(&bytes);
    }
}
