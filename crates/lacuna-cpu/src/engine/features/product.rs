//! Convolutions on maps with zeros around them.
#![expect(unsafe_code, reason = "register tiles over raw memory")]

use rayon::prelude::*;

use super::FeatureConvolution;
use super::field::{Place, Shape};
use crate::Isa;
use crate::shared::TASKS_PER_THREAD;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::channels::Channels;
use crate::tiles::tile::{self, Finish, Panels, Row, Segment, panel_blocks};

/// Pixels of a task: their inputs stay in the L2 cache during the pass over all panels.
const TASK_PIXELS: usize = 192;

/// A convolution with packed weights.
#[derive(Debug)]
pub(super) struct Product {
    panels: Panels,
    /// The summands of every pixel.
    segments: Vec<Segment>,
    /// Lanes of the bias.
    bias: Vec<f32>,
    stride: usize,
    input: Shape,
    output: Shape,
}

impl Product {
    /// Packs the weights of a convolution of a map of concatenated `parts`.
    ///
    /// # Panics
    /// If channels, weights or bias do not fit together, or the map has too few zeros around it.
    pub fn new(
        isa: Isa,
        layer: &FeatureConvolution,
        (parts, input): (&[usize], Shape),
        output: Shape,
    ) -> Self {
        let FeatureConvolution { channels_in, channels_out, kernel, stride, padding, ref weight, ref bias } =
            *layer;
        let inputs = Channels::parts(parts.iter().copied());
        assert_eq!(inputs.total(), channels_in, "channels of the map");
        let taps = kernel[0] * kernel[1];
        assert_eq!((weight.len(), bias.len()), (channels_out * channels_in * taps, channels_out));
        // No tap of any pixel may lie beyond the zeros around the map, and rows of the result must not overlap.
        let [down, right] = padding;
        let has_room = down <= input.reach && right <= input.reach && right <= input.stride - input.columns;
        let fits =
            output.stride == input.stride && output.columns <= output.stride && output.rows <= input.rows;
        match stride {
            1 => assert!(has_room && fits, "padding {padding:?} of a kernel {kernel:?}"),
            2 => assert_eq!(padding, [0, 0], "padding with stride 2"),
            stride => panic!("a convolution with stride {stride}"),
        }
        let (mut sources, mut segments) = (Vec::with_capacity(channels_in * taps), Vec::new());
        for block in 0..inputs.blocks() {
            for tap in 0..taps {
                let down = (tap / kernel[1]) as isize - padding[0] as isize;
                let right = (tap % kernel[1]) as isize - padding[1] as isize;
                let x =
                    (block * input.plane) as isize + (down * input.stride as isize + right) * LANES as isize;
                segments.push(Segment { x, row: sources.len(), count: inputs.count(block) });
                sources.extend(inputs.of(block).map(|channel| channel * taps + tap));
            }
        }
        let outputs = Channels::parts([channels_out]);
        let summands = sources.len();
        let panels =
            Panels::pack(isa, &outputs, summands, |output, row| weight[output * summands + sources[row]]);
        Self { panels, segments, bias: outputs.spread(|channel| bias[channel]), stride, input, output }
    }

    /// # Panics
    /// If the maps have other shapes than those that it was packed for.
    pub fn run(&self, isa: Isa, input: Place<'_>, output: Place<'_>) {
        assert!(input.shape.blocks >= self.input.blocks, "blocks of the map");
        assert_eq!(input.shape.with_blocks(self.input.blocks), self.input, "the map");
        assert!(output.shape.blocks >= self.panels.blocks, "blocks of the result");
        assert_eq!(output.shape.with_blocks(self.output.blocks), self.output, "the result");
        let Shape { rows, columns, stride, .. } = self.output;
        // Neighbouring pixels in memory, as many as one task computes: part of all rows together, or one row.
        let (pixels, chunk) = match self.stride {
            1 => ((rows - 1) * stride + columns, TASK_PIXELS),
            _ => (rows * columns, columns),
        };
        let chunk = chunk.min(pixels);
        let chunks = pixels.div_ceil(chunk);
        let panel = panel_blocks(isa);
        let wanted = (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil(chunks);
        let panels = self.panels.blocks.div_ceil(panel);
        let each = panels.div_ceil(wanted.min(panels)) * panel;
        let parts = self.panels.blocks.div_ceil(each);
        (0..chunks * parts).into_par_iter().for_each(|task| {
            let (first, part) = (task / parts * chunk, task % parts * each);
            let blocks = (part, self.panels.blocks.min(part + each));
            let (from, to) = match self.stride {
                1 => (first * LANES + self.input.first, first * LANES + self.output.first),
                by => (self.input.pixel(by * (first / columns), 0), self.output.pixel(first / columns, 0)),
            };
            let job =
                Job { product: self, input, output, from, to, pixels: chunk.min(pixels - first), blocks };
            dispatch(isa, job);
        });
        self.erase(output);
    }

    /// Sets what was computed between the rows of the result to zero again.
    fn erase(&self, output: Place<'_>) {
        let Shape { rows, columns, stride, plane, .. } = self.output;
        if self.stride > 1 || columns == stride {
            return;
        }
        for block in 0..self.panels.blocks {
            for row in 0..rows - 1 {
                let start = block * plane + self.output.pixel(row, columns);
                let values = (stride - columns) * LANES;
                output.values.at(start + values);
                // SAFETY: inside the map, which no other thread accesses now.
                unsafe { std::slice::from_raw_parts_mut(output.values.at(start), values) }.fill(0.0);
            }
        }
    }
}

struct Job<'a> {
    product: &'a Product,
    input: Place<'a>,
    output: Place<'a>,
    from: usize,
    to: usize,
    pixels: usize,
    blocks: (usize, usize),
}

impl Op for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { product, input, output, from, to, pixels, blocks } = self;
        let row = Row {
            x: input.values.at(from),
            segments: &product.segments,
            pixels,
            out: output.values.at(to),
            out_step: LANES,
            out_plane: product.output.plane,
        };
        let finish = Finish::BiasRelu(product.bias.as_ptr());
        // SAFETY: all taps of all pixels lie in the map or in the zeros around it, whose shapes were checked; each pixel and block of the
        // result belongs to one task.
        unsafe {
            match product.stride {
                1 => tile::product::<S, LANES>(simd, &[row], product.panels.view(), blocks, finish),
                _ => tile::product::<S, { 2 * LANES }>(simd, &[row], product.panels.view(), blocks, finish),
            }
        }
    }
}
