//! 64-bit Arm's vectors of four values; all of these processors have them. Results are those of `Portable` there, bit for bit.

use std::arch::aarch64::*;
use std::array::from_fn;

use super::{Op, Simd};

/// Values in a register.
const FOUR: usize = 4;

#[derive(Clone, Copy)]
pub struct Neon;

/// Each lane of `value` whose lane of `chosen` has all bits set, else 0.
#[inline(always)]
fn keep(chosen: uint32x4_t, value: float32x4_t) -> float32x4_t {
    // SAFETY: every processor of this architecture has NEON.
    unsafe { vreinterpretq_f32_u32(vandq_u32(chosen, vreinterpretq_u32_f32(value))) }
}

// SAFETY of all below: every processor of this architecture has NEON.
impl Simd for Neon {
    type V = [float32x4_t; 4];
    // 32 registers of four values: 20 of sums, 4 of weights, and what is multiplied. With 24 of sums the compiler spills.
    const ACCUMULATORS: usize = 5;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [unsafe { vdupq_n_f32(value) }; 4]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        from_fn(|part| unsafe { vld1q_f32(from.add(FOUR * part)) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::V) {
        for (part, value) in value.into_iter().enumerate() {
            unsafe { vst1q_f32(to.add(FOUR * part), value) };
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|part| unsafe { vaddq_f32(a[part], b[part]) })
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|part| unsafe { vsubq_f32(a[part], b[part]) })
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|part| unsafe { vmulq_f32(a[part], b[part]) })
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        from_fn(|part| unsafe { vdivq_f32(a[part], b[part]) })
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        from_fn(|part| unsafe { vfmaq_f32(c[part], a[part], b[part]) })
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // `b` where either is not a number, as in the portable implementation.
        from_fn(|part| unsafe { vbslq_f32(vcgtq_f32(a[part], b[part]), a[part], b[part]) })
    }

    #[inline(always)]
    fn where_positive(self, test: Self::V, value: Self::V) -> Self::V {
        from_fn(|part| keep(unsafe { vcgtzq_f32(test[part]) }, value[part]))
    }

    #[inline(always)]
    fn positive(self, a: Self::V) -> u16 {
        unsafe {
            let of_lane = vld1q_u32([1, 2, 4, 8].as_ptr());
            let bits = |part: usize| vaddvq_u32(vandq_u32(vcgtzq_f32(a[part]), of_lane)) << (FOUR * part);
            (bits(0) | bits(1) | bits(2) | bits(3)) as u16
        }
    }

    #[inline(always)]
    fn where_set(self, bits: u16, value: Self::V) -> Self::V {
        let of_lane = unsafe { vld1q_u32([1, 2, 4, 8].as_ptr()) };
        from_fn(|part| unsafe {
            let bits = vdupq_n_u32(u32::from(bits >> (FOUR * part)));
            keep(vtstq_u32(bits, of_lane), value[part])
        })
    }

    #[inline(never)]
    fn apart<O: Op>(self, op: O) -> O::Output {
        op.run(self)
    }
}
