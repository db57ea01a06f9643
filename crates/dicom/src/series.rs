//! A stack of slices → a volume.

use std::collections::BTreeMap;

use rayon::prelude::*;
use volume::{ScanVolume, Volume};

use crate::codec::is_plausible_series;
use crate::error::DicomError;
use crate::grouping::{SliceRef, Stack};
use crate::identity::IdentityGuard;
use crate::instance::{Instance, Plane, Rescale};
use crate::inventory::Inventory;
use crate::part10::Codec;
use crate::pixels::{FrameReader, PixelFormat, rescale_in_place, stored_values};
use crate::planes::{Blend, Layout};
use crate::regrid::regrid;
use crate::report::{Finding, Modality, Obstacle, SeriesReport};

/// A scan without its patient's identity.
#[derive(Clone, Debug)]
pub struct Scan {
    /// CT in HU, others in their own intensity, as rescaled by the file; on the slices' grid with `k` along their normal.
    pub volume: ScanVolume,
    /// How the images were made.
    pub modality: Modality,
    /// True if a contrast agent was given.
    pub contrast: bool,
    /// Window center and width that the middle slice suggests, in the volume's unit.
    pub window: Option<(f32, f32)>,
    /// Lowest and highest value that means "no measurement here", in the volume's unit; such voxels are left in place.
    pub padding: Option<(f32, f32)>,
    /// What was found, left out and repaired.
    pub report: SeriesReport,
    /// Refuses names that would give the patient away.
    pub identity: IdentityGuard,
}

/// What scanners write for air where nothing was measured.
const CT_OUTSIDE: f32 = -1024.0;

/// Reads a series of an inventory.
///
/// Values equal the stored ones times slope plus intercept, computed in double precision. They are 16-bit integers if all
/// fit, else single precision. Voxels are resampled only where [`SeriesReport::resampled`] says so.
///
/// # Errors
/// [`DicomError`] if there is no such series, it is no volume, or a file cannot be read or decoded.
pub fn read_series(inventory: &Inventory, series_index: usize) -> Result<Scan, DicomError> {
    let (Some(summary), Some(entry)) = (inventory.series.get(series_index), inventory.stacks.get(series_index)) else {
        let known = inventory.series.iter().map(|s| s.selector()).collect();
        return Err(DicomError::NoSuchSeries { selector: format!("number {series_index}"), known });
    };
    let not_a_volume = |obstacle| DicomError::NotAVolume { obstacle, path: inventory.root.join(&entry.example) };
    if let Some(obstacle) = &summary.obstacle {
        return Err(not_a_volume(obstacle.clone()));
    }
    let Some(stack) = &entry.stack else { return Err(not_a_volume(Obstacle::Localizer)) };
    let layout = stack.layout.as_ref().map_err(|obstacle| not_a_volume(obstacle.clone()))?;

    let instances = &inventory.instances;
    let slices = slices(instances, stack);
    let (decoded, encoded) = compressed_bytes(&slices);
    if !is_plausible_series(decoded, encoded) {
        let reason = format!("{decoded} bytes of pixels cannot come out of {encoded} compressed ones");
        return Err(not_a_volume(Obstacle::Damaged { reason }));
    }
    let measured = read_slices(&slices, stack)?;
    let mut findings = summary.findings.clone();
    if matches!(measured, Voxels::F32(_)) {
        findings.push(Finding::SinglePrecision);
    }
    let modality = summary.modality;
    let volume = lay_out(measured, &slices, layout, modality)
        .map_err(|e| not_a_volume(Obstacle::NoStack { reason: e.to_string() }))?;
    let on_slice = |k: usize, blend: &Blend| (blend.weight != 0.0).then_some(k);
    let members = stack.slices.iter().map(|slice| &instances[slice.instance]);
    Ok(Scan {
        volume,
        modality,
        contrast: summary.contrast,
        window: slices.get(slices.len() / 2).and_then(|slice| slice.plane.window),
        padding: padding(&slices),
        report: SeriesReport {
            findings,
            files: summary.files,
            measured_slices: slices.len(),
            interpolated_slices: layout.blends.iter().enumerate().filter_map(|(k, b)| on_slice(k, b)).collect(),
            gap_slices: (0..layout.blends.len()).filter(|&k| layout.blends[k].in_gap).collect(),
            resampled: layout.resampled,
        },
        identity: members.fold(IdentityGuard::default(), |guard, instance| guard.joined(&instance.identity)),
    })
}

/// A measured slice with all it takes to read it.
struct MeasuredSlice<'a> {
    at: SliceRef,
    instance: &'a Instance,
    plane: &'a Plane,
    format: &'a PixelFormat,
    /// With the complement of MONOCHROME1 worked in, where it applies.
    rescale: Rescale,
}

enum Voxels {
    I16(Vec<i16>),
    F32(Vec<f32>),
}

fn slices<'a>(instances: &'a [Instance], stack: &Stack) -> Vec<MeasuredSlice<'a>> {
    let slice = |&at: &SliceRef| {
        let instance = &instances[at.instance];
        let plane = &instance.planes[at.plane];
        let format = instance.pixels.as_ref()?;
        let complement = is_complemented(instance.modality, format);
        let rescale = if complement { format.complemented(plane.rescale) } else { plane.rescale };
        Some(MeasuredSlice { at, instance, plane, format, rescale })
    };
    stack.slices.iter().filter_map(slice).collect()
}

/// Bytes of the slices whose pixels are compressed and of the files they come from.
fn compressed_bytes(slices: &[MeasuredSlice<'_>]) -> (u64, u64) {
    let packed = || slices.iter().filter(|slice| slice.instance.syntax.codec != Codec::Native);
    let files: BTreeMap<usize, u64> = packed().map(|slice| (slice.at.instance, slice.format.bytes_left)).collect();
    (packed().map(|slice| slice.format.frame_bytes() as u64).sum(), files.values().sum())
}

/// CT values have a scale of their own; where they do not, inverse display means inverse values.
fn is_complemented(modality: Modality, format: &PixelFormat) -> bool {
    format.inverse && modality != Modality::Ct
}

/// Findings about values, known from headers.
pub(crate) fn value_findings(instances: &[Instance], stack: &Stack, findings: &mut Vec<Finding>) {
    let slices = slices(instances, stack);
    let Some(first) = slices.first() else { return };
    if let Some(slice) = slices.iter().find(|slice| slice.format.inverse) {
        let complemented = is_complemented(slice.instance.modality, slice.format);
        findings.push(Finding::InverseDisplay { complemented });
    }
    if slices.iter().any(|slice| slice.rescale != first.rescale) {
        findings.push(Finding::RescaleVaries);
    }
    if let Some((low, high)) = padding(&slices) {
        findings.push(Finding::Padding { low, high });
    }
    if slices.iter().any(|slice| slice.instance.lossy) {
        findings.push(Finding::LossyCompression);
    }
    if slices.iter().any(|slice| slice.instance.real_world_values) {
        findings.push(Finding::RealWorldValuesUnused);
    }
}

/// Padding values after rescaling, if all slices agree.
fn padding(slices: &[MeasuredSlice<'_>]) -> Option<(f32, f32)> {
    let of = |slice: &MeasuredSlice<'_>| {
        let (low, high) = slice.format.padding?;
        let (a, b) = (slice.rescale.apply(low as f64) as f32, slice.rescale.apply(high as f64) as f32);
        Some((a.min(b), a.max(b)))
    };
    let first = of(slices.first()?)?;
    slices.iter().all(|slice| of(slice) == Some(first)).then_some(first)
}

fn read_slices(slices: &[MeasuredSlice<'_>], stack: &Stack) -> Result<Voxels, DicomError> {
    let readers: BTreeMap<usize, FrameReader<'_>> =
        slices.iter().map(|s| (s.at.instance, FrameReader::new(s.instance, s.format))).collect();
    let pixels = slices.first().map_or(0, |slice| slice.format.frame_pixels());
    let whole: Option<Vec<(i32, i32)>> = slices.iter().map(|slice| whole_rescale(slice.rescale)).collect();
    if let Some(rescales) = whole {
        let mut voxels = vec![0i16; pixels * stack.slices.len()];
        let fits: Result<Vec<bool>, DicomError> = voxels
            .par_chunks_mut(pixels)
            .zip(slices)
            .zip(rescales)
            .map(|((voxels, slice), (slope, intercept))| {
                read_whole(&readers[&slice.at.instance], slice, slope, intercept, voxels)
            })
            .collect();
        if fits?.into_iter().all(|fits| fits) {
            return Ok(Voxels::I16(voxels));
        }
    }
    let mut voxels = vec![0f32; pixels * stack.slices.len()];
    voxels.par_chunks_mut(pixels).zip(slices).try_for_each(|(voxels, slice)| {
        let mut bytes = vec![0; slice.format.frame_bytes()];
        readers[&slice.at.instance].read(slice.plane.frame, &mut bytes)?;
        for (voxel, stored) in voxels.iter_mut().zip(stored_values(&bytes, slice.format)) {
            *voxel = slice.rescale.apply(stored as f64) as f32;
        }
        Ok(())
    })?;
    Ok(Voxels::F32(voxels))
}

/// Slope and intercept as whole numbers small enough that no stored value of 16 bits overflows 32.
fn whole_rescale(rescale: Rescale) -> Option<(i32, i32)> {
    let whole = |n: f64, limit: f64| (n.fract() == 0.0 && n.abs() <= limit).then_some(n as i32);
    Some((whole(rescale.slope, 8192.0)?, whole(rescale.intercept, 1e9)?))
}

/// Reads a slice as whole numbers; false if one does not fit 16 bits.
fn read_whole(
    reader: &FrameReader<'_>,
    slice: &MeasuredSlice<'_>,
    slope: i32,
    intercept: i32,
    voxels: &mut [i16],
) -> Result<bool, DicomError> {
    if slice.format.bits_allocated == 16 {
        reader.read(slice.plane.frame, bytemuck::cast_slice_mut(voxels))?;
        return Ok(rescale_in_place(voxels, slice.format, slope, intercept));
    }
    let mut bytes = vec![0; slice.format.frame_bytes()];
    reader.read(slice.plane.frame, &mut bytes)?;
    for (voxel, stored) in voxels.iter_mut().zip(stored_values(&bytes, slice.format)) {
        match i16::try_from(stored * i64::from(slope) + i64::from(intercept)) {
            Ok(value) => *voxel = value,
            Err(_) => return Ok(false),
        }
    }
    Ok(true)
}

fn lay_out(
    measured: Voxels,
    slices: &[MeasuredSlice<'_>],
    layout: &Layout,
    modality: Modality,
) -> Result<ScanVolume, volume::VolumeError> {
    if !layout.resampled {
        return Ok(match measured {
            Voxels::I16(voxels) => ScanVolume::I16(Volume::new(layout.geometry, voxels)?),
            Voxels::F32(voxels) => ScanVolume::F32(Volume::new(layout.geometry, voxels)?),
        });
    }
    let size = slices.first().map_or([0, 0], |slice| [slice.format.columns, slice.format.rows]);
    let is_ct = modality == Modality::Ct;
    Ok(match measured {
        Voxels::I16(voxels) => {
            let outside = if is_ct { CT_OUTSIDE as i16 } else { voxels.iter().copied().min().unwrap_or(0) };
            ScanVolume::I16(regrid(&voxels, size, layout, outside)?)
        }
        Voxels::F32(voxels) => {
            let outside = if is_ct { CT_OUTSIDE } else { voxels.iter().copied().fold(f32::MAX, f32::min) };
            ScanVolume::F32(regrid(&voxels, size, layout, outside)?)
        }
    })
}
