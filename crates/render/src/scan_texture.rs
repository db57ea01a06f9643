//! The scan and its labels as 3D textures, with the exact way back from texel to value.

use bevy::asset::RenderAssetUsages;
use bevy::image::{ImageAddressMode, ImageFilterMode, ImageSampler, ImageSamplerDescriptor};
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat, TextureUsages, WgpuFeatures};
use bevy::render::renderer::RenderDevice;
use case::NO_MODEL;
use half::f16;
use volume::{ImageGeometry, Label, LabelMap, ScanVolume, Volume};

use crate::gpu::Gpu;
use crate::tier::RenderTier;
use crate::trust::TrustField;

/// What the device and the tier allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextureLimits {
    /// Most texels along one axis.
    pub max_dimension: usize,
    /// Most bytes for scan and labels together.
    pub max_bytes: usize,
    /// True if the device has 16-bit normalized formats, which keep 16-bit scans exact.
    pub norm16: bool,
}

impl Default for TextureLimits {
    /// What every Vulkan device has to offer, and 512 MiB.
    fn default() -> Self {
        Self { max_dimension: 256, max_bytes: 512 << 20, norm16: false }
    }
}

impl TextureLimits {
    /// What a device can hold within a tier's budget.
    pub fn of_device(device: &RenderDevice, tier: &RenderTier) -> Self {
        Self {
            max_dimension: device.limits().max_texture_dimension_3d as usize,
            max_bytes: tier.scan_mib << 20,
            norm16: device.features().contains(WgpuFeatures::TEXTURE_FORMAT_16BIT_NORM),
        }
    }

    /// The same before there is an app.
    pub fn of_gpu(gpu: &Gpu, tier: &RenderTier) -> Self {
        Self::of_device(gpu.device(), tier)
    }
}

/// A scan and its labels, ready for the graphics device.
#[derive(Debug)]
pub struct ScanTextures {
    /// Values, one channel, linearly filtered.
    pub(crate) scan: Image,
    /// Dense labels, one unsigned channel.
    pub(crate) labels: Image,
    /// Confidence in percent, [`NO_MODEL`] where no model spoke, and 1 where a model made up the value; one texel if there is
    /// nothing to tell.
    pub(crate) trust: Image,
    /// Where the voxels lie.
    pub geometry: ImageGeometry,
    /// Voxels a texel stands for, per axis; 1 is full resolution.
    pub texel_voxels: [usize; 3],
    /// `value = offset + gain · texel`.
    pub(crate) value_offset: f32,
    pub(crate) value_gain: f32,
    /// The label each dense label stands for; 0 is background.
    pub dense_labels: Vec<Label>,
}

impl ScanTextures {
    /// Lays a scan and its labels into textures, coarser where the limits demand it.
    ///
    /// Labels on another grid than the scan's are taken at the nearest voxel; confidence and inferred voxels must lie on its grid.
    pub fn new(scan: &ScanVolume, labels: &LabelMap, trust: &TrustField, limits: &TextureLimits) -> Self {
        let geometry = *scan.geometry();
        let dense_labels = dense_labels(labels);
        let label_bytes = if dense_labels.len() <= 256 { 1 } else { 2 };
        let trust = OnGrid::of(trust, &geometry);
        let texel_voxels = texel_voxels(&geometry, 2 + label_bytes + trust.bytes(), limits);
        let size = texels(&geometry, texel_voxels);
        let (offset, gain, format, data) = scan_texels(scan, texel_voxels, size, limits.norm16);
        let mut scan_image = image_3d(size, format, data);
        scan_image.sampler = ImageSampler::Descriptor(ImageSamplerDescriptor {
            address_mode_u: ImageAddressMode::ClampToEdge,
            address_mode_v: ImageAddressMode::ClampToEdge,
            address_mode_w: ImageAddressMode::ClampToEdge,
            mag_filter: ImageFilterMode::Linear,
            min_filter: ImageFilterMode::Linear,
            ..default()
        });
        let label_data = label_texels(labels, &geometry, &dense_labels, texel_voxels, size);
        let label_format = if label_bytes == 1 { TextureFormat::R8Uint } else { TextureFormat::R16Uint };
        Self {
            scan: scan_image,
            labels: image_3d(size, label_format, label_data),
            trust: trust.image(&geometry, texel_voxels, size),
            geometry,
            texel_voxels,
            value_offset: offset,
            value_gain: gain,
            dense_labels,
        }
    }
}

/// What is known of the voxels of a grid.
struct OnGrid<'a> {
    confidence: Option<&'a [u8]>,
    inferred: Option<&'a [u8]>,
}

impl<'a> OnGrid<'a> {
    /// A volume on another grid says nothing.
    fn of(trust: &'a TrustField, grid: &ImageGeometry) -> Self {
        let here = |volume: &'a Option<Volume<u8>>| {
            volume.as_ref().filter(|v| v.geometry().is_same_grid(grid, 1e-3)).map(Volume::data)
        };
        Self { confidence: here(&trust.confidence), inferred: here(&trust.inferred) }
    }

    fn is_silent(&self) -> bool {
        self.confidence.is_none() && self.inferred.is_none()
    }

    /// A texel.
    fn bytes(&self) -> usize {
        if self.is_silent() { 0 } else { 2 }
    }

    /// The least confidence of each block, and whether a grey value in it is made up: a coarse picture hides no doubt.
    fn image(&self, geometry: &ImageGeometry, step: [usize; 3], size: [usize; 3]) -> Image {
        if self.is_silent() {
            return image_3d([1; 3], TextureFormat::Rg8Uint, vec![NO_MODEL, 0]);
        }
        let mut data = Vec::with_capacity(size.iter().product::<usize>() * 2);
        for_each_block(geometry, step, size, |from, to| {
            let (mut confidence, mut inferred) = (NO_MODEL, 0);
            for k in from[2]..to[2] {
                for j in from[1]..to[1] {
                    for i in from[0]..to[0] {
                        let at = geometry.offset(i, j, k);
                        confidence = confidence.min(self.confidence.map_or(NO_MODEL, |v| v[at]));
                        inferred = inferred.max(self.inferred.map_or(0, |v| made_up(v[at])));
                    }
                }
            }
            data.extend([confidence, inferred]);
        });
        image_3d(size, TextureFormat::Rg8Uint, data)
    }
}

/// 1 if a grey value was not measured, by [`case::Trust::inferred`].
fn made_up(inferred: u8) -> u8 {
    u8::from(inferred != 0 && inferred != case::REFINED)
}

/// Background, then every label that occurs, in order.
fn dense_labels(labels: &LabelMap) -> Vec<Label> {
    std::iter::once(volume::BACKGROUND).chain(labels.counts().into_keys()).collect()
}

fn texels(geometry: &ImageGeometry, texel_voxels: [usize; 3]) -> [usize; 3] {
    let size = geometry.size();
    std::array::from_fn(|a| size[a].div_ceil(texel_voxels[a]))
}

/// The finest texels within the limits; the axis with the finest texels gives way first.
fn texel_voxels(geometry: &ImageGeometry, bytes_per_texel: usize, limits: &TextureLimits) -> [usize; 3] {
    let spacing = geometry.spacing();
    let mut step = geometry.size().map(|n| n.div_ceil(limits.max_dimension.max(1)));
    loop {
        let size = texels(geometry, step);
        let bytes = size.iter().fold(bytes_per_texel, |bytes, &n| bytes.saturating_mul(n));
        if bytes <= limits.max_bytes.max(bytes_per_texel) {
            return step;
        }
        let finest = (0..3)
            .filter(|&a| size[a] > 1)
            .min_by(|&a, &b| (spacing[a] * step[a] as f64).total_cmp(&(spacing[b] * step[b] as f64)));
        match finest {
            Some(axis) => step[axis] += 1,
            None => return step,
        }
    }
}

/// Offset, gain, format and bytes of the scan's texels.
fn scan_texels(
    scan: &ScanVolume,
    step: [usize; 3],
    size: [usize; 3],
    norm16: bool,
) -> (f32, f32, TextureFormat, Vec<u8>) {
    let is_full = step == [1; 3];
    match (scan, norm16) {
        (ScanVolume::I16(volume), true) => {
            // Signed normalized: −32767 … 32767 is −1 … 1, so whole numbers stay exact.
            let clamped = |v: i16| v.max(-i16::MAX).to_le_bytes();
            let data = if is_full {
                volume.data().iter().flat_map(|&v| clamped(v)).collect()
            } else {
                let mean = |sum: f64, n: usize| clamped((sum / n as f64).round() as i16);
                block_means(volume.geometry(), step, size, |at| f64::from(volume.data()[at]), mean)
            };
            (0.0, f32::from(i16::MAX), TextureFormat::R16Snorm, data)
        }
        (ScanVolume::I16(volume), false) => {
            // Half floats hold whole numbers to ±2048 exactly and every second one to ±4096.
            let mean = |sum: f64, n: usize| f16::from_f64(sum / n as f64).to_le_bytes();
            let value = |at: usize| f64::from(volume.data()[at]);
            (0.0, 1.0, TextureFormat::R16Float, block_means(volume.geometry(), step, size, value, mean))
        }
        (ScanVolume::F32(volume), _) => {
            let finite = volume.data().iter().copied().filter(|v| v.is_finite());
            let (low, high) = finite.fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)));
            let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
            let middle = low + (high - low) / 2.0;
            let gain = ((high - low) / 2.0).max(f32::MIN_POSITIVE);
            let value = |at: usize| {
                let v = volume.data()[at];
                if v.is_finite() { f64::from((v - middle) / gain) } else { -1.0 }
            };
            if norm16 {
                let mean = |sum: f64, n: usize| ((sum / n as f64 * f64::from(i16::MAX)).round() as i16).to_le_bytes();
                let data = block_means(volume.geometry(), step, size, value, mean);
                (middle, gain, TextureFormat::R16Snorm, data)
            } else {
                let mean = |sum: f64, n: usize| f16::from_f64(sum / n as f64).to_le_bytes();
                (middle, gain, TextureFormat::R16Float, block_means(volume.geometry(), step, size, value, mean))
            }
        }
    }
}

/// The mean of each block of voxels, encoded in two bytes.
fn block_means(
    geometry: &ImageGeometry,
    step: [usize; 3],
    size: [usize; 3],
    value: impl Fn(usize) -> f64,
    encode: impl Fn(f64, usize) -> [u8; 2],
) -> Vec<u8> {
    let mut data = Vec::with_capacity(size.iter().product::<usize>() * 2);
    for_each_block(geometry, step, size, |from, to| {
        let (mut sum, mut count) = (0.0, 0);
        for k in from[2]..to[2] {
            for j in from[1]..to[1] {
                for i in from[0]..to[0] {
                    sum += value(geometry.offset(i, j, k));
                    count += 1;
                }
            }
        }
        data.extend(encode(sum, count));
    });
    data
}

fn for_each_block(
    geometry: &ImageGeometry,
    step: [usize; 3],
    size: [usize; 3],
    mut block: impl FnMut([usize; 3], [usize; 3]),
) {
    let full = geometry.size();
    for k in 0..size[2] {
        for j in 0..size[1] {
            for i in 0..size[0] {
                let from = [i * step[0], j * step[1], k * step[2]];
                let to = std::array::from_fn(|a| (from[a] + step[a]).min(full[a]));
                block(from, to);
            }
        }
    }
}

/// The dense label in the middle of each block.
fn label_texels(
    labels: &LabelMap,
    scan: &ImageGeometry,
    dense_labels: &[Label],
    step: [usize; 3],
    size: [usize; 3],
) -> Vec<u8> {
    let mut dense_of = vec![0u16; usize::from(Label::MAX) + 1];
    for (dense, &label) in dense_labels.iter().enumerate() {
        dense_of[usize::from(label)] = dense as u16;
    }
    let is_wide = dense_labels.len() > 256;
    let own = *labels.geometry();
    let is_same = own.is_same_grid(scan, 1e-3);
    let own_from_scan = own.index_from_lps() * scan.lps_from_index();
    let mut data = Vec::with_capacity(size.iter().product::<usize>() * if is_wide { 2 } else { 1 });
    for_each_block(scan, step, size, |from, to| {
        let [i, j, k] = std::array::from_fn(|a| (from[a] + to[a] - 1) / 2);
        let label = if is_same {
            labels.voxels.data()[own.offset(i, j, k)]
        } else {
            let there = (own_from_scan * space::Point::new(i as f64, j as f64, k as f64)).get().round();
            if there.min_element() < 0.0 {
                volume::BACKGROUND
            } else {
                let found = labels.voxels.get(there.x as usize, there.y as usize, there.z as usize);
                found.copied().unwrap_or(volume::BACKGROUND)
            }
        };
        let dense = dense_of[usize::from(label)];
        if is_wide { data.extend(dense.to_le_bytes()) } else { data.push(dense as u8) }
    });
    data
}

fn image_3d(size: [usize; 3], format: TextureFormat, data: Vec<u8>) -> Image {
    let [width, height, depth] = size.map(|n| n as u32);
    let extent = Extent3d { width, height, depth_or_array_layers: depth };
    let mut image = Image::new(extent, TextureDimension::D3, data, format, RenderAssetUsages::RENDER_WORLD);
    image.texture_descriptor.usage = TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_DST;
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use glam::DMat3;
    use space::Point;
    use std::collections::BTreeMap;

    fn geometry(size: [usize; 3], spacing: [f64; 3]) -> ImageGeometry {
        ImageGeometry::new(size, spacing, Point::ZERO, DMat3::IDENTITY).unwrap()
    }

    fn unlabelled(geometry: ImageGeometry) -> LabelMap {
        LabelMap { voxels: Volume::filled(geometry, 0), segments: BTreeMap::new() }
    }

    fn first_value(textures: &ScanTextures) -> f32 {
        let data = textures.scan.data.as_deref().unwrap();
        let bytes = [data[0], data[1]];
        let texel = match textures.scan.texture_descriptor.format {
            TextureFormat::R16Snorm => f32::from(i16::from_le_bytes(bytes)) / f32::from(i16::MAX),
            _ => f16::from_le_bytes(bytes).to_f32(),
        };
        textures.value_offset + textures.value_gain * texel
    }

    #[test]
    fn values_come_back_in_every_format() {
        let g = geometry([2, 2, 2], [1.0; 3]);
        for norm16 in [false, true] {
            let limits = TextureLimits { norm16, ..TextureLimits::default() };
            for value in [-1024i16, 0, 37, 2047] {
                let scan = ScanVolume::I16(Volume::filled(g, value));
                let found = first_value(&ScanTextures::new(&scan, &unlabelled(g), &TrustField::default(), &limits));
                assert!((found - f32::from(value)).abs() < 0.01, "{value} came back as {found}, norm16 {norm16}");
            }
            let scan = ScanVolume::F32(Volume::from_fn(g, |[i, j, k]| 0.25 + (i + j + k) as f32 * 1000.0));
            let found = first_value(&ScanTextures::new(&scan, &unlabelled(g), &TrustField::default(), &limits));
            assert!((found - 0.25).abs() < 2.0, "0.25 came back as {found}, norm16 {norm16}");
        }
    }

    #[test]
    fn limits_are_kept_and_the_finest_axis_gives_way() {
        let g = geometry([64, 64, 16], [0.5, 0.5, 4.0]);
        let limits = TextureLimits { max_dimension: 64, max_bytes: 3 * 32 * 32 * 16, norm16: true };
        assert_eq!(texel_voxels(&g, 3, &limits), [2, 2, 1]);
        let small = TextureLimits { max_dimension: 20, max_bytes: usize::MAX, norm16: true };
        let step = texel_voxels(&g, 3, &small);
        assert_eq!(step, [4, 4, 1]);
        assert_eq!(texels(&g, step), [16, 16, 16]);
    }

    #[test]
    fn many_labels_take_two_bytes_and_keep_their_order() {
        let g = geometry([400, 1, 1], [1.0; 3]);
        let labels = LabelMap { voxels: Volume::from_fn(g, |[i, ..]| (i * 7) as u16), segments: BTreeMap::new() };
        let scan = ScanVolume::I16(Volume::filled(g, 0));
        let limits = TextureLimits { max_dimension: 512, ..TextureLimits::default() };
        let textures = ScanTextures::new(&scan, &labels, &TrustField::default(), &limits);
        assert_eq!(textures.labels.texture_descriptor.format, TextureFormat::R16Uint);
        assert_eq!(textures.dense_labels[2], 14);
        let data = textures.labels.data.as_deref().unwrap();
        assert_eq!([data[4], data[5]], [2, 0]);
    }

    #[test]
    fn labels_of_another_grid_land_where_they_lie() {
        let fine = geometry([8, 8, 8], [1.0; 3]);
        let coarse = ImageGeometry::new([4, 4, 4], [2.0; 3], Point::new(0.5, 0.5, 0.5), DMat3::IDENTITY).unwrap();
        let labels =
            LabelMap { voxels: Volume::from_fn(coarse, |[i, ..]| u16::from(i >= 2)), segments: BTreeMap::new() };
        let scan = ScanVolume::I16(Volume::filled(fine, 0));
        let textures = ScanTextures::new(&scan, &labels, &TrustField::default(), &TextureLimits::default());
        assert_eq!(&textures.labels.data.as_deref().unwrap()[..8], &[0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn a_coarse_picture_hides_no_doubt() {
        let g = geometry([4, 2, 1], [1.0; 3]);
        let confidence =
            Volume::from_fn(g, |[i, j, _]| [NO_MODEL, 90, 80, NO_MODEL][i].min(if j == 0 { 255 } else { 95 }));
        let inferred = Volume::from_fn(g, |[i, j, _]| if i == 3 && j == 1 { 7 } else { 0 });
        let scan = ScanVolume::I16(Volume::filled(g, 0));
        let of = |trust: &TrustField, max_dimension| {
            let limits = TextureLimits { max_dimension, ..TextureLimits::default() };
            ScanTextures::new(&scan, &unlabelled(g), trust, &limits).trust.data.unwrap()
        };
        let both = TrustField { confidence: Some(confidence), inferred: Some(inferred) };
        assert_eq!(of(&both, 4), [255, 0, 90, 0, 80, 0, 255, 0, 95, 0, 90, 0, 80, 0, 95, 1]);
        assert_eq!(of(&both, 2), [90, 0, 80, 0, 90, 0, 80, 1]);
        let made_up = TrustField { confidence: None, ..both };
        assert_eq!(of(&made_up, 2), [255, 0, 255, 0, 255, 0, 255, 1]);
        assert_eq!(of(&TrustField::default(), 4), [255, 0]);
        // Surfaces from finer slices leave the grey values what was measured.
        let refined = Volume::filled(g, case::REFINED);
        assert_eq!(of(&TrustField { confidence: None, inferred: Some(refined) }, 1), [255, 0]);
        let elsewhere = Volume::filled(geometry([4, 2, 2], [1.0; 3]), 1);
        assert_eq!(of(&TrustField { confidence: None, inferred: Some(elsewhere) }, 4), [255, 0]);
    }
}
