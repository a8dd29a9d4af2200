//! The input gradient of the RGB head: from the gradient of an image to that of level 0.
//!
//! As the stem, it reads interleaved rows, here with zeros around the image. What the convolution with rotated kernels
//! would give beyond the border belongs to the rows and columns that are mirrored there: for these, rows (or columns) of
//! the image's gradient are added before the product.
#![expect(unsafe_code, reason = "register tiles over raw memory")]

use std::ops::Range;

use lacuna_network::geometry::IMAGE_CHANNELS;
use rayon::prelude::*;

use crate::Isa;
use crate::engine::head::{KERNEL, RgbHead};
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::channels::Channels;
use crate::tiles::map::Map;
use crate::tiles::tile::{self, Finish, Panels, Row, Segment};

const HALF: usize = KERNEL / 2;
/// Columns at both ends that are mirrored at the border.
const MIRRORED: usize = 2 * HALF;
/// Values of the neighbourhood of a pixel.
const PATCH: usize = KERNEL * KERNEL * IMAGE_CHANNELS;

/// The convolution with packed weights.
#[derive(Debug)]
pub(super) struct HeadGradient {
    panels: Panels,
    isa: Isa,
}

/// A prediction and the gradient of a loss with respect to it.
#[derive(Clone, Copy)]
pub(super) struct ImageGradient<'a> {
    /// `[3, height, width]`, in `[0, 1]`.
    pub predicted: &'a [f32],
    /// `[3, height, width]`.
    pub gradient: &'a [f32],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl HeadGradient {
    /// Packs the weights of `head`, whose inputs are `channels`.
    pub fn new(isa: Isa, head: &RgbHead, channels: &Channels) -> Self {
        let positions = channels.positions();
        let panels = Panels::pack(isa, channels, PATCH, |channel, row| {
            let (tap, colour) = (row / IMAGE_CHANNELS, row % IMAGE_CHANNELS);
            head.weight(colour, positions[channel], KERNEL * KERNEL - 1 - tap)
        });
        Self { panels, isa }
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.panels.bytes()
    }

    /// Values of scratch memory for `rows` rows of `width` pixels.
    pub fn scratch(rows: usize, width: usize) -> usize {
        (rows + 2 * HALF) * line(width)
    }

    /// Computes a range of rows of level 0.
    ///
    /// # Panics
    /// If a side of the image is shorter than the kernel.
    pub fn run(&self, image: ImageGradient<'_>, output: Map<'_>, rows: Range<usize>, scratch: &mut [f32]) {
        assert!(image.height > KERNEL && image.width > KERNEL, "an image of {KERNEL} pixels");
        assert_eq!(output.layout.blocks, self.panels.blocks, "output blocks");
        let length = line(image.width);
        let scratch = &mut scratch[..Self::scratch(rows.len(), image.width)];
        scratch.par_chunks_exact_mut(length).enumerate().for_each(|(index, line)| {
            line.fill(0.0);
            if let Some(row) = (rows.start + index).checked_sub(HALF).filter(|row| *row < image.height) {
                interleave(image, row, line);
            }
        });
        let lines = &*scratch;
        let segments = [length, KERNEL * IMAGE_CHANNELS].map(|stride| {
            let count = KERNEL * IMAGE_CHANNELS;
            std::array::from_fn(|tap| Segment { x: (tap * stride) as isize, row: tap * count, count })
        });
        rows.clone().into_par_iter().for_each_init(Vec::new, |sums, row| {
            let lines = Lines { lines, first: rows.start, length };
            let job = RowJob { head: self, image, lines, segments: &segments, output, row, sums };
            dispatch(self.isa, job);
        });
    }
}

/// Values of a row of the image with zeros at both ends.
fn line(width: usize) -> usize {
    (width + 2 * HALF) * IMAGE_CHANNELS
}

/// A row of the gradient before the sigmoid.
fn interleave(image: ImageGradient<'_>, row: usize, line: &mut [f32]) {
    let ImageGradient { predicted, gradient, height, width } = image;
    for channel in 0..IMAGE_CHANNELS {
        let row = (channel * height + row) * width..(channel * height + row + 1) * width;
        let values = predicted[row.clone()].iter().zip(&gradient[row]);
        let to = line[HALF * IMAGE_CHANNELS + channel..].iter_mut().step_by(IMAGE_CHANNELS);
        to.zip(values).for_each(|(to, (&value, &gradient))| *to = gradient * value * (1.0 - value));
    }
}

/// The positions of a gradient that a tap of the rotated kernel reads for an input at `index`: the one that it covers,
/// and those whose taps were mirrored to `index` at the border.
fn sources(index: usize, tap: usize, length: usize) -> impl Iterator<Item = usize> {
    let (index, last) = (index as isize, length as isize - 1);
    let first = (index > 0).then_some(-index);
    let end = (index < last).then_some(2 * last - index);
    let places = [Some(index), first, end].into_iter().flatten();
    let sources = places.map(move |place| place + tap as isize - HALF as isize);
    sources.filter(move |source| (0..=last).contains(source)).map(|source| source as usize)
}

/// Whether an input is mirrored at the border.
fn is_mirrored(index: usize, length: usize) -> bool {
    (1..=HALF).contains(&index) || (length - 1 - HALF..length - 1).contains(&index)
}

/// Interleaved rows of the gradient; the first is [`HALF`] rows above row `first`.
#[derive(Clone, Copy)]
struct Lines<'a> {
    lines: &'a [f32],
    first: usize,
    length: usize,
}

impl<'a> Lines<'a> {
    /// A row.
    fn row(self, row: usize) -> &'a [f32] {
        &self.lines[(row + HALF - self.first) * self.length..][..self.length]
    }

    /// The rows under the kernel at `row`, by tap.
    fn around(self, row: usize) -> &'a [f32] {
        &self.lines[(row - self.first) * self.length..][..KERNEL * self.length]
    }
}

struct RowJob<'a> {
    head: &'a HeadGradient,
    image: ImageGradient<'a>,
    lines: Lines<'a>,
    /// The rows of a kernel: in lines, and in a patch.
    segments: &'a [[Segment; KERNEL]; 2],
    output: Map<'a>,
    row: usize,
    /// Sums of rows, then patches of mirrored columns.
    sums: &'a mut Vec<f32>,
}

impl Op for RowJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { head, image, lines, segments, output, row, sums } = self;
        let length = lines.length;
        sums.resize(KERNEL * length + MIRRORED * PATCH, 0.0);
        let (summed, patches) = sums.split_at_mut(KERNEL * length);
        let around = if is_mirrored(row, image.height) {
            sum_rows(lines, row, image.height, summed);
            &*summed
        } else {
            lines.around(row)
        };
        let mirrored = (1..=HALF).chain(image.width - 1 - HALF..image.width - 1);
        let mut rows = Vec::with_capacity(1 + MIRRORED);
        let place = |column: usize| output.buffer.at(output.place(row, column));
        let (out_step, out_plane) = (LANES, output.layout.plane);
        let (x, pixels) = (around.as_ptr(), image.width);
        rows.push(Row { x, segments: &segments[0], pixels, out: place(0), out_step, out_plane });
        // Mirrored columns are overwritten.
        for (column, patch) in mirrored.zip(patches.chunks_exact_mut(PATCH)) {
            sum_columns(around, column, image.width, patch);
            let (x, out) = (patch.as_ptr(), place(column));
            rows.push(Row { x, segments: &segments[1], pixels: 1, out, out_step, out_plane });
        }
        let panels = head.panels.view();
        // SAFETY: lines and patches hold all taps of their pixels; rows belong to one task each.
        unsafe {
            tile::product::<S, IMAGE_CHANNELS>(simd, &rows, panels, (0, panels.blocks), Finish::Plain);
        }
    }
}

/// For each row of the kernel at `row` the sum of its sources.
fn sum_rows(lines: Lines<'_>, row: usize, height: usize, summed: &mut [f32]) {
    for (tap, sum) in summed.chunks_exact_mut(lines.length).enumerate() {
        sum.fill(0.0);
        for source in sources(row, tap, height) {
            sum.iter_mut().zip(lines.row(source)).for_each(|(sum, value)| *sum += value);
        }
    }
}

/// The neighbourhood of a mirrored column.
fn sum_columns(around: &[f32], column: usize, width: usize, patch: &mut [f32]) {
    let lines = around.chunks_exact(line(width));
    for (line, patch) in lines.zip(patch.chunks_exact_mut(KERNEL * IMAGE_CHANNELS)) {
        for (tap, pixel) in patch.chunks_exact_mut(IMAGE_CHANNELS).enumerate() {
            pixel.fill(0.0);
            for source in sources(column, tap, width) {
                let values = &line[(source + HALF) * IMAGE_CHANNELS..][..IMAGE_CHANNELS];
                pixel.iter_mut().zip(values).for_each(|(pixel, value)| *pixel += value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::testing::{Memory, Reference, weights};
    use lacuna_network::Border;
    use testkit::assert_close;
    use testkit::pictures::noise;

    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn it_is_the_adjoint_of_the_head() {
        for (inputs, [height, width]) in [(3, [8, 9]), (17, [9, 8])] {
            let channels = Channels::parts([inputs]);
            let weights = weights(IMAGE_CHANNELS, inputs, KERNEL, 2);
            let reference =
                Reference { kernel: KERNEL, stride: 1, border: Border::Reflect, weights: &weights };
            let gradient = noise(1, IMAGE_CHANNELS * height * width);
            let predicted: Vec<f32> =
                noise(3, gradient.len()).iter().map(|value| 0.5 + 0.5 * value).collect();
            let before: Vec<f32> = gradient.iter().zip(&predicted).map(|(g, p)| g * p * (1.0 - p)).collect();
            let mut x = vec![0.0; inputs * height * width];
            let expected: Vec<f32> = (0..x.len())
                .map(|index| {
                    x[index] = 1.0;
                    let y = reference.run(&x, [inputs, IMAGE_CHANNELS, height, width]);
                    x[index] = 0.0;
                    y.iter().zip(&before).map(|(&y, &g)| f64::from(y) * f64::from(g)).sum::<f64>() as f32
                })
                .collect();
            for isa in Isa::available() {
                let weight = |output: usize, input: usize, tap: usize| {
                    weights[(output * inputs + input) * KERNEL * KERNEL + tap]
                };
                let head = RgbHead::new(isa, &channels, [0.0; IMAGE_CHANNELS], weight);
                let gradient = ImageGradient { predicted: &predicted, gradient: &gradient, height, width };
                let mut output = Memory::empty(&channels, height, width);
                // In two strips.
                for rows in [0..5, 5..height] {
                    let mut scratch = vec![f32::NAN; HeadGradient::scratch(rows.len(), width)];
                    HeadGradient::new(isa, &head, &channels).run(gradient, output.map(), rows, &mut scratch);
                }
                assert_close(&output.map().to_planes(&channels), &expected, TOLERANCE);
            }
        }
    }
}
