//! The last convolution: 7x7 to three colours, reflected at the border, with bias and sigmoid.
//!
//! Three outputs would leave most lanes of a register tile empty, so here the lanes are the input channels, summed up
//! at the end.
#![expect(unsafe_code, reason = "register tiles over raw memory")]

use std::ops::Range;

use rayon::prelude::*;

use super::channels::Channels;
use super::map::{Border, Map};
use super::shared::Shared;
use crate::Isa;
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
        rows.into_par_iter().for_each(|row| {
            let columns = columns.clone();
            dispatch(self.isa, RowJob { colours: self, input, picture, row, columns });
        });
    }
}

struct RowJob<'a> {
    colours: &'a Colours,
    input: Map<'a>,
    picture: Shared<'a>,
    row: usize,
    columns: Range<usize>,
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
        let half = HALF as usize;
        let mut column = self.columns.start;
        while column < self.columns.end {
            let lines: [usize; KERNEL] = std::array::from_fn(|tap| place(column, tap, width) * LANES);
            // Pixels from here whose taps all lie inside.
            let inner = if column < half { 0 } else { (width - half).saturating_sub(column) };
            let left = inner.min(self.columns.end - column);
            let count = left.max(1);
            macro_rules! pixels_of {
                ($($p:literal)*) => {$(
                    if count >= $p && ($p == 1 || $p * COLOURS <= S::ACCUMULATORS) {
                        simd.apart(Pixels::<$p> { job: &self, rows, lines, column });
                        column += $p;
                        continue;
                    }
                )*};
            }
            pixels_of!(8 4 2 1);
        }
    }
}

/// `P` pixels from `column` on: all their taps lie inside the map, or there is only one, whose taps were reflected.
struct Pixels<'a, const P: usize> {
    job: &'a RowJob<'a>,
    rows: [usize; KERNEL],
    lines: [usize; KERNEL],
    column: usize,
}

impl<const P: usize> Op for Pixels<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { job: RowJob { colours, input, picture, row: picture_row, .. }, rows, lines, column } =
            self;
        let mut sums = [[simd.splat(0.0); COLOURS]; P];
        let mut weights = colours.weights.as_ptr();
        for block in 0..colours.blocks {
            let plane = input.buffer.at(block * input.layout.plane);
            for row in rows {
                for line in lines {
                    // SAFETY: all taps lie in the map; as many weights as blocks and taps.
                    unsafe {
                        let x = plane.add(row + line);
                        let mut weight = [simd.splat(0.0); COLOURS];
                        for colour in 0..COLOURS {
                            weight[colour] = simd.load(weights.add(colour * LANES));
                        }
                        for pixel in 0..P {
                            let value = simd.load(x.add(pixel * LANES));
                            for colour in 0..COLOURS {
                                sums[pixel][colour] =
                                    simd.mul_add(value, weight[colour], sums[pixel][colour]);
                            }
                        }
                        weights = weights.add(COLOURS * LANES);
                    }
                }
            }
        }
        let (height, width) = (input.height, input.columns());
        for pixel in 0..P {
            for colour in 0..COLOURS {
                let value = simd.sum(sums[pixel][colour]) + colours.bias[colour];
                let to = picture.at((colour * height + picture_row) * width + column + pixel);
                // SAFETY: inside the picture; rows belong to one task each.
                unsafe { *to = 1.0 / (1.0 + (-value).exp()) };
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
