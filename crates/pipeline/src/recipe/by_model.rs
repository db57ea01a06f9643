//! `mr-brain`, `ct-organs`: structures drawn by a trained model, and the surface of what they lie in.

use std::collections::BTreeMap;
use std::path::Path;

use neural::card::{ModelCard, ScanFacts};
use neural::model::{self, Found, Model, RunOptions};
use rayon::prelude::*;
use volume::{BACKGROUND, Label, LabelMap, ScanVolume, Volume, terminology};

use super::{MR_BRAIN, Recipe, ct_basic, mr_head, present_labels};
use crate::cache::{self, Cache};
use crate::error::PipelineError;
use crate::models::ModelEntry;
use crate::source::Kind;

/// Share of the time that goes into the model; the rest finds what lies around.
const MODEL_SHARE: f32 = 0.93;

/// A smaller scan holds no whole head or body whose surface could be shown.
const WHOLE_MM: f64 = 130.0;

/// What a model found.
#[derive(Debug)]
pub(crate) struct ByModel {
    /// The model's own classes on the scan's grid.
    pub(crate) labels: Volume<Label>,
    /// Volumes on the grid the network works on; none if the labels were kept from before.
    pub(crate) network_mm3: Option<BTreeMap<Label, f64>>,
    /// How sure the model is of each voxel, in percent; none if it does not tell.
    pub(crate) confidence: Option<Volume<u8>>,
    pub(crate) cached: bool,
}

/// Runs a model, or takes what it found before in the same scan.
///
/// # Errors
/// [`PipelineError::ModelChanged`], [`PipelineError::Model`].
pub(crate) fn run(
    entry: &ModelEntry,
    scan: &ScanVolume,
    options: RunOptions,
    cache: Option<&Cache>,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<ByModel, PipelineError> {
    let failed = |source| PipelineError::Model { name: entry.card.name.clone(), cause: Box::new(source) };
    // Also where the labels are kept: a model whose bytes changed is not believed.
    let files = entry.files()?;
    let flips = if options.flips { "flips" } else { "" };
    let key = cache.map(|_| {
        cache::key(
            scan,
            &["model", &entry.digest(), &described(&entry.card), &temperature(&entry.card), model::VERSION, flips],
        )
    });
    if let (Some(cache), Some(key)) = (cache, &key)
        && let Some(confidence) = cache.load(&confidence_of(key), scan.geometry())
        && let Some(labels) = cache.load(key, scan.geometry())
    {
        let confidence = Some(confidence.map(|&x| x.min(100) as u8));
        return Ok(ByModel { labels, network_mm3: None, confidence, cached: true });
    }
    let found = Model::load(&entry.card, files).and_then(|m| m.segment(scan, options, tell)).map_err(failed)?;
    if let (Some(cache), Some(key)) = (cache, &key) {
        // One without the other is as good as none.
        if let Some(confidence) = &found.confidence {
            cache.store(&confidence_of(key), &confidence.map(|&x| Label::from(x)));
        }
        cache.store(key, &found.labels);
    }
    let Found { labels, network_mm3, confidence } = found;
    Ok(ByModel { labels, network_mm3: Some(network_mm3), confidence, cached: false })
}

/// The entry of the confidence that belongs to labels.
fn confidence_of(key: &str) -> String {
    format!("{key}-confidence")
}

/// The network's description: the same weights in another network would find something else.
fn described(card: &ModelCard) -> String {
    serde_json::to_string(&card.network).unwrap_or_default()
}

fn temperature(card: &ModelCard) -> String {
    card.temperature.unwrap_or(1.0).to_string()
}

/// The classes as structures, and the head or body around them, whose surface holds them all.
///
/// # Errors
/// [`PipelineError::Volume`].
pub(crate) fn with_surroundings(
    recipe: &Recipe,
    card: &ModelCard,
    scan: &ScanVolume,
    labels: Volume<Label>,
    tell: &(dyn Fn(f32) + Sync),
) -> Result<LabelMap, PipelineError> {
    let mut map = LabelMap { voxels: labels, segments: BTreeMap::new() };
    let present = present_labels(&map);
    map.segments = card.segments().into_iter().filter(|(label, _)| present.contains(label)).collect();
    for &label in &present {
        map.segments.entry(label).or_insert_with(|| terminology::segment(label, &format!("{}_{label}", card.name)));
    }
    let g = scan.geometry();
    let whole = (0..3).all(|a| g.size()[a] as f64 * g.spacing()[a] >= WHOLE_MM);
    let most = card.classes.iter().map(|c| c.value).chain(present.iter().copied()).max().unwrap_or(BACKGROUND);
    let Some(around) = most.checked_add(1).filter(|_| whole && !present.is_empty()) else { return Ok(map) };
    let tell = |share: f32| tell(MODEL_SHARE + (1.0 - MODEL_SHARE) * share);
    let name = if *recipe == MR_BRAIN && card.input.is_of_head() { "head" } else { "body" };
    let outer = if *recipe == MR_BRAIN { mr_head::segment(scan, &tell)? } else { ct_basic::segment(scan, &tell)? };
    if map.segments.values().any(|s| s.name == name) {
        return Ok(map);
    }
    map.voxels.data_mut().par_iter_mut().zip(outer.data()).for_each(|(label, outer)| {
        if *label == BACKGROUND && *outer != BACKGROUND {
            *label = around;
        }
    });
    let mut segment = terminology::segment(around, name);
    segment.parts = present;
    map.segments.insert(around, segment);
    Ok(map)
}

/// Takes back the model's word for voxels that [`with_surroundings`] labelled without it.
pub(crate) fn leave_out_surroundings(confidence: &mut Volume<u8>, labels: &LabelMap) {
    let Some(around) = labels.segments.values().find(|s| !s.parts.is_empty()).map(|s| s.label) else { return };
    let pairs = confidence.data_mut().par_iter_mut().zip(labels.voxels.data());
    pairs.filter(|(_, label)| **label == around).for_each(|(percent, _)| *percent = case::NO_MODEL);
}

/// Tells the model's share of the whole.
pub(crate) fn model_part(tell: &(dyn Fn(f32) + Sync)) -> impl Fn(f32) + Sync {
    move |share| tell(MODEL_SHARE * share)
}

/// Refuses a scan that the model was not made for; else what its user should know.
///
/// # Errors
/// [`PipelineError::ModelDoesNotFit`].
pub(crate) fn check(card: &ModelCard, scan: &ScanFacts<'_>) -> Result<Vec<String>, PipelineError> {
    let mut notes = Vec::new();
    for objection in card.input.objections(scan) {
        if objection.refuses {
            let (model, reason, remedy) = (card.name.clone(), objection.reason, objection.remedy);
            return Err(PipelineError::ModelDoesNotFit { model, reason, remedy });
        }
        notes.push(format!("model {}: {}; {}", card.name, objection.reason, objection.remedy));
    }
    if card.experimental {
        notes.push(format!("model {} is marked experimental; look closely at what it found", card.name));
    }
    Ok(notes)
}

/// What a model's confidence is worth, in a sentence.
pub(crate) fn confidence_in_words(card: &ModelCard) -> String {
    let Some(temperature) = card.temperature else {
        return format!(
            "the confidence of model {} is its own word, fitted on no data held back; networks are surer than they are right",
            card.name
        );
    };
    let measured = card.accuracy.iter().find(|m| m.structure == "foreground" && m.metric == "ece");
    let measured = measured.map_or(String::new(), |m| {
        format!(
            "; where it finds structures, it and the share that is right lie {:.1} percentage points apart, on {}",
            100.0 * m.value,
            m.on
        )
    });
    format!("the confidence of model {} was fitted on data held back, temperature {temperature}{measured}", card.name)
}

/// The contrast of a series, as [`neural::card::ExpectedInput`] names it; none if nothing says.
///
/// A CT that notes no contrast agent may have had one all the same.
pub(crate) fn contrast_of_series(series: &dicom::SeriesSummary) -> Option<&'static str> {
    match series.modality {
        dicom::Modality::Ct => series.contrast.then_some("enhanced"),
        _ => series.description.as_deref().and_then(contrast_of),
    }
}

/// The contrast of an MR in a file that tells of nothing, from its name where that speaks of a head: `sub-01_T1w.nii.gz`, as BIDS has
/// it. A knee may be T1-weighted too.
pub(crate) fn contrast_of_file(path: &Path, kind: Kind) -> Option<&'static str> {
    const OF_HEADS: [&str; 6] = ["t1w", "mprage", "mp2rage", "head", "brain", "anat"];
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let of_head = OF_HEADS.iter().any(|word| name.contains(word));
    contrast_of(&name).filter(|_| of_head && kind == Kind::Mr)
}

/// What MR physics calls a series, from what its operator called it; none if that does not say.
pub(crate) fn contrast_of(description: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 22] = [
        ("t1", "T1"),
        ("mprage", "T1"),
        ("mp2rage", "T1"),
        ("spgr", "T1"),
        ("fspgr", "T1"),
        ("bravo", "T1"),
        ("flair", "FLAIR"),
        ("t2", "T2"),
        ("ciss", "T2"),
        ("fiesta", "T2"),
        ("pd", "PD"),
        ("dwi", "DWI"),
        ("dti", "DWI"),
        ("diff", "DWI"),
        ("adc", "ADC"),
        ("swi", "SWI"),
        ("tof", "TOF"),
        ("angio", "TOF"),
        ("bold", "BOLD"),
        ("fmri", "BOLD"),
        ("asl", "ASL"),
        ("perf", "perfusion"),
    ];
    let lower = description.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    // `t1w` and `t2starw` begin so; other short words must stand alone, as `update` is no proton density.
    let says = |key: &str| {
        let begins = key.len() > 3 || key.starts_with('t') && key.len() == 2;
        // `MP-RAGE` is one word.
        let joined = words.windows(2).any(|w| key.len() > 3 && w.concat().starts_with(key) && !w[0].starts_with(key));
        joined || words.iter().any(|w| if begins { w.starts_with(key) } else { *w == key })
    };
    WORDS.into_iter().find(|(key, _)| says(key)).map(|(_, contrast)| contrast)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_the_contrast_of_heads() {
        let of = |name: &str, kind| contrast_of_file(Path::new(name), kind);
        assert_eq!(of("data/sub-01_ses-2_T1w.nii.gz", Kind::Mr), Some("T1"));
        assert_eq!(of("head_t1.nii", Kind::Mr), Some("T1"));
        for (name, kind) in [("knee_t1.nii", Kind::Mr), ("brain.nii", Kind::Mr), ("sub-01_T1w.nii", Kind::Ct)] {
            assert_eq!(of(name, kind), None, "{name}");
        }
    }

    #[test]
    fn descriptions_tell_the_contrast() {
        for (text, expected) in [
            ("anat-T1w", Some("T1")),
            ("t1_mprage_sag_p2_iso", Some("T1")),
            ("MP-RAGE", Some("T1")),
            ("Sag MP RAGE iso", Some("T1")),
            ("sub-01_ses-006_run-001_T1w.nii", Some("T1")),
            ("colin27_4.nii", None),
            ("MPRAGE", Some("T1")),
            ("AX T2 FLAIR", Some("FLAIR")),
            ("t2_tse_tra", Some("T2")),
            ("ep2d_diff_3scan_trace", Some("DWI")),
            ("Sag 3D", None),
            ("PD fat sat", Some("PD")),
            ("update", None),
            ("", None),
        ] {
            assert_eq!(contrast_of(text), expected, "{text}");
        }
    }
}
