//! Scanners: what their settings do can be measured, and their images lie where they say.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use glam::{DAffine3, DVec3};
use phantom::{
    CtSettings, Image, Imaging, Misregistration, Modality, MrSettings, PhantomOptions, image, write_phantom,
};
use space::Point;
use volume::{LabelMap, ScanVolume, Volume};

fn coarse(imaging: Imaging) -> PhantomOptions {
    PhantomOptions { seed: 3, spacing_mm: [5.0, 5.0, 8.0], couch: false, imaging, ..Default::default() }
}

fn whole(image: &Image) -> &Volume<i16> {
    match &image.voxels {
        ScanVolume::I16(voxels) => voxels,
        ScanVolume::F32(_) => panic!("{:?} is whole numbers", image.modality),
    }
}

/// Labels of structures whose names start like that.
fn labels_of(labels: &LabelMap, starts: &[&str]) -> Vec<u16> {
    let named = |name: &str| starts.iter().any(|s| name.starts_with(s));
    labels.segments.values().filter(|s| named(&s.name)).map(|s| s.label).collect()
}

/// Numbers of the voxels that lie `margin` voxels deep in some structures.
fn deep(labels: &LabelMap, starts: &[&str], margin: usize) -> Vec<usize> {
    let own = labels_of(labels, starts);
    let [w, h, d] = labels.geometry().size();
    let data = labels.voxels.data();
    let near = |at: usize, count: usize| at.saturating_sub(margin)..=(at + margin).min(count - 1);
    let inside = |n: usize| {
        let (i, j, k) = (n % w, n / w % h, n / w / h);
        near(k, d).all(|k| near(j, h).all(|j| near(i, w).all(|i| own.contains(&data[i + w * (j + h * k)]))))
    };
    (0..data.len()).filter(|&n| own.contains(&data[n]) && inside(n)).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(s, c), v| (s + v, c + 1.0));
    sum / count
}

#[test]
fn noise_goes_with_the_root_of_the_dose() {
    let scan = |dose: f32, noise_hu: f32| {
        let ct = CtSettings { dose, ..Default::default() };
        let options = PhantomOptions { noise_hu, ..coarse(Imaging { ct, ..Default::default() }) };
        image(&options, Modality::Ct, &|_| ()).unwrap()
    };
    let (clean, full, quarter) = (scan(1.0, 0.0), scan(1.0, 11.0), scan(0.25, 11.0));
    let spread = |noisy: &Image| {
        let pairs = whole(noisy).data().iter().zip(whole(&clean).data()).filter(|(_, c)| (-200..300).contains(*c));
        mean(pairs.map(|(a, b)| f64::from(a - b).powi(2))).sqrt()
    };
    let (full, quarter) = (spread(&full), spread(&quarter));
    assert!((quarter / full - 2.0).abs() < 0.03, "{full} HU at full dose, {quarter} at a quarter");
}

#[test]
fn a_tilted_scan_is_read_back_with_its_truth_on_the_anatomy() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("tilted");
    let ct = CtSettings { tilt_deg: -14.0, ..Default::default() };
    let options = PhantomOptions { noise_hu: 0.0, ..coarse(Imaging { ct, ..Default::default() }) };
    write_phantom(&dir, &options, &|_| ()).unwrap();
    let made = image(&options, Modality::Ct, &|_| ()).unwrap();
    let inventory = dicom::inspect(&dir).unwrap();
    let scan = dicom::read_series(&inventory, 0).unwrap();
    let tilt = scan.report.findings.iter().find_map(|f| match f {
        dicom::Finding::GantryTilt { angle_deg } => Some(*angle_deg),
        _ => None,
    });
    assert!(tilt.is_some_and(|angle| (angle - 14.0).abs() < 1e-4), "{:?}", scan.report.findings);
    let ScanVolume::I16(voxels) = &scan.volume else { panic!("HU are whole numbers") };
    // The first and last slice lie where they were made.
    let [_, _, depth] = made.labels.geometry().size();
    for k in [0, depth - 1] {
        let wanted = made.labels.geometry().lps_from_index() * Point::new(0.0, 0.0, k as f64);
        let index = voxels.geometry().index_from_lps() * wanted;
        assert!((index.z - k as f64).abs() * 8.0 < 1e-3, "slice {k} is at {}", index.z);
    }
    let truth = dicom::read_segmentation(&inventory, 0, Some(voxels.geometry())).unwrap();
    let aerated =
        labels_of(&truth, &["lung", "trachea", "bronchus", "colon", "stomach", "small_bowel", "duodenum", "esophagus"]);
    let (mut both, mut sum) = (0usize, 0usize);
    for (label, hu) in truth.voxels.data().iter().zip(voxels.data()) {
        if !aerated.contains(label) {
            let (a, b) = (*label != 0, *hu > -500);
            both += usize::from(a && b);
            sum += usize::from(a) + usize::from(b);
        }
    }
    let dice = 2.0 * both as f64 / sum as f64;
    assert!(dice > 0.98, "Dice of {dice}");
}

#[test]
fn mr_has_its_contrast_and_its_noise() {
    let mr = MrSettings { noise: 30.0, bias: 0.0, ..Default::default() };
    let options = coarse(Imaging { mr, ..Default::default() });
    for (modality, order) in [
        (Modality::MrT1, ["subcutaneous_fat", "skeletal_muscle", "urinary_bladder"]),
        (Modality::MrT2, ["urinary_bladder", "subcutaneous_fat", "skeletal_muscle"]),
    ] {
        let made = image(&options, modality, &|_| ()).unwrap();
        let values = whole(&made).data();
        let means = order.map(|name| mean(deep(&made.labels, &[name], 1).into_iter().map(|n| f64::from(values[n]))));
        assert!(means[0] > 1.15 * means[1] && means[1] > 1.15 * means[2], "{modality:?}: {order:?} have {means:?}");
        // Beyond the reach of any surface.
        let [w, h, d] = made.labels.geometry().size();
        let corner = (0..d).flat_map(|k| (0..6).flat_map(move |j| (0..6).map(move |i| i + w * (j + h * k))));
        let air = mean(corner.map(|n| f64::from(values[n])));
        let expected = 30.0 * (std::f64::consts::PI / 2.0).sqrt();
        assert!((air / expected - 1.0).abs() < 0.03, "air has {air}, Rayleigh's mean is {expected}");
    }
}

#[test]
fn uptake_can_be_computed_from_what_pet_writes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("pet");
    let options = coarse(Imaging { modalities: vec![Modality::Pet], ..Default::default() });
    write_phantom(&dir, &options, &|_| ()).unwrap();
    let inventory = dicom::inspect(&dir).unwrap();
    let scan = dicom::read_series(&inventory, 0).unwrap();
    let ScanVolume::F32(activity) = &scan.volume else { panic!("each slice has its slope") };
    let truth = dicom::read_segmentation(&inventory, 0, Some(activity.geometry())).unwrap();
    let weight_kg = f64::from(options.physique.weight_kg);
    let pet = dicom::PetOptions {
        common: dicom::SeriesOptions::default(),
        dose_bq: (options.imaging.pet.bq_per_kg * weight_kg).round(),
        weight_kg,
        height_m: 1.76,
    };
    let suv = |starts: &[&str], margin| {
        let inside = deep(&truth, starts, margin);
        assert!(inside.len() > 50, "{starts:?}: {} voxels", inside.len());
        mean(inside.into_iter().map(|n| f64::from(activity.data()[n]))) / pet.bq_ml_of_suv()
    };
    let liver = suv(&["liver_segment"], 2);
    assert!((liver / 2.1 - 1.0).abs() < 0.05, "the liver's uptake is {liver}");
    assert!(suv(&["urinary_bladder"], 2) > 8.0 && suv(&["skeletal_muscle"], 1) < 1.0);
    let lesion = labels_of(&truth, &["liver_lesion"]);
    let hottest = truth.voxels.data().iter().zip(activity.data()).filter(|(l, _)| lesion.contains(l));
    let hottest = hottest.map(|(_, v)| f64::from(*v)).fold(0.0, f64::max) / pet.bq_ml_of_suv();
    assert!(hottest > 4.0, "the lesion's uptake is {hottest}");
}

#[test]
fn misregistration_is_undone_by_the_stated_transform() {
    let moved = Misregistration { shift_mm: [14.0, -9.0, 20.0], turn_deg: [2.0, -3.0, 6.0] };
    let imaging =
        Imaging { modalities: vec![Modality::Ct, Modality::MrT1], misregistered: Some(moved), ..Default::default() };
    let options = coarse(imaging);
    let [ct, mr] = [Modality::Ct, Modality::MrT1].map(|m| image(&options, m, &|_| ()).unwrap());
    assert_eq!(ct.moved_from_reference, DAffine3::IDENTITY);
    let dice = |mr_from_ct: DAffine3| {
        let liver = labels_of(&ct.labels, &["liver", "hepatic", "portal_vein_branches"]);
        let (w, h) = (ct.labels.geometry().size()[0], ct.labels.geometry().size()[1]);
        let own = ct.labels.voxels.data().iter().enumerate().filter(|(_, l)| liver.contains(l));
        let (mut both, mut count) = (0.0, 0.0);
        for (n, _) in own {
            let index = Point::new((n % w) as f64, (n / w % h) as f64, (n / w / h) as f64);
            let p: DVec3 = (ct.labels.geometry().lps_from_index() * index).get();
            let at = mr.labels.geometry().index_from_lps() * Point::from(mr_from_ct.transform_point3(p));
            let [i, j, k] = at.to_array().map(|v| v.round().max(0.0) as usize);
            count += 1.0;
            both += f64::from(u8::from(liver.contains(&mr.labels.voxels.data()[mr.labels.geometry().offset(i, j, k)])));
        }
        both / count
    };
    let (undone, ignored) = (dice(mr.moved_from_reference), dice(DAffine3::IDENTITY));
    assert!(undone > 0.94 && ignored < 0.8, "{undone} of the liver is found again, {ignored} without the transform");
}

#[test]
fn images_do_not_depend_on_threads() {
    let ct = CtSettings { slice_thickness_mm: Some(14.0), beam_hardening: true, breathing: 1.0, ..Default::default() };
    let imaging = Imaging { ct, implants: vec![phantom::Implant::HipLeft], ..Default::default() };
    let options = PhantomOptions { spacing_mm: [12.0, 12.0, 40.0], ..coarse(imaging) };
    let options = PhantomOptions {
        imaging: Imaging {
            pet: phantom::PetSettings { spacing_mm: 12.0, ..Default::default() },
            ..options.imaging.clone()
        },
        ..options
    };
    for modality in Modality::ALL {
        let made = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| image(&options, modality, &|_| ()).unwrap())
        });
        assert_eq!(made[0].voxels, made[1].voxels, "{modality:?}");
        assert_eq!(made[0].labels.voxels, made[1].labels.voxels, "{modality:?}");
    }
}

#[test]
fn several_series_share_frame_of_reference_and_have_truth_each() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("all");
    let imaging = Imaging { modalities: Modality::ALL.to_vec(), ..Default::default() };
    let options = PhantomOptions {
        imaging: Imaging { pet: phantom::PetSettings { spacing_mm: 10.0, ..Default::default() }, ..imaging },
        spacing_mm: [8.0, 8.0, 12.0],
        ..coarse(Imaging::default())
    };
    let summary = write_phantom(&dir, &options, &|_| ()).unwrap();
    assert_eq!((summary.images.len(), summary.truth), (4, None));
    let inventory = dicom::inspect(&dir).unwrap();
    assert_eq!((inventory.series.len(), inventory.segmentations.len()), (4, 4));
    for index in 0..4 {
        assert_eq!(inventory.segmentations_of(index).len(), 1);
    }
    let alone = Imaging {
        misregistered: Some(Misregistration { shift_mm: [1.0; 3], turn_deg: [0.0; 3] }),
        ..Default::default()
    };
    assert!(write_phantom(&folder.path().join("one"), &coarse(alone), &|_| ()).is_err(), "nothing to move");
}
