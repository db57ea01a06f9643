//! A network with its weights, whatever its kind, asked to find structures.

use std::collections::BTreeMap;

use rayon::prelude::*;
use volume::{BACKGROUND, Label, ScanVolume, Volume};

use crate::card::{ModelCard, Network, NnUnetParts};
use crate::error::NeuralError;
use crate::meshnet::MeshNet;
use crate::nnunet::{Frame, NnUnet, ReadOptions, SegmentOptions};
use crate::safetensors::Safetensors;
use crate::trained::TrainedUNet;
use crate::training::Predictor;

/// Changes when the same weights may find something else; part of the key of what is kept.
pub const VERSION: &str = "2";

/// The files of a model by their names in its card, already compared with their checksums.
pub type WeightFiles = BTreeMap<String, Vec<u8>>;

/// A network ready to run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Model {
    /// Of the head at 1 mm.
    MeshNet {
        /// The network.
        net: MeshNet,
        /// Divides its logits, so that its confidence is what it says.
        temperature: f32,
    },
    /// nnU-Nets that each know a part of the classes; the later ones lie on top.
    NnUnet {
        /// Each with the model's class for each of its own.
        parts: Vec<(NnUnet, BTreeMap<Label, Label>)>,
        /// Along which axes they see a scan.
        frame: Frame,
    },
    /// Trained by this project.
    UNet {
        /// Its shape, and what a scan must become for it.
        network: TrainedUNet,
        /// With its weights.
        predictor: Predictor,
        /// As of [`Model::MeshNet`].
        temperature: f32,
    },
}

/// What a model found in a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The model's classes on the scan's own grid.
    pub labels: Volume<Label>,
    /// Volume of each class on the grid the network works on.
    pub network_mm3: BTreeMap<Label, f64>,
    /// How sure the model is of each voxel's class, in percent; none if it does not tell.
    pub confidence: Option<Volume<u8>>,
}

impl Model {
    /// Makes the network of a card.
    ///
    /// # Errors
    /// [`NeuralError`] if the files are not its weights.
    pub fn load(card: &ModelCard, files: WeightFiles) -> Result<Self, NeuralError> {
        match &card.network {
            Network::MeshNet(config) => {
                let net = MeshNet::load(&Safetensors::parse(only(card, files)?)?, config)?;
                Ok(Self::MeshNet { net, temperature: temperature(card) })
            }
            Network::NnUnet(description) => nnunet(description, &files),
            Network::UNet(network) => {
                let predictor = network.load(&only(card, files)?)?;
                Ok(Self::UNet { network: network.clone(), predictor, temperature: temperature(card) })
            }
        }
    }

    /// Finds structures; `tell` hears the share done, from any thread.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if there is nothing in the scan to look at, [`NeuralError::Candle`].
    pub fn segment(&self, scan: &ScanVolume, tell: &(dyn Fn(f32) + Sync)) -> Result<Found, NeuralError> {
        match self {
            Self::MeshNet { net, temperature } => {
                let found = net.segment(scan, *temperature, tell)?;
                let (network_mm3, confidence) = (volumes_mm3(&found.conformed), Some(found.confidence));
                Ok(Found { labels: found.labels, network_mm3, confidence })
            }
            Self::UNet { network, predictor, temperature } => {
                let found = network.segment(predictor, scan, *temperature, tell)?;
                let (network_mm3, confidence) = (volumes_mm3(&found.seen), Some(found.confidence));
                Ok(Found { labels: found.labels, network_mm3, confidence })
            }
            Self::NnUnet { parts, frame } => {
                let mut labels = Volume::filled(*scan.geometry(), BACKGROUND);
                for (at, (net, classes)) in parts.iter().enumerate() {
                    let part = |share: f32| tell((at as f32 + share) / parts.len() as f32);
                    let options = SegmentOptions { frame: *frame, ..SegmentOptions::default() };
                    let own = net.segment(scan, &options, &part)?;
                    labels.data_mut().par_iter_mut().zip(own.data()).for_each(|(label, own)| {
                        if let Some(&class) = classes.get(own) {
                            *label = class;
                        }
                    });
                }
                Ok(Found { network_mm3: volumes_mm3(&labels), labels, confidence: None })
            }
        }
    }
}

/// The first of a card's files.
fn only(card: &ModelCard, mut files: WeightFiles) -> Result<Vec<u8>, NeuralError> {
    let file = card.weights.first().map(|w| w.file.as_str()).unwrap_or_default();
    files.remove(file).ok_or_else(|| NeuralError::Card { reason: format!("its weights `{file}` were not read") })
}

fn temperature(card: &ModelCard) -> f32 {
    card.temperature.unwrap_or(1.0) as f32
}

fn nnunet(description: &NnUnetParts, files: &WeightFiles) -> Result<Model, NeuralError> {
    let frame = if description.canonical { Frame::Canonical } else { Frame::AsTrained };
    let part = |part: &crate::card::NnUnetPart| {
        let prefix = if part.folder == "." { String::new() } else { format!("{}/", part.folder) };
        // The reader finds the configuration by the name that nnU-Net gives a results folder.
        let results = format!("nnUNetTrainer__nnUNetPlans__{}/", part.configuration);
        let own: BTreeMap<String, &Vec<u8>> = files
            .iter()
            .filter_map(|(file, bytes)| Some((format!("{results}{}", file.strip_prefix(&prefix)?), bytes)))
            .collect();
        let paths: Vec<&str> = own.keys().map(String::as_str).collect();
        let read = |path: &str| own.get(path).map(|bytes| bytes.to_vec());
        Ok((NnUnet::read(&paths, &read, &ReadOptions::default())?, part.classes.clone()))
    };
    let parts = description.parts.iter().map(part).collect::<Result<Vec<_>, NeuralError>>()?;
    Ok(Model::NnUnet { parts, frame })
}

/// Volume of each label that occurs, background left out.
pub fn volumes_mm3(labels: &Volume<Label>) -> BTreeMap<Label, f64> {
    let mut counts = vec![0u64; usize::from(Label::MAX) + 1];
    labels.data().iter().for_each(|&l| counts[usize::from(l)] += 1);
    let voxel = labels.geometry().voxel_volume_mm3();
    (BACKGROUND + 1..=Label::MAX)
        .map(|l| (l, counts[usize::from(l)]))
        .filter(|(_, n)| *n > 0)
        .map(|(l, n)| (l, n as f64 * voxel))
        .collect()
}
