//! A volume cut into lines along an axis, so that safe code can work on them on all cores.

/// For each band of `width` neighbouring voxels in a slice, its pieces in all slices, first to last.
///
/// `slice` is a multiple of `width`.
pub(crate) fn bands_across_slices<T>(data: &mut [T], slice: usize, width: usize) -> Vec<Vec<&mut [T]>> {
    let slices = data.len() / slice;
    let mut bands: Vec<Vec<&mut [T]>> = (0..slice / width).map(|_| Vec::with_capacity(slices)).collect();
    for slice in data.chunks_exact_mut(slice) {
        for (band, piece) in bands.iter_mut().zip(slice.chunks_exact_mut(width)) {
            band.push(piece);
        }
    }
    bands
}
