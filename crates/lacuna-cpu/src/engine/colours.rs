//! The last convolution: 7x7 to three colours, reflected at the border, with bias and sigmoid.
//!
//! Three outputs would leave most lanes of a register tile empty, so here the lanes are the input channels, summed up
//! at the end.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use std::ops::Range;

use rayon::prelude::*;

use super::channels::Channels;
use super::map::{Border, Map};
use crate::Isa;
use crate::shared::Shared;
use crate::simd::{LANES, Op, Simd, dispatch};

const KERNEL: usize = 7;
const HALF: isize = (KERNEL / 2) as isize;
/// Colours of a picture.
pub(crate) const COLOURS: usize = 3;

/// The convolution with packed weights.
#[derive(Debug)]
pub(crate) struct Colours {
    /// `[block][KERNEL][KERNEL][COLOURS][LANES]`.
    weights: Vec<f32>,
    bias: [f32; COLOURS],
    blocks: usize,
    isa: Isa,
}

impl Colours {
    /// Packs the weights that `weight` gives for colour, input channel and tap.
    pub fn new(
        isa: Isa,
        inputs: &Channels,
        bias: [f32; COLOURS],
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let mut weights = vec![0.0; inputs.blocks() * KERNEL * KERNEL * COLOURS * LANES];
        for block in 0..inputs.blocks() {
            for (lane, input) in inputs.of(block).enumerate() {
                for tap in 0..KERNEL * KERNEL {
                    for colour in 0..COLOURS {
                        let place = ((block * KERNEL * KERNEL + tap) * COLOURS + colour) * LANES + lane;
                        weights[place] = weight(colour, input, tap);
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

    /// Computes some rows and columns of `picture`, `[COLOURS, height, width]`.
    ///
    /// # Panics
    /// If the picture is not as large as the map.
    pub fn run(&self, input: Map<'_>, picture: &mut [f32], rows: Range<usize>, columns: Range<usize>) {
        assert_eq!(picture.len(), COLOURS * input.height * input.columns(), "picture");
        assert_eq!(input.layout.blocks, self.blocks, "input blocks");
        let picture = Shared::new(picture);
        let sums = || vec![0.0; columns.len() * COLOURS * LANES];
        rows.into_par_iter().for_each_init(sums, |sums, row| {
            let sums = Shared::new(sums);
            let job = RowJob { colours: self, input, picture, row, columns: columns.clone(), sums };
            dispatch(self.isa, job);
        });
    }
}

struct RowJob<'a> {
    colours: &'a Colours,
    input: Map<'a>,
    picture: Shared<'a>,
    row: usize,
    columns: Range<usize>,
    /// The sums so far, `[columns][COLOURS][LANES]`: one block of channels at a time, so that its weights stay in the
    /// first-level cache.
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
        // Of pixels whose taps all lie inside, relative to the pixel under the first.
        let inner = taps(std::array::from_fn(|tap| tap * LANES));
        let half = HALF as usize;
        for block in 0..self.colours.blocks {
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
                        if count >= $p && ($p == 1 || $p * COLOURS <= S::ACCUMULATORS) {
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
            for colour in 0..COLOURS {
                let sums = self.sums.at(((column - self.columns.start) * COLOURS + colour) * LANES);
                // SAFETY: every column was summed above.
                let value = simd.sum(unsafe { simd.load(sums) }) + self.colours.bias[colour];
                let to = self.picture.at((colour * height + self.row) * width + column);
                // SAFETY: inside the picture; rows belong to one task each.
                unsafe { *to = 1.0 / (1.0 + (-value).exp()) };
            }
        }
    }
}

/// `P` pixels from `column` on.
struct Pixels<'a, const P: usize> {
    job: &'a RowJob<'a>,
    block: usize,
    /// Where the taps lie, from `x` on; as a slice, so that the compiler leaves the loop over them a loop and keeps the
    /// sums in registers.
    taps: &'a [usize],
    x: usize,
    column: usize,
}

impl<const P: usize> Op for Pixels<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { job, block, taps, x, column } = self;
        let RowJob { colours, input, .. } = *job;
        let held = job.sums.at((column - job.columns.start) * COLOURS * LANES);
        let mut sums = [[simd.splat(0.0); COLOURS]; P];
        if block > 0 {
            for pixel in 0..P {
                for colour in 0..COLOURS {
                    // SAFETY: the block before wrote it.
                    sums[pixel][colour] = unsafe { simd.load(held.add((pixel * COLOURS + colour) * LANES)) };
                }
            }
        }
        let mut weights = colours.weights[block * KERNEL * KERNEL * COLOURS * LANES..].as_ptr();
        let start = input.buffer.at(block * input.layout.plane + x);
        for &tap in taps {
            // SAFETY: all taps lie in the map; as many weights as blocks and taps.
            unsafe {
                let x = start.add(tap);
                let mut weight = [simd.splat(0.0); COLOURS];
                for colour in 0..COLOURS {
                    weight[colour] = simd.load(weights.add(colour * LANES));
                }
                for pixel in 0..P {
                    let value = simd.load(x.add(pixel * LANES));
                    for colour in 0..COLOURS {
                        sums[pixel][colour] = simd.mul_add(value, weight[colour], sums[pixel][colour]);
                    }
                }
                weights = weights.add(COLOURS * LANES);
            }
        }
        for pixel in 0..P {
            for colour in 0..COLOURS {
                // SAFETY: room for all columns.
                unsafe { simd.store(held.add((pixel * COLOURS + colour) * LANES), sums[pixel][colour]) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{Memory, Reference, weights};
    use testkit::assert_close;
    use testkit::pictures::noise;

    const TOLERANCE: f32 = 1e-6;

    #[test]
    fn it_is_the_definition() {
        for (inputs, [height, width]) in [(8, [16, 16]), (20, [9, 33]), (64, [4, 4])] {
            let channels = Channels::parts(&[inputs]);
            let planes = noise(1, inputs * height * width);
            let weights = weights(COLOURS, inputs, KERNEL, 2);
            let bias = [0.1, -0.2, 0.3];
            let reference =
                Reference { kernel: KERNEL, stride: 1, border: Border::Reflect, weights: &weights };
            let linear = reference.run(&planes, [inputs, COLOURS, height, width]);
            let sigmoid =
                |(i, value): (usize, &f32)| 1.0 / (1.0 + (-(value + bias[i / (height * width)])).exp());
            let expected: Vec<f32> = linear.iter().enumerate().map(sigmoid).collect();
            for isa in Isa::available() {
                let colours = Colours::new(isa, &channels, bias, |colour, input, tap| {
                    weights[(colour * inputs + input) * KERNEL * KERNEL + tap]
                });
                let mut input = Memory::of(&channels, height, width, &planes);
                let mut picture = vec![f32::NAN; COLOURS * height * width];
                colours.run(input.map(), &mut picture, 0..height, 0..width);
                assert_close(&picture, &expected, TOLERANCE);
                // Any piece of it has the same bits.
                let mut pieces = vec![f32::NAN; picture.len()];
                for columns in [0..3, 3..width] {
                    colours.run(input.map(), &mut pieces, 0..1, columns.clone());
                    colours.run(input.map(), &mut pieces, 1..height, columns);
                }
                assert_eq!(pieces, picture, "{isa}");
            }
        }
    }
}
