//! What a convolution takes beside its input, output and weights, by the kernel's own account (`/proc`).

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of a test that fails has failed; figures are for people"
)]

use candle_core::{DType, Device, Tensor};
use neural::nn::{Activation, Conv3dOptions, conv3d};

const MIB: usize = 1 << 20;

/// The most that may be taken.
const EXTRA: usize = 64 * MIB;

/// A line of `/proc/self/status`, in bytes.
fn status(key: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Bytes that were taken at the most while `f` ran, beyond what was held before. What comes back is held.
fn taken<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = status("VmRSS");
    // Makes the peak the present size (proc_pid_clear_refs(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let made = f();
    (made, status("VmHWM").saturating_sub(before))
}

fn filled(shape: &[usize]) -> Tensor {
    // Written, so that its pages are there.
    (Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap() + 0.5).unwrap()
}

#[test]
fn convolutions_take_little_beside_what_they_read_and_write() {
    let same = Conv3dOptions::same;
    let wide = Conv3dOptions { stride: [2; 3], ..same([3; 3], 1) };
    for (inputs, outputs, size, kernel, options) in [
        (32, 32, 96, 3, same([3; 3], 1)),
        (21, 21, 128, 3, same([3; 3], 16)),
        (64, 64, 64, 5, same([5; 3], 1)),
        (32, 64, 96, 3, wide),
        (320, 320, 16, 3, same([3; 3], 1)),
    ] {
        let x = filled(&[1, inputs, size, size, size]);
        let weight = filled(&[outputs, inputs, kernel, kernel, kernel]);
        let (y, taken) = taken(|| conv3d(&x, &weight, None, &options, Activation::Identity).unwrap());
        let output = y.elem_count() * 4;
        // So that the peak was seen at all.
        assert!(taken > output / 2, "{taken} bytes for an output of {output}");
        let extra = taken.saturating_sub(output);
        assert!(extra <= EXTRA, "{inputs} to {outputs} at {size}³: {} MiB beside it", extra / MIB);
        println!(
            "{inputs} to {outputs} at {size}³, kernel {kernel}: {} MiB beside input, output and weights",
            extra / MIB
        );
    }
}
