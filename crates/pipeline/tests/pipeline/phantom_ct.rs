//! The phantom as DICOM, with its truth beside it.

use crate::support::build;

#[test]
fn a_truth_beside_the_series_is_taken_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let (scan, out) = (dir.path().join("scan"), dir.path().join("case"));
    let options = phantom::PhantomOptions { seed: 3, spacing_mm: [4.0, 4.0, 6.0], ..Default::default() };
    let written = phantom::write_phantom(&scan, &options, &|_| ()).unwrap();
    let inspection = pipeline::inspect(&scan, &pipeline::Models::default()).unwrap();
    assert_eq!(inspection.series.len(), 1);
    let recipes: Vec<_> = inspection.series[0].recipes.iter().map(|r| (r.name, r.default)).collect();
    assert_eq!(recipes, [("labels", true), ("ct-basic", false)]);
    let summary = build(&scan, &out, |_| ()).unwrap();
    assert_eq!(summary.recipe, "labels");
    assert!(summary.notes.iter().any(|n| n.contains("DICOM SEG beside the series")), "{:?}", summary.notes);
    assert!(
        summary.segments.len() >= 25 && summary.segments.len() <= written.structures + 20,
        "{}",
        summary.segments.len()
    );
    let summary = build(&scan, &out, |r| r.recipe = Some("ct-basic".to_owned())).unwrap();
    assert_eq!(summary.recipe, "ct-basic");
}
