//! What the compiler makes of plain loops.

use super::{LANES, Op, Simd};

/// Plain arrays, which the compiler vectorises for the target's baseline.
#[derive(Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| join(a[lane], b[lane]))
}

impl Simd for Portable {
    type V = [f32; LANES];
    // 16 registers of four values: SSE2. NEON has 32.
    const ACCUMULATORS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<Self::V>().write_unaligned(value) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        if cfg!(target_arch = "aarch64") {
            return std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]));
        }
        // Without the instruction, fused multiply-add is a slow library call.
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn where_positive(self, test: Self::V, value: Self::V) -> Self::V {
        zip(test, value, |test, value| if test > 0.0 { value } else { 0.0 })
    }

    #[inline(always)]
    fn positive(self, a: Self::V) -> u16 {
        a.iter().enumerate().fold(0, |bits, (lane, &value)| bits | u16::from(value > 0.0) << lane)
    }

    #[inline(always)]
    fn where_set(self, bits: u16, value: Self::V) -> Self::V {
        std::array::from_fn(|lane| if bits >> lane & 1 == 1 { value[lane] } else { 0.0 })
    }

    #[inline(never)]
    fn apart<O: Op>(self, op: O) -> O::Output {
        op.run(self)
    }
}
