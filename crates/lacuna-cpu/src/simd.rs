//! Vectors of sixteen values, for any instruction set.
//!
//! A kernel is written once, generic over [`Simd`], as an [`Op`] whose `run` and all that it calls are
//! `#[inline(always)]`; [`dispatch`] compiles it for every instruction set and picks one at run time.
#![expect(unsafe_code, reason = "vector instructions")]

use crate::Isa;

/// Values in a vector.
pub(crate) const LANES: usize = 16;

/// Vector operations on [`LANES`] values. A value of an implementing type proves that the processor has the
/// instructions.
pub(crate) trait Simd: Copy + Send + Sync {
    /// A vector.
    type V: Copy;
    /// Vectors that fit into the registers beside two operands: the size limit of a register tile.
    const ACCUMULATORS: usize;

    /// A vector with `value` in every lane.
    fn splat(self, value: f32) -> Self::V;

    /// Reads [`LANES`] values.
    ///
    /// # Safety
    /// They must be readable at `from`, which need not be aligned.
    unsafe fn load(self, from: *const f32) -> Self::V;

    /// Writes [`LANES`] values.
    ///
    /// # Safety
    /// They must be writable at `to`, which need not be aligned.
    unsafe fn store(self, to: *mut f32, value: Self::V);

    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`; rounded once, except in the portable implementation.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Lanewise maximum.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;

    /// Each lane of `value` if that of `test` is positive, else 0.
    fn where_positive(self, test: Self::V, value: Self::V) -> Self::V;

    /// One bit for each lane, the first lane's the lowest: whether it is positive.
    fn positive(self, a: Self::V) -> u16;

    /// Each lane of `value` if its bit is set, else 0.
    fn where_set(self, bits: u16, value: Self::V) -> Self::V;

    /// Runs `op` as a function of its own: inside a large function a hot loop may lose its registers.
    fn apart<O: Op>(self, op: O) -> O::Output;

    /// The sum of all lanes.
    #[inline(always)]
    fn sum(self, a: Self::V) -> f32 {
        let mut lanes = [0.0; LANES];
        // SAFETY: the array has LANES numbers.
        unsafe { self.store(lanes.as_mut_ptr(), a) };
        let mut half = LANES / 2;
        while half > 0 {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
            half /= 2;
        }
        lanes[0]
    }

    /// Reads the slice's values, at most [`LANES`]; the other lanes are 0.
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::V {
        let mut lanes = [0.0; LANES];
        lanes[..from.len()].copy_from_slice(from);
        // SAFETY: the array has LANES numbers.
        unsafe { self.load(lanes.as_ptr()) }
    }

    /// Writes the first lanes, as many as the slice has values, at most [`LANES`].
    #[inline(always)]
    fn store_part(self, to: &mut [f32], value: Self::V) {
        let mut lanes = [0.0; LANES];
        // SAFETY: the array has LANES numbers.
        unsafe { self.store(lanes.as_mut_ptr(), value) };
        to.copy_from_slice(&lanes[..to.len()]);
    }
}

/// A kernel that is compiled for every instruction set.
pub(crate) trait Op {
    /// Its result.
    type Output;

    /// Runs the kernel. Must be `#[inline(always)]`, with everything it calls, or vectors go through memory.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `op` with the instructions of `isa`.
///
/// # Panics
/// If this processor lacks them.
pub(crate) fn dispatch<O: Op>(isa: Isa, op: O) -> O::Output {
    assert!(isa.is_available(), "{isa} on a processor that has {} at best", Isa::best());
    match isa {
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => op.run(neon::Neon),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: checked above.
        Isa::Avx512 => unsafe { x86::with_avx512(op) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: checked above.
        Isa::Avx2 => unsafe { x86::with_avx2(op) },
        _ => op.run(Baseline),
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use portable::Portable as Baseline;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use wasm::Wasm128 as Baseline;

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable {
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
}

/// 64-bit Arm's vectors of four values; all of these processors have them. Results are those of [`portable`] there, bit for bit.
#[cfg(target_arch = "aarch64")]
mod neon {
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
}

/// WebAssembly's vectors of four values. Results are those of `Portable`, bit for bit: nothing is fused.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
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
}

#[cfg(target_arch = "x86_64")]
mod x86 {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Everything;

    impl Op for Everything {
        type Output = [f32; 11];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [f32; 11] {
            let lanes: [f32; LANES] = std::array::from_fn(|lane| lane as f32 - 4.0);
            // SAFETY: arrays of LANES numbers.
            let a = unsafe { simd.load(lanes.as_ptr()) };
            let b = simd.splat(2.0);
            let mut part = [0.0; 3];
            simd.store_part(&mut part, simd.sub(a, b));
            [
                simd.sum(a),
                simd.sum(simd.add(a, b)),
                simd.sum(simd.mul(a, b)),
                simd.sum(simd.mul_add(a, b, a)),
                simd.sum(simd.max(a, b)),
                simd.sum(simd.load_part(&lanes[..3])),
                part[0],
                part[2],
                simd.sum(simd.where_positive(a, b)),
                f32::from(simd.positive(a)),
                simd.sum(simd.where_set(0b1000_0000_0010_0001, a)),
            ]
        }
    }

    #[test]
    fn every_instruction_set_by_hand() {
        // Lanes -4 to 11: their sum is 56.
        let bits = f32::from(0b1111_1111_1110_0000u16);
        let set = -4.0 + 1.0 + 11.0;
        let expected = [56.0, 88.0, 112.0, 168.0, 7.0 * 2.0 + 63.0, -9.0, -6.0, -4.0, 22.0, bits, set];
        for isa in Isa::available() {
            assert_eq!(dispatch(isa, Everything), expected, "{isa}");
        }
    }
}
