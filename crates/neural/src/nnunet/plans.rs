//! `plans.json`: how nnU-Net prepares scans and builds its network.

mod architecture;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use self::architecture::{Architecture, InstanceNormConfig, NetworkKind, Stage};
use crate::NeuralError;

/// Voxels of the largest patch: features of its first layers then take gigabytes.
const MOST_PATCH: usize = 1 << 26;

/// The plans of a results folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Plans {
    /// Array axes in the order of the network: entry `a` is the axis of the stored `[z, y, x]` that becomes axis `a`.
    pub transpose_forward: [usize; 3],
    /// How images were read for training: `SimpleITKIO` takes them as stored, `NibabelIOWithReorient` turns them to RAS.
    pub image_reader_writer: String,
    /// Intensities of the foreground in the training data, by channel.
    pub intensities: BTreeMap<usize, Intensities>,
    configurations: Map<String, Value>,
}

/// Intensities of the foreground in the training data.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Intensities {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// The value below which 0.5 % lie.
    pub percentile_00_5: f64,
    /// The value below which 99.5 % lie.
    pub percentile_99_5: f64,
}

/// One way of training, such as `3d_fullres`.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Its name in the plans.
    pub name: String,
    /// The network's grid in mm, in the order of its axes.
    pub spacing: [f64; 3],
    /// Voxels of the network's window, in the order of its axes.
    pub patch_size: [usize; 3],
    /// By channel.
    pub normalization: Vec<(Normalization, NormMask)>,
    /// How images come onto the network's grid.
    pub resampling_data: Resampling,
    /// How its answers come back.
    pub resampling_probabilities: Resampling,
    /// Whether the labels of another configuration are an input.
    pub is_cascade: bool,
    /// The network.
    pub architecture: Architecture,
}

/// What is done with a channel's intensities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// Cut at the training data's percentiles, then by its mean and standard deviation.
    Ct,
    /// By the scan's own mean and standard deviation.
    ZScore,
    /// From 0 to 1 between the scan's own minimum and maximum.
    RescaleTo01,
    /// From 0 to 1 between 0 and 255.
    RgbTo01,
    /// Nothing.
    None,
}

/// Which voxels give the statistics of [`Normalization::ZScore`], and are changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormMask {
    /// All.
    Everything,
    /// Those that are not zero, with the holes in them.
    NonZero,
}

/// Splines between two grids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resampling {
    /// Degree of the splines: 0, 1 or 3.
    pub order: u8,
    /// The same along the coarse axis, where that is resampled by itself.
    pub order_z: u8,
    /// Whether the coarse axis is resampled by itself; without it where its spacing is more than three times the finest.
    pub force_separate_z: Option<bool>,
}

fn description(field: impl Into<String>, reason: impl Into<String>) -> NeuralError {
    NeuralError::Description { field: field.into(), reason: reason.into() }
}

impl Plans {
    /// Reads `plans.json`.
    ///
    /// # Errors
    /// [`NeuralError::Description`] with the key that is missing or not understood.
    pub fn read(json: &[u8]) -> Result<Self, NeuralError> {
        let plans: Value =
            serde_json::from_slice(json).map_err(|e| description("plans.json", format!("is no JSON: {e}")))?;
        let transpose = field(&plans, "transpose_forward")?;
        let transpose_forward = axes(transpose).filter(|axes| {
            let mut sorted = *axes;
            sorted.sort_unstable();
            sorted == [0, 1, 2]
        });
        let transpose_forward = transpose_forward
            .ok_or_else(|| description("transpose_forward", format!("is no order of three axes: {transpose}")))?;
        let intensities = plans
            .get("foreground_intensity_properties_per_channel")
            .or_else(|| plans.get("foreground_intensity_properties_by_modality"))
            .cloned()
            .unwrap_or_else(|| Value::Object(Map::new()));
        let intensities = serde_json::from_value(intensities).map_err(|e| {
            description("foreground_intensity_properties_per_channel", format!("is not understood: {e}"))
        })?;
        let Value::Object(configurations) = field(&plans, "configurations")?.clone() else {
            return Err(description("configurations", "is no object"));
        };
        let reader = plans.get("image_reader_writer").and_then(Value::as_str).unwrap_or("SimpleITKIO");
        Ok(Self { transpose_forward, image_reader_writer: reader.to_owned(), intensities, configurations })
    }

    /// The names of the configurations.
    pub fn configurations(&self) -> impl Iterator<Item = &str> {
        self.configurations.keys().map(String::as_str)
    }

    /// A configuration with all that it inherits, for an image of `channels` and a network of `heads` outputs.
    ///
    /// # Errors
    /// [`NeuralError::Description`] if it is missing, inherits from itself, or has a part that is not known here.
    pub fn configuration(&self, name: &str, channels: usize, heads: usize) -> Result<Configuration, NeuralError> {
        let merged = Value::Object(self.inherited(name)?);
        let at = |key: &str| field(&merged, key);
        let three = |key: &str| {
            axes(at(key)?).ok_or_else(|| description(key, "is not three numbers; only 3D networks run here"))
        };
        let spacing =
            at("spacing")?.as_array().filter(|s| s.len() == 3).map(|s| [0, 1, 2].map(|a| s[a].as_f64().unwrap_or(0.0)));
        let spacing = spacing.filter(|s| s.iter().all(|&x| x.is_finite() && x > 0.0));
        let spacing =
            spacing.ok_or_else(|| description("spacing", "is not three lengths; only 3D networks run here"))?;
        let patch_size = three("patch_size")?;
        let voxels = patch_size.iter().fold(1, |all: usize, &p| all.saturating_mul(p));
        if !(1..=MOST_PATCH).contains(&voxels) {
            return Err(description("patch_size", format!("cannot be {patch_size:?}")));
        }
        Ok(Configuration {
            name: name.to_owned(),
            spacing,
            patch_size,
            normalization: normalization(&merged, channels)?,
            resampling_data: resampling(&merged, "resampling_fn_data", 3)?,
            resampling_probabilities: resampling(&merged, "resampling_fn_probabilities", 1)?,
            is_cascade: merged.get("previous_stage").is_some_and(|p| !p.is_null()),
            architecture: Architecture::read(&merged, channels, heads)?,
        })
    }

    /// The keys of a configuration over those of its parents.
    fn inherited(&self, name: &str) -> Result<Map<String, Value>, NeuralError> {
        let mut chain = Vec::new();
        let mut next = Some(name.to_owned());
        while let Some(name) = next {
            if chain.len() >= self.configurations.len() {
                return Err(description("inherits_from", format!("leads `{name}` back to itself")));
            }
            let Some(Value::Object(own)) = self.configurations.get(&name) else {
                let known = self.configurations().collect::<Vec<_>>().join(", ");
                return Err(description("configurations", format!("has no `{name}`; there are: {known}")));
            };
            next = own.get("inherits_from").and_then(Value::as_str).map(str::to_owned);
            chain.push(own);
        }
        let mut merged = Map::new();
        for own in chain.into_iter().rev() {
            merged.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(merged)
    }
}

fn field<'a>(value: &'a Value, key: &str) -> Result<&'a Value, NeuralError> {
    value.get(key).ok_or_else(|| description(key, "is missing"))
}

/// Three whole numbers.
fn axes(value: &Value) -> Option<[usize; 3]> {
    let [a, b, c] = value.as_array()?.as_slice() else { return None };
    let number = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
    Some([number(a)?, number(b)?, number(c)?])
}

fn normalization(merged: &Value, channels: usize) -> Result<Vec<(Normalization, NormMask)>, NeuralError> {
    let key = "normalization_schemes";
    let schemes = field(merged, key)?.as_array().ok_or_else(|| description(key, "is no list"))?;
    let masks = merged.get("use_mask_for_norm").and_then(Value::as_array);
    if schemes.len() < channels {
        return Err(description(key, format!("has {} entries for {channels} channels", schemes.len())));
    }
    let scheme = |(channel, scheme): (usize, &Value)| {
        let scheme = match scheme.as_str() {
            Some("CTNormalization") => Normalization::Ct,
            Some("ZScoreNormalization") => Normalization::ZScore,
            Some("RescaleTo01Normalization") => Normalization::RescaleTo01,
            Some("RGBTo01Normalization") => Normalization::RgbTo01,
            Some("NoNormalization") => Normalization::None,
            _ => return Err(description(key, format!("has {scheme}, which is not known here"))),
        };
        let masked = masks.and_then(|m| m.get(channel)).and_then(Value::as_bool).unwrap_or(false);
        Ok((scheme, if masked { NormMask::NonZero } else { NormMask::Everything }))
    };
    schemes.iter().take(channels).enumerate().map(scheme).collect()
}

fn resampling(merged: &Value, key: &str, default: u8) -> Result<Resampling, NeuralError> {
    let name = merged.get(key).and_then(Value::as_str).unwrap_or("resample_data_or_seg_to_shape");
    if name != "resample_data_or_seg_to_shape" {
        return Err(description(key, format!("is `{name}`; only nnU-Net's default resampling runs here")));
    }
    let kwargs = merged.get(format!("{key}_kwargs"));
    let order = |name: &str, default: u8| match kwargs.and_then(|k| k.get(name)).map(|v| (v, v.as_u64())) {
        None => Ok(default),
        Some((_, Some(order @ (0 | 1 | 3)))) => Ok(order as u8),
        Some((value, _)) => {
            Err(description(format!("{key}_kwargs.{name}"), format!("is {value}; 0, 1 and 3 are known")))
        }
    };
    Ok(Resampling {
        order: order("order", default)?,
        order_z: order("order_z", 0)?,
        // The reference's own default is `False`, but every plan it writes says `null`.
        force_separate_z: kwargs.map_or(Some(false), |k| k.get("force_separate_z").map_or(Some(false), Value::as_bool)),
    })
}

#[cfg(test)]
mod tests;
