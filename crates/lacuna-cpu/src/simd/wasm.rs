//! WebAssembly's vectors of four values. Results are those of `Portable`, bit for bit: nothing is fused.

use std::arch::wasm32::*;
use std::array::from_fn;

use super::{Op, Simd};

/// Values in a register.
const FOUR: usize = 4;

#[derive(Clone, Copy)]
pub struct Wasm128;

/// The lanes that are greater than 0.
#[inline(always)]
fn is_positive(lanes: v128) -> v128 {
    f32x4_gt(lanes, f32x4_splat(0.0))
}

impl Simd for Wasm128 {
    type V = [v128; 4];
    // Browsers on x86-64 have sixteen registers of four values.
    const ACCUMULATORS: usize = 2;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [f32x4_splat(value); 4]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's promise.
        from_fn(|part| unsafe { v128_load(from.add(FOUR * part).cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::V) {
        for (part, value) in value.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { v128_store(to.add(FOUR * part).cast(), value) };
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|part| f32x4_add(a[part], b[part]))
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|part| f32x4_sub(a[part], b[part]))
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|part| f32x4_mul(a[part], b[part]))
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|part| f32x4_div(a[part], b[part]))
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // `b < a ? a : b`
        from_fn(|part| f32x4_pmax(b[part], a[part]))
    }

    #[inline(always)]
    fn where_positive(self, test: Self::V, value: Self::V) -> Self::V {
        from_fn(|part| v128_and(is_positive(test[part]), value[part]))
    }

    #[inline(always)]
    fn positive(self, a: Self::V) -> u16 {
        let bits = |part: usize| u16::from(i32x4_bitmask(is_positive(a[part]))) << (FOUR * part);
        bits(0) | bits(1) | bits(2) | bits(3)
    }

    #[inline(always)]
    fn where_set(self, bits: u16, value: Self::V) -> Self::V {
        let of_lane = i32x4(1, 2, 4, 8);
        from_fn(|part| {
            let set = v128_and(i32x4_splat(i32::from(bits >> (FOUR * part))), of_lane);
            v128_and(i32x4_eq(set, of_lane), value[part])
        })
    }

    #[inline(never)]
    fn apart<O: Op>(self, op: O) -> O::Output {
        op.run(self)
    }
}
