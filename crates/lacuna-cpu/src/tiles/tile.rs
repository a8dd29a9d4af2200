//! The one product behind every convolution: a few neighbouring pixels times a panel of weights, held in registers.
//!
//! For each pixel `m` and output channel: `sum over k of x[m * STEP + place(k)] * weight[k][channel]`. The summands
//! come in [`Segment`]s of neighbouring values: a block's lanes at one tap of a kernel, or a row of an interleaved
//! picture. A sum always runs in the order of the weights, so that a result does not depend on how pixels are grouped.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use rayon::prelude::*;

use super::channels::Channels;
use crate::Isa;
use crate::simd::{LANES, Op, Simd};

/// Neighbouring summands of every pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Where they start, relative to the pixel, in numbers.
    pub x: isize,
    /// The row of the weights that belongs to the first.
    pub row: usize,
    /// How many there are.
    pub count: usize,
}

/// Weights as register tiles read them: for one or two blocks of output channels at a time, `[rows][LANES or 2 LANES]`.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    values: Vec<f32>,
    /// Summands of each output.
    pub rows: usize,
    /// Blocks of output channels.
    pub blocks: usize,
}

/// Blocks of output channels that a register tile holds with these instructions.
pub(crate) fn panel_blocks(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 2,
        Isa::Avx2 | Isa::Portable => 1,
    }
}

impl Panels {
    /// Packs weights, given by output channel and row.
    pub fn pack(
        isa: Isa,
        outputs: &Channels,
        rows: usize,
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let (most, blocks) = (panel_blocks(isa), outputs.blocks());
        let mut values = vec![0.0; rows * blocks * LANES];
        values.par_chunks_mut((most * rows * LANES).max(1)).enumerate().for_each(|(index, panel)| {
            let (first, width) = (index * most, panel.len() / rows);
            for block in 0..width / LANES {
                for (lane, output) in outputs.of(first + block).enumerate() {
                    let places = panel[block * LANES + lane..].iter_mut().step_by(width);
                    places.enumerate().for_each(|(row, place)| *place = weight(output, row));
                }
            }
        });
        Self { values, rows, blocks }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }

    /// The panels, as [`product`] takes them.
    pub fn view(&self) -> PanelsView {
        PanelsView { start: self.values.as_ptr(), rows: self.rows, blocks: self.blocks }
    }
}

/// Panels somewhere in memory.
#[derive(Clone, Copy)]
pub(crate) struct PanelsView {
    /// The first panel.
    pub start: *const f32,
    /// Summands of each output.
    pub rows: usize,
    /// Blocks of output channels.
    pub blocks: usize,
}

/// What happens to a sum before it is stored.
#[derive(Clone, Copy)]
pub(crate) enum Finish {
    /// Nothing.
    Plain,
    /// It is added to what is there.
    Add,
    /// The bias (a number for each output lane) is added, and negative values become 0.
    BiasRelu(*const f32),
}

/// A row of neighbouring pixels to compute.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// The first pixel's input.
    pub x: *const f32,
    /// The summands.
    pub segments: &'a [Segment],
    /// How many pixels.
    pub pixels: usize,
    /// The first pixel's output in block 0.
    pub out: *mut f32,
    /// Numbers from a pixel's output to the next.
    pub out_step: usize,
    /// Numbers from an output block to the next.
    pub out_plane: usize,
}

/// Computes some rows for some panels: the blocks from `from` (where a panel starts) up to `to`. All rows meet a panel
/// before the next comes, so that it is read from far away only once.
///
/// # Safety
/// All inputs that the segments of all pixels name, all weights, biases and outputs must be in memory, and nobody else
/// may touch the outputs meanwhile.
#[inline(always)]
pub(crate) unsafe fn product<S: Simd, const STEP: usize>(
    simd: S,
    rows: &[Row<'_>],
    panels: PanelsView,
    (from, to): (usize, usize),
    finish: Finish,
) {
    let mut block = from;
    while block < to {
        let pair = S::ACCUMULATORS >= 2 * MOST_PIXELS && block + 1 < panels.blocks;
        // SAFETY: the caller's promise.
        unsafe {
            let panel = panels.start.add(block * panels.rows * LANES);
            let finish = match finish {
                Finish::BiasRelu(bias) => Finish::BiasRelu(bias.add(block * LANES)),
                other => other,
            };
            for row in rows {
                let row = Row { out: row.out.add(block * row.out_plane), ..*row };
                if pair {
                    pixels::<S, 2, STEP>(simd, row, panel, finish);
                } else {
                    pixels::<S, 1, STEP>(simd, row, panel, finish);
                }
            }
        }
        block += if pair { 2 } else { 1 };
    }
}

/// The most pixels of a register tile.
const MOST_PIXELS: usize = 12;

/// Goes along the row in register tiles of about equal size: a last one of one or two pixels would wait for each of its
/// sums.
///
/// # Safety
/// As [`product`].
#[inline(always)]
unsafe fn pixels<S: Simd, const N: usize, const STEP: usize>(
    simd: S,
    row: Row<'_>,
    panel: *const f32,
    finish: Finish,
) {
    let tiles = row.pixels.div_ceil(MOST_PIXELS.min(S::ACCUMULATORS / N));
    let mut done = 0;
    for tile in 0..tiles {
        let count = (row.pixels - done).div_ceil(tiles - tile);
        // SAFETY: the caller's promise.
        unsafe {
            let here = Row { x: row.x.add(done * STEP), out: row.out.add(done * row.out_step), ..row };
            macro_rules! tile_of {
                ($($m:literal)*) => {
                    match count {
                        $($m if $m * N <= S::ACCUMULATORS => simd.apart(Tile::<$m, N, STEP> { row: here, panel, finish }),)*
                        count => unreachable!("a tile of {count} pixels"),
                    }
                };
            }
            tile_of!(1 2 3 4 5 6 7 8 9 10 11 12);
        }
        done += count;
    }
}

/// `M` pixels times `N` blocks of output channels; made only by [`pixels`], whose caller promised the memory.
struct Tile<'a, const M: usize, const N: usize, const STEP: usize> {
    row: Row<'a>,
    panel: *const f32,
    finish: Finish,
}

impl<const M: usize, const N: usize, const STEP: usize> Op for Tile<'_, M, N, STEP> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: the promise of whoever called `product`.
        unsafe { tile::<S, M, N, STEP>(simd, self.row, self.panel, self.finish) };
    }
}

/// # Safety
/// As [`product`].
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const N: usize, const STEP: usize>(
    simd: S,
    row: Row<'_>,
    panel: *const f32,
    finish: Finish,
) {
    let mut sums = [[simd.splat(0.0); N]; M];
    for segment in row.segments {
        // SAFETY: the caller's promise.
        unsafe {
            let mut x = row.x.offset(segment.x);
            let mut weights = panel.add(segment.row * N * LANES);
            for _ in 0..segment.count {
                let mut weight = [simd.splat(0.0); N];
                for n in 0..N {
                    weight[n] = simd.load(weights.add(n * LANES));
                }
                for m in 0..M {
                    let value = simd.splat(*x.add(m * STEP));
                    for n in 0..N {
                        sums[m][n] = simd.mul_add(value, weight[n], sums[m][n]);
                    }
                }
                x = x.add(1);
                weights = weights.add(N * LANES);
            }
        }
    }
    for n in 0..N {
        // SAFETY: the caller's promise.
        unsafe {
            let out = row.out.add(n * row.out_plane);
            match finish {
                Finish::Plain => {
                    for m in 0..M {
                        simd.store(out.add(m * row.out_step), sums[m][n]);
                    }
                }
                Finish::Add => {
                    for m in 0..M {
                        let out = out.add(m * row.out_step);
                        simd.store(out, simd.add(simd.load(out), sums[m][n]));
                    }
                }
                Finish::BiasRelu(bias) => {
                    let bias = simd.load(bias.add(n * LANES));
                    for m in 0..M {
                        let y = simd.max(simd.add(sums[m][n], bias), simd.splat(0.0));
                        simd.store(out.add(m * row.out_step), y);
                    }
                }
            }
        }
    }
}
