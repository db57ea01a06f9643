//! From stored pixels to measured values.

use dicom::{Finding, Modality, Obstacle};
use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use volume::ScanVolume;

use crate::synthetic::{Image, axial, file_bytes, files, inspect, item, read_only_series, sequence, values, whole};

fn ramp(count: i32) -> Vec<i32> {
    (0..count).collect()
}

fn mr(image: Image) -> Image {
    Image { sop_class: uids::MR_IMAGE_STORAGE, modality: "MR", ..image }
}

#[test]
fn each_slice_has_its_own_rescale() {
    let mut images = axial(&[0.0, 1.0, 2.0], |_| 100.0);
    for (image, rescale) in images.iter_mut().zip([(1.0, 0.0), (2.0, 5.0), (0.25, -3.0)]) {
        image.rescale = rescale;
    }
    let scan = read_only_series(files(&images));
    let found: Vec<f32> = values(&scan).chunks(120).map(|slice| slice[7]).collect();
    assert_eq!(found, [100.0, 205.0, 22.0]);
    let findings = &scan.report.findings;
    assert!(findings.contains(&Finding::RescaleVaries) && findings.contains(&Finding::SinglePrecision), "{findings:?}");
}

#[test]
fn whole_numbers_stay_whole_where_they_fit() {
    let unsigned =
        |pixel| Image { signed: false, pixels: vec![pixel; 120], rescale: (1.0, -1024.0), ..Image::default() };
    assert_eq!(whole(&read_only_series(vec![unsigned(4095).file()]))[0], 3071);
    let scan = read_only_series(vec![unsigned(0xFFFF).file()]);
    assert!(matches!(scan.volume, ScanVolume::F32(_)));
    assert_eq!(values(&scan)[0], 64511.0);
    let wide = Image { bits: (32, 32, 31), pixels: vec![-100_000; 120], ..Image::default() };
    assert_eq!(values(&read_only_series(vec![wide.file()]))[0], -100_000.0);
    let bytes = Image { bits: (8, 8, 7), signed: false, pixels: ramp(120), ..Image::default() };
    assert_eq!(whole(&read_only_series(vec![bytes.file()]))[119], 119);
}

#[test]
fn unused_bits_are_masked_and_the_sign_is_extended() {
    let image = |signed| Image { bits: (16, 12, 11), signed, pixels: vec![0xA000 | 0xFFF; 120], ..Image::default() };
    assert_eq!(whole(&read_only_series(vec![image(true).file()]))[0], -1);
    assert_eq!(whole(&read_only_series(vec![image(false).file()]))[0], 4095);
}

#[test]
fn inverse_ct_keeps_its_hounsfield_units_and_inverse_mr_is_complemented() {
    let mut image = Image { bits: (16, 12, 11), signed: false, pixels: ramp(120), ..Image::default() };
    image.rescale = (1.0, -1024.0);
    image.extra.push((tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1 ".to_owned()));
    let ct = read_only_series(vec![image.file()]);
    assert_eq!(whole(&ct)[5], -1019);
    assert!(ct.report.findings.contains(&Finding::InverseDisplay { complemented: false }));
    image.rescale = (2.0, 0.0);
    let mr = read_only_series(vec![mr(image).file()]);
    assert_eq!((mr.modality, whole(&mr)[5]), (Modality::Mr, 2 * (4095 - 5)));
    assert!(mr.report.findings.contains(&Finding::InverseDisplay { complemented: true }));
}

#[test]
fn padding_is_reported_and_left_in_place() {
    let mut images = axial(&[0.0, 1.0], |_| -2000.0);
    for image in &mut images {
        image.rescale = (1.0, -24.0);
        // The VR of this element follows the sign of the pixels; −2000 as an unsigned number.
        image.extra.push((tags::PIXEL_PADDING_VALUE, VR::IS, "63536".to_owned()));
    }
    let scan = read_only_series(files(&images));
    assert_eq!(scan.padding, Some((-2024.0, -2024.0)));
    assert_eq!(whole(&scan)[0], -2024);
    assert!(scan.report.findings.contains(&Finding::Padding { low: -2024.0, high: -2024.0 }));
}

#[test]
fn window_contrast_and_body_part_are_passed_on() {
    let extra = vec![
        (tags::WINDOW_CENTER, VR::DS, "40\\300".to_owned()),
        (tags::WINDOW_WIDTH, VR::DS, "400\\1500".to_owned()),
        (tags::CONTRAST_BOLUS_AGENT, VR::LO, "Iohexol".to_owned()),
        (tags::BODY_PART_EXAMINED, VR::CS, "ABDOMEN".to_owned()),
    ];
    let mut image = Image { extra, ..Image::default() };
    let inventory = inspect(vec![image.file()]);
    assert_eq!(inventory.series[0].body_part.as_deref(), Some("ABDOMEN"));
    let scan = dicom::read_series(&inventory, 0).unwrap();
    assert_eq!((scan.window, scan.contrast), (Some((40.0, 400.0)), true));
    image.extra[2].2 = "NONE".to_owned();
    assert!(!read_only_series(vec![image.file()]).contrast);
}

#[test]
fn a_modality_table_and_colour_are_refused() {
    let mut object = Image::default().object();
    object.put(sequence(tags::MODALITY_LUT_SEQUENCE, vec![InMemDicomObject::new_empty()]));
    let inventory = inspect(vec![("a".into(), file_bytes(object, uids::EXPLICIT_VR_LITTLE_ENDIAN))]);
    assert!(matches!(inventory.series[0].obstacle, Some(Obstacle::Unsupported { .. })), "{:?}", inventory.series);
    let mut image = Image::default();
    image.extra.push((tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB".to_owned()));
    assert_eq!(inspect(vec![image.file()]).series[0].obstacle, Some(Obstacle::Colour));
}

/// An enhanced image whose frames lie at the given places, each with its own slope.
fn enhanced(sop_class: &'static str, places: &[f64], time_points: u32) -> Vec<u8> {
    let decimals = |tag, values: &[f64]| {
        let text: Vec<String> = values.iter().map(f64::to_string).collect();
        DataElement::new(tag, VR::DS, PrimitiveValue::Str(text.join("\\")))
    };
    let frames = places.len() * time_points as usize;
    let pixels = (0..frames).flat_map(|frame| vec![frame as i32 * 10; 120]).collect();
    let mut image = Image { sop_class, pixels, signed: false, ..Image::default() };
    image.without = vec![
        tags::IMAGE_POSITION_PATIENT,
        tags::IMAGE_ORIENTATION_PATIENT,
        tags::PIXEL_SPACING,
        tags::RESCALE_SLOPE,
        tags::RESCALE_INTERCEPT,
    ];
    image.extra.push((tags::NUMBER_OF_FRAMES, VR::IS, frames.to_string()));
    let mut object = image.object();
    let orientation = item([decimals(tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])]);
    let measures = item([decimals(tags::PIXEL_SPACING, &[0.5, 0.25]), decimals(tags::SLICE_THICKNESS, &[2.0])]);
    object.put(sequence(
        tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
        vec![item([
            sequence(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]),
            sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![measures]),
        ])],
    ));
    let frame = |n: usize| {
        let position = item([decimals(tags::IMAGE_POSITION_PATIENT, &[1.0, 2.0, places[n % places.len()]])]);
        let slope = if n == 0 { 3.0 } else { 1.0 };
        let transform = item([decimals(tags::RESCALE_SLOPE, &[slope]), decimals(tags::RESCALE_INTERCEPT, &[1.0])]);
        let time = PrimitiveValue::from((n / places.len()) as u32 + 1);
        let content = item([DataElement::new(tags::TEMPORAL_POSITION_INDEX, VR::UL, time)]);
        item([
            sequence(tags::PLANE_POSITION_SEQUENCE, vec![position]),
            sequence(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![transform]),
            sequence(tags::FRAME_CONTENT_SEQUENCE, vec![content]),
        ])
    };
    object.put(sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, (0..frames).map(frame).collect()));
    file_bytes(object, uids::EXPLICIT_VR_LITTLE_ENDIAN)
}

#[test]
fn frames_of_an_enhanced_image_are_slices() {
    let bytes = enhanced(uids::ENHANCED_CT_IMAGE_STORAGE, &[6.0, 2.0, 0.0, 4.0], 1);
    let scan = read_only_series(vec![("e".into(), bytes)]);
    let geometry = scan.volume.geometry();
    assert_eq!((geometry.size(), geometry.spacing()), ([12, 10, 4], [0.25, 0.5, 2.0]));
    let slices: Vec<i16> = whole(&scan).chunks(120).map(|slice| slice[0]).collect();
    // Frame 0, with slope 3, lies on top; its value is 0 · 3 + 1.
    assert_eq!(slices, [21, 11, 31, 1]);
    assert_eq!(scan.modality, Modality::Ct);
}

#[test]
fn time_points_of_an_enhanced_image_are_stacks() {
    let bytes = enhanced(uids::ENHANCED_MR_IMAGE_STORAGE, &[0.0, 2.0, 4.0], 2);
    let inventory = inspect(vec![("e".into(), bytes)]);
    assert_eq!(inventory.series.len(), 2);
    let second = dicom::read_series(&inventory, 1).unwrap();
    let slices: Vec<i16> = whole(&second).chunks(120).map(|slice| slice[0]).collect();
    assert_eq!(slices, [31, 41, 51]);
}
