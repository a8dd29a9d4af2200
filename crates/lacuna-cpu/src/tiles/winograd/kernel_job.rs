//! From kernels to transformed weights.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use std::ops::Range;

use super::transforms::kernel_transform;
use super::{IN, PLACES, Product, TAPS};
use crate::shared::Shared;
use crate::simd::{LANES, Op, Simd};

/// The kernels of one panel of outputs and some inputs.
pub(super) struct KernelJob<'a> {
    pub product: &'a Product,
    /// The output blocks of one panel.
    pub blocks: Range<usize>,
    /// Input channels.
    pub rows: Range<usize>,
    pub weights: Shared<'a>,
}

impl Op for KernelJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { product, blocks, .. } = self;
        let place = product.place();
        for row in self.rows {
            for block in blocks.clone() {
                let kernel = &product.kernels[(block * product.rows + row) * TAPS * LANES..][..TAPS * LANES];
                let to = blocks.start * product.rows + row * blocks.len() + block - blocks.start;
                // SAFETY: each kernel has places of its own.
                unsafe { transform(simd, kernel, self.weights, to * LANES, place) };
            }
        }
    }
}

/// Transforms one kernel, `[TAPS][LANES]`, into vectors that are `place` values apart, the first at `first`.
///
/// # Safety
/// No other thread may access them.
#[inline(always)]
pub(super) unsafe fn transform<S: Simd>(
    simd: S,
    kernel: &[f32],
    weights: Shared<'_>,
    first: usize,
    place: usize,
) {
    assert_eq!(kernel.len(), TAPS * LANES, "a kernel");
    let last = (PLACES - 1) * place;
    let to = weights.at(first + last).wrapping_sub(last);
    let mut columns = [[simd.splat(0.0); IN]; 3];
    for (x, column) in columns.iter_mut().enumerate() {
        let mut taps = [simd.splat(0.0); 3];
        for (y, tap) in taps.iter_mut().enumerate() {
            // SAFETY: nine vectors long.
            *tap = unsafe { simd.load(kernel.as_ptr().add((3 * y + x) * LANES)) };
        }
        *column = kernel_transform(simd, taps);
    }
    for y in 0..IN {
        let line = kernel_transform(simd, [columns[0][y], columns[1][y], columns[2][y]]);
        for (x, &value) in line.iter().enumerate() {
            // SAFETY: inside the buffer, as the last place is; no other thread, as promised.
            unsafe { simd.store(to.add((y * IN + x) * place), value) };
        }
    }
}
