//! Memory for large tensors.

/// Bytes above which large pages are asked for: some pages of 2 MiB.
#[cfg(target_os = "linux")]
const LARGE: usize = 8 << 20;

/// So many zeros.
///
/// A layer's result is often a hundred megabytes that the system must clear before we fill them. In pages of 4 KiB that is a
/// fault for every 1024 values, a tenth to a fifth of a layer's time; so Linux is asked for large pages, as far as it has some.
pub(super) fn zeros(length: usize) -> Vec<f32> {
    let values = vec![0.0_f32; length];
    #[cfg(target_os = "linux")]
    if size_of_val(values.as_slice()) >= LARGE {
        /// Advice is taken for whole pages of the smaller kind.
        const PAGE: usize = 64 << 10;
        let skipped = values.as_ptr().cast::<u8>().align_offset(PAGE);
        let length = (size_of_val(values.as_slice()) - skipped) / PAGE * PAGE;
        #[expect(unsafe_code, reason = "advice to the kernel")]
        // SAFETY: the range lies within the block; advice changes neither what is in it nor who may use it.
        unsafe {
            libc::madvise(values.as_ptr().cast_mut().cast::<u8>().add(skipped).cast(), length, libc::MADV_HUGEPAGE);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    #[test]
    fn large_and_small_blocks_are_zero() {
        for length in [0, 1, 1000, 3 << 20, (5 << 20) + 17] {
            let values = super::zeros(length);
            assert!(values.len() == length && values.iter().all(|&x| x == 0.0));
        }
    }
}
