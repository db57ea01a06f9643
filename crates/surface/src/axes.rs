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
