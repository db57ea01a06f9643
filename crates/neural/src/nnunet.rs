//! nnU-Net v2: networks, read from the results folder that its trainer leaves, run as its own predictor runs them.
//!
//! Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature Methods
//! 18 (2021). A scan is transposed, cropped to what is not zero, normalised, and resampled to the network's grid; a window
//! slides over it; the answers come back to the scan's own grid, where the greatest wins. `docs/neural.md` says how closely
//! that follows the reference.

mod dataset;
mod export;
mod folder;
mod network;
mod plans;
mod preprocess;
mod resample;
mod view;
mod window;
mod work;

use candle_core::{Device, Tensor};
use volume::{ScanVolume, Volume};

pub use self::dataset::{Dataset, Heads};
use self::export::{Export, Sure};
pub use self::network::Network;
pub use self::plans::{
    Architecture, Configuration, InstanceNormConfig, Intensities, NetworkKind, NormMask, Normalization, Plans,
    Resampling, Stage,
};
use self::preprocess::Prepared;
use self::view::View;
use self::window::{Image, Windows};
pub(crate) use self::window::{gaussian, steps};
pub use self::work::NnUnetWork;
use crate::NeuralError;
use crate::weights::{Checkpoint, Tensors};

/// A trained nnU-Net.
#[derive(Debug)]
pub struct NnUnet {
    plans: Plans,
    dataset: Dataset,
    configuration: Configuration,
    networks: Vec<Network>,
    mirror_axes: Vec<usize>,
}

/// What a network found in a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct NnUnetLabels {
    /// Of each voxel of the scan's own grid.
    pub labels: Volume<u16>,
    /// How probable each is by the network, in percent.
    pub confidence: Volume<u8>,
}

/// Which files of a results folder are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// A part of the path that tells this model's folder from others; needed if there are several.
    pub folder: Option<String>,
    /// Which folds are averaged.
    pub folds: Fold,
    /// The name of the files with weights.
    pub checkpoint: String,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { folder: None, folds: Fold::All, checkpoint: "checkpoint_final.pth".into() }
    }
}

/// Which folds of a cross-validation are averaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fold {
    /// All that are there.
    All,
    /// Those of these names: `0`, `1`, …, `all`.
    Only(Vec<String>),
}

/// How a scan is segmented.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentOptions {
    /// From one window to the next, as a part of the window; above 0, at most 1.
    pub step: f64,
    /// Whether answers are averaged over mirrored scans.
    pub mirroring: Mirroring,
    /// Along which axes the network sees the scan.
    pub frame: Frame,
    /// How the answers of windows are summed.
    pub sums: Sums,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self { step: 0.5, mirroring: Mirroring::AsTrained, frame: Frame::AsTrained, sums: Sums::AsReference }
    }
}

/// Averaging over mirrored scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirroring {
    /// Along all axes that the network was trained to be mirrored along: eight times the work for three axes.
    AsTrained,
    /// None.
    Off,
}

/// Along which axes a network sees a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// As the plans' reader of images does it.
    AsTrained,
    /// As the scan is stored: slice, row, column.
    Stored,
    /// Turned so that axes run to superior, anterior and right, as TotalSegmentator does before it calls nnU-Net.
    Canonical,
}

/// How the answers of windows are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sums {
    /// Rounded to half precision at every step, as nnunetv2 2 does it, if there are at most twice as many classes as last features,
    /// so that this needs no more memory than the features; else as [`Sums::Single`].
    ///
    /// Where a window's weight is near zero, as in the corners of a scan, answers keep few digits by this: it decides near ties only,
    /// but those as the reference does.
    AsReference,
    /// In single precision: of answers or of the features before the last layer, whichever are fewer.
    Single,
}

impl NnUnet {
    /// Reads a model from a results folder: `paths` are the files in it, `file` gives the bytes of one.
    ///
    /// # Errors
    /// [`NeuralError::Description`] if a file is missing or not understood, [`NeuralError::NotWeights`] if a checkpoint is
    /// damaged or no checkpoint, and those of [`Network::load`].
    pub fn read(
        paths: &[&str],
        file: &dyn Fn(&str) -> Option<Vec<u8>>,
        options: &ReadOptions,
    ) -> Result<Self, NeuralError> {
        let files = folder::find(paths, options)?;
        let read = |path: &str| {
            let missing = || NeuralError::Description { field: path.to_owned(), reason: "cannot be read".into() };
            file(path).ok_or_else(missing)
        };
        let plans = Plans::read(&read(files.plans)?)?;
        let dataset = Dataset::read(&read(files.dataset)?)?;
        let mut model: Option<Self> = None;
        for path in files.checkpoints {
            let bytes = read(path)?;
            let checkpoint = Checkpoint::read(&bytes)?;
            let root = checkpoint.root();
            let weights = root.get("network_weights").ok_or_else(|| NeuralError::NotWeights {
                format: "PyTorch checkpoint",
                reason: "it has no `network_weights`, so nnU-Net did not write it".into(),
            })?;
            let tensors = checkpoint.tensors(weights)?;
            let model = match &mut model {
                Some(model) => model,
                None => {
                    let name = root.get("init_args").and_then(|a| a.get("configuration")).and_then(|c| c.as_str());
                    let axes = root
                        .get("inference_allowed_mirroring_axes")
                        .map(|axes| axes.items().filter_map(|a| a.as_i64()));
                    let axes = axes.into_iter().flatten().filter_map(|a| usize::try_from(a).ok()).collect();
                    model.insert(Self::new(plans.clone(), dataset.clone(), name.unwrap_or("3d_fullres"), axes)?)
                }
            };
            model.add(&tensors)?;
        }
        model.ok_or_else(|| NeuralError::Description { field: "fold_*".into(), reason: "is missing".into() })
    }

    /// A model without networks yet; `mirror_axes` are those that it was trained to be mirrored along.
    ///
    /// # Errors
    /// [`NeuralError::Description`] if the plans have no such configuration, or one that cannot run here.
    pub fn new(
        plans: Plans,
        dataset: Dataset,
        configuration: &str,
        mirror_axes: Vec<usize>,
    ) -> Result<Self, NeuralError> {
        let description =
            |field: &str, reason: &str| NeuralError::Description { field: field.into(), reason: reason.into() };
        let configuration = plans.configuration(configuration, dataset.channels.len(), dataset.heads.len())?;
        if configuration.is_cascade {
            return Err(description(&configuration.name, "is the second of a cascade, which does not run here"));
        }
        let resampling = configuration.resampling_probabilities;
        if resampling.order > 1 || resampling.order_z > 1 {
            let reason = "ask for more than linear interpolation, which does not run here";
            return Err(description("resampling_fn_probabilities_kwargs", reason));
        }
        let mut sorted = mirror_axes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != mirror_axes.len() || mirror_axes.iter().any(|&a| a > 2) {
            return Err(description("inference_allowed_mirroring_axes", "are not some of 0, 1 and 2"));
        }
        Ok(Self { plans, dataset, configuration, networks: Vec::new(), mirror_axes })
    }

    /// Adds a network to those that are averaged.
    ///
    /// # Errors
    /// Those of [`Network::load`].
    pub fn add(&mut self, tensors: &Tensors) -> Result<(), NeuralError> {
        self.networks.push(Network::load(&self.configuration.architecture, tensors)?);
        Ok(())
    }

    /// The plans.
    pub fn plans(&self) -> &Plans {
        &self.plans
    }

    /// Channels and labels.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The configuration that it was trained with.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The networks that are averaged, one a fold.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// Axes that it was trained to be mirrored along, as the network counts them.
    pub fn mirror_axes(&self) -> &[usize] {
        &self.mirror_axes
    }

    /// Labels of a scan of one channel, on its own grid.
    ///
    /// `progress` is told the part of the windows that is done, from 0 to 1, from one thread at a time.
    ///
    /// # Errors
    /// As [`NnUnet::segment_channels`].
    pub fn segment(
        &self,
        scan: &ScanVolume,
        options: &SegmentOptions,
        progress: &(dyn Fn(f32) + Sync),
    ) -> Result<Volume<u16>, NeuralError> {
        self.segment_channels(&[scan], options, progress)
    }

    /// Labels of a scan of several channels on one grid, in the order of [`Dataset::channels`].
    ///
    /// # Errors
    /// [`NeuralError::Input`] if the channels are not those of the network or lie on different grids;
    /// [`NeuralError::NotFinite`] if the network gives no numbers.
    pub fn segment_channels(
        &self,
        scans: &[&ScanVolume],
        options: &SegmentOptions,
        progress: &(dyn Fn(f32) + Sync),
    ) -> Result<Volume<u16>, NeuralError> {
        let prepared = self.prepared(scans, options)?;
        let mut labels = Volume::filled(*scans[0].geometry(), 0u16);
        self.run(&prepared, options, labels.data_mut(), None, progress)?;
        Ok(labels)
    }

    /// As [`NnUnet::segment_channels`], and how probable each label is; `temperature` divides the answers before softmax.
    ///
    /// # Errors
    /// As [`NnUnet::segment_channels`].
    pub fn segment_with_confidence(
        &self,
        scans: &[&ScanVolume],
        options: &SegmentOptions,
        temperature: f32,
        progress: &(dyn Fn(f32) + Sync),
    ) -> Result<NnUnetLabels, NeuralError> {
        let prepared = self.prepared(scans, options)?;
        let geometry = *scans[0].geometry();
        // Where the scan is cropped away there is nothing, surely.
        let (mut labels, mut confidence) = (Volume::filled(geometry, 0u16), Volume::filled(geometry, 100u8));
        let sure = Sure { percent: confidence.data_mut(), temperature };
        self.run(&prepared, options, labels.data_mut(), Some(sure), progress)?;
        Ok(NnUnetLabels { labels, confidence })
    }

    fn run(
        &self,
        prepared: &Prepared,
        options: &SegmentOptions,
        labels: &mut [u16],
        sure: Option<Sure<'_>>,
        progress: &(dyn Fn(f32) + Sync),
    ) -> Result<(), NeuralError> {
        let resampling = &self.configuration.resampling_probabilities;
        let axis = resample::separate_axis(resampling, self.configuration.spacing, prepared.spacing_mm);
        let taps = [0, 1, 2].map(|a| {
            let order = if axis == Some(a) { resampling.order_z } else { resampling.order };
            resample::taps(prepared.size[a], prepared.view.size[a], order)
        });
        let mirrors = match options.mirroring {
            Mirroring::AsTrained => subsets(&self.mirror_axes),
            Mirroring::Off => vec![Vec::new()],
        };
        let windows = Windows {
            networks: &self.networks,
            heads: self.dataset.heads.len(),
            size: self.configuration.patch_size,
            step: options.step,
            mirrors: &mirrors,
            sums: options.sums,
        };
        let (heads, half) = (&self.dataset.heads, windows.half()?);
        let mut export = Export::new(heads, prepared.size, taps, prepared.view, labels, half).with_confidence(sure);
        let image = Image { values: &prepared.values, size: prepared.size };
        windows.run(image, progress, |plane, answers| export.push(plane, answers))
    }

    /// What the network sees of a scan, `[1, channels, D, H, W]`: turned, cropped, normalised and resampled.
    ///
    /// # Errors
    /// As [`NnUnet::segment_channels`].
    pub fn preprocessed(&self, scans: &[&ScanVolume], options: &SegmentOptions) -> Result<Tensor, NeuralError> {
        let prepared = self.prepared(scans, options)?;
        let [d, h, w] = prepared.size;
        Ok(Tensor::from_vec(prepared.values, (1, scans.len(), d, h, w), &Device::Cpu)?)
    }

    fn prepared(&self, scans: &[&ScanVolume], options: &SegmentOptions) -> Result<Prepared, NeuralError> {
        let geometry = self.checked(scans, options)?;
        let canonical = match options.frame {
            Frame::AsTrained => self.plans.image_reader_writer == "NibabelIOWithReorient",
            Frame::Stored => false,
            Frame::Canonical => true,
        };
        let seen = if canonical { View::canonical(geometry) } else { View::stored(geometry) };
        preprocess::prepare(scans, seen, &self.plans, &self.configuration)
    }

    fn checked<'a>(
        &self,
        scans: &[&'a ScanVolume],
        options: &SegmentOptions,
    ) -> Result<&'a volume::ImageGeometry, NeuralError> {
        let input = |reason: String, remedy: &str| NeuralError::Input { reason, remedy: remedy.to_owned() };
        let wanted = &self.dataset.channels;
        let (Some(first), true) = (scans.first(), scans.len() == wanted.len()) else {
            let reason = format!("it takes {} channels ({}), not {}", wanted.len(), wanted.join(", "), scans.len());
            return Err(input(reason, "give one scan for each of them"));
        };
        if !scans.iter().all(|scan| scan.geometry().is_same_grid(first.geometry(), 1e-3)) {
            return Err(input("its channels lie on different grids".into(), "resample them to one grid"));
        }
        if !(options.step > 0.0 && options.step <= 1.0) {
            return Err(input(format!("a step of {} windows", options.step), "give one above 0 and at most 1"));
        }
        if self.networks.is_empty() {
            return Err(input("it has no networks yet".into(), "add one"));
        }
        Ok(first.geometry())
    }
}

/// All sets of some axes, the empty one first.
fn subsets(axes: &[usize]) -> Vec<Vec<usize>> {
    (0..1usize << axes.len())
        .map(|set| axes.iter().enumerate().filter(|(n, _)| set >> n & 1 == 1).map(|(_, &a)| a).collect())
        .collect()
}
