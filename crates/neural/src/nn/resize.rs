//! Nearest and trilinear resizing, forward and backward, as PyTorch's `interpolate`.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{floats, pages};

/// How values between voxels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The voxel at `⌊o · scale⌋` (PyTorch's `nearest`).
    Nearest,
    /// Linear between voxel centres; the volumes' outer faces coincide (`align_corners=False`).
    Trilinear,
    /// Linear; the centres of the corner voxels coincide (`align_corners=True`).
    TrilinearCorners,
}

/// `x` `[N, C, D, H, W]` with `size` voxels in depth, height, width.
///
/// # Errors
/// If a size is 0.
pub fn resize(x: &Tensor, size: [usize; 3], interpolation: Interpolation) -> Result<Tensor> {
    let (_, _, d, h, w) = x.dims5()?;
    let steps = [0, 1, 2].map(|a| [d, h, w][a] as f64 / size[a].max(1) as f64);
    apply(x, size, steps, interpolation)
}

/// `x` `[N, C, D, H, W]` with `factor` times as many voxels in depth, height, width, rounded down.
///
/// As in PyTorch the distance between samples is `1 / factor`, also where the size was rounded.
///
/// # Errors
/// If a factor is not positive, or leaves nothing.
pub fn resize_by(x: &Tensor, factor: [f64; 3], interpolation: Interpolation) -> Result<Tensor> {
    let (_, _, d, h, w) = x.dims5()?;
    if !factor.iter().all(|f| f.is_finite() && *f > 0.0) {
        bail!("volumes cannot be resized by {factor:?}");
    }
    let size = [0, 1, 2].map(|a| ([d, h, w][a] as f64 * factor[a]).floor() as usize);
    apply(x, size, factor.map(f64::recip), interpolation)
}

fn apply(x: &Tensor, size: [usize; 3], steps: [f64; 3], interpolation: Interpolation) -> Result<Tensor> {
    let (_, _, d, h, w) = x.dims5()?;
    if size.contains(&0) || [d, h, w].contains(&0) {
        bail!("{:?} cannot be resized to {size:?}", x.shape());
    }
    let axis = |a: usize| Axis::new([d, h, w][a], size[a], steps[a], interpolation);
    let resize = Resize { axes: [axis(0), axis(1), axis(2)] };
    if x.device().is_cpu() { x.contiguous()?.apply_op1(resize) } else { resize.composed(x) }
}

/// A voxel of the other side and its weight.
type Tap = (usize, f32);

/// One axis: what every output takes, and what every input gives.
struct Axis {
    input: usize,
    output: usize,
    takes: Vec<[Tap; 2]>,
    gives: Vec<Vec<Tap>>,
}

impl Axis {
    fn new(input: usize, output: usize, step: f64, interpolation: Interpolation) -> Self {
        let last = input - 1;
        let takes: Vec<[Tap; 2]> = (0..output)
            .map(|o| {
                let at = match interpolation {
                    // In `f32`, as PyTorch does, so that ties fall to the same side.
                    Interpolation::Nearest => {
                        let at = ((o as f32 * step as f32).floor() as usize).min(last);
                        return [(at, 1.0), (at, 0.0)];
                    }
                    Interpolation::Trilinear => ((o as f64 + 0.5) * step - 0.5).max(0.0),
                    Interpolation::TrilinearCorners if output == 1 => 0.0,
                    Interpolation::TrilinearCorners => o as f64 * (last as f64 / (output - 1) as f64),
                };
                let lower = (at.floor() as usize).min(last);
                let share = (at - lower as f64).min(1.0) as f32;
                [(lower, 1.0 - share), ((lower + 1).min(last), share)]
            })
            .collect();
        let mut gives = vec![Vec::new(); input];
        for (o, taps) in takes.iter().enumerate() {
            for &(i, weight) in taps.iter().filter(|tap| tap.1 != 0.0) {
                gives[i].push((o, weight));
            }
        }
        Self { input, output, takes, gives }
    }
}

struct Resize {
    axes: [Axis; 3],
}

impl Resize {
    /// One axis after the other, by Candle's own operations, for other devices.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let mut y = x.clone();
        for (a, axis) in self.axes.iter().enumerate() {
            let mut dims = [1; 5];
            dims[a + 2] = axis.output;
            let side = |tap: usize| -> Result<Tensor> {
                let at: Vec<u32> = axis.takes.iter().map(|taps| taps[tap].0 as u32).collect();
                let weights: Vec<f32> = axis.takes.iter().map(|taps| taps[tap].1).collect();
                let picked = y.index_select(&Tensor::new(at, x.device())?, a + 2)?;
                picked.broadcast_mul(&Tensor::new(weights, x.device())?.reshape(&dims)?)
            };
            y = (side(0)? + side(1)?)?;
        }
        Ok(y)
    }
}

/// `row += weight · values`
fn add(row: &mut [f32], weight: f32, values: &[f32]) {
    if weight != 0.0 {
        row.iter_mut().zip(values).for_each(|(sum, x)| *sum += weight * x);
    }
}

impl CustomOp1 for Resize {
    fn name(&self) -> &'static str {
        "resize3d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(storage, layout)?;
        let (n, c, ..) = layout.shape().dims5()?;
        let [d, h, w] = &self.axes;
        let volume = d.input * h.input * w.input;
        let mut out = pages::zeros(n * c * d.output * h.output * w.output);
        out.par_chunks_mut(h.output * w.output).enumerate().for_each(|(plane, out)| {
            let x = &x[plane / d.output * volume..][..volume];
            let mut row = vec![0.0; w.input];
            for (out, at_h) in out.chunks_mut(w.output).zip(&h.takes) {
                row.fill(0.0);
                for (z, weight_d) in d.takes[plane % d.output] {
                    for (y, weight_h) in at_h {
                        add(&mut row, weight_d * weight_h, &x[(z * h.input + y) * w.input..][..w.input]);
                    }
                }
                for (out, [(a, weight_a), (b, weight_b)]) in out.iter_mut().zip(&w.takes) {
                    *out = row[*a] * weight_a + row[*b] * weight_b;
                }
            }
        });
        Ok((CpuStorage::F32(out), Shape::from(vec![n, c, d.output, h.output, w.output])))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let gradient = grad_res.contiguous()?.apply_op1_no_bwd(&Backward(self))?;
        gradient.reshape(arg.shape()).map(Some)
    }
}

/// The gradient of the input; every plane of it gathers its own.
struct Backward<'a>(&'a Resize);

impl CustomOp1 for Backward<'_> {
    fn name(&self) -> &'static str {
        "resize3d-backward"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let gradient = floats(storage, layout)?;
        let (n, c, ..) = layout.shape().dims5()?;
        let [d, h, w] = &self.0.axes;
        let volume = d.output * h.output * w.output;
        let mut out = pages::zeros(n * c * d.input * h.input * w.input);
        out.par_chunks_mut(h.input * w.input).enumerate().for_each(|(plane, out)| {
            let gradient = &gradient[plane / d.input * volume..][..volume];
            let mut row = vec![0.0; w.output];
            for (out, at_h) in out.chunks_mut(w.input).zip(&h.gives) {
                row.fill(0.0);
                for (z, weight_d) in &d.gives[plane % d.input] {
                    for (y, weight_h) in at_h {
                        add(&mut row, weight_d * weight_h, &gradient[(z * h.output + y) * w.output..][..w.output]);
                    }
                }
                for (out, taps) in out.iter_mut().zip(&w.gives) {
                    *out = taps.iter().map(|&(at, weight)| weight * row[at]).sum();
                }
            }
        });
        Ok((CpuStorage::F32(out), Shape::from(vec![n, c, d.input, h.input, w.input])))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_composed_path_gives_the_same() {
        let data: Vec<f32> = (0..2 * 5 * 6 * 7).map(|i| (i * 7919 % 10_007) as f32 / 5000.0 - 1.0).collect();
        let x = Tensor::from_vec(data, (1, 2, 5, 6, 7), &Device::Cpu).unwrap();
        for interpolation in [Interpolation::Nearest, Interpolation::Trilinear, Interpolation::TrilinearCorners] {
            for size in [[10, 12, 14], [3, 6, 1], [8, 2, 9]] {
                let axis =
                    |a: usize| Axis::new([5, 6, 7][a], size[a], [5, 6, 7][a] as f64 / size[a] as f64, interpolation);
                let composed = Resize { axes: [axis(0), axis(1), axis(2)] }.composed(&x).unwrap();
                let ours = resize(&x, size, interpolation).unwrap();
                assert_eq!(ours.shape(), composed.shape());
                let error = (ours - composed).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                assert!(error < 1e-6, "{interpolation:?} {size:?}: {error}");
            }
        }
    }
}
