//! Small arrays by element, always inlined: `array::map` is not, which costs a call a vertex where the inner loops are.

/// One value an axis.
#[inline(always)]
pub(crate) fn per_axis<T>(mut f: impl FnMut(usize) -> T) -> [T; 3] {
    [f(0), f(1), f(2)]
}

/// What becomes of each of three.
#[inline(always)]
pub(crate) fn each<A, B>([a, b, c]: [A; 3], mut f: impl FnMut(A) -> B) -> [B; 3] {
    [f(a), f(b), f(c)]
}

/// The difference of two points.
#[inline(always)]
pub(crate) fn minus(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    per_axis(|x| a[x] - b[x])
}

/// The scalar product.
#[inline(always)]
pub(crate) fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}
