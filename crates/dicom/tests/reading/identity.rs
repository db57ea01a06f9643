//! Nothing that is returned names the patient.

use dicom::{inspect_memory, read_series};
use dicom_core::VR;
use dicom_dictionary_std::tags;

use crate::synthetic::Image;

const SECRETS: [&str; 7] =
    ["Lüdenscheidt", "Annabelle", "PAT-4711-X", "19610307", "ACC998877", "2.25.424242", "Dr. Kugelblitz"];

fn image() -> Image {
    let mut image = Image { instance: SECRETS[5].to_owned(), ..Image::default() };
    image.extra = vec![
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192".to_owned()),
        (tags::PATIENT_NAME, VR::PN, format!("{}^{}", SECRETS[0], SECRETS[1])),
        (tags::PATIENT_ID, VR::LO, SECRETS[2].to_owned()),
        (tags::PATIENT_BIRTH_DATE, VR::DA, SECRETS[3].to_owned()),
        (tags::ACCESSION_NUMBER, VR::SH, SECRETS[4].to_owned()),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN, SECRETS[6].to_owned()),
        (tags::SERIES_DESCRIPTION, VR::LO, "Thorax lüdenscheidt".to_owned()),
        (tags::BODY_PART_EXAMINED, VR::CS, "CHEST".to_owned()),
    ];
    image
}

#[test]
fn summaries_and_scans_hold_no_identity() {
    let inventory = inspect_memory(vec![("a.dcm".into(), image().bytes())]).unwrap();
    let series = &inventory.series[0];
    assert_eq!((series.description.as_deref(), series.body_part.as_deref()), (None, Some("CHEST")));
    let scan = read_series(&inventory, 0).unwrap();
    let told = format!("{:?} {:?} {:?}", series.findings, scan.report, scan.identity)
        + &serde_json::to_string(&scan.report).unwrap()
        + &serde_json::to_string(&series).unwrap();
    for secret in SECRETS {
        assert!(!told.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in {told}");
        assert!(scan.identity.matches(secret), "{secret} must be refused as an alias");
    }
    assert!(!scan.identity.matches("Case 12"));
    assert!(!scan.identity.matches("Thorax"));
}
