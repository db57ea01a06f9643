//! What a recipe of training says.

use std::collections::BTreeMap;
use std::path::Path;

use neural::card::ModelCard;
use neural::networks::unet::UNetConfig;
use neural::trained::{Division, Normalization, TrainedUNet};
use neural::training::{Network, Precision, Sample, TrainingConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use volume::{Label, LabelMap};

use super::evaluation::{CalibrationScore, ClassScore};
use super::{WEIGHTS, io};
use crate::PipelineError;
use crate::models::hex;

/// A model card as JSON, in the order it is written.
pub(super) type Card = serde_json::Map<String, Value>;

/// The version of recipes that is read.
pub(super) const SCHEMA: &str = "vestibule.training/1";

/// Name of the recipe in the folder where it is trained.
pub(super) const KEPT: &str = "recipe.json";

/// A network, the data it learns from, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRecipe {
    /// `vestibule.training/1`.
    pub schema: String,
    /// Of the model.
    pub name: String,
    /// Where the cases are and how they become samples.
    pub data: DataRecipe,
    /// What is found, in the order of the network's classes, background left out.
    pub classes: Vec<TrainedClass>,
    /// What learns.
    pub network: NetworkRecipe,
    /// Networks that learn one after the other, each from a seed of its own: that of `training` and the next ones. The mean of
    /// their probabilities counts.
    #[serde(default = "one")]
    pub members: usize,
    /// How it learns.
    pub training: TrainingConfig,
    /// Of the weights that are kept.
    #[serde(default)]
    pub precision: Precision,
    /// Axes (depth, height, width) that are flipped when it is used, the results averaged.
    #[serde(default)]
    pub test_time_flips: [bool; 3],
    /// True if a scan is run in windows of the size of a patch, else as a whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub windows: bool,
    /// True if a first look at the whole scan says where the windows go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub focus: bool,
    /// True if all classes together are one piece, so that what is apart from the largest is background.
    #[serde(default)]
    pub one_piece: bool,
    /// Two classes, by their numbers from 1, that meet in a plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<Division>,
    /// What the test cases are, for the model card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested_on: Option<String>,
    /// Fields of the model card that training does not know: `what`, `input`, `licence`, `training.data`.
    #[serde(default)]
    pub card: serde_json::Map<String, Value>,
}

/// Of a recipe that does not say how many networks learn.
const fn one() -> usize {
    1
}

/// Where cases are and how they become samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// Folder of images in that of the data set.
    pub images: String,
    /// Folder of label maps with the same names.
    pub labels: String,
    /// Where columns, rows and slices of a sample lead, such as `RAS`.
    pub axes: String,
    /// Distance of a sample's voxels along columns, rows, slices.
    pub spacing_mm: [f64; 3],
    /// What is done to its values.
    pub normalization: Normalization,
    /// People of the crate `phantom` in CT, made when training begins; their seeds are the numbers that the split goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phantoms: Option<PhantomRecipe>,
    /// CT made from label maps alone, for training only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<DrawnRecipe>,
    /// Which case is for what.
    pub split: Split,
}

/// Which people of the crate `phantom` are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhantomRecipe {
    /// The first and the last.
    pub seeds: [u64; 2],
    /// Between voxels, along every axis.
    pub spacing_mm: f64,
}

/// Which label maps become CT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnRecipe {
    /// Folder in that of the data set; names of the labels lie in JSON files beside them.
    pub labels: String,
    /// Times that each is drawn, with other contrast, fat and noise.
    pub copies: u64,
}

/// Cases by the number in their file names, modulo `modulus`; what is neither for the test nor held back is for training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// At least 2.
    pub modulus: u64,
    /// Remainders that are for the test.
    pub test: Vec<u64>,
    /// Remainders that are for validation.
    pub validation: HeldBack,
}

/// Remainders of the cases that networks do not learn from, and are judged by instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "validation is a list of remainders, or such a list for each network")]
pub enum HeldBack {
    /// The same from all networks.
    FromAll(Vec<u64>),
    /// Others from each network, so that together they learn from all cases.
    FromEach(Vec<Vec<u64>>),
}

impl HeldBack {
    /// From a network, counted from 0.
    pub(super) fn of(&self, member: usize) -> &[u64] {
        match self {
            Self::FromAll(parts) => parts,
            Self::FromEach(lists) => lists.get(member).map_or(&[], Vec::as_slice),
        }
    }

    fn all(&self) -> impl Iterator<Item = &u64> {
        let lists = match self {
            Self::FromAll(parts) => std::slice::from_ref(parts),
            Self::FromEach(lists) => lists,
        };
        lists.iter().flatten()
    }
}

/// A structure and its label in the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedClass {
    /// In the data's label maps, unless `of` names structures.
    pub value: u16,
    /// As this project names it.
    pub name: String,
    /// Names of the structures that it is made of in label maps that name theirs; a `*` stands for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// True if it is one piece: of what the network finds the largest piece stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single: bool,
}

/// Whether a name is like a pattern with at most two `*`, each of which stands for anything.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// A kind of network with its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "lowercase")]
pub enum NetworkRecipe {
    /// See [`UNetConfig`].
    UNet(UNetConfig),
}

impl NetworkRecipe {
    pub(super) fn kind(&self) -> &dyn Network {
        match self {
            Self::UNet(config) => config,
        }
    }
}

impl TrainRecipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`PipelineError::TrainRecipe`], [`PipelineError::Io`].
    pub fn read(path: &Path) -> Result<Self, PipelineError> {
        let bytes = std::fs::read(path).map_err(|e| io(path, e))?;
        let wrong = |reason: String| PipelineError::TrainRecipe { reason, path: path.to_owned() };
        let recipe: Self = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        let mut values: Vec<u16> = recipe.classes.iter().map(|c| c.value).collect();
        values.sort_unstable();
        values.dedup();
        if recipe.schema != SCHEMA {
            return Err(wrong(format!("its schema is `{}`; this version reads {SCHEMA}", recipe.schema)));
        }
        if values.len() != recipe.classes.len() || values.first().is_none_or(|&v| v == 0) {
            return Err(wrong("a class is background or there twice, or there is none".to_owned()));
        }
        let classes = recipe.network.kind().classes();
        if classes != recipe.classes.len() + 1 {
            let reason = format!("the network has {classes} classes for {} and background", recipe.classes.len());
            return Err(wrong(reason));
        }
        if recipe.network.kind().inputs() != 1 {
            return Err(wrong("the network takes more than one channel, and a case has one image".to_owned()));
        }
        let has_side = |name: &str| name.split('_').any(|word| matches!(word, "left" | "right"));
        let sided = recipe.classes.iter().find(|c| has_side(&c.name));
        if let (Some(class), true) = (sided, recipe.swaps_sides()) {
            let reason =
                format!("{} has a side, and flips from left to right would teach the other one too", class.name);
            return Err(wrong(reason));
        }
        recipe.view().check().map_err(|e| wrong(e.to_string()))?;
        recipe.training.check().map_err(|e| wrong(e.to_string()))?;
        let Split { modulus, test, validation } = &recipe.data.split;
        if *modulus < 2 {
            return Err(wrong("a split needs a modulus of 2 or more".to_owned()));
        }
        if let HeldBack::FromEach(lists) = validation
            && lists.len() != recipe.members
        {
            let reason = format!(
                "the split has {} lists for validation and there are {} networks (`members`)",
                lists.len(),
                recipe.members
            );
            return Err(wrong(reason));
        }
        if let Some(part) = test.iter().chain(validation.all()).find(|part| *part >= modulus) {
            return Err(wrong(format!("no number has the remainder {part} modulo {modulus}, as the split asks for")));
        }
        if let Some(part) = validation.all().find(|part| test.contains(part)) {
            return Err(wrong(format!("the split has the remainder {part} for the test and for validation")));
        }
        if recipe.data.phantoms.is_some_and(|p| !(p.spacing_mm.is_finite() && p.spacing_mm > 0.0)) {
            return Err(wrong("phantoms need a spacing of more than 0 mm".to_owned()));
        }
        // What it will say of the model is known now, but for the weights and the figures.
        let card = serde_json::to_vec(&recipe.card(&[])).map_err(|e| io(path, e.into()))?;
        ModelCard::parse(&card).map_err(|e| wrong(e.to_string()))?;
        Ok(recipe)
    }

    /// Refuses data that has no voxel of a class to learn from.
    ///
    /// # Errors
    /// [`PipelineError::DataSet`], with the class.
    pub(super) fn check_present(&self, training: &[&Sample], data: &Path) -> Result<(), PipelineError> {
        let mut present = [false; 256];
        training.iter().flat_map(|sample| &sample.labels).for_each(|&label| present[usize::from(label)] = true);
        match self.classes.iter().zip(1..).find(|(_, number)| !present[*number]) {
            None => Ok(()),
            Some((TrainedClass { name, value, .. }, _)) => Err(PipelineError::DataSet {
                reason: format!(
                    "no case to train on has a voxel of {name}, the label {value}; look at the recipe's classes"
                ),
                path: data.to_owned(),
            }),
        }
    }

    /// Compares it with the recipe in the folder where it is trained.
    ///
    /// # Errors
    /// [`PipelineError::TrainRecipe`] if what was learned there so far is from other data or of other classes.
    pub(super) fn goes_on(&self, out: &Path, own: &Path) -> Result<(), PipelineError> {
        let kept = std::fs::read(out.join(KEPT)).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let begun = super::folder_of(out, self, 0).join(super::CHECKPOINT).exists();
        if kept.is_some_and(|k| begun && (k.data != self.data || k.classes != self.classes)) {
            let reason = format!(
                "what lies in {} was learned from other data or as other classes; name another folder, or take the recipe \
                 that lies there",
                out.display()
            );
            return Err(PipelineError::TrainRecipe { reason, path: own.to_owned() });
        }
        Ok(())
    }

    /// Puts the recipe into the folder where it is trained.
    ///
    /// # Errors
    /// [`PipelineError::Io`].
    pub(super) fn keep(&self, out: &Path) -> Result<(), PipelineError> {
        let kept = out.join(KEPT);
        let text = serde_json::to_string_pretty(self).map_err(|e| io(&kept, e.into()))?;
        super::write(&kept, format!("{text}\n").as_bytes())
    }

    /// True if patches or scans are flipped along the axis from left to right.
    fn swaps_sides(&self) -> bool {
        // Columns are the last axis of a patch.
        let sideways = self.data.axes.chars().rev().map(|axis| matches!(axis, 'L' | 'R'));
        let flips = self.training.augmentation.mirror.into_iter().zip(self.test_time_flips);
        sideways.zip(flips).any(|(sideways, (mirror, flip))| sideways && (mirror || flip))
    }

    /// How its network sees a scan.
    pub(super) fn view(&self) -> TrainedUNet {
        let NetworkRecipe::UNet(network) = &self.network;
        TrainedUNet {
            network: network.clone(),
            members: self.members,
            axes: self.data.axes.clone(),
            spacing_mm: self.data.spacing_mm,
            normalization: self.data.normalization,
            flips: self.test_time_flips,
            windows: self.windows.then_some(self.training.patch),
            focus: self.focus,
            one_piece: self.one_piece,
            single: self.classes.iter().zip(1..).filter(|(c, _)| c.single).map(|(_, n)| n).collect(),
            division: self.division,
        }
    }

    /// The class, from 1, of each label of a map that belongs to one.
    pub(super) fn classes_of(&self, map: &LabelMap) -> BTreeMap<Label, u8> {
        let mut classes = BTreeMap::new();
        for (class, number) in self.classes.iter().zip(1..=u8::MAX) {
            if class.of.is_empty() {
                classes.insert(class.value, number);
            }
            let like = |name: &str| class.of.iter().any(|pattern| matches(pattern, name));
            let named = map.segments.values().filter(|segment| like(&segment.name));
            classes.extend(named.map(|segment| (segment.label, number)));
        }
        classes
    }

    /// Of a network, counted from 0.
    pub(super) fn seed(&self, member: usize) -> u64 {
        self.training.seed.wrapping_add(member as u64)
    }

    /// What is written into the file of a network's weights.
    pub(super) fn metadata(&self, member: usize) -> Result<BTreeMap<String, String>, PipelineError> {
        let text = |value: Value| value.to_string();
        let network = serde_json::to_value(&self.network).map_err(|e| io(Path::new(&self.name), e.into()))?;
        let classes: Vec<&str> = self.classes.iter().map(|c| c.name.as_str()).collect();
        let mut metadata = BTreeMap::from([
            ("name".to_owned(), self.name.clone()),
            ("network".to_owned(), text(network)),
            ("classes".to_owned(), text(json!(classes))),
            ("axes".to_owned(), self.data.axes.clone()),
            ("spacing_mm".to_owned(), text(json!(self.data.spacing_mm))),
            ("normalization".to_owned(), text(json!(self.data.normalization))),
            ("seed".to_owned(), self.seed(member).to_string()),
        ]);
        if let Some(licence) = self.card.get("licence").and_then(Value::as_str) {
            metadata.insert("licence".to_owned(), licence.to_owned());
        }
        Ok(metadata)
    }

    /// What the card says of the network.
    pub(super) fn network_card(&self) -> Value {
        json!({"kind": "unet", "parameters": self.view()})
    }

    /// The model card, `vestibule.model/1`, without what was measured.
    pub(super) fn card(&self, weights: &[u8]) -> Card {
        let mut card = Card::new();
        card.insert("schema".to_owned(), json!("vestibule.model/1"));
        card.insert("name".to_owned(), json!(self.name));
        card.insert("version".to_owned(), json!("1"));
        card.extend(self.card.clone());
        card.insert("network".to_owned(), self.network_card());
        let classes = self.classes.iter().zip(1..).map(|(c, value)| json!({"value": value, "name": c.name}));
        card.insert("classes".to_owned(), classes.collect());
        let training = card.entry("training").or_insert_with(|| json!({}));
        if let Value::Object(training) = training {
            training.insert("seed".to_owned(), json!(self.training.seed));
        }
        // Where it stays when figures come in.
        card.insert("accuracy".to_owned(), json!([]));
        card.insert("temperature".to_owned(), json!(1.0));
        card.insert(
            "weights".to_owned(),
            json!([{"file": WEIGHTS, "bytes": weights.len(), "sha256": hex(&Sha256::digest(weights))}]),
        );
        card
    }
}

/// Puts what was measured on the test part into a card.
pub(super) fn measured(
    card: &mut Card,
    recipe: &TrainRecipe,
    scores: &[ClassScore],
    calibration: &CalibrationScore,
    cases: usize,
) {
    let held_back = || format!("{cases} case{} held back", if cases == 1 { "" } else { "s" });
    let on = recipe.tested_on.clone().unwrap_or_else(held_back);
    let figure = |structure: &str, metric: &str, value: f64| {
        let value = (value * 1e4).round() / 1e4;
        json!({"structure": structure, "metric": metric, "value": value, "on": on})
    };
    let mut figures: Vec<Value> = Vec::new();
    for s in scores.iter().filter(|s| s.dice_mean.is_finite()) {
        figures.push(figure(&s.name, "dice", s.dice_mean));
        if cases > 1 {
            figures.push(figure(&s.name, "dice_sd", s.dice_sd));
        }
        // A structure that was missed somewhere has no distance.
        if s.hd95_most_mm.is_finite() {
            figures.push(figure(&s.name, "hd95_mm", s.hd95_mean_mm));
        }
    }
    for (voxels, errors) in [("all", calibration.all), ("foreground", calibration.foreground)] {
        if let [Some(before), Some(after)] = errors {
            figures.push(figure(voxels, "ece_uncalibrated", before));
            figures.push(figure(voxels, "ece", after));
        }
    }
    card.insert("accuracy".to_owned(), json!(figures));
    card.insert("temperature".to_owned(), json!(calibration.temperature));
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("liver", "liver", true),
            ("liver", "liver_lesion", false),
            ("liver*", "liver_lesion", true),
            ("lung_*_left", "lung_upper_lobe_left", true),
            ("lung_*_left", "lung_upper_lobe_right", false),
            ("*_vein*", "pulmonary_vein", true),
            ("*_vein*", "hepatic_vein_branches", true),
            ("*_vein*", "vein", false),
            ("rib_*", "sacrum", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} and {name}");
        }
    }
}
