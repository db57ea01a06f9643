//! The innermost loop: a block of output channels times a run of voxels, held in registers.
//!
//! One call adds, for up to [`Isa::max_channels`] output channels and a few vectors of neighbouring voxels, the products of
//! all taps and input channels of one chunk. Weights lie so that the kernel reads them straight through; voxels lie in a
//! scratch tile whose rows are padded, so no load needs a mask.

#![expect(unsafe_code, reason = "SIMD intrinsics and raw rows of tensors that tasks share")]

use std::sync::OnceLock;

/// One product of the sum: where its voxels start in the scratch tile, and which of the kernel's weights it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    /// Offset from the run's first voxel, in floats.
    pub(super) x: u32,
    /// Number of the tap among those of the packed weights.
    pub(super) weight: u32,
}

/// How a run of outputs begins.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// With the bias of each output channel.
    Bias(*const f32),
    /// With what an earlier chunk of input channels left in the output.
    Continue,
}

/// The work of one call.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    /// First voxel of the run, in the scratch tile.
    pub(super) x: *const f32,
    /// Floats from one input channel of the tile to the next.
    pub(super) x_channel: usize,
    /// Input channels of this chunk.
    pub(super) channels: usize,
    pub(super) taps: &'a [Tap],
    /// Packed weights `[tap][input channel][output channel]` of this block and chunk.
    pub(super) weights: *const f32,
    pub(super) out: *mut f32,
    /// Floats from one output channel to the next.
    pub(super) out_channel: usize,
    /// Outputs to be written; at most vectors × lanes.
    pub(super) length: usize,
    pub(super) start: Start,
}

type Kernel = unsafe fn(&Run<'_>);

/// Sums over rows of products of an output's gradient with shifted input, for the gradient of the weights.
#[derive(Clone, Copy)]
pub(super) struct Correlation<'a> {
    /// First voxel of the first row of gradients.
    pub(super) gradient: *const f32,
    /// Floats from one output channel, and one row, to the next.
    pub(super) gradient_channel: usize,
    pub(super) gradient_row: usize,
    /// First voxel of the first row in the scratch tile.
    pub(super) x: *const f32,
    pub(super) x_row: usize,
    /// Offsets of the kernel's positions along a row.
    pub(super) shifts: &'a [usize],
    pub(super) rows: usize,
    /// Voxels of a row.
    pub(super) length: usize,
    /// Sums of every lane, `[output channel][shift][lane]`, added to.
    pub(super) sums: *mut f32,
}

type Correlate = unsafe fn(&Correlation<'_>);

/// Most positions along a row that are summed at once.
pub(super) const MAX_SHIFTS: usize = 3;

/// An instruction set, with the shapes of its register blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {
    /// 32 registers of 16 floats.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 16 registers of 8 floats.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Whatever the compiler makes of arrays of 8 floats.
    Portable,
}

impl Isa {
    /// The best one of this machine.
    pub(super) fn detect() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::available()[0])
    }

    /// All that run here, the best first.
    pub(super) fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                all.push(Self::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
            }
        }
        all.push(Self::Portable);
        all
    }

    /// Floats of a register.
    pub(super) fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
            Self::Portable => 8,
        }
    }

    /// Most output channels of a block.
    pub(super) fn max_channels(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 6,
            Self::Portable => 4,
        }
    }

    /// Most output channels of a correlation.
    pub(super) fn max_correlated(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 4,
            Self::Portable => 2,
        }
    }

    /// Most vectors of a run for a block of `channels`: as many as leave registers for the voxels and one weight.
    pub(super) fn max_vectors(self, channels: usize) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => [4, 4, 4, 4, 4, 4, 3, 3][channels - 1],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => [4, 4, 4, 3, 2, 2][channels - 1],
            Self::Portable => 1,
        }
    }

    /// Adds one correlation for `channels` output channels.
    ///
    /// # Safety
    /// The pointers must be good for what the shape names, voxels of `x` for whole vectors at every shift; this instruction
    /// set must be available.
    pub(super) unsafe fn correlate(self, channels: usize, correlation: &Correlation<'_>) {
        let shifts = correlation.shifts.len();
        let kernel = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::CORRELATIONS[channels - 1][shifts - 1],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::CORRELATIONS[channels - 1][shifts - 1],
            Self::Portable => portable::CORRELATIONS[channels - 1][shifts - 1],
        };
        // SAFETY: passed on to the caller.
        unsafe { kernel(correlation) }
    }

    /// Runs one block.
    ///
    /// # Safety
    /// `run`'s pointers must be good for the voxels, weights and outputs that its shape names, voxels for
    /// `vectors` × lanes floats at every tap; this instruction set must be available.
    pub(super) unsafe fn run(self, channels: usize, vectors: usize, run: &Run<'_>) {
        let kernel = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::KERNELS[channels - 1][vectors - 1],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::KERNELS[channels - 1][vectors - 1],
            Self::Portable => portable::KERNELS[channels - 1][vectors - 1],
        };
        // SAFETY: passed on to the caller.
        unsafe { kernel(run) }
    }
}

/// The kernel for one instruction set; all differ in their vectors only.
macro_rules! kernels {
    ($(#[$features:meta])? lanes: $lanes:expr, vector: $vector:ty, table: [$($channels:literal),*]) => {
        use super::{Correlate, Correlation, Kernel, MAX_SHIFTS, Run, Start};

        /// By output channels and vectors, both counted from one.
        pub(super) static KERNELS: &[[Kernel; 4]] = &[$([
            block::<$channels, 1>,
            block::<$channels, 2>,
            block::<$channels, 3>,
            block::<$channels, 4>,
        ]),*];

        /// By output channels and shifts, both counted from one.
        pub(super) static CORRELATIONS: &[[Correlate; MAX_SHIFTS]] =
            &[$([correlate::<$channels, 1>, correlate::<$channels, 2>, correlate::<$channels, 3>]),*];

        $(#[$features])?
        unsafe fn correlate<const M: usize, const K: usize>(run: &Correlation<'_>) {
            let mut sums = [[zero(); K]; M];
            for m in 0..M {
                for k in 0..K {
                    // SAFETY: the caller's promise, so for all below.
                    sums[m][k] = unsafe { load(run.sums.add((m * K + k) * $lanes)) };
                }
            }
            let mut shifts = [0; K];
            shifts.copy_from_slice(&run.shifts[..K]);
            let (whole, rest) = (run.length / $lanes, run.length % $lanes);
            for row in 0..run.rows {
                let mut gradient = run.gradient.wrapping_add(row * run.gradient_row);
                let mut x = run.x.wrapping_add(row * run.x_row);
                for _ in 0..whole {
                    let mut voxels = [zero(); K];
                    for k in 0..K {
                        // SAFETY: see above.
                        voxels[k] = unsafe { load(x.add(shifts[k])) };
                    }
                    for m in 0..M {
                        // SAFETY: see above.
                        let g = unsafe { load(gradient.add(m * run.gradient_channel)) };
                        for k in 0..K {
                            sums[m][k] = multiply_add(g, voxels[k], sums[m][k]);
                        }
                    }
                    gradient = gradient.wrapping_add($lanes);
                    x = x.wrapping_add($lanes);
                }
                if rest > 0 {
                    let mut voxels = [zero(); K];
                    for k in 0..K {
                        // SAFETY: see above; lanes past the row are nought, whatever lies there in the tile.
                        voxels[k] = unsafe { load_part(x.add(shifts[k]), rest) };
                    }
                    for m in 0..M {
                        // SAFETY: see above.
                        let g = unsafe { load_part(gradient.add(m * run.gradient_channel), rest) };
                        for k in 0..K {
                            sums[m][k] = multiply_add(g, voxels[k], sums[m][k]);
                        }
                    }
                }
            }
            for m in 0..M {
                for k in 0..K {
                    // SAFETY: see above.
                    unsafe { store_part(run.sums.add((m * K + k) * $lanes), sums[m][k], $lanes) };
                }
            }
        }

        $(#[$features])?
        unsafe fn block<const M: usize, const V: usize>(run: &Run<'_>) {
            let length = run.length;
            // Lanes of vector `j` that are written.
            let live = |j: usize| length.saturating_sub(j * $lanes).min($lanes);
            let mut sums: [[$vector; V]; M];
            match run.start {
                Start::Bias(bias) => {
                    sums = [[zero(); V]; M];
                    for m in 0..M {
                        // SAFETY: one bias an output channel, by the caller's promise; so for all below.
                        sums[m] = [splat(unsafe { *bias.add(m) }); V];
                    }
                }
                Start::Continue => {
                    sums = [[zero(); V]; M];
                    for m in 0..M {
                        for j in 0..V {
                            // SAFETY: see above.
                            sums[m][j] = unsafe { load_part(run.out.wrapping_add(m * run.out_channel + j * $lanes), live(j)) };
                        }
                    }
                }
            }
            for tap in run.taps {
                let mut x = run.x.wrapping_add(tap.x as usize);
                let mut w = run.weights.wrapping_add(tap.weight as usize * run.channels * M);
                for _ in 0..run.channels {
                    let mut voxels = [zero(); V];
                    for j in 0..V {
                        // SAFETY: see above.
                        voxels[j] = unsafe { load(x.add(j * $lanes)) };
                    }
                    for m in 0..M {
                        // SAFETY: see above.
                        let weight = splat(unsafe { *w.add(m) });
                        for j in 0..V {
                            sums[m][j] = multiply_add(voxels[j], weight, sums[m][j]);
                        }
                    }
                    x = x.wrapping_add(run.x_channel);
                    w = w.wrapping_add(M);
                }
            }
            for m in 0..M {
                for j in 0..V {
                    // SAFETY: see above.
                    unsafe { store_part(run.out.wrapping_add(m * run.out_channel + j * $lanes), sums[m][j], live(j)) };
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps,
        _mm512_setzero_ps,
    };

    kernels! {
        #[target_feature(enable = "avx512f")]
        lanes: 16, vector: __m512, table: [1, 2, 3, 4, 5, 6, 7, 8]
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn zero() -> __m512 {
        _mm512_setzero_ps()
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn splat(x: f32) -> __m512 {
        _mm512_set1_ps(x)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
        _mm512_fmadd_ps(a, b, c)
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn load(p: *const f32) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn load_part(p: *const f32, lanes: usize) -> __m512 {
        // SAFETY: only live lanes are read.
        unsafe { _mm512_maskz_loadu_ps(mask(lanes), p) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn store_part(p: *mut f32, x: __m512, lanes: usize) {
        // SAFETY: only live lanes are written.
        unsafe { _mm512_mask_storeu_ps(p, mask(lanes), x) }
    }

    #[inline]
    fn mask(lanes: usize) -> u16 {
        ((1_u32 << lanes) - 1) as u16
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };

    kernels! {
        #[target_feature(enable = "avx2,fma")]
        lanes: 8, vector: __m256, table: [1, 2, 3, 4, 5, 6]
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn zero() -> __m256 {
        _mm256_setzero_ps()
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn splat(x: f32) -> __m256 {
        _mm256_set1_ps(x)
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
        _mm256_fmadd_ps(a, b, c)
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn load(p: *const f32) -> __m256 {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn load_part(p: *const f32, lanes: usize) -> __m256 {
        let mut part = [0.0; 8];
        // SAFETY: only live lanes are read.
        unsafe {
            std::ptr::copy_nonoverlapping(p, part.as_mut_ptr(), lanes);
            _mm256_loadu_ps(part.as_ptr())
        }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn store_part(p: *mut f32, x: __m256, lanes: usize) {
        // SAFETY: only live lanes are written.
        unsafe {
            if lanes == 8 {
                _mm256_storeu_ps(p, x);
            } else {
                let mut part = [0.0; 8];
                _mm256_storeu_ps(part.as_mut_ptr(), x);
                std::ptr::copy_nonoverlapping(part.as_ptr(), p, lanes);
            }
        }
    }
}

mod portable {
    type Vector = [f32; 8];

    kernels! {
        lanes: 8, vector: Vector, table: [1, 2, 3, 4]
    }

    #[inline]
    fn zero() -> Vector {
        [0.0; 8]
    }

    #[inline]
    fn splat(x: f32) -> Vector {
        [x; 8]
    }

    #[inline]
    fn multiply_add(a: Vector, b: Vector, mut c: Vector) -> Vector {
        for i in 0..8 {
            c[i] += a[i] * b[i];
        }
        c
    }

    #[inline]
    unsafe fn load(p: *const f32) -> Vector {
        // SAFETY: the caller's; the pointer need not be aligned to more than a float.
        unsafe { p.cast::<Vector>().read() }
    }

    #[inline]
    unsafe fn load_part(p: *const f32, lanes: usize) -> Vector {
        let mut part = [0.0; 8];
        // SAFETY: only live lanes are read.
        unsafe { std::ptr::copy_nonoverlapping(p, part.as_mut_ptr(), lanes) };
        part
    }

    #[inline]
    unsafe fn store_part(p: *mut f32, x: Vector, lanes: usize) {
        // SAFETY: only live lanes are written.
        unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), p, lanes) };
    }
}
