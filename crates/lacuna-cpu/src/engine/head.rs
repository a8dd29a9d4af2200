//! The RGB head: 7x7 convolution to red, green and blue, reflected at the border, with bias and sigmoid.
//!
//! Three outputs would leave most lanes of a register tile empty, so the lanes are input channels here, summed at the
//! end.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use std::ops::Range;

use lacuna_network::Border;
use lacuna_network::geometry::IMAGE_CHANNELS;
use rayon::prelude::*;

use crate::Isa;
use crate::shared::Shared;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::channels::Channels;
use crate::tiles::map::Map;

pub(super) const KERNEL: usize = 7;
const HALF: isize = (KERNEL / 2) as isize;

/// The convolution with packed weights.
#[derive(Debug)]
pub(crate) struct RgbHead {
    /// `[block][KERNEL][KERNEL][IMAGE_CHANNELS][LANES]`.
    weights: Vec<f32>,
    bias: [f32; IMAGE_CHANNELS],
    blocks: usize,
    isa: Isa,
}

impl RgbHead {
    /// Packs the weights that `weight` gives for channel, input channel and tap.
    pub fn new(
        isa: Isa,
        inputs: &Channels,
        bias: [f32; IMAGE_CHANNELS],
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let mut weights = vec![0.0; inputs.blocks() * KERNEL * KERNEL * IMAGE_CHANNELS * LANES];
        for block in 0..inputs.blocks() {
            for (lane, input) in inputs.of(block).enumerate() {
                for tap in 0..KERNEL * KERNEL {
                    for channel in 0..IMAGE_CHANNELS {
                        let place =
                            ((block * KERNEL * KERNEL + tap) * IMAGE_CHANNELS + channel) * LANES + lane;
                        weights[place] = weight(channel, input, tap);
                    }
                }
            }
        }
        Self { weights, bias, blocks: inputs.blocks(), isa }
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.weights.len() * size_of::<f32>()
    }

    /// The weight from a lane of an input block to a channel at a tap.
    pub fn weight(&self, channel: usize, (block, lane): (usize, usize), tap: usize) -> f32 {
        self.weights[((block * KERNEL * KERNEL + tap) * IMAGE_CHANNELS + channel) * LANES + lane]
    }

    /// Computes some rows and columns of `image`, `[IMAGE_CHANNELS, height, width]`.
    ///
    /// # Panics
    /// If the image is not as large as the map.
    pub fn run(&self, input: Map<'_>, image: &mut [f32], rows: Range<usize>, columns: Range<usize>) {
        assert_eq!(image.len(), IMAGE_CHANNELS * input.height * input.columns(), "image");
        assert_eq!(input.layout.blocks, self.blocks, "input blocks");
        let image = Shared::new(image);
        let sums = || vec![0.0; columns.len() * IMAGE_CHANNELS * LANES];
        rows.into_par_iter().for_each_init(sums, |sums, row| {
            let sums = Shared::new(sums);
            let job = RowJob { head: self, input, image, row, columns: columns.clone(), sums };
            dispatch(self.isa, job);
        });
    }
}

struct RowJob<'a> {
    head: &'a RgbHead,
    input: Map<'a>,
    image: Shared<'a>,
    row: usize,
    columns: Range<usize>,
    /// Partial sums, `[columns][IMAGE_CHANNELS][LANES]`: one block of channels at a time, so that its weights stay in
    /// the L1 cache.
    sums: Shared<'a>,
}

impl Op for RowJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (height, width) = (self.input.height, self.input.columns());
        let place = |index: usize, offset: usize, length: usize| {
            Border::Reflect.place((index + offset) as isize - HALF, length).expect("reflected")
        };
        let rows: [usize; KERNEL] =
            std::array::from_fn(|tap| self.input.place(place(self.row, tap, height), 0));
        let taps = |lines: [usize; KERNEL]| -> [usize; KERNEL * KERNEL] {
            std::array::from_fn(|tap| rows[tap / KERNEL] + lines[tap % KERNEL])
        };
        // Offsets of the taps of inner pixels, relative to the pixel under the first tap.
        let inner = taps(std::array::from_fn(|tap| tap * LANES));
        let half = HALF as usize;
        for block in 0..self.head.blocks {
            let mut column = self.columns.start;
            while column < self.columns.end {
                let inside = if column < half { 0 } else { (width - half).saturating_sub(column) };
                if inside == 0 {
                    let taps = taps(std::array::from_fn(|tap| place(column, tap, width) * LANES));
                    simd.apart(Pixels::<1> { job: &self, block, taps: &taps, x: 0, column });
                    column += 1;
                    continue;
                }
                let (count, x) = (inside.min(self.columns.end - column), (column - half) * LANES);
                macro_rules! pixels_of {
                    ($($p:literal)*) => {$(
                        if count >= $p && ($p == 1 || $p * IMAGE_CHANNELS <= S::ACCUMULATORS) {
                            simd.apart(Pixels::<$p> { job: &self, block, taps: &inner, x, column });
                            column += $p;
                            continue;
                        }
                    )*};
                }
                pixels_of!(8 4 2 1);
            }
        }
        for column in self.columns.clone() {
            for channel in 0..IMAGE_CHANNELS {
                let sums = self.sums.at(((column - self.columns.start) * IMAGE_CHANNELS + channel) * LANES);
                // SAFETY: every column was summed above.
                let value = simd.sum(unsafe { simd.load(sums) }) + self.head.bias[channel];
                let to = self.image.at((channel * height + self.row) * width + column);
                // SAFETY: inside the image; rows belong to one task each.
                unsafe { *to = 1.0 / (1.0 + libm::expf(-value)) };
            }
        }
    }
}

/// `P` pixels, beginning at `column`.
struct Pixels<'a, const P: usize> {
    job: &'a RowJob<'a>,
    block: usize,
    /// Offsets of the taps from `x`. It is a slice, so that the compiler keeps the loop over taps and the sums in
    /// registers.
    taps: &'a [usize],
    x: usize,
    column: usize,
}

impl<const P: usize> Op for Pixels<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { job, block, taps, x, column } = self;
        let RowJob { head, input, .. } = *job;
        let held = job.sums.at((column - job.columns.start) * IMAGE_CHANNELS * LANES);
        let mut sums = [[simd.splat(0.0); IMAGE_CHANNELS]; P];
        if block > 0 {
            for pixel in 0..P {
                for channel in 0..IMAGE_CHANNELS {
                    // SAFETY: the block before wrote it.
                    sums[pixel][channel] =
                        unsafe { simd.load(held.add((pixel * IMAGE_CHANNELS + channel) * LANES)) };
                }
            }
        }
        let mut weights = head.weights[block * KERNEL * KERNEL * IMAGE_CHANNELS * LANES..].as_ptr();
        let start = input.buffer.at(block * input.layout.plane + x);
        for &tap in taps {
            // SAFETY: all taps lie in the map; as many weights as blocks and taps.
            unsafe {
                let x = start.add(tap);
                let mut weight = [simd.splat(0.0); IMAGE_CHANNELS];
                for channel in 0..IMAGE_CHANNELS {
                    weight[channel] = simd.load(weights.add(channel * LANES));
                }
                for pixel in 0..P {
                    let value = simd.load(x.add(pixel * LANES));
                    for channel in 0..IMAGE_CHANNELS {
                        sums[pixel][channel] = simd.mul_add(value, weight[channel], sums[pixel][channel]);
                    }
                }
                weights = weights.add(IMAGE_CHANNELS * LANES);
            }
        }
        for pixel in 0..P {
            for channel in 0..IMAGE_CHANNELS {
                // SAFETY: room for all columns.
                unsafe {
                    simd.store(held.add((pixel * IMAGE_CHANNELS + channel) * LANES), sums[pixel][channel])
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::testing::{Memory, Reference, weights};
    use testkit::assert_close;
    use testkit::pictures::noise;

    const TOLERANCE: f32 = 1e-6;

    #[test]
    fn it_is_the_definition() {
        for (inputs, [height, width]) in [(8, [16, 16]), (20, [9, 33]), (64, [4, 4])] {
            let channels = Channels::parts([inputs]);
            let planes = noise(1, inputs * height * width);
            let weights = weights(IMAGE_CHANNELS, inputs, KERNEL, 2);
            let bias = [0.1, -0.2, 0.3];
            let reference =
                Reference { kernel: KERNEL, stride: 1, border: Border::Reflect, weights: &weights };
            let linear = reference.run(&planes, [inputs, IMAGE_CHANNELS, height, width]);
            let sigmoid =
                |(i, value): (usize, &f32)| 1.0 / (1.0 + (-(value + bias[i / (height * width)])).exp());
            let expected: Vec<f32> = linear.iter().enumerate().map(sigmoid).collect();
            for isa in Isa::available() {
                let head = RgbHead::new(isa, &channels, bias, |channel, input, tap| {
                    weights[(channel * inputs + input) * KERNEL * KERNEL + tap]
                });
                let mut input = Memory::of(&channels, height, width, &planes);
                let mut image = vec![f32::NAN; IMAGE_CHANNELS * height * width];
                head.run(input.map(), &mut image, 0..height, 0..width);
                assert_close(&image, &expected, TOLERANCE);
                // Computing any part gives the same bits.
                let mut pieces = vec![f32::NAN; image.len()];
                for columns in [0..3, 3..width] {
                    head.run(input.map(), &mut pieces, 0..1, columns.clone());
                    head.run(input.map(), &mut pieces, 1..height, columns);
                }
                assert_eq!(pieces, image, "{isa}");
            }
        }
    }
}
