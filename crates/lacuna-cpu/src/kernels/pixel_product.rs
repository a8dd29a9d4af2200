//! Weight gradient of a convolution with many output channels, as a matrix product whose sums run over pixels:
//! `dW[input, tap][output] = sum over p of x[p + tap][input] dy[p][output]`.
//!
//! Vectors run along output channels, so that no lane is lost on small maps. Some inputs and taps form a register tile
//! with one panel of outputs. The order of summation depends on sizes alone, never on the number of threads.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use std::ops::Range;

use rayon::prelude::*;

use super::shape::ConvShape;
use super::strip::{Padded, Run};
use crate::Isa;
use crate::shared::TASKS_PER_THREAD;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::tile::panel_blocks;

/// From this many output channels, few lanes are empty.
const FEWEST_OUTPUTS: usize = 16;
/// From this many inputs and taps, the work on panels of `dy` does not matter.
const FEWEST_ROWS: usize = 32;
/// Pixels whose products are summed in registers: a panel of their gradients stays in the L1 cache.
const BLOCK_PIXELS: usize = 128;
/// Most register tiles of a task: their inputs and sums stay in the L2 cache.
const TASK_TILES: usize = 16;
/// Pixels whose `dy` is in panels at the same time, at most: bounds the memory.
const PART_PIXELS: usize = 16 << 10;
/// Most inputs and taps of a register tile.
const MOST_ROWS: usize = 12;

/// Whether a convolution of this shape uses this kernel.
pub(super) fn applies(shape: &ConvShape) -> bool {
    shape.channels_out >= FEWEST_OUTPUTS && shape.channels_in * shape.kernel * shape.kernel >= FEWEST_ROWS
}

/// As [`super::conv::weight_gradient`].
pub(super) fn weight_gradient(isa: Isa, shape: &ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let source = Padded::new(x, [shape.channels_in, shape.height, shape.width], shape.padding);
    let product = PixelProduct {
        isa,
        shape,
        source,
        runs: (0..shape.kernel).map(|right| source.run(right, shape.stride, shape.columns())).collect(),
        dy,
        rows: shape.channels_in * shape.kernel * shape.kernel,
        outputs: shape.channels_out.next_multiple_of(LANES),
        block_lines: (BLOCK_PIXELS / shape.columns()).max(1),
    };
    product.to_weights(&product.sums())
}

/// The product. A line is one row of outputs of one image.
struct PixelProduct<'a> {
    isa: Isa,
    shape: &'a ConvShape,
    source: Padded<'a>,
    /// What a line reads under each column of the kernel.
    runs: Vec<Run>,
    dy: &'a [f32],
    /// Inputs times taps.
    rows: usize,
    /// Output channels in whole vectors.
    outputs: usize,
    /// Lines per block.
    block_lines: usize,
}

impl PixelProduct<'_> {
    /// Output channels of a panel.
    fn panel(&self) -> usize {
        panel_blocks(self.isa) * LANES
    }

    /// Inputs and taps of a register tile.
    fn tile_rows(&self) -> usize {
        match self.isa {
            Isa::Avx512 => MOST_ROWS,
            Isa::Avx2 => 6,
            Isa::Neon => 5,
            Isa::Portable => 2,
        }
    }

    /// Pixels of a block, in whole vectors.
    fn pixels(&self) -> usize {
        (self.block_lines * self.shape.columns()).next_multiple_of(LANES)
    }

    /// `[tiles][panels][rows of the tile][outputs of the panel]`.
    fn sums(&self) -> Vec<f32> {
        let lines = self.shape.batch * self.shape.rows();
        let blocks: Vec<Range<usize>> = chunks(0..lines, self.block_lines).collect();
        let (pixels, rows_of_tile) = (self.pixels(), self.tile_rows());
        let mut sums = vec![0.0; self.rows * self.outputs];
        let mut gradients = vec![0.0; (PART_PIXELS / pixels).clamp(1, blocks.len()) * pixels * self.outputs];
        for part in blocks.chunks(gradients.len() / (pixels * self.outputs)) {
            let each = gradients.par_chunks_exact_mut(pixels * self.outputs).zip(part);
            each.for_each(|(to, lines)| self.pack_gradient(lines.clone(), to));
            let each = rows_of_tile * self.outputs;
            let wanted = TASKS_PER_THREAD * rayon::current_num_threads();
            let tiles = self.rows.div_ceil(rows_of_tile).div_ceil(wanted).min(TASK_TILES);
            let tasks = sums.par_chunks_mut(tiles * each).enumerate();
            let buffers = || (vec![0.0; pixels], vec![0.0; tiles * rows_of_tile * pixels]);
            tasks.for_each_init(buffers, |(line, inputs), (task, sums)| {
                for (lines, gradient) in part.iter().zip(gradients.chunks_exact(pixels * self.outputs)) {
                    let groups = (lines.len() * self.shape.columns()).div_ceil(LANES);
                    let first = task * tiles * rows_of_tile;
                    let rows = first..first + sums.len() / self.outputs;
                    for (rows, inputs) in
                        chunks(rows, rows_of_tile).zip(inputs.chunks_mut(rows_of_tile * pixels))
                    {
                        self.pack_input(lines.clone(), rows, line, inputs);
                    }
                    // A panel of gradients stays in the L1 cache for all tiles.
                    let mut start = 0;
                    for panel in gradient.chunks(pixels * self.panel()) {
                        let outputs = panel.len() / pixels;
                        let panel = &panel[..groups * LANES * outputs];
                        for (sums, inputs) in sums.chunks_mut(each).zip(inputs.chunks(rows_of_tile * pixels))
                        {
                            let rows = sums.len() / self.outputs;
                            let sums = &mut sums[start * rows..][..outputs * rows];
                            dispatch(self.isa, BlockJob { x: inputs, dy: panel, rows, outputs, sums });
                        }
                        start += outputs;
                    }
                }
            });
        }
        sums
    }

    /// The image and row of each line.
    fn places(&self, lines: Range<usize>) -> Vec<(usize, usize)> {
        lines.map(|line| (line / self.shape.rows(), line % self.shape.rows())).collect()
    }

    /// The gradients of a block as `[panels][pixels][outputs of the panel]`, zero after the last pixel and output.
    fn pack_gradient(&self, lines: Range<usize>, to: &mut [f32]) {
        let (rows, columns, channels) = (self.shape.rows(), self.shape.columns(), self.shape.channels_out);
        let places = self.places(lines);
        for (index, panel) in to.chunks_mut(self.pixels() * self.panel()).enumerate() {
            let width = panel.len() / self.pixels();
            let outputs = index * self.panel()..channels.min(index * self.panel() + width);
            if outputs.len() < width {
                panel.fill(0.0);
            }
            let (used, rest) = panel.split_at_mut(places.len() * columns * width);
            rest.fill(0.0);
            for (line, &(image, row)) in used.chunks_exact_mut(columns * width).zip(&places) {
                for (lane, output) in outputs.clone().enumerate() {
                    let from = &self.dy[((image * channels + output) * rows + row) * columns..][..columns];
                    line[lane..].iter_mut().step_by(width).zip(from).for_each(|(to, value)| *to = *value);
                }
            }
        }
    }

    /// The inputs of a block as `[groups of pixels][rows][LANES]`, zero after the last pixel.
    fn pack_input(&self, lines: Range<usize>, rows: Range<usize>, line: &mut [f32], to: &mut [f32]) {
        let ConvShape { kernel, stride, .. } = *self.shape;
        let columns = self.shape.columns();
        let places = self.places(lines);
        line[places.len() * columns..].fill(0.0);
        for (index, row) in rows.clone().enumerate() {
            let (channel, tap) = (row / (kernel * kernel), row % (kernel * kernel));
            let (down, run) = (tap / kernel, &self.runs[tap % kernel]);
            for (&(image, row), to) in places.iter().zip(line.chunks_exact_mut(columns)) {
                self.source.copy_run([image, channel, row * stride + down], run, to);
            }
            let groups = to.chunks_exact_mut(rows.len() * LANES).zip(line.chunks_exact(LANES));
            groups.for_each(|(to, from)| to[index * LANES..][..LANES].copy_from_slice(from));
        }
    }

    /// `[channels_out][channels_in][kernel * kernel]`.
    fn to_weights(&self, sums: &[f32]) -> Vec<f32> {
        let mut weights = vec![0.0; self.shape.channels_out * self.rows];
        let panels = weights.par_chunks_mut(self.panel() * self.rows).enumerate();
        panels.for_each(|(panel, weights)| {
            let first = panel * self.panel();
            let width = self.panel().min(self.outputs - first);
            for (tile, sums) in sums.chunks(self.tile_rows() * self.outputs).enumerate() {
                let tile_rows = sums.len() / self.outputs;
                let sums = &sums[first * tile_rows..][..width * tile_rows];
                for (output, weights) in weights.chunks_exact_mut(self.rows).enumerate() {
                    let to = weights[tile * self.tile_rows()..].iter_mut();
                    to.zip(sums[output..].iter().step_by(width)).for_each(|(to, sum)| *to = *sum);
                }
            }
        });
        weights
    }
}

/// The range in parts of `length`; the last may be shorter.
fn chunks(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(length).map(move |first| first..range.end.min(first + length))
}

/// A register tile over the pixels of a block.
struct BlockJob<'a> {
    /// `[groups][rows][LANES]`.
    x: &'a [f32],
    /// `[groups][LANES][outputs]`.
    dy: &'a [f32],
    rows: usize,
    outputs: usize,
    /// `[rows][outputs]`; added to.
    sums: &'a mut [f32],
}

impl Op for BlockJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        macro_rules! tile_of {
            ($($m:literal)*) => {
                match (self.rows, self.outputs / LANES) {
                    $(
                        ($m, 1) if $m <= S::ACCUMULATORS => simd.apart(TileOf::<$m, 1>(self)),
                        ($m, 2) if 2 * $m <= S::ACCUMULATORS => simd.apart(TileOf::<$m, 2>(self)),
                    )*
                    size => unreachable!("a tile of {size:?}"),
                }
            };
        }
        tile_of!(1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

struct TileOf<'a, const M: usize, const N: usize>(BlockJob<'a>);

impl<const M: usize, const N: usize> Op for TileOf<'_, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let BlockJob { x, dy, sums, .. } = self.0;
        let groups = dy.len() / (LANES * N * LANES);
        assert!(x.len() >= groups * M * LANES && sums.len() == M * N * LANES);
        let (x, dy) = (x.as_ptr(), dy.as_ptr());
        let mut tile = [[simd.splat(0.0); N]; M];
        for group in 0..groups {
            for pixel in 0..LANES {
                // SAFETY: inside the groups, as checked.
                unsafe {
                    let mut values = [simd.splat(0.0); N];
                    for n in 0..N {
                        values[n] = simd.load(dy.add(((group * LANES + pixel) * N + n) * LANES));
                    }
                    for m in 0..M {
                        let input = simd.splat(*x.add((group * M + m) * LANES + pixel));
                        for n in 0..N {
                            tile[m][n] = simd.mul_add(input, values[n], tile[m][n]);
                        }
                    }
                }
            }
        }
        for m in 0..M {
            for n in 0..N {
                // SAFETY: room for all sums, as checked.
                unsafe {
                    let to = sums.as_mut_ptr().add((m * N + n) * LANES);
                    simd.store(to, simd.add(simd.load(to), tile[m][n]));
                }
            }
        }
    }
}
