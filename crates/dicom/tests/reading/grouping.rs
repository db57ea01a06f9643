//! Which files make one volume.

use dicom::{Finding, Obstacle, SkipReason, SplitBy, read_series};
use dicom_core::VR;
use dicom_dictionary_std::tags;

use crate::synthetic::{Image, axial, files, inspect, read_only_series, whole};

fn slope(p: [f64; 3]) -> f64 {
    10.0 * p[0] + 3.0 * p[1] + 7.0 * p[2]
}

fn places(count: usize) -> Vec<f64> {
    (0..count).map(|k| 2.0 * k as f64).collect()
}

#[track_caller]
fn check_split(images: &[Image], by: SplitBy, sizes: &[usize]) {
    let inventory = inspect(files(images));
    let found: Vec<usize> = inventory.series.iter().map(|s| s.geometry.unwrap().size()[2]).collect();
    assert_eq!(found, sizes, "{:?}", inventory.series);
    for (n, series) in inventory.series.iter().enumerate() {
        let split = Finding::Split { by: vec![by], stack: n + 1, stacks: sizes.len() };
        assert!(series.findings.contains(&split), "{:?}", series.findings);
        assert_eq!(series.selector(), format!("{}#{}", series.uid, n + 1));
        assert_eq!(inventory.find(&series.selector()).unwrap(), n);
        read_series(&inventory, n).unwrap();
    }
}

/// Two stacks at the same places, told apart by one element.
fn doubled(tag: dicom_core::Tag, vr: VR, values: [&str; 2]) -> Vec<Image> {
    let mut images = Vec::new();
    for (copy, value) in values.into_iter().enumerate() {
        for mut image in axial(&places(6), slope) {
            image.number += 6 * copy;
            image.instance = format!("{}.{copy}", image.instance);
            image.extra.push((tag, vr, value.to_owned()));
            images.push(image);
        }
    }
    images
}

#[test]
fn slices_are_ordered_by_place_not_by_name_or_number() {
    let mut images = axial(&places(9), slope);
    for (image, number) in images.iter_mut().zip([4, 9, 1, 7, 2, 8, 3, 6, 5]) {
        image.number = number;
    }
    let scan = read_only_series(files(&images));
    let geometry = scan.volume.geometry();
    assert_eq!((geometry.size(), geometry.spacing()), ([12, 10, 9], [1.0, 1.0, 2.0]));
    assert_eq!(whole(&scan)[geometry.offset(3, 4, 5)], slope([8.0, -3.0, 10.0]) as i16);
    assert!(scan.report.findings.is_empty(), "{:?}", scan.report.findings);
}

#[test]
fn a_sagittal_stack_that_runs_to_the_right_is_laid_along_its_normal() {
    // Rows run to posterior, columns to inferior: the normal points to the patient's right.
    let image = |k: usize| Image {
        orientation: [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
        position: [-3.0 * k as f64, 0.0, 50.0],
        number: 20 - k,
        instance: format!("2.25.{k}9"),
        ..Image::default()
    };
    let images: Vec<Image> = (0..5).map(image).map(|image| image.filled(slope)).collect();
    let scan = read_only_series(files(&images));
    let geometry = *scan.volume.geometry();
    assert_eq!(geometry.axis_code().to_string(), "PIR");
    for k in 0..5 {
        let p = geometry.lps_from_index() * space::Point::new(2.0, 3.0, k as f64);
        assert_eq!(f64::from(whole(&scan)[geometry.offset(2, 3, k)]), slope(p.get().to_array()).round(), "slice {k}");
    }
}

#[test]
fn two_time_points_echoes_or_acquisitions_are_two_stacks() {
    check_split(&doubled(tags::TEMPORAL_POSITION_IDENTIFIER, VR::IS, ["1", "2"]), SplitBy::TemporalPosition, &[6, 6]);
    check_split(&doubled(tags::ACQUISITION_NUMBER, VR::IS, ["1", "2"]), SplitBy::Acquisition, &[6, 6]);
    check_split(&doubled(tags::ECHO_TIME, VR::DS, ["4.6", "11.2"]), SplitBy::Echo, &[6, 6]);
    let types = ["ORIGINAL\\PRIMARY\\W", "ORIGINAL\\PRIMARY\\F"];
    check_split(&doubled(tags::IMAGE_TYPE, VR::CS, types), SplitBy::ImageType, &[6, 6]);
    check_split(&doubled(tags::PATIENT_COMMENTS, VR::LT, ["a", "b"]), SplitBy::Order, &[6, 6]);
}

#[test]
fn time_points_come_in_numeric_order() {
    let inventory = inspect(files(&doubled(tags::TEMPORAL_POSITION_IDENTIFIER, VR::IS, ["10", "9"])));
    assert_eq!(inventory.series.len(), 2);
    // The second copy, with identifier 9, has the higher numbers.
    let first = read_series(&inventory, 0).unwrap();
    assert_eq!(first.report.files, 6);
}

#[test]
fn acquisitions_that_continue_each_other_are_one_stack() {
    let mut images = axial(&places(8), slope);
    for image in &mut images {
        let acquisition = if image.number <= 4 { "1" } else { "2" };
        image.extra.push((tags::ACQUISITION_NUMBER, VR::IS, acquisition.to_owned()));
    }
    assert_eq!(read_only_series(files(&images)).volume.geometry().size()[2], 8);
}

#[test]
fn another_size_or_orientation_is_another_stack() {
    let mut images = axial(&places(6), slope);
    for image in &mut images[4..] {
        image.columns = 6;
        *image = image.clone().filled(slope);
    }
    check_split(&images, SplitBy::Size, &[4, 2]);
    let mut images = axial(&places(7), slope);
    for image in &mut images[4..] {
        image.orientation = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0];
        image.position = [3.0 * image.number as f64, 0.0, 0.0];
    }
    check_split(&images, SplitBy::Orientation, &[4, 3]);
}

#[test]
fn duplicates_are_left_out_and_counted() {
    let mut images = axial(&places(5), slope);
    let mut copy = images[2].clone();
    copy.number = 77;
    images.push(copy.clone());
    let scan = read_only_series(files(&images));
    assert_eq!(scan.report.findings, [Finding::DuplicateFiles { files: 1 }]);
    images[5].instance = "2.25.4711".to_owned();
    let scan = read_only_series(files(&images));
    assert_eq!(scan.report.findings, [Finding::DuplicateSlices { slices: 1 }]);
    assert_eq!(scan.volume.geometry().size()[2], 5);
}

#[test]
fn localizers_are_left_out_and_alone_no_volume() {
    let mut images = axial(&places(5), slope);
    let mut scout = Image { number: 99, instance: "2.25.99".to_owned(), ..Image::default() };
    scout.orientation = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0];
    scout.extra.push((tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER".to_owned()));
    images.push(scout.clone());
    let scan = read_only_series(files(&images));
    assert_eq!(scan.report.findings, [Finding::LocalizersLeftOut { images: 1 }]);
    let alone = inspect(files(&[scout]));
    assert_eq!(alone.series[0].obstacle, Some(Obstacle::Localizer));
    let error = read_series(&alone, 0).unwrap_err().to_string();
    assert!(error.contains("localizer"), "{error}");
}

#[test]
fn junk_beside_a_series_is_listed_and_harmless() {
    let mut all = files(&axial(&places(4), slope));
    all.push(("deep/down/README.txt".into(), b"Some notes on this export.".to_vec()));
    all.push(("preview.png".into(), b"\x89PNG\r\n\x1a\n".to_vec()));
    all.push(("empty".into(), Vec::new()));
    let inventory = inspect(all);
    assert_eq!(inventory.skipped.len(), 3);
    assert!(inventory.skipped.iter().all(|s| s.reason == SkipReason::NotDicom), "{:?}", inventory.skipped);
    assert_eq!(read_series(&inventory, 0).unwrap().volume.geometry().size()[2], 4);
}

#[test]
fn a_folder_and_a_zip_give_the_same_as_memory() {
    use std::io::Write;
    let images = files(&axial(&places(5), slope));
    let expected = read_only_series(images.clone());
    let dir = tempfile::tempdir().unwrap();
    let mut zip = zip::ZipWriter::new(std::fs::File::create(dir.path().join("export.zip")).unwrap());
    for (path, bytes) in &images {
        let file = dir.path().join("export").join("nested").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, bytes).unwrap();
        zip.start_file(path.to_str().unwrap(), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    std::fs::write(dir.path().join("export").join("notes.txt"), "notes").unwrap();
    for given in ["export", "export.zip"] {
        let inventory = dicom::inspect(&dir.path().join(given)).unwrap();
        assert_eq!(read_series(&inventory, 0).unwrap().volume, expected.volume, "{given}");
    }
    let zipped = std::fs::read(dir.path().join("export.zip")).unwrap();
    assert_eq!(read_only_series(vec![("a.zip".into(), zipped)]).volume, expected.volume);
}
