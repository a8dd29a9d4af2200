//! The product in every convolution: some neighbouring pixels times a panel of weights, held in registers.
//!
//! For each pixel `m` and output channel: `sum over k of x[m * STEP + place(k)] * weight[k][channel]`. The summands are
//! grouped into [`Segment`]s of contiguous values: a block's lanes at one tap of a kernel, or a row of an interleaved
//! image. Sums always run in the order of the weights, so the result does not depend on the grouping of pixels.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use rayon::prelude::*;

use super::channels::Channels;
use crate::Isa;
use crate::simd::{LANES, Op, Simd};

/// Contiguous summands of every pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Offset of the first, relative to the pixel, in values.
    pub x: isize,
    /// The row of the weights of the first.
    pub row: usize,
    /// Their number.
    pub count: usize,
}

/// Weights in the layout of register tiles: one or two blocks of output channels at a time, `[rows][LANES or 2 LANES]`.
#[derive(Clone, Debug)]
pub(crate) struct Panels {
    values: Vec<f32>,
    /// Summands per output.
    pub rows: usize,
    /// Blocks of output channels.
    pub blocks: usize,
}

/// Blocks of output channels in a register tile with this instruction set.
pub(crate) fn panel_blocks(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 2,
        Isa::Avx2 | Isa::Neon | Isa::Portable => 1,
    }
}

/// Rows that are packed for all lanes before the next.
const PACKED_ROWS: usize = 64;

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
                // A few rows at a time, so that their lines stay in the L1 cache until all lanes are written.
                for (part, panel) in panel.chunks_mut(PACKED_ROWS * width).enumerate() {
                    for (lane, output) in outputs.of(first + block).enumerate() {
                        let places = panel[block * LANES + lane..].iter_mut().step_by(width);
                        let rows = part * PACKED_ROWS..;
                        places.zip(rows).for_each(|(place, row)| *place = weight(output, row));
                    }
                }
            }
        });
        Self { values, rows, blocks }
    }

    /// The weight of a row for a lane of an output block, packed for `isa`.
    pub fn at(&self, isa: Isa, (block, lane): (usize, usize), row: usize) -> f32 {
        let most = panel_blocks(isa);
        let first = block / most * most;
        let width = most.min(self.blocks - first) * LANES;
        self.values[first * self.rows * LANES + row * width + (block - first) * LANES + lane]
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }

    /// A view of the panels of some blocks of output channels, which begin and end with a panel.
    ///
    /// # Panics
    /// If there are no such blocks.
    pub fn part(&self, blocks: std::ops::Range<usize>) -> PanelsView {
        let values = &self.values[blocks.start * self.rows * LANES..blocks.end * self.rows * LANES];
        PanelsView { start: values.as_ptr(), rows: self.rows, blocks: blocks.len() }
    }

    /// A view of the panels, for [`product`].
    pub fn view(&self) -> PanelsView {
        PanelsView { start: self.values.as_ptr(), rows: self.rows, blocks: self.blocks }
    }
}

/// Panels anywhere in memory.
#[derive(Clone, Copy)]
pub(crate) struct PanelsView {
    /// The first panel.
    pub start: *const f32,
    /// Summands per output.
    pub rows: usize,
    /// Blocks of output channels.
    pub blocks: usize,
}

/// How a sum is stored.
#[derive(Clone, Copy)]
pub(crate) enum Finish {
    /// Nothing.
    Plain,
    /// It is added to the existing value.
    Add,
    /// The bias (one value per output lane) is added, and negative values become 0.
    BiasRelu(*const f32),
}

/// A row of neighbouring pixels to compute.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// The first pixel's input.
    pub x: *const f32,
    /// The summands.
    pub segments: &'a [Segment],
    /// Number of pixels.
    pub pixels: usize,
    /// The first pixel's output in block 0.
    pub out: *mut f32,
    /// Distance between pixels of the output, in values.
    pub out_step: usize,
    /// Distance between output blocks, in values.
    pub out_plane: usize,
}

/// Computes rows for the panels of the blocks from `from` (where a panel starts) up to `to`. All rows are processed
/// with one panel before the next, so that it is fetched from far memory only once.
///
/// # Safety
/// All inputs that the segments of all pixels refer to, and all weights, biases and outputs must be in memory, and no
/// other thread may access the outputs meanwhile.
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

/// Most pixels of a register tile.
const MOST_PIXELS: usize = 12;

/// Splits the row into register tiles of about equal size: a last tile of one or two pixels would wait for the latency
/// of each sum.
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

/// `M` pixels times `N` blocks of output channels; constructed only by [`pixels`], whose caller guarantees the memory.
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
