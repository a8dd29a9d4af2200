//! 64-bit Arm's NEON: products of eight numbers are added to two vectors of sums.

use std::arch::aarch64::*;
use std::array::from_fn;

use super::{ROW, Row, Squares};

/// Numbers in a vector, and such vectors in a row; half a vector remains.
const EIGHT: usize = 8;
const VECTORS: usize = ROW / EIGHT;

#[derive(Clone, Copy)]
pub struct Neon;

// SAFETY of all below: every processor of this architecture has NEON, and the slices have as many numbers as are read.
impl Neon {
    #[inline(always)]
    fn row(self, row: &Row) -> ([int16x8_t; VECTORS], int16x4_t) {
        let vector = |index| unsafe { vld1q_s16(row[EIGHT * index..][..EIGHT].as_ptr()) };
        (from_fn(vector), unsafe { vld1_s16(row[EIGHT * VECTORS..].as_ptr()) })
    }
}

impl Squares for Neon {
    type Differences = ([int16x8_t; VECTORS], int16x4_t);
    type Sums = int32x4_t;

    #[inline(always)]
    fn none(self) -> int32x4_t {
        unsafe { vdupq_n_s32(0) }
    }

    #[inline(always)]
    fn differences(self, a: &Row, b: &Row) -> Self::Differences {
        let ((a, rest_a), (b, rest_b)) = (self.row(a), self.row(b));
        unsafe { (from_fn(|index| vsubq_s16(a[index], b[index])), vsub_s16(rest_a, rest_b)) }
    }

    #[inline(always)]
    fn kept(self, (differences, rest): Self::Differences, counted: &Row) -> Self::Differences {
        let (counted, rest_counted) = self.row(counted);
        unsafe {
            (from_fn(|index| vandq_s16(differences[index], counted[index])), vand_s16(rest, rest_counted))
        }
    }

    #[inline(always)]
    fn add_squares(self, mut sums: int32x4_t, (differences, rest): Self::Differences) -> int32x4_t {
        unsafe {
            for numbers in differences {
                let low = vget_low_s16(numbers);
                sums = vmlal_high_s16(vmlal_s16(sums, low, low), numbers, numbers);
            }
            vmlal_s16(sums, rest, rest)
        }
    }

    #[inline(always)]
    fn total(self, sums: int32x4_t) -> u32 {
        unsafe { vaddvq_s32(sums) as u32 }
    }
}
