//! AVX-512 and AVX2: pairs of products are summed in one instruction.

use std::arch::x86_64::*;

use super::{ROW, Row, Squares, Task};

/// # Safety
/// The processor must have AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2")]
pub unsafe fn with_avx512<T: Task>(task: T) -> T::Output {
    task.run(Avx512(()))
}

/// # Safety
/// The processor must have AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn with_avx2<T: Task>(task: T) -> T::Output {
    task.run(Avx2(()))
}

/// A bit for each number of a row.
const WHOLE: u32 = (1 << ROW) - 1;

#[derive(Clone, Copy)]
pub struct Avx512(());

// SAFETY of all below: only `with_avx512` makes such a value, whose caller promised the instructions; the numbers beyond a row
// are masked and not read.
impl Avx512 {
    #[inline(always)]
    fn row(self, row: &Row) -> __m512i {
        unsafe { _mm512_maskz_loadu_epi16(WHOLE, row.as_ptr()) }
    }
}

impl Squares for Avx512 {
    type Differences = __m512i;
    type Sums = __m512i;

    #[inline(always)]
    fn none(self) -> __m512i {
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn differences(self, a: &Row, b: &Row) -> __m512i {
        unsafe { _mm512_sub_epi16(self.row(a), self.row(b)) }
    }

    #[inline(always)]
    fn kept(self, differences: __m512i, counted: &Row) -> __m512i {
        unsafe { _mm512_and_si512(differences, self.row(counted)) }
    }

    #[inline(always)]
    fn add_squares(self, sums: __m512i, differences: __m512i) -> __m512i {
        unsafe { _mm512_add_epi32(sums, _mm512_madd_epi16(differences, differences)) }
    }

    #[inline(always)]
    fn total(self, sums: __m512i) -> u32 {
        unsafe { _mm512_reduce_add_epi32(sums) as u32 }
    }
}

/// Where the second vector of a row begins: it ends with the row, and its first numbers are in the first vector, too.
const SECOND: usize = ROW - 16;

/// Keeps those that are not.
static NEW: [i16; 16] = [0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1];

#[derive(Clone, Copy)]
pub struct Avx2(());

// SAFETY of all below: only `with_avx2` makes such a value, whose caller promised the instructions; the slices have as many
// numbers as are read.
impl Avx2 {
    /// The two vectors of a row.
    #[inline(always)]
    fn row(self, row: &Row) -> [__m256i; 2] {
        let (first, second) = (&row[..16], &row[SECOND..]);
        unsafe { [_mm256_loadu_si256(first.as_ptr().cast()), _mm256_loadu_si256(second.as_ptr().cast())] }
    }
}

impl Squares for Avx2 {
    type Differences = [__m256i; 2];
    type Sums = __m256i;

    #[inline(always)]
    fn none(self) -> __m256i {
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn differences(self, a: &Row, b: &Row) -> [__m256i; 2] {
        let ([a, second_a], [b, second_b]) = (self.row(a), self.row(b));
        unsafe {
            let new = _mm256_loadu_si256(NEW.as_ptr().cast());
            [_mm256_sub_epi16(a, b), _mm256_and_si256(_mm256_sub_epi16(second_a, second_b), new)]
        }
    }

    #[inline(always)]
    fn kept(self, [first, second]: [__m256i; 2], counted: &Row) -> [__m256i; 2] {
        let [counted, second_counted] = self.row(counted);
        unsafe { [_mm256_and_si256(first, counted), _mm256_and_si256(second, second_counted)] }
    }

    #[inline(always)]
    fn add_squares(self, sums: __m256i, [first, second]: [__m256i; 2]) -> __m256i {
        unsafe {
            let squares =
                _mm256_add_epi32(_mm256_madd_epi16(first, first), _mm256_madd_epi16(second, second));
            _mm256_add_epi32(sums, squares)
        }
    }

    #[inline(always)]
    fn total(self, sums: __m256i) -> u32 {
        unsafe {
            let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
            let sums = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b00_00_11_10>(sums));
            let sums = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b00_00_00_01>(sums));
            _mm_cvtsi128_si32(sums) as u32
        }
    }
}
