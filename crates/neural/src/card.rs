//! Model cards: what a model does, what it expects, where it comes from, and which bytes it is.
//!
//! A card is `model.json` in the model's folder, beside its weights. Files and folders are the caller's.

mod body;
mod expected;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use volume::terminology;
use volume::{BACKGROUND, ImageGeometry, Label, Segment};

pub use self::expected::{ANY, ExpectedInput, Objection, ScanFacts};
use crate::error::NeuralError;
use crate::meshnet::MeshNetConfig;
use crate::nnunet::NnUnetWork;
use crate::safetensors::Safetensors;
use crate::super_resolution::{ThroughPlaneConfig, ThroughPlaneWeights};
use crate::trained::TrainedUNet;

/// The version of the card this crate writes and reads.
pub const SCHEMA: &str = "vestibule.model/1";

/// Floating-point operations that one core makes in a second. Our own trial, as low as it went beside other work.
const FLOPS_PER_CORE: f64 = 40e9;

/// Voxels of a head after cropping at 1 mm.
const HEAD_VOXELS: f64 = 9e6;

/// What is known of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// [`SCHEMA`].
    pub schema: String,
    /// What `--model` calls it; letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Changes with the weights.
    pub version: String,
    /// What it does, in one sentence.
    pub what: String,
    /// The kind of network, and its shape.
    pub network: Network,
    /// What it was trained to see.
    pub input: ExpectedInput,
    /// What it finds, background left out.
    pub classes: Vec<ModelClass>,
    /// How it came to be.
    #[serde(default)]
    pub training: Training,
    /// Under which the weights may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// How well it did on data it was not trained on.
    #[serde(default)]
    pub accuracy: Vec<Measured>,
    /// Divides the logits before softmax, so that confidence is what it says; fitted on held-back data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// True if it is not good enough to be relied on for what it is meant for.
    #[serde(default)]
    pub experimental: bool,
    /// Its files.
    pub weights: Vec<WeightFile>,
}

/// A kind of network with what is needed to make it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "lowercase")]
pub enum Network {
    /// See [`meshnet`](crate::meshnet).
    MeshNet(MeshNetConfig),
    /// Results folders of nnU-Net v2.
    NnUnet(NnUnetParts),
    /// A U-Net of this project.
    UNet(Box<TrainedUNet>),
    /// Makes slices thinner and finds no structures; see [`super_resolution`](crate::super_resolution).
    #[serde(rename = "through_plane")]
    ThroughPlane(ThroughPlaneConfig),
}

impl Network {
    /// What such a network does to a scan.
    pub fn task(&self) -> Task {
        match self {
            Self::MeshNet(_) | Self::NnUnet(_) | Self::UNet(_) => Task::Segmentation,
            Self::ThroughPlane(_) => Task::SuperResolution,
        }
    }
}

/// What a model does to a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// It finds structures.
    Segmentation,
    /// It makes thin slices of thick ones.
    SuperResolution,
}

/// Results folders of nnU-Net that together make one label map; the later ones lie on top.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NnUnetParts {
    /// At least one.
    pub parts: Vec<NnUnetPart>,
    /// Whether scans are turned to right, anterior and superior first, as TotalSegmentator does it.
    #[serde(default)]
    pub canonical: bool,
}

/// One results folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NnUnetPart {
    /// Within the model's folder, holding `plans.json`, `dataset.json` and `fold_*`; `.` for the model's folder itself.
    pub folder: String,
    /// Of `plans.json`: `3d_fullres`, …; as the folder's name says.
    pub configuration: String,
    /// The model's class for each of the network's own.
    pub classes: BTreeMap<Label, Label>,
    /// How much there is to do, if its plans told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<NnUnetWork>,
}

/// Something a model finds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelClass {
    /// In the model's label maps.
    pub value: Label,
    /// The structure, as this project names it.
    pub name: String,
    /// As the model's makers name it, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_name: Option<String>,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Training {
    /// Data with their credits.
    #[serde(default)]
    pub data: Vec<TrainingData>,
    /// Of everything random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// That repeats the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Who made the weights, if not this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Data that a model saw in training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingData {
    /// Name, authors, place.
    pub name: String,
    /// Of the data.
    pub licence: String,
}

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The structure; `mean` for all.
    pub structure: String,
    /// `dice`, `hd95_mm`, …
    pub metric: String,
    /// Of the metric.
    pub value: f64,
    /// The data, and how many cases.
    pub on: String,
}

/// A file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightFile {
    /// Within the model's folder, `/` between names.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in hexadecimal.
    pub sha256: String,
}

impl ModelCard {
    /// Reads and checks a card.
    ///
    /// # Errors
    /// [`NeuralError::Card`].
    pub fn parse(json: &[u8]) -> Result<Self, NeuralError> {
        let wrong = |reason: String| NeuralError::Card { reason };
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|e| wrong(format!("it is no JSON: {e}")))?;
        match value.get("schema").and_then(|s| s.as_str()) {
            Some(SCHEMA) => {}
            Some(other) => return Err(wrong(format!("its schema is `{other}`; this version reads {SCHEMA}"))),
            None => return Err(wrong(format!("it names no schema; `\"schema\": \"{SCHEMA}\"` is asked for"))),
        }
        let card: Self = serde_json::from_value(value).map_err(|e| wrong(e.to_string()))?;
        card.check()?;
        Ok(card)
    }

    /// Looks for contradictions.
    ///
    /// # Errors
    /// [`NeuralError::Card`].
    pub fn check(&self) -> Result<(), NeuralError> {
        let wrong = |reason: String| Err(NeuralError::Card { reason });
        if !is_name(&self.name) {
            return wrong(format!("`{}` is no name; letters, digits, `-`, `_` and `.` make one", self.name));
        }
        if self.weights.is_empty() {
            return wrong("it names no weights".to_owned());
        }
        for file in &self.weights {
            if !is_inside(&file.file) {
                return wrong(format!("`{}` is no file inside the model's folder", file.file));
            }
            let digest = file.sha256.len() == 64 && file.sha256.bytes().all(|b| b.is_ascii_hexdigit());
            if !digest {
                return wrong(format!("the SHA-256 of `{}` is not 64 hexadecimal digits", file.file));
            }
        }
        let (mut values, mut names) = (BTreeSet::new(), BTreeSet::new());
        for class in &self.classes {
            if class.value == BACKGROUND || !values.insert(class.value) {
                return wrong(format!("class {} is background or there twice", class.value));
            }
            if class.name.is_empty() || !names.insert(class.name.as_str()) {
                return wrong(format!("the name `{}` of class {} is empty or there twice", class.name, class.value));
            }
        }
        if self.temperature.is_some_and(|t| !(t.is_finite() && t > 0.0)) {
            return wrong("the temperature is no positive number".to_owned());
        }
        match &self.network {
            Network::NnUnet(NnUnetParts { parts, .. })
                if parts.is_empty() || parts.iter().any(|p| p.folder != "." && !is_inside(&p.folder)) =>
            {
                return wrong("a part is no folder inside the model's folder, or there is none".to_owned());
            }
            Network::ThroughPlane(config) if !config.is_possible() => {
                return wrong(format!("no through-plane network is like {config:?}"));
            }
            Network::MeshNet(config) => {
                config.check()?;
                if let Some(beyond) = values.iter().find(|&&value| usize::from(value) >= config.classes) {
                    return wrong(format!("its network has {} classes, and it names class {beyond}", config.classes));
                }
            }
            Network::UNet(network) => {
                network.check()?;
                let own = network.network.classes - 1;
                if values.len() != own || values.last().is_some_and(|&last| usize::from(last) != own) {
                    return wrong(format!("its network finds {own} classes, and it names {} others", values.len()));
                }
            }
            Network::NnUnet(_) | Network::ThroughPlane(_) => {}
        }
        if self.network.task() == Task::SuperResolution && !self.classes.is_empty() {
            return wrong("it names classes, but such a network finds no structures".to_owned());
        }
        self.input.check()
    }

    /// The card of a single file of weights that says it is of a through-plane network, for scans of any kind.
    ///
    /// # Errors
    /// [`NeuralError`] if the weights are not whole.
    pub fn of_through_plane(name: &str, weights: &[u8], file: WeightFile) -> Result<Self, NeuralError> {
        let config = ThroughPlaneWeights::from_bytes(weights)?.config;
        let card = Self {
            schema: SCHEMA.to_owned(),
            name: name.to_owned(),
            version: "1".to_owned(),
            what: "Thin slices of thick ones".to_owned(),
            network: Network::ThroughPlane(config),
            input: ExpectedInput::any_scan(ANY),
            classes: Vec::new(),
            training: Training::default(),
            licence: None,
            accuracy: Vec::new(),
            temperature: None,
            experimental: true,
            weights: vec![file],
        };
        card.check()?;
        Ok(card)
    }

    /// The card of a single file of weights whose metadata describe a MeshNet.
    ///
    /// `names` are those of the classes, by number; without them they are called `NAME_1`, ….
    ///
    /// # Errors
    /// [`NeuralError`] if the metadata describe no network or the tensors are not its.
    pub fn of_meshnet(
        name: &str,
        weights: &Safetensors,
        names: &BTreeMap<Label, String>,
        file: WeightFile,
    ) -> Result<Self, NeuralError> {
        let config = MeshNetConfig::of(weights)?;
        weights.weights(&config.tensors())?;
        let text = |key: &str| weights.metadata().get(key).cloned();
        let classes: Vec<ModelClass> = (1..config.classes)
            .filter_map(|value| Label::try_from(value).ok())
            .map(|value| ModelClass::named(value, names.get(&value).cloned(), name))
            .collect();
        if let Some((extra, _)) = names.range(config.classes.min(usize::from(Label::MAX)) as Label..).next() {
            let reason = format!("the names go to class {extra}, but the network has {} classes", config.classes);
            return Err(NeuralError::Card { reason });
        }
        let what = format!("{} structures of the brain in a T1-weighted MR", classes.len());
        let card = Self {
            schema: SCHEMA.to_owned(),
            name: name.to_owned(),
            version: text("version").unwrap_or_else(|| "1".to_owned()),
            what: text("what").unwrap_or(what),
            network: Network::MeshNet(config),
            input: ExpectedInput::t1_head(),
            classes,
            training: Training { source: text("source"), ..Training::default() },
            licence: text("licence").or_else(|| text("license")),
            accuracy: Vec::new(),
            temperature: None,
            experimental: false,
            weights: vec![file],
        };
        card.check()?;
        Ok(card)
    }

    /// The structures, by class.
    pub fn segments(&self) -> BTreeMap<Label, Segment> {
        self.classes.iter().map(|c| (c.value, terminology::segment(c.value, &c.name))).collect()
    }

    /// What each of the network's classes, background among them, is in a mirror image: `left` for `right` in its name, or
    /// itself without either. None if one has no partner.
    pub fn mirrored(&self, classes: usize) -> Option<Vec<Label>> {
        let of_name: BTreeMap<&str, Label> = self.classes.iter().map(|c| (c.name.as_str(), c.value)).collect();
        let names: BTreeMap<Label, &str> = self.classes.iter().map(|c| (c.value, c.name.as_str())).collect();
        let partner = |class: Label| {
            let Some(name) = names.get(&class) else { return Some(class) };
            let word = |word| match word {
                "left" => "right",
                "right" => "left",
                other => other,
            };
            let other: Vec<&str> = name.split('_').map(word).collect();
            of_name.get(other.join("_").as_str()).copied().filter(|&c| usize::from(c) < classes)
        };
        (0..classes).map(|class| partner(Label::try_from(class).ok()?)).collect()
    }

    /// One digest for all files: that of the one, else of their list.
    pub fn digest_source(&self) -> String {
        match self.weights.as_slice() {
            [one] => one.sha256.clone(),
            all => all.iter().map(|w| format!("{}  {}\n", w.sha256, w.file)).collect(),
        }
    }

    /// Seconds to be expected on this many cores for structures in a scan on this grid, where that can be told.
    pub fn expected_s(&self, grid: &ImageGeometry, cores: usize) -> Option<f64> {
        let flops = match &self.network {
            Network::MeshNet(config) => config.flops_per_voxel() * HEAD_VOXELS,
            Network::UNet(network) => network.flops(grid)?,
            Network::NnUnet(NnUnetParts { parts, .. }) => {
                parts.iter().map(|part| Some(part.work?.flops(grid))).sum::<Option<f64>>()?
            }
            Network::ThroughPlane(_) => return None,
        };
        Some(1.0 + flops / (FLOPS_PER_CORE * cores as f64))
    }

    /// Seconds to be expected on this many cores for a finer scan of so many voxels; none if the model makes none.
    pub fn expected_upsample_s(&self, voxels: usize, cores: usize) -> Option<f64> {
        match &self.network {
            Network::ThroughPlane(config) => {
                let flops = config.flops_per_voxel() * voxels as f64;
                Some(1.0 + flops / (FLOPS_PER_CORE * cores as f64))
            }
            Network::MeshNet(_) | Network::NnUnet(_) | Network::UNet(_) => None,
        }
    }
}

impl ModelClass {
    /// By the name its makers gave it, found in the table of structures if it is there; else called after the model.
    pub fn named(value: Label, source_name: Option<String>, model: &str) -> Self {
        let Some(source) = source_name else {
            let name = terminology::segment(value, &format!("{model}_{value}")).name;
            return Self { value, name, source_name: None };
        };
        let name = terminology::segment(value, &source).name;
        let source_name = (name != source).then_some(source);
        Self { value, name, source_name }
    }
}

/// True for what may name a model and its folder.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 100 && !name.starts_with(['.', '-']) && name.chars().all(plain)
}

/// True for a path that stays where it starts.
pub fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0']);
    !path.is_empty() && path.split('/').all(plain)
}

#[cfg(test)]
mod tests;
