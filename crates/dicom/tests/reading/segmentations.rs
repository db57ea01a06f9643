//! DICOM SEG: real, bit-packed, fractional, label map; on its own grid and on others.

use std::path::PathBuf;

use dicom::{Inventory, inspect_memory, read_segmentation};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use glam::DMat3;
use space::Point;
use volume::ImageGeometry;

use crate::oracle::data;
use crate::synthetic::{file_bytes, item, sequence};

/// Frames of 7 × 5 voxels: the segment and the place along z of each, and its pixels.
struct Seg<'a> {
    kind: &'a str,
    bits: u16,
    frames: &'a [(u16, f64)],
    pixels: Vec<u16>,
    labels: &'a [&'a str],
}

const SIZE: usize = 35;

impl Seg<'_> {
    fn bytes(&self) -> Vec<u8> {
        let text = |tag: Tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::Str(value.to_owned()));
        let us = |tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
        let class =
            if self.kind == "LABELMAP" { uids::LABEL_MAP_SEGMENTATION_STORAGE } else { uids::SEGMENTATION_STORAGE };
        let mut object = item([
            text(tags::SOP_CLASS_UID, VR::UI, class),
            text(tags::SOP_INSTANCE_UID, VR::UI, "2.25.77"),
            text(tags::FRAME_OF_REFERENCE_UID, VR::UI, "2.25.4"),
            text(tags::MODALITY, VR::CS, "SEG"),
            text(tags::SEGMENTATION_TYPE, VR::CS, self.kind),
            text(tags::NUMBER_OF_FRAMES, VR::IS, &self.frames.len().to_string()),
            us(tags::MAXIMUM_FRACTIONAL_VALUE, 200),
            us(tags::SAMPLES_PER_PIXEL, 1),
            text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
            us(tags::ROWS, 5),
            us(tags::COLUMNS, 7),
            us(tags::BITS_ALLOCATED, self.bits),
            us(tags::BITS_STORED, self.bits),
            us(tags::HIGH_BIT, self.bits - 1),
            us(tags::PIXEL_REPRESENTATION, 0),
        ]);
        let segment =
            |(n, label): (u16, &&str)| item([us(tags::SEGMENT_NUMBER, n), text(tags::SEGMENT_LABEL, VR::LO, label)]);
        object.put(sequence(tags::SEGMENT_SEQUENCE, (1..).zip(self.labels).map(segment).collect()));
        let orientation = item([text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0")]);
        let measures =
            item([text(tags::PIXEL_SPACING, VR::DS, "1\\1"), text(tags::SPACING_BETWEEN_SLICES, VR::DS, "2")]);
        object.put(sequence(
            tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
            vec![item([
                sequence(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]),
                sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![measures]),
            ])],
        ));
        let frame = |(segment, z): &(u16, f64)| {
            let position = item([text(tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("0\\0\\{z}"))]);
            let number = item([us(tags::REFERENCED_SEGMENT_NUMBER, *segment)]);
            let mut groups = item([sequence(tags::PLANE_POSITION_SEQUENCE, vec![position])]);
            if self.kind != "LABELMAP" {
                groups.put(sequence(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![number]));
            }
            groups
        };
        object.put(sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, self.frames.iter().map(frame).collect()));
        let bytes: Vec<u8> = match self.bits {
            1 => {
                let mut packed = vec![0u8; self.pixels.len().div_ceil(8).next_multiple_of(2)];
                let set = self.pixels.iter().enumerate().filter(|(_, p)| **p != 0);
                set.for_each(|(n, _)| packed[n / 8] |= 1 << (n % 8));
                packed
            }
            8 => self.pixels.iter().map(|p| *p as u8).collect(),
            _ => self.pixels.iter().flat_map(|p| p.to_le_bytes()).collect(),
        };
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U8(bytes.into())));
        file_bytes(object, uids::EXPLICIT_VR_LITTLE_ENDIAN)
    }

    #[track_caller]
    fn inventory(&self) -> Inventory {
        inspect_memory(vec![(PathBuf::from("seg.dcm"), self.bytes())]).unwrap()
    }
}

fn mask(inside: impl Fn(usize) -> bool) -> Vec<u16> {
    (0..SIZE).map(|n| u16::from(inside(n))).collect()
}

#[test]
fn frames_of_odd_size_are_unpacked_and_overlaps_split() {
    // 35 bits a frame: no frame but the first begins at a byte. Segment 2 lies inside 1, segment 3 cuts into both.
    let frames = [(1, 4.0), (1, 2.0), (2, 4.0), (3, 4.0)];
    let pixels =
        [mask(|n| n < 20), mask(|n| n % 3 == 0), mask(|n| (5..10).contains(&n)), mask(|n| (8..30).contains(&n))];
    let seg =
        Seg { kind: "BINARY", bits: 1, frames: &frames, pixels: pixels.concat(), labels: &["Liver", "Lesion", "Gut"] };
    let labels = read_segmentation(&seg.inventory(), 0, None).unwrap();
    assert_eq!(labels.geometry().size(), [7, 5, 2]);
    assert_eq!((labels.geometry().origin(), labels.geometry().spacing()), (Point::new(0.0, 0.0, 2.0), [1.0, 1.0, 2.0]));
    let union = |label: u16, k: usize| -> Vec<u16> {
        let segment = &labels.segments[&label];
        labels.voxels.slice(k).iter().map(|v| u16::from(*v == label || segment.parts.contains(v))).collect()
    };
    assert_eq!(union(1, 1), pixels[0]);
    assert_eq!(union(1, 0), pixels[1]);
    assert_eq!(union(2, 1), pixels[2]);
    assert_eq!(union(3, 1), pixels[3]);
    assert_eq!(labels.segments[&1].name, "liver");
    // Voxels of 1 and 3, and of all three, have labels of their own without a segment.
    assert_eq!(labels.segments.keys().collect::<Vec<_>>(), [&1, &2, &3]);
    assert_eq!(labels.counts().keys().copied().collect::<Vec<u16>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn fractions_count_from_half_on_and_label_maps_as_they_are() {
    let pixels: Vec<u16> = (0..SIZE as u16).map(|n| 99 + n % 3).collect();
    let seg = Seg { kind: "FRACTIONAL", bits: 8, frames: &[(1, 0.0)], pixels, labels: &["Liver"] };
    let labels = read_segmentation(&seg.inventory(), 0, None).unwrap();
    assert_eq!(labels.voxels.data(), mask(|n| n % 3 != 0));
    let pixels: Vec<u16> = (0..2 * SIZE as u16).map(|n| n % 4).collect();
    for bits in [8, 16] {
        let frames = [(0, 0.0), (0, 2.0)];
        let seg = Seg { kind: "LABELMAP", bits, frames: &frames, pixels: pixels.clone(), labels: &["A", "B", "C"] };
        let labels = read_segmentation(&seg.inventory(), 0, None).unwrap();
        assert_eq!(labels.voxels.data(), pixels);
        assert_eq!(labels.segments.len(), 3);
    }
}

#[test]
fn frames_are_placed_on_the_grid_that_is_wanted() {
    let frames = [(1, 8.0), (1, 2.0)];
    let seg = Seg { kind: "BINARY", bits: 1, frames: &frames, pixels: vec![1; 2 * SIZE], labels: &["Liver"] };
    let inventory = seg.inventory();
    // The scan's own grid, larger along z.
    let scan = ImageGeometry::new([7, 5, 6], [1.0, 1.0, 2.0], Point::new(0.0, 0.0, 0.0), DMat3::IDENTITY).unwrap();
    let labels = read_segmentation(&inventory, 0, Some(&scan)).unwrap();
    let filled: Vec<usize> = (0..6).filter(|k| labels.voxels.slice(*k).iter().all(|v| *v == 1)).collect();
    assert_eq!((filled, labels.counts()[&1]), (vec![1, 4], 70));
    // Half the spacing, along other axes: each voxel takes the label that its centre lies in.
    let turned = DMat3::from_cols_array(&[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    let fine = ImageGeometry::new([12, 24, 16], [0.5; 3], Point::new(-0.25, -0.25, 0.25), turned).unwrap();
    let labels = read_segmentation(&inventory, 0, Some(&fine)).unwrap();
    let lps = |n: [usize; 3]| (fine.lps_from_index() * Point::from_array(n.map(|n| n as f64))).get();
    for k in 0..16 {
        for j in 0..24 {
            for i in 0..12 {
                let p = lps([i, j, k]);
                let within = p.x < 6.5 && p.y < 4.5 && ((1.0..3.0).contains(&p.z) || (7.0..9.0).contains(&p.z));
                assert_eq!(labels.voxels.get(i, j, k), Some(&u16::from(within)), "{p}");
            }
        }
    }
}

#[test]
fn a_real_segmentation_lies_on_its_slices() {
    let Some(data) = data() else { return };
    let inventory = dicom::inspect(&data.join("dicom-seg")).unwrap();
    let geometry = inventory.series[0].geometry.unwrap();
    assert!(inventory.segmentations_of(0).contains(&0));
    let labels = read_segmentation(&inventory, 0, Some(&geometry)).unwrap();
    // pydicom: (pixel_array != 0).sum(axis=(1, 2)), frames ordered by z.
    let counts: Vec<usize> = (0..3).map(|k| labels.voxels.slice(k).iter().filter(|v| **v == 1).count()).collect();
    assert_eq!(counts, [36233, 35645, 35220]);
    let liver = &labels.segments[&1];
    let code = liver.code.as_ref().unwrap();
    assert_eq!((liver.name.as_str(), code.scheme.as_str(), code.value.as_str()), ("liver", "SRT", "T-62000"));
}
