//! Vectors of sixteen values, for any instruction set.
//!
//! A kernel is written once, generic over [`Simd`], as an [`Op`] whose `run` and all that it calls are
//! `#[inline(always)]`; [`dispatch`] compiles it for every instruction set and picks one at run time.
#![expect(unsafe_code, reason = "vector instructions")]

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

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
    /// `a / b`.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Everything;

    impl Op for Everything {
        type Output = [f32; 12];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> [f32; 12] {
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
                simd.sum(simd.div(a, b)),
            ]
        }
    }

    #[test]
    fn every_instruction_set_by_hand() {
        // Lanes -4 to 11: their sum is 56.
        let bits = f32::from(0b1111_1111_1110_0000u16);
        let set = -4.0 + 1.0 + 11.0;
        let expected = [56.0, 88.0, 112.0, 168.0, 7.0 * 2.0 + 63.0, -9.0, -6.0, -4.0, 22.0, bits, set, 28.0];
        for isa in Isa::available() {
            assert_eq!(dispatch(isa, Everything), expected, "{isa}");
        }
    }
}
