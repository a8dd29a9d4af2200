//! AVX-512 and AVX2.

use std::arch::x86_64::*;

use super::{Op, Simd};

/// # Safety
/// The processor must have AVX-512 F.
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
pub unsafe fn with_avx512<O: Op>(op: O) -> O::Output {
    op.run(Avx512(()))
}

/// # Safety
/// The processor must have AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn with_avx2<O: Op>(op: O) -> O::Output {
    op.run(Avx2(()))
}

/// # Safety
/// As [`with_avx512`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn apart_with_avx512<O: Op>(op: O) -> O::Output {
    op.run(Avx512(()))
}

/// # Safety
/// As [`with_avx2`].
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn apart_with_avx2<O: Op>(op: O) -> O::Output {
    op.run(Avx2(()))
}

#[derive(Clone, Copy)]
pub struct Avx512(());

// SAFETY of all below: only `with_avx512` makes such a value, whose caller promised the instructions.
impl Simd for Avx512 {
    type V = __m512;
    const ACCUMULATORS: usize = 24;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::V) {
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn where_positive(self, test: Self::V, value: Self::V) -> Self::V {
        unsafe {
            let passes = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(test, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(passes, value)
        }
    }

    #[inline(always)]
    fn positive(self, a: Self::V) -> u16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, _mm512_setzero_ps()) }
    }

    #[inline(always)]
    fn where_set(self, bits: u16, value: Self::V) -> Self::V {
        unsafe { _mm512_maskz_mov_ps(bits, value) }
    }

    #[inline(always)]
    fn apart<O: Op>(self, op: O) -> O::Output {
        unsafe { apart_with_avx512(op) }
    }

    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
    }

    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::V {
        unsafe { _mm512_maskz_loadu_ps(first(from.len()), from.as_ptr()) }
    }

    #[inline(always)]
    fn store_part(self, to: &mut [f32], value: Self::V) {
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), first(to.len()), value) }
    }
}

/// The mask of the first `lanes` lanes.
#[inline(always)]
fn first(lanes: usize) -> __mmask16 {
    assert!(lanes <= super::LANES);
    ((1u32 << lanes) - 1) as __mmask16
}

#[derive(Clone, Copy)]
pub struct Avx2(());

// SAFETY of all below: only `with_avx2` makes such a value, whose caller promised the instructions.
impl Simd for Avx2 {
    type V = [__m256; 2];
    const ACCUMULATORS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: Self::V) {
        unsafe {
            _mm256_storeu_ps(to, value[0]);
            _mm256_storeu_ps(to.add(8), value[1]);
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn where_positive(self, test: Self::V, value: Self::V) -> Self::V {
        unsafe {
            let zero = _mm256_setzero_ps();
            [
                _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(test[0], zero), value[0]),
                _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(test[1], zero), value[1]),
            ]
        }
    }

    #[inline(always)]
    fn positive(self, a: Self::V) -> u16 {
        unsafe {
            let zero = _mm256_setzero_ps();
            let [low, high] = a.map(|half| _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(half, zero)));
            (low | high << 8) as u16
        }
    }

    #[inline(always)]
    fn where_set(self, bits: u16, value: Self::V) -> Self::V {
        unsafe {
            let of_lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let part = |bits: u16, value: __m256| {
                let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), of_lane);
                let passes = _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, of_lane));
                _mm256_and_ps(passes, value)
            };
            [part(bits & 0xff, value[0]), part(bits >> 8, value[1])]
        }
    }

    #[inline(always)]
    fn apart<O: Op>(self, op: O) -> O::Output {
        unsafe { apart_with_avx2(op) }
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }
}
