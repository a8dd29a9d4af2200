//! 64-bit Arm's NEON: products of eight numbers are added to two vectors of sums.

use std::arch::aarch64::*;

use super::{ROW, Row, Squares};

/// Numbers in a vector.
const EIGHT: usize = 8;

#[derive(Clone, Copy)]
pub struct Neon;

/// Adds the squares of eight numbers.
#[inline(always)]
fn squares(sums: int32x4_t, numbers: int16x8_t) -> int32x4_t {
    // SAFETY: every processor of this architecture has NEON.
    unsafe {
        let low = vget_low_s16(numbers);
        vmlal_high_s16(vmlal_s16(sums, low, low), numbers, numbers)
    }
}

/// Eight numbers from the place `from` on.
#[inline(always)]
fn eight(row: &Row, from: usize) -> int16x8_t {
    // SAFETY: as above, and the slice has eight numbers.
    unsafe { vld1q_s16(row[from..from + EIGHT].as_ptr()) }
}

/// The last four numbers of a row.
#[inline(always)]
fn rest(row: &Row) -> int16x4_t {
    // SAFETY: as above, and the slice has four numbers.
    unsafe { vld1_s16(row[ROW - EIGHT / 2..].as_ptr()) }
}

// SAFETY of all below: every processor of this architecture has NEON.
impl Squares for Neon {
    type Sums = int32x4_t;

    #[inline(always)]
    fn none(self) -> int32x4_t {
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    fn add(self, mut sums: int32x4_t, a: &Row, b: &Row) -> int32x4_t {
        for from in (0..ROW / EIGHT).map(|vector| EIGHT * vector) {
            sums = squares(sums, unsafe { vsubq_s16(eight(a, from), eight(b, from)) });
        }
        unsafe {
            let difference = vsub_s16(rest(a), rest(b));
            vmlal_s16(sums, difference, difference)
        }
    }

    #[inline(always)]
    fn add_where(self, mut sums: int32x4_t, a: &Row, b: &Row, counted: &Row) -> int32x4_t {
        for from in (0..ROW / EIGHT).map(|vector| EIGHT * vector) {
            let difference = unsafe { vsubq_s16(eight(a, from), eight(b, from)) };
            sums = squares(sums, unsafe { vandq_s16(difference, eight(counted, from)) });
        }
        unsafe {
            let difference = vand_s16(vsub_s16(rest(a), rest(b)), rest(counted));
            vmlal_s16(sums, difference, difference)
        }
    }

    #[inline(always)]
    fn total(self, sums: int32x4_t) -> u32 {
        unsafe { vaddvq_s32(sums) as u32 }
    }
}
