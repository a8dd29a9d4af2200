//! The transforms of F(4x4, 3x3) along one side; applied to rows, then to columns.

use super::{IN, OUT};
use crate::simd::Simd;

#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, value: S::V) -> S::V {
    simd.mul(simd.splat(factor), value)
}

/// `factor * a + b`.
#[inline(always)]
fn times_add<S: Simd>(simd: S, factor: f32, a: S::V, b: S::V) -> S::V {
    simd.mul_add(simd.splat(factor), a, b)
}

/// `G g`.
#[inline(always)]
pub(super) fn kernel_transform<S: Simd>(simd: S, [a, b, c]: [S::V; 3]) -> [S::V; IN] {
    let even = times(simd, -1.0 / 6.0, simd.add(a, c));
    let odd = times(simd, 1.0 / 6.0, b);
    let far_even = times_add(simd, 1.0 / 24.0, a, times(simd, 1.0 / 6.0, c));
    let far_odd = times(simd, 1.0 / 12.0, b);
    [
        times(simd, 0.25, a),
        simd.sub(even, odd),
        simd.add(even, odd),
        simd.add(far_even, far_odd),
        simd.sub(far_even, far_odd),
        c,
    ]
}

/// `B' d`.
#[inline(always)]
pub(super) fn input_transform<S: Simd>(simd: S, d: [S::V; IN]) -> [S::V; IN] {
    let near_even = times_add(simd, -4.0, d[2], d[4]);
    let near_odd = times_add(simd, -4.0, d[1], d[3]);
    let far_even = simd.sub(d[4], d[2]);
    let far_odd = simd.sub(d[3], d[1]);
    [
        times_add(simd, 4.0, d[0], times_add(simd, -5.0, d[2], d[4])),
        simd.add(near_even, near_odd),
        simd.sub(near_even, near_odd),
        times_add(simd, 2.0, far_odd, far_even),
        times_add(simd, -2.0, far_odd, far_even),
        times_add(simd, 4.0, d[1], times_add(simd, -5.0, d[3], d[5])),
    ]
}

/// `A' m`.
#[inline(always)]
pub(super) fn output_transform<S: Simd>(simd: S, m: [S::V; IN]) -> [S::V; OUT] {
    let (even, odd) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    let (far_even, far_odd) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
    [
        simd.add(m[0], simd.add(even, far_even)),
        times_add(simd, 2.0, far_odd, odd),
        times_add(simd, 4.0, far_even, even),
        simd.add(times_add(simd, 8.0, far_odd, odd), m[5]),
    ]
}
