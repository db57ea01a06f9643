//! How much freed memory a program keeps for itself.

/// Lets a program keep up to 256 MiB of freed memory, to be called first in `main`.
///
/// Layers and their gradients are blocks of some megabytes that come and go many times a second. glibc hands them back to
/// the system each time, which then clears them anew: without this, a step of training takes up to twice as long
/// (`cargo xtask bench conv3d`, backward). Blocks of 32 MiB and more go back at once as ever, so volumes leave no holes.
/// With other allocators it does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc's allocator is set from C")]
    // SAFETY: sets two numbers of the allocator; where it knows no such number it does nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 20);
    }
}
