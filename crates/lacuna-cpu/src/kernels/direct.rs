//! Direct convolution of planes: a register tile of output channels times neighbouring pixels.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use std::ops::Range;

use rayon::prelude::*;

use super::strip::{Padded, Strip};
use super::wide;
use crate::Isa;
use crate::shared::{Shared, TASKS_PER_THREAD};
use crate::simd::{LANES, Op, Simd, dispatch};

/// A tap of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    /// Rows of the padded source below the output pixel times the stride.
    pub down: usize,
    /// Columns to the right of it.
    pub right: usize,
    /// Its index among the weights.
    pub index: usize,
}

/// Outputs at every `out_step`-th row and column, starting at `(down, right)`.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub down: usize,
    pub right: usize,
    pub taps: Vec<Tap>,
}

/// A convolution of all images of a batch.
#[derive(Clone, Debug)]
pub(super) struct Direct<'a> {
    pub isa: Isa,
    pub batch: usize,
    pub source: Padded<'a>,
    pub outputs: usize,
    /// Source pixels between outputs of a phase.
    pub stride: usize,
    pub phases: Vec<Phase>,
    /// Output pixels between outputs of a phase.
    pub out_step: usize,
    /// Rows of the output.
    pub rows: usize,
    /// Columns of the output.
    pub columns: usize,
}

/// Weights `[…][…][taps]` in either order of outputs and inputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a> {
    pub values: &'a [f32],
    /// Distance between output channels, in values.
    pub output: usize,
    /// Distance between input channels, in values.
    pub input: usize,
}

/// Bytes of a strip: it stays in the L2 cache during the pass over all outputs.
const STRIP_BYTES: usize = 256 << 10;
/// Most columns of a kernel: limited by the readable values after a strip.
const MOST_REACH: usize = 64;
/// Most output channels of a register tile.
const MOST_OUTPUTS: usize = 12;

/// Output channels of a register tile with this instruction set.
fn tile_outputs(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => MOST_OUTPUTS,
        Isa::Avx2 => 6,
        Isa::Neon => 5,
        Isa::Portable => 2,
    }
}

/// Weights of one phase by tiles of output channels: `[tile][summand][outputs of the tile]`.
struct Packed {
    tiles: Vec<Range<usize>>,
    starts: Vec<usize>,
    values: Vec<f32>,
}

impl Direct<'_> {
    /// Writes the convolution to `to`, `[batch][outputs][rows][columns]`.
    pub fn run(&self, to: &mut [f32], bias: Option<&[f32]>, weights: Weights) {
        if wide::applies(self) {
            return wide::run(self, to, bias, weights);
        }
        let packed: Vec<Packed> = self.phases.iter().map(|phase| self.pack(phase, weights)).collect();
        let phase_rows = self.rows.div_ceil(self.out_step);
        let reach = |along: fn(&Tap) -> usize| {
            self.phases.iter().flat_map(|phase| &phase.taps).map(along).max().unwrap_or(0) + 1
        };
        let (down, right) = (reach(|tap| tap.down), reach(|tap| tap.right));
        let columns = (self.columns.div_ceil(self.out_step) - 1) * self.stride + right;
        assert!(right <= MOST_REACH, "a kernel of {right} columns");
        let columns = columns.max(self.source.columns());
        let source_rows = |rows: usize| (rows - 1) * self.stride + down;
        let row_bytes = size_of::<f32>() * self.source.channels * columns;
        let fits = (1..=phase_rows).take_while(|&rows| source_rows(rows) * row_bytes <= STRIP_BYTES).last();
        let wanted = (TASKS_PER_THREAD * rayon::current_num_threads()).div_ceil(self.batch);
        let rows = fits.unwrap_or(1).min(phase_rows.div_ceil(wanted));
        let strips = phase_rows.div_ceil(rows);
        let to = Shared::new(to);
        let strip = || Strip::new(self.source.channels, source_rows(rows), columns, self.stride);
        (0..self.batch * strips).into_par_iter().for_each_init(strip, |strip, task| {
            let (picture, first) = (task / strips, task % strips * rows);
            let rows = first..phase_rows.min(first + rows);
            let from = rows.start * self.stride;
            self.source.copy(picture, 0..self.source.channels, from..from + source_rows(rows.len()), strip);
            for (phase, packed) in self.phases.iter().zip(&packed) {
                let places: Vec<usize> = (0..self.source.channels)
                    .flat_map(|input| phase.taps.iter().map(move |tap| (input, tap)))
                    .map(|(input, tap)| input * strip.channel + strip.place(tap.down, tap.right))
                    .collect();
                let job = StripJob {
                    direct: self,
                    phase,
                    packed,
                    bias,
                    strip,
                    places: &places,
                    picture,
                    rows: &rows,
                    to,
                };
                dispatch(self.isa, job);
            }
        });
    }

    fn pack(&self, phase: &Phase, weights: Weights) -> Packed {
        let summands = self.source.channels * phase.taps.len();
        let count = self.outputs.div_ceil(tile_outputs(self.isa));
        let share = |tile: usize| tile * self.outputs / count;
        let tiles: Vec<Range<usize>> = (0..count).map(|tile| share(tile)..share(tile + 1)).collect();
        let starts = tiles.iter().map(|tile| tile.start * summands).collect();
        let mut values = vec![0.0; self.outputs * summands];
        let mut rest = values.as_mut_slice();
        let mut parts = Vec::with_capacity(count);
        for tile in &tiles {
            let part;
            (part, rest) = rest.split_at_mut(tile.len() * summands);
            parts.push((tile.clone(), part));
        }
        parts.into_par_iter().for_each(|(tile, part)| {
            for input in 0..self.source.channels {
                for (index, tap) in phase.taps.iter().enumerate() {
                    let row = &mut part[(input * phase.taps.len() + index) * tile.len()..][..tile.len()];
                    let first = tile.start * weights.output + input * weights.input + tap.index;
                    let from = weights.values[first..].iter().step_by(weights.output);
                    row.iter_mut().zip(from).for_each(|(to, weight)| *to = *weight);
                }
            }
        });
        Packed { tiles, starts, values }
    }
}

struct StripJob<'a> {
    direct: &'a Direct<'a>,
    phase: &'a Phase,
    packed: &'a Packed,
    bias: Option<&'a [f32]>,
    strip: &'a Strip,
    places: &'a [usize],
    picture: usize,
    rows: &'a Range<usize>,
    to: Shared<'a>,
}

impl Op for StripJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if S::ACCUMULATORS >= 2 * MOST_OUTPUTS { self.rows::<S, 2>(simd) } else { self.rows::<S, 1>(simd) }
    }
}

impl StripJob<'_> {
    /// Processes the rows, `N` vectors at a time.
    #[inline(always)]
    fn rows<S: Simd, const N: usize>(&self, simd: S) {
        let Self { direct, phase, strip, places, .. } = *self;
        let columns = direct.columns.saturating_sub(phase.right).div_ceil(direct.out_step);
        let mut sums = [0.0; MOST_OUTPUTS * 2 * LANES];
        for (outputs, &start) in self.packed.tiles.iter().zip(&self.packed.starts) {
            let weights = &self.packed.values[start..][..places.len() * outputs.len()];
            for row in self.rows.clone() {
                let out_row = row * direct.out_step + phase.down;
                if out_row >= direct.rows {
                    break;
                }
                let line = (row - self.rows.start) * direct.stride * strip.row;
                let mut column = 0;
                while column < columns {
                    let left = columns - column;
                    let tile = Tile { x: &strip.values[line + column..], places, weights, sums: &mut sums };
                    let width = if left > LANES { N * LANES } else { LANES };
                    if left > LANES {
                        tile.of_outputs::<S, N>(simd, outputs.len());
                    } else {
                        tile.of_outputs::<S, 1>(simd, outputs.len());
                    }
                    self.store(&sums, width, outputs, out_row, column..column + left.min(width));
                    column += width;
                }
            }
        }
    }

    /// Adds the bias and writes some columns of a row for some outputs.
    #[inline(always)]
    fn store(&self, sums: &[f32], width: usize, outputs: &Range<usize>, row: usize, columns: Range<usize>) {
        let Direct { outputs: all, rows, columns: all_columns, out_step, .. } = *self.direct;
        for (values, output) in sums.chunks_exact(width).zip(outputs.clone()) {
            let bias = self.bias.map_or(0.0, |bias| bias[output]);
            let line = ((self.picture * all + output) * rows + row) * all_columns;
            let first = line + columns.start * out_step + self.phase.right;
            let last = first + (columns.len() - 1) * out_step;
            assert!(last < line + all_columns, "column beyond the row");
            let to = self.to.at(first);
            // SAFETY: inside the row; rows of a picture belong to one task.
            unsafe {
                if out_step == 1 {
                    let to = std::slice::from_raw_parts_mut(to, columns.len());
                    to.iter_mut().zip(values).for_each(|(to, value)| *to = value + bias);
                } else {
                    for (index, value) in values[..columns.len()].iter().enumerate() {
                        *to.add(index * out_step) = value + bias;
                    }
                }
            }
        }
    }
}

/// Sums for some outputs and neighbouring pixels.
struct Tile<'a> {
    /// The strip, starting at the first pixel.
    x: &'a [f32],
    /// Offsets of a pixel's summands.
    places: &'a [usize],
    /// For each summand a weight of each output.
    weights: &'a [f32],
    /// `[outputs][pixels]`.
    sums: &'a mut [f32],
}

impl Tile<'_> {
    #[inline(always)]
    fn of_outputs<S: Simd, const N: usize>(self, simd: S, outputs: usize) {
        macro_rules! tile_of {
            ($($m:literal)*) => {
                match outputs {
                    $($m if $m * N <= S::ACCUMULATORS => simd.apart(TileOf::<$m, N>(self)),)*
                    outputs => unreachable!("a tile of {outputs} outputs"),
                }
            };
        }
        tile_of!(1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

struct TileOf<'a, const M: usize, const N: usize>(Tile<'a>);

impl<const M: usize, const N: usize> Op for TileOf<'_, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tile { x, places, weights, sums } = self.0;
        assert!(weights.len() >= places.len() * M && sums.len() >= M * N * LANES);
        let (x, mut weights) = (x.as_ptr(), weights.as_ptr());
        let mut tile = [[simd.splat(0.0); N]; M];
        for &place in places {
            // SAFETY: strips hold all summands and two vectors more; as many weights as summands and outputs.
            unsafe {
                let mut values = [simd.splat(0.0); N];
                for n in 0..N {
                    values[n] = simd.load(x.add(place + n * LANES));
                }
                for m in 0..M {
                    let weight = simd.splat(*weights.add(m));
                    for n in 0..N {
                        tile[m][n] = simd.mul_add(weight, values[n], tile[m][n]);
                    }
                }
                weights = weights.add(M);
            }
        }
        for m in 0..M {
            for n in 0..N {
                // SAFETY: room for all sums, as checked.
                unsafe { simd.store(sums.as_mut_ptr().add((m * N + n) * LANES), tile[m][n]) };
            }
        }
    }
}
