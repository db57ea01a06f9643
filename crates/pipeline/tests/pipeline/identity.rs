//! Nothing of a patient's identity reaches any file of a case.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

use dicom::{CtOptions, InventedPatient, write_ct_series};
use flate2::read::MultiGzDecoder;
use pipeline::PipelineError;

use crate::support::{build, coarse_phantom, files, open};

fn patient() -> InventedPatient {
    InventedPatient {
        name: "Zwiebelfisch^Quirin".to_owned(),
        id: "ZQ-4711-8815".to_owned(),
        birth_date: "19340517".to_owned(),
        sex: "M".to_owned(),
        accession: "ACC9988776655".to_owned(),
    }
}

/// All UIDs of a DICOM file that are not the standard's own.
fn uids(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for word in bytes.split(|b| !b.is_ascii_digit() && *b != b'.') {
        let text = String::from_utf8_lossy(word).into_owned();
        let own = !text.starts_with("1.2.840.10008") && text.starts_with("2.25.") | (text.matches('.').count() >= 4);
        if own && text.len() >= 16 {
            found.push(text);
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Texts to be found in bytes, whatever their case, in one pass for all.
struct Search(BTreeMap<[u8; 4], Vec<Vec<u8>>>);

impl Search {
    fn new(needles: &[String]) -> Self {
        let mut by_start: BTreeMap<[u8; 4], Vec<Vec<u8>>> = BTreeMap::new();
        for needle in needles {
            let lower = needle.to_ascii_lowercase().into_bytes();
            by_start.entry(*lower.first_chunk().expect("four letters or more")).or_default().push(lower);
        }
        Self(by_start)
    }

    fn found(&self, bytes: &[u8]) -> Option<String> {
        let starts: BTreeSet<u8> = self.0.keys().map(|k| k[0]).collect();
        let starts: Vec<bool> = (0..=u8::MAX).map(|b| starts.contains(&b)).collect();
        let lower: Vec<u8> = bytes.iter().map(u8::to_ascii_lowercase).collect();
        let hit = |at: usize| {
            let candidates = self.0.get(lower[at..].first_chunk::<4>()?)?;
            candidates.iter().find(|needle| lower[at..].starts_with(needle))
        };
        let at = (0..lower.len()).filter(|&at| starts[usize::from(lower[at])]).find_map(hit);
        at.map(|needle| String::from_utf8_lossy(needle).into_owned())
    }
}

#[test]
fn no_output_holds_a_part_of_the_identity() {
    let dir = tempfile::tempdir().unwrap();
    // Names of folders and files give patients away too.
    let scan = dir.path().join("Zwiebelfisch_Quirin_19340517");
    let body = coarse_phantom();
    let options = CtOptions {
        seed: 77,
        study: "Thorax Zwiebelfisch".to_owned(),
        series: "Quirin Zwiebelfisch 17.05.1934".to_owned(),
        ..CtOptions::default()
    };
    let series = write_ct_series(&scan, &body.hounsfield, &patient(), &options).unwrap();
    dicom::write_segmentation(&scan.join("truth.dcm"), &body.labels, &series).unwrap();

    let mut needles: Vec<String> = [
        "Zwiebelfisch",
        "Quirin",
        "ZQ-4711-8815",
        "ZQ47118815",
        "19340517",
        "1934-05-17",
        "17.05.1934",
        "1934/05/17",
        "ACC9988776655",
    ]
    .map(str::to_owned)
    .to_vec();
    for file in files(&scan) {
        needles.extend(uids(&fs::read(file).unwrap()));
    }
    needles.sort();
    needles.dedup();
    assert!(
        needles.iter().filter(|n| n.starts_with("2.25.")).count() > 5,
        "the search for UIDs found few: {needles:?}"
    );

    let search = Search::new(&needles);
    assert_eq!(search.found(b"... of ZWIEBELFISCH, q."), Some("zwiebelfisch".to_owned()), "the search finds");
    assert_eq!(embedded(b"src=\"data:x;base64,UXVpcmlu\" y;base64,UXU=\""), [b"Quirin".to_vec(), b"Qu".to_vec()]);
    for (name, recipe) in [("truth", None), ("found", Some("ct-basic"))] {
        let out = dir.path().join(name);
        let summary = build(&scan, &out, |r| {
            r.recipe = recipe.map(str::to_owned);
            r.alias = Some("Case 12".to_owned());
        })
        .unwrap();
        open(&out);
        check_clean(&out, &search);
        let mut said = serde_json::to_string(&summary).unwrap();
        said.push_str(&summary.to_string());
        assert_eq!(search.found(said.as_bytes()), None, "in the summary");
    }
}

/// What a text carries as `;base64,…`: the pictures of the report.
fn embedded(bytes: &[u8]) -> Vec<Vec<u8>> {
    const MARK: &[u8] = b";base64,";
    let digit = |b: u8| {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        digits.iter().position(|&d| d == b).map(|n| n as u32)
    };
    let starts = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(MARK));
    let decode = |at: usize| {
        let digits: Vec<u32> = bytes[at + MARK.len()..].iter().map_while(|&b| digit(b)).collect();
        let three = digits.chunks(4).flat_map(|four| {
            let bits = (0..4).fold(0, |bits, n| bits << 6 | four.get(n).copied().unwrap_or(0));
            bits.to_be_bytes()[1..four.len().max(1)].to_vec()
        });
        three.collect()
    };
    starts.map(decode).collect()
}

#[track_caller]
fn check_clean(case: &Path, search: &Search) {
    let files = files(case);
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let mut contents = vec![bytes.clone()];
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut unpacked = Vec::new();
            MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
            contents.push(unpacked);
        }
        contents.extend(embedded(&bytes));
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(search.found(name.as_bytes()), None, "in the name of {name}");
        for content in contents {
            assert_eq!(search.found(&content), None, "in {name}");
        }
    }
}

#[test]
fn an_alias_that_gives_the_patient_away_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let scan = dir.path().join("scan");
    write_ct_series(&scan, &coarse_phantom().hounsfield, &patient(), &CtOptions::default()).unwrap();
    for alias in ["Quirin", "zwiebelfisch", "ZQ-4711-8815", "born 17.05.1934 or 19340517", "ACC9988776655"] {
        let out = dir.path().join("case");
        let refused = build(&scan, &out, |r| r.alias = Some(alias.to_owned()));
        assert!(matches!(refused, Err(PipelineError::AliasIsIdentity)), "{alias}: {refused:?}");
        assert!(!out.exists(), "{alias}");
    }
}
