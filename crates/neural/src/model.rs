//! A network with its weights, whatever its kind, asked to find structures.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rayon::prelude::*;
use volume::{BACKGROUND, Label, ScanVolume, Volume};

use crate::card::{ModelCard, Network, NnUnetParts};
use crate::error::NeuralError;
use crate::meshnet::MeshNet;
use crate::nnunet::{Frame, NnUnet, NnUnetLabels, ReadOptions, SegmentOptions};
use crate::safetensors::Safetensors;
use crate::super_resolution::{ThroughPlane, ThroughPlaneWeights};
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
        /// What each class is in a mirror image; none if one has no partner there.
        mirrored: Option<Vec<Label>>,
        /// Divides its logits, so that its confidence is what it says.
        temperature: f32,
    },
    /// nnU-Nets that each know a part of the classes; the later ones lie on top.
    NnUnet {
        /// Each with the model's class for each of its own.
        parts: Vec<(NnUnet, BTreeMap<Label, Label>)>,
        /// Along which axes they see a scan.
        frame: Frame,
        /// As of [`Model::MeshNet`].
        temperature: f32,
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
    /// Makes slices thinner: for [`super_resolution::upsample`](crate::super_resolution::upsample()).
    ThroughPlane(Box<ThroughPlane>),
}

/// How a model is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// A MeshNet looks at the mirror image as well, left for right, and the mean counts; twice the work. The other kinds are
    /// flipped as they were trained to be, whatever is said here.
    pub flips: bool,
}

/// What a model found in a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The model's classes on the scan's own grid.
    pub labels: Volume<Label>,
    /// Volume of each class on the grid the network works on.
    pub network_mm3: BTreeMap<Label, f64>,
    /// How sure the model is of each voxel's class, in percent; none if it does not tell. Of several networks, the one that found
    /// a structure says how sure; where none found any, the least sure.
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
                Ok(Self::MeshNet { net, mirrored: card.mirrored(config.classes), temperature: temperature(card) })
            }
            Network::NnUnet(description) => nnunet(description, &files, temperature(card)),
            Network::UNet(network) => {
                let predictor = network.load(&only(card, files)?)?;
                Ok(Self::UNet { network: network.as_ref().clone(), predictor, temperature: temperature(card) })
            }
            Network::ThroughPlane(_) => Ok(Self::ThroughPlane(Box::new(through_plane(card, files)?.network()?))),
        }
    }

    /// Finds structures; `tell` hears the share done, from any thread. Voxels that are no numbers, as some scans have them
    /// outside what was measured, are seen as the least value there is.
    ///
    /// # Errors
    /// [`NeuralError::Input`] if there is nothing in the scan to look at, [`NeuralError::Card`] if flips are asked for and a class
    /// has no partner on the other side, [`NeuralError::Candle`].
    pub fn segment(
        &self,
        scan: &ScanVolume,
        options: RunOptions,
        tell: &(dyn Fn(f32) + Sync),
    ) -> Result<Found, NeuralError> {
        let scan = finite(scan)?;
        let scan = scan.as_ref();
        match self {
            Self::MeshNet { net, mirrored, temperature } => {
                let mirrored = match mirrored {
                    Some(classes) if options.flips => Some(classes.as_slice()),
                    None if options.flips => {
                        let reason = "a class of one side has no partner on the other, so it cannot be flipped";
                        return Err(NeuralError::Card { reason: reason.to_owned() });
                    }
                    _ => None,
                };
                let found = net.segment(scan, *temperature, mirrored, tell)?;
                let (network_mm3, confidence) = (volumes_mm3(&found.conformed), Some(found.confidence));
                Ok(Found { labels: found.labels, network_mm3, confidence })
            }
            Self::UNet { network, predictor, temperature } => {
                let found = network.segment(predictor, scan, *temperature, tell)?;
                let (network_mm3, confidence) = (volumes_mm3(&found.seen), Some(found.confidence));
                Ok(Found { labels: found.labels, network_mm3, confidence })
            }
            Self::NnUnet { parts, frame, temperature } => {
                let geometry = *scan.geometry();
                let (mut labels, mut confidence) =
                    (Volume::filled(geometry, BACKGROUND), Volume::filled(geometry, 100));
                for (at, (net, classes)) in parts.iter().enumerate() {
                    let part = |share: f32| tell((at as f32 + share) / parts.len() as f32);
                    let options = SegmentOptions { frame: *frame, ..SegmentOptions::default() };
                    let own = net.segment_with_confidence(&[scan], &options, *temperature, &part)?;
                    lay_on_top((labels.data_mut(), confidence.data_mut()), &own, classes);
                }
                Ok(Found { network_mm3: volumes_mm3(&labels), labels, confidence: Some(confidence) })
            }
            Self::ThroughPlane(_) => Err(NeuralError::Input {
                reason: "it makes slices thinner and finds no structures".to_owned(),
                remedy: "use it with `vestibule upsample`, or name a model that finds structures".to_owned(),
            }),
        }
    }
}

/// A scan whose every voxel is a number: what is none becomes the lowest.
///
/// # Errors
/// [`NeuralError::Input`] if no voxel is a number.
pub fn finite(scan: &ScanVolume) -> Result<Cow<'_, ScanVolume>, NeuralError> {
    let ScanVolume::F32(volume) = scan else { return Ok(Cow::Borrowed(scan)) };
    let values = volume.data().par_iter().copied();
    if values.clone().all(f32::is_finite) {
        return Ok(Cow::Borrowed(scan));
    }
    let low = values.filter(|x| x.is_finite()).reduce(|| f32::INFINITY, f32::min);
    if !low.is_finite() {
        return Err(NeuralError::Input {
            reason: "none of its voxels holds a number".to_owned(),
            remedy: "choose another series".to_owned(),
        });
    }
    Ok(Cow::Owned(ScanVolume::F32(volume.par_map(|&x| if x.is_finite() { x } else { low }))))
}

/// The weights of a through-plane model.
///
/// # Errors
/// [`NeuralError`] if the card is of another kind of network, or the weights are of another shape than it says.
pub fn through_plane(card: &ModelCard, files: WeightFiles) -> Result<ThroughPlaneWeights, NeuralError> {
    let Network::ThroughPlane(config) = &card.network else {
        let reason = "its network finds structures and makes no slices thinner".to_owned();
        return Err(NeuralError::Card { reason });
    };
    let weights = ThroughPlaneWeights::from_bytes(&only(card, files)?)?;
    if weights.config != *config {
        let reason = format!("it tells of {config:?}, and its weights are of {:?}", weights.config);
        return Err(NeuralError::Card { reason });
    }
    Ok(weights)
}

/// Puts what a part found over what those before it found.
fn lay_on_top((labels, sure): (&mut [Label], &mut [u8]), own: &NnUnetLabels, classes: &BTreeMap<Label, Label>) {
    let own = own.labels.data().par_iter().zip(own.confidence.data());
    labels.par_iter_mut().zip(sure).zip(own).for_each(|((label, sure), (own, own_sure))| match classes.get(own) {
        Some(&class) => (*label, *sure) = (class, *own_sure),
        None if *label == BACKGROUND => *sure = (*sure).min(*own_sure),
        // The structure lies there by the word of the part that knows it.
        None => {}
    });
}

/// The first of a card's files.
fn only(card: &ModelCard, mut files: WeightFiles) -> Result<Vec<u8>, NeuralError> {
    let file = card.weights.first().map(|w| w.file.as_str()).unwrap_or_default();
    files.remove(file).ok_or_else(|| NeuralError::Card { reason: format!("its weights `{file}` were not read") })
}

fn temperature(card: &ModelCard) -> f32 {
    card.temperature.unwrap_or(1.0) as f32
}

fn nnunet(description: &NnUnetParts, files: &WeightFiles, temperature: f32) -> Result<Model, NeuralError> {
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
    Ok(Model::NnUnet { parts, frame, temperature })
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

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::Point;
    use volume::ImageGeometry;

    #[test]
    fn voxels_that_are_no_numbers_become_the_least() {
        let grid = ImageGeometry::new([4, 1, 1], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let scan = |values: [f32; 4]| ScanVolume::F32(Volume::new(grid, values.to_vec()).unwrap());
        let seen = |values: [f32; 4]| {
            let scan = scan(values);
            let seen = finite(&scan).map(Cow::into_owned);
            seen.map(|s| (0..4).map(|n| s.value(n)).collect::<Vec<f32>>())
        };
        assert_eq!(seen([5.0, f32::NAN, -1000.0, f32::INFINITY]).unwrap(), [5.0, -1000.0, -1000.0, -1000.0]);
        assert_eq!(seen([5.0, 7.0, -1.0, 0.0]).unwrap(), [5.0, 7.0, -1.0, 0.0]);
        assert!(seen([f32::NAN; 4]).unwrap_err().to_string().contains("none of its voxels"));
    }

    #[test]
    fn the_part_that_found_a_structure_says_how_sure() {
        let grid = ImageGeometry::new([4, 1, 1], [1.0; 3], Point::ZERO, DMat3::IDENTITY).unwrap();
        let part = |labels: [Label; 4], sure: [u8; 4]| NnUnetLabels {
            labels: Volume::new(grid, labels.to_vec()).unwrap(),
            confidence: Volume::new(grid, sure.to_vec()).unwrap(),
        };
        let (mut labels, mut sure) = (vec![BACKGROUND; 4], vec![100; 4]);
        let mut lay = |own, classes| lay_on_top((&mut labels, &mut sure), &own, &classes);
        lay(part([0, 1, 1, 0], [90, 80, 70, 60]), BTreeMap::from([(1, 5)]));
        lay(part([0, 0, 2, 2], [99, 50, 55, 65]), BTreeMap::from([(2, 7)]));
        assert_eq!((labels, sure), (vec![0, 5, 7, 7], vec![90, 80, 55, 65]));
    }
}
