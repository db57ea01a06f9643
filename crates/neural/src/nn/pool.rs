//! Maximum and average pooling, forward and backward, with PyTorch's sizes (`ceil_mode` false).
//!
//! On devices other than the processor by Candle's own operations, where the gradient of a maximum is shared by equals.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::conv::out_size;
use super::{floats, pages};

/// How a window moves over a volume; depth, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool3dOptions {
    /// Size of the window.
    pub kernel: [usize; 3],
    /// Voxels from one window to the next.
    pub stride: [usize; 3],
    /// Voxels outside on each side, at most half the window.
    pub padding: [usize; 3],
}

impl Pool3dOptions {
    /// Windows side by side.
    pub fn tiles(kernel: [usize; 3]) -> Self {
        Self { kernel, stride: kernel, padding: [0; 3] }
    }
}

/// Whether voxels outside count as zeros in an average (PyTorch's `count_include_pad`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outside {
    /// They count; PyTorch's default.
    #[default]
    Counts,
    /// Only voxels inside are averaged.
    Ignored,
}

/// The largest value of each window of `x` `[N, C, D, H, W]`; the gradient goes to the first of equals.
///
/// # Errors
/// If the window does not fit.
pub fn max_pool3d(x: &Tensor, options: &Pool3dOptions) -> Result<Tensor> {
    Pool { kind: Kind::Max, options: *options }.apply(x)
}

/// The mean of each window of `x` `[N, C, D, H, W]`.
///
/// # Errors
/// If the window does not fit.
pub fn avg_pool3d(x: &Tensor, options: &Pool3dOptions, outside: Outside) -> Result<Tensor> {
    Pool { kind: Kind::Average(outside), options: *options }.apply(x)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Max,
    Average(Outside),
}

#[derive(Clone, Copy)]
struct Pool {
    kind: Kind,
    options: Pool3dOptions,
}

/// One axis: input and output size, window, stride, padding.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Axis {
    /// Voxels inside that output `o` sees.
    fn window(&self, o: usize) -> (usize, usize) {
        let from = o * self.stride;
        (from.saturating_sub(self.padding), (from + self.kernel - self.padding).min(self.input))
    }

    /// Outputs that see voxel `i`.
    fn seen_by(&self, i: usize) -> std::ops::Range<usize> {
        let at = i + self.padding;
        let first = (at + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        first..(at / self.stride + 1).min(self.output)
    }

    /// Voxels of the window that count: PyTorch cuts a window at the padding's end, not beyond it.
    fn count(&self, o: usize, outside: Outside) -> usize {
        let from = o * self.stride;
        match outside {
            Outside::Counts => (from + self.kernel).min(self.input + 2 * self.padding) - from,
            Outside::Ignored => {
                let (from, to) = self.window(o);
                to - from
            }
        }
    }
}

impl Pool {
    fn axes(&self, shape: &Shape) -> Result<[Axis; 3]> {
        let (_, _, d, h, w) = shape.dims5()?;
        let Pool3dOptions { kernel, stride, padding } = self.options;
        let axis = |a: usize| {
            let input = [d, h, w][a];
            let fits = kernel[a] > 0 && padding[a] <= kernel[a] / 2;
            let output = if fits { out_size(input, kernel[a], stride[a], padding[a], 1) } else { None };
            output.map(|output| Axis { input, output, kernel: kernel[a], stride: stride[a], padding: padding[a] })
        };
        let (Some(d), Some(h), Some(w)) = (axis(0), axis(1), axis(2)) else {
            bail!("{:?} does not fit {shape:?}; the padding is at most half the window", self.options);
        };
        Ok([d, h, w])
    }
}

impl Pool {
    fn apply(self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() { x.contiguous()?.apply_op1(self) } else { self.composed(x) }
    }

    /// One axis after the other, by Candle's own operations.
    fn composed(self, x: &Tensor) -> Result<Tensor> {
        let mut y = x.clone();
        for (a, axis) in self.axes(x.shape())?.into_iter().enumerate() {
            let (dim, padding) = (a + 2, axis.padding);
            // A window at the side holds the outermost voxel, so its copies change no maximum.
            let padded = match self.kind {
                Kind::Max => y.pad_with_same(dim, padding, padding)?,
                Kind::Average(_) => y.pad_with_zeros(dim, padding, padding)?,
            };
            let mut all: Option<Tensor> = None;
            for k in 0..axis.kernel {
                let at: Vec<u32> = (0..axis.output).map(|o| (o * axis.stride + k) as u32).collect();
                let one = padded.index_select(&Tensor::new(at, x.device())?, dim)?;
                all = Some(match (all, self.kind) {
                    (None, _) => one,
                    (Some(all), Kind::Max) => all.maximum(&one)?,
                    (Some(all), Kind::Average(_)) => (all + one)?,
                });
            }
            let Some(all) = all else { bail!("an empty window") };
            y = match self.kind {
                Kind::Max => all,
                Kind::Average(outside) => {
                    let shares: Vec<f32> = (0..axis.output).map(|o| 1.0 / axis.count(o, outside) as f32).collect();
                    let mut dims = [1; 5];
                    dims[dim] = axis.output;
                    all.broadcast_mul(&Tensor::new(shares, x.device())?.reshape(&dims)?)?
                }
            };
        }
        Ok(y)
    }
}

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "pool3d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage, layout)?;
        let (n, c, ..) = layout.shape().dims5()?;
        let [d, h, w] = self.axes(layout.shape())?;
        let volume = d.input * h.input * w.input;
        let mut out = pages::zeros(n * c * d.output * h.output * w.output);
        out.par_chunks_mut(h.output * w.output).enumerate().for_each(|(plane, out)| {
            let x = &x[plane / d.output * volume..][..volume];
            let od = plane % d.output;
            let mut row = vec![0.0; w.input];
            for (oh, out) in out.chunks_mut(w.output).enumerate() {
                match self.kind {
                    Kind::Max => self.max_row([&d, &h, &w], x, od, oh, &mut row, out),
                    Kind::Average(outside) => average_row([&d, &h, &w], x, od, oh, outside, &mut row, out),
                }
            }
        });
        Ok((CpuStorage::F32(out), Shape::from(vec![n, c, d.output, h.output, w.output])))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(arg.contiguous()?.apply_op2_no_bwd(&grad_res.contiguous()?, &Backward(*self))?))
    }
}

/// Calls `f` with every row of the input that outputs `od`, `oh` see.
fn rows(d: &Axis, h: &Axis, w: &Axis, od: usize, oh: usize, mut f: impl FnMut(usize)) {
    let ((d0, d1), (h0, h1)) = (d.window(od), h.window(oh));
    for z in d0..d1 {
        for y in h0..h1 {
            f((z * h.input + y) * w.input);
        }
    }
}

impl Pool {
    fn max_row(&self, axes: [&Axis; 3], x: &[f32], od: usize, oh: usize, row: &mut [f32], out: &mut [f32]) {
        let [d, h, w] = axes;
        row.fill(f32::NEG_INFINITY);
        rows(d, h, w, od, oh, |at| {
            for (most, &value) in row.iter_mut().zip(&x[at..at + w.input]) {
                *most = larger(*most, value);
            }
        });
        for (ow, out) in out.iter_mut().enumerate() {
            let (from, to) = w.window(ow);
            *out = row[from..to].iter().copied().fold(f32::NEG_INFINITY, larger);
        }
    }
}

/// The larger one, or not a number if either is not.
#[inline]
fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

fn average_row(axes: [&Axis; 3], x: &[f32], od: usize, oh: usize, outside: Outside, row: &mut [f32], out: &mut [f32]) {
    let [d, h, w] = axes;
    row.fill(0.0);
    rows(d, h, w, od, oh, |at| {
        for (sum, &value) in row.iter_mut().zip(&x[at..at + w.input]) {
            *sum += value;
        }
    });
    let lines = d.count(od, outside) * h.count(oh, outside);
    for (ow, out) in out.iter_mut().enumerate() {
        let (from, to) = w.window(ow);
        *out = row[from..to].iter().sum::<f32>() / (lines * w.count(ow, outside)) as f32;
    }
}

/// `[x, gradient of the result]` to the gradient of `x`; every plane of `x` gathers its own.
struct Backward(Pool);

impl CustomOp2 for Backward {
    fn name(&self) -> &'static str {
        "pool3d-backward"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, gradient) = (floats(s1, l1)?, floats(s2, l2)?);
        let [d, h, w] = self.0.axes(l1.shape())?;
        let (volume, out_volume) = (d.input * h.input * w.input, d.output * h.output * w.output);
        let plane = h.input * w.input;
        let mut out = pages::zeros(x.len());
        out.par_chunks_mut(plane).enumerate().for_each(|(at, out)| {
            let channel = at / d.input;
            let x = &x[channel * volume..][..volume];
            let gradient = &gradient[channel * out_volume..][..out_volume];
            let z = at % d.input;
            for od in d.seen_by(z) {
                for oh in 0..h.output {
                    let gradient = &gradient[(od * h.output + oh) * w.output..][..w.output];
                    match self.0.kind {
                        Kind::Max => {
                            for (ow, &g) in gradient.iter().enumerate() {
                                let first = first_largest([&d, &h, &w], x, [od, oh, ow]);
                                if first / plane == z {
                                    out[first % plane] += g;
                                }
                            }
                        }
                        Kind::Average(outside) => {
                            let lines = d.count(od, outside) * h.count(oh, outside);
                            let (h0, h1) = h.window(oh);
                            for (ow, &g) in gradient.iter().enumerate() {
                                let share = g / (lines * w.count(ow, outside)) as f32;
                                let (w0, w1) = w.window(ow);
                                for y in h0..h1 {
                                    out[y * w.input + w0..y * w.input + w1].iter_mut().for_each(|sum| *sum += share);
                                }
                            }
                        }
                    }
                }
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
}

/// Offset of the first of the largest values that an output sees; of the last that is not a number, if one is.
fn first_largest(axes: [&Axis; 3], x: &[f32], [od, oh, ow]: [usize; 3]) -> usize {
    let [d, h, w] = axes;
    let (from, to) = w.window(ow);
    let mut best = (f32::NEG_INFINITY, None);
    rows(d, h, w, od, oh, |at| {
        for (i, &value) in x[at + from..at + to].iter().enumerate() {
            if value > best.0 || value.is_nan() || best.1.is_none() {
                best = (value, Some(at + from + i));
            }
        }
    });
    best.1.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_composed_path_gives_the_same() {
        let count = 2 * 2 * 7 * 8 * 9;
        let data: Vec<f32> = (0..count).map(|i| (i * 7919 % 10_007) as f32 / 5000.0 - 1.0).collect();
        let x = Var::from_vec(data, (2, 2, 7, 8, 9), &Device::Cpu).unwrap();
        let gradient = |y: &Tensor| {
            let weigh = Tensor::arange(0.0_f32, y.elem_count() as f32, &Device::Cpu).unwrap();
            let loss = (y * weigh.reshape(y.shape()).unwrap()).unwrap().sum_all().unwrap();
            loss.backward().unwrap().get(&x).unwrap().clone()
        };
        let close = |a: &Tensor, b: &Tensor, what: &str| {
            assert_eq!(a.shape(), b.shape(), "{what}");
            let most = |t: Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            let error = most((a - b).unwrap()) / most(b.clone());
            assert!(error < 1e-5, "{what}: {error}");
        };
        for options in [
            Pool3dOptions::tiles([2; 3]),
            Pool3dOptions { kernel: [3; 3], stride: [2, 1, 2], padding: [1; 3] },
            Pool3dOptions { kernel: [1, 4, 5], stride: [1, 3, 2], padding: [0, 2, 1] },
        ] {
            for kind in [Kind::Max, Kind::Average(Outside::Counts), Kind::Average(Outside::Ignored)] {
                let pool = Pool { kind, options };
                let (ours, theirs) = (pool.apply(&x).unwrap(), pool.composed(&x).unwrap());
                close(&ours, &theirs, &format!("{kind:?} {options:?}"));
                close(&gradient(&ours), &gradient(&theirs), &format!("gradient of {kind:?} {options:?}"));
            }
        }
    }
}
