//! The first convolution: 7x7 over the masked picture (and the mask), reflected at the border, with bias and ReLU.
//!
//! The picture is interleaved row by row, so that the 7 pixels of a tap row are neighbouring numbers and no lane is
//! spent on channels that three or four inputs do not have.
#![expect(unsafe_code, reason = "register tiles over raw memory")]

use std::ops::Range;

use lacuna_network::Border;
use rayon::prelude::*;

use crate::Isa;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::channels::Channels;
use crate::tiles::map::Map;
use crate::tiles::tile::{self, Finish, Panels, Row, Segment};

/// Rows and columns of the kernel.
pub(crate) const KERNEL: usize = 7;
const HALF: usize = KERNEL / 2;

/// The convolution with packed weights.
#[derive(Debug)]
pub(crate) struct Stem {
    channels_in: usize,
    panels: Panels,
    bias: Vec<f32>,
    /// What mask control adds to each pixel: outside the hole and inside it.
    added: Option<[Vec<f32>; 2]>,
    isa: Isa,
}

/// A picture with a hole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture<'a> {
    /// `[3, height, width]`.
    pub image: &'a [f32],
    /// `[height, width]`, true in the hole.
    pub mask: &'a [bool],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Stem {
    /// Packs the weights that `weight` gives for output channel, input channel and tap.
    pub fn new(
        isa: Isa,
        (channels_in, outputs): (usize, &Channels),
        bias: Vec<f32>,
        added: Option<[Vec<f32>; 2]>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let panels = Panels::pack(isa, outputs, channels_in * KERNEL * KERNEL, |output, row| {
            weight(output, row % channels_in, row / channels_in)
        });
        Self { channels_in, panels, bias, added, isa }
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.panels.bytes()
    }

    /// Numbers of scratch memory for `rows` rows of `width` pixels.
    pub fn scratch(&self, rows: usize, width: usize) -> usize {
        (rows + 2 * HALF) * self.row(width)
    }

    fn row(&self, width: usize) -> usize {
        (width + 2 * HALF) * self.channels_in
    }

    /// Computes some rows.
    ///
    /// # Panics
    /// If the picture has a side of 3 pixels or less: it cannot be reflected.
    pub fn run(&self, picture: Picture<'_>, output: Map<'_>, rows: Range<usize>, scratch: &mut [f32]) {
        let length = self.row(picture.width);
        let scratch = &mut scratch[..self.scratch(rows.len(), picture.width)];
        scratch.par_chunks_exact_mut(length).enumerate().for_each(|(index, line)| {
            let row = (rows.start + index) as isize - HALF as isize;
            let row = Border::Reflect.place(row, picture.height).expect("reflected");
            self.interleave(picture, row, line);
        });
        let lines = &*scratch;
        let segments: Vec<Segment> = (0..KERNEL)
            .map(|tap_row| {
                let count = KERNEL * self.channels_in;
                Segment { x: (tap_row * length) as isize, row: tap_row * count, count }
            })
            .collect();
        rows.clone().into_par_iter().for_each(|row| {
            let lines = &lines[(row - rows.start) * length..][..KERNEL * length];
            dispatch(self.isa, RowJob { stem: self, picture, lines, segments: &segments, output, row });
        });
    }

    fn interleave(&self, picture: Picture<'_>, row: usize, line: &mut [f32]) {
        let (width, channels) = (picture.width, self.channels_in);
        let mask = &picture.mask[row * width..][..width];
        for channel in 0..channels {
            let inner = line[HALF * channels + channel..].iter_mut().step_by(channels);
            if channel < 3 {
                let plane = &picture.image[(channel * picture.height + row) * width..][..width];
                let known = plane.iter().zip(mask).map(|(&value, &hole)| if hole { 0.0 } else { value });
                inner.zip(known).for_each(|(to, value)| *to = value);
            } else {
                inner.zip(mask).for_each(|(to, &hole)| *to = f32::from(u8::from(hole)));
            }
        }
        for pixel in (0..HALF).chain(HALF + width..2 * HALF + width) {
            let inside =
                Border::Reflect.place(pixel as isize - HALF as isize, width).expect("reflected") + HALF;
            line.copy_within(inside * channels..(inside + 1) * channels, pixel * channels);
        }
    }
}

/// Writes rows of a map that has one of two values for each channel: outside the hole and inside it.
pub(crate) fn spread_mask(picture: Picture<'_>, values: &[Vec<f32>; 2], output: Map<'_>, rows: Range<usize>) {
    rows.into_par_iter().for_each(|row| {
        let mask = &picture.mask[row * picture.width..][..picture.width];
        for block in 0..output.layout.blocks {
            let values = values.each_ref().map(|values| &values[block * LANES..][..LANES]);
            let start = output.buffer.at(block * output.layout.plane + output.place(row, 0));
            for (column, &hole) in mask.iter().enumerate() {
                // SAFETY: inside the row, which belongs to one task.
                let pixel = unsafe { std::slice::from_raw_parts_mut(start.add(column * LANES), LANES) };
                pixel.copy_from_slice(values[usize::from(hole)]);
            }
        }
    });
}

struct RowJob<'a> {
    stem: &'a Stem,
    picture: Picture<'a>,
    lines: &'a [f32],
    segments: &'a [Segment],
    output: Map<'a>,
    row: usize,
}

impl Op for RowJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { stem, picture, output, .. } = self;
        let row = Row {
            x: self.lines.as_ptr(),
            segments: self.segments,
            pixels: picture.width,
            out: output.buffer.at(output.place(self.row, 0)),
            out_step: LANES,
            out_plane: output.layout.plane,
        };
        let panels = stem.panels.view();
        let (all, finish) = ((0, panels.blocks), Finish::BiasRelu(stem.bias.as_ptr()));
        // SAFETY: the lines hold all taps of every pixel; rows belong to one task each.
        unsafe {
            match stem.channels_in {
                3 => tile::product::<S, 3>(simd, &[row], panels, all, finish),
                4 => tile::product::<S, 4>(simd, &[row], panels, all, finish),
                channels => unreachable!("{channels} input channels"),
            }
        }
        let Some(added) = &stem.added else { return };
        let mask = &picture.mask[self.row * picture.width..][..picture.width];
        for block in 0..output.layout.blocks {
            let lanes = |values: &[f32]| values[block * LANES..][..LANES].as_ptr();
            // SAFETY: LANES numbers for each block.
            let added = unsafe { [simd.load(lanes(&added[0])), simd.load(lanes(&added[1]))] };
            let start = output.buffer.at(block * output.layout.plane + output.place(self.row, 0));
            for (column, &hole) in mask.iter().enumerate() {
                // SAFETY: inside the row.
                unsafe {
                    let to = start.add(column * LANES);
                    simd.store(to, simd.add(simd.load(to), added[usize::from(hole)]));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::testing::{Memory, Reference, weights};
    use testkit::assert_close;
    use testkit::pictures::{hole, noise, picture};

    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn it_is_the_definition_of_the_masked_picture() {
        for (channels_in, outputs, [height, width]) in [(3, 8, [9, 16]), (4, 33, [17, 40]), (4, 64, [4, 61])]
        {
            let (image, mask) = (picture(width, height), hole(width, height));
            let mut planes: Vec<f32> = image
                .iter()
                .zip(mask.iter().cycle())
                .map(|(&value, &hole)| if hole { 0.0 } else { value })
                .collect();
            if channels_in == 4 {
                planes.extend(mask.iter().map(|&hole| if hole { 1.0 } else { 0.0 }));
            }
            let weights = weights(outputs, channels_in, KERNEL, 1);
            let reference =
                Reference { kernel: KERNEL, stride: 1, border: Border::Reflect, weights: &weights };
            let linear = reference.run(&planes, [channels_in, outputs, height, width]);
            let (bias, inside) = (noise(2, outputs), noise(3, outputs));
            let pixels = height * width;
            let expected: Vec<f32> = (0..linear.len())
                .map(|i| {
                    let added = if mask[i % pixels] { inside[i / pixels] } else { 0.5 };
                    (linear[i] + bias[i / pixels]).max(0.0) + added
                })
                .collect();
            // What the hole held must not matter.
            let mut spoiled = image.clone();
            spoiled
                .iter_mut()
                .zip(mask.iter().cycle())
                .filter(|(_, hole)| **hole)
                .for_each(|(v, _)| *v = f32::NAN);
            let channels = Channels::parts([outputs]);
            for isa in Isa::available() {
                let added = [channels.spread(|_| 0.5), channels.spread(|channel| inside[channel])];
                let lanes = channels.spread(|channel| bias[channel]);
                let stem =
                    Stem::new(isa, (channels_in, &channels), lanes, Some(added), |output, input, tap| {
                        weights[(output * channels_in + input) * KERNEL * KERNEL + tap]
                    });
                let mut output = Memory::empty(&channels, height, width);
                let picture = Picture { image: &spoiled, mask: &mask, height, width };
                for rows in [0..height / 2, height / 2..height] {
                    let mut scratch = vec![f32::NAN; stem.scratch(rows.len(), width)];
                    stem.run(picture, output.map(), rows, &mut scratch);
                }
                assert_close(&output.map().to_planes(&channels), &expected, TOLERANCE);
            }
        }
    }
}
