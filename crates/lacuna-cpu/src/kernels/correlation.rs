//! The gradient of a convolution's weights: how its input goes with the gradient of its output, for every tap.
//!
//! Vectors run along the pixels of a row; a register tile is some output channels times some taps, and its lanes are added
//! up at the end. What is added in which order depends on sizes alone, never on the number of threads.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use std::ops::Range;

use rayon::prelude::*;

use super::shape::{ConvShape, Padding};
use super::strip::{Padded, Strip};
use crate::Isa;
use crate::simd::{LANES, Op, Simd, dispatch};

/// The most output channels and taps of a register tile.
const MOST_OUTPUTS: usize = 8;
const MOST_TAPS: usize = 3;
/// Pixels whose products are summed in registers before they are added to memory.
const STRIP_PIXELS: usize = 2048;
/// Strips of a task, which sums them by itself.
const STRIPS: usize = 4;
/// Output channels and input channels of a task: what it copies stays in the second-level cache.
const TASK_OUTPUTS: usize = 48;
const TASK_INPUTS: usize = 32;

/// The weights' gradient of one convolution.
pub(super) struct Correlation<'a> {
    isa: Isa,
    shape: &'a ConvShape,
    input: Padded<'a>,
    output: Padded<'a>,
    strip_rows: usize,
}

impl<'a> Correlation<'a> {
    /// Of input `x` and gradient of the output `dy`.
    pub fn new(isa: Isa, shape: &'a ConvShape, x: &'a [f32], dy: &'a [f32]) -> Self {
        let input = Padded::new(x, [shape.channels_in, shape.height, shape.width], shape.padding);
        let output = Padded::new(dy, [shape.channels_out, shape.rows(), shape.columns()], Padding::None);
        let strip_rows = (STRIP_PIXELS / shape.columns()).clamp(1, shape.rows());
        Self { isa, shape, input, output, strip_rows }
    }

    /// `[channels_out, channels_in, kernel, kernel]`.
    pub fn run(&self) -> Vec<f32> {
        let ConvShape { channels_in, channels_out, kernel, batch, .. } = *self.shape;
        let taps = kernel * kernel;
        let strips = batch * self.shape.rows().div_ceil(self.strip_rows);
        let (shares, groups) = (strips.div_ceil(STRIPS), channels_in.div_ceil(TASK_INPUTS));
        let inputs = |group: usize| group * TASK_INPUTS..channels_in.min((group + 1) * TASK_INPUTS);
        let mut total = vec![0.0; channels_out * channels_in * taps];
        let tasks = shares * groups;
        let outputs = |first: usize| first..channels_out.min(first + TASK_OUTPUTS);
        let all: Vec<(usize, usize)> = (0..channels_out)
            .step_by(TASK_OUTPUTS)
            .flat_map(|first| (0..tasks).map(move |task| (first, task)))
            .collect();
        let parts: Vec<Vec<f32>> = all
            .into_par_iter()
            .map(|(first, task)| {
                let (share, group) = (task / groups, task % groups);
                self.part(share * STRIPS..strips.min((share + 1) * STRIPS), outputs(first), inputs(group))
            })
            .collect();
        let per_output = channels_in * taps;
        total.par_chunks_mut(TASK_OUTPUTS * per_output).zip(parts.par_chunks(tasks)).for_each(
            |(total, parts)| {
                for (task, part) in parts.iter().enumerate() {
                    let inputs = inputs(task % groups);
                    let rows = total.chunks_exact_mut(per_output).zip(part.chunks_exact(inputs.len() * taps));
                    for (total, part) in rows {
                        let total = &mut total[inputs.start * taps..inputs.end * taps];
                        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
                    }
                }
            },
        );
        total
    }

    /// The sum over some strips for some outputs and inputs, `[outputs][inputs][kernel * kernel]`.
    fn part(&self, strips: Range<usize>, outputs: Range<usize>, inputs: Range<usize>) -> Vec<f32> {
        let ConvShape { kernel, stride, .. } = *self.shape;
        let per_picture = self.shape.rows().div_ceil(self.strip_rows);
        let source_rows = |rows: usize| (rows - 1) * stride + kernel;
        let columns = self.input.columns().max((self.shape.columns() - 1) * stride + kernel);
        let mut x = Strip::new(inputs.len(), source_rows(self.strip_rows), columns, stride);
        let mut dy = Strip::new(outputs.len(), self.strip_rows, self.shape.columns(), 1);
        let places: Vec<usize> = (0..inputs.len())
            .flat_map(|input| (0..kernel * kernel).map(move |tap| (input, tap)))
            .map(|(input, tap)| input * x.channel + x.place(tap / kernel, tap % kernel))
            .collect();
        let mut sums = vec![0.0; outputs.len() * places.len()];
        for strip in strips {
            let (picture, first) = (strip / per_picture, strip % per_picture * self.strip_rows);
            let rows = first..self.shape.rows().min(first + self.strip_rows);
            let from = rows.start * stride;
            self.input.copy(picture, inputs.clone(), from..from + source_rows(rows.len()), &mut x);
            self.output.copy(picture, outputs.clone(), rows.clone(), &mut dy);
            let vectors = self.shape.columns().div_ceil(LANES);
            let job = StripJob {
                x: &x,
                dy: &dy,
                outputs: outputs.len(),
                places: &places,
                rows: rows.len(),
                vectors,
                stride,
                sums: &mut sums,
            };
            dispatch(self.isa, job);
        }
        sums
    }
}

struct StripJob<'a> {
    x: &'a Strip,
    dy: &'a Strip,
    outputs: usize,
    places: &'a [usize],
    rows: usize,
    vectors: usize,
    stride: usize,
    /// `[outputs][taps]`.
    sums: &'a mut [f32],
}

impl Op for StripJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let most_outputs = if S::ACCUMULATORS >= MOST_OUTPUTS * MOST_TAPS { MOST_OUTPUTS } else { 2 };
        let most_taps = if S::ACCUMULATORS >= 2 * MOST_TAPS { MOST_TAPS } else { 1 };
        let mut lanes = [0.0; MOST_OUTPUTS * MOST_TAPS * LANES];
        let tiles = self.outputs.div_ceil(most_outputs);
        for tile in 0..tiles {
            let outputs = tile * self.outputs / tiles..(tile + 1) * self.outputs / tiles;
            for (index, places) in self.places.chunks(most_taps).enumerate() {
                let tile = Tile {
                    x: &self.x.values,
                    dy: &self.dy.values[outputs.start * self.dy.channel..],
                    channel: self.dy.channel,
                    places,
                    rows: self.rows,
                    steps: (self.stride * self.x.row, self.dy.row),
                    vectors: self.vectors,
                    lanes: &mut lanes,
                };
                tile.of_size::<S>(simd, outputs.len());
                for (m, output) in outputs.clone().enumerate() {
                    let sums =
                        &mut self.sums[output * self.places.len() + index * most_taps..][..places.len()];
                    for (n, sum) in sums.iter_mut().enumerate() {
                        let lanes = &lanes[(m * places.len() + n) * LANES..][..LANES];
                        // SAFETY: LANES numbers.
                        *sum += simd.sum(unsafe { simd.load(lanes.as_ptr()) });
                    }
                }
            }
        }
    }
}

/// Products of some outputs and taps, summed over the pixels of a strip.
struct Tile<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    /// Numbers from an output channel to the next.
    channel: usize,
    places: &'a [usize],
    rows: usize,
    /// Numbers from a row to the next, of x and of dy.
    steps: (usize, usize),
    vectors: usize,
    /// `[outputs][taps][LANES]`.
    lanes: &'a mut [f32],
}

impl Tile<'_> {
    #[inline(always)]
    fn of_size<S: Simd>(self, simd: S, outputs: usize) {
        macro_rules! tile_of {
            ($(($m:literal $n:literal))*) => {
                match (outputs, self.places.len()) {
                    $(($m, $n) if $m * $n <= S::ACCUMULATORS => simd.apart(TileOf::<$m, $n>(self)),)*
                    size => unreachable!("a tile of {size:?}"),
                }
            };
        }
        tile_of!(
            (1 1) (1 2) (1 3) (2 1) (2 2) (2 3) (3 1) (3 2) (3 3) (4 1) (4 2) (4 3)
            (5 1) (5 2) (5 3) (6 1) (6 2) (6 3) (7 1) (7 2) (7 3) (8 1) (8 2) (8 3)
        );
    }
}

struct TileOf<'a, const M: usize, const N: usize>(Tile<'a>);

impl<const M: usize, const N: usize> Op for TileOf<'_, M, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Tile { x, dy, channel, places, rows, steps, vectors, lanes } = self.0;
        assert!(places.len() == N && lanes.len() >= M * N * LANES);
        let mut starts = [x.as_ptr(); N];
        for n in 0..N {
            starts[n] = x[places[n]..].as_ptr();
        }
        let dy = dy.as_ptr();
        let mut sums = [[simd.splat(0.0); N]; M];
        for row in 0..rows {
            for vector in 0..vectors {
                // SAFETY: strips hold the rows and two vectors more than the columns.
                unsafe {
                    let (from, at) = (row * steps.0 + vector * LANES, row * steps.1 + vector * LANES);
                    let mut values = [simd.splat(0.0); N];
                    for n in 0..N {
                        values[n] = simd.load(starts[n].add(from));
                    }
                    for m in 0..M {
                        let gradient = simd.load(dy.add(m * channel + at));
                        for n in 0..N {
                            sums[m][n] = simd.mul_add(gradient, values[n], sums[m][n]);
                        }
                    }
                }
            }
        }
        for m in 0..M {
            for n in 0..N {
                // SAFETY: room for all sums, as checked.
                unsafe { simd.store(lanes.as_mut_ptr().add((m * N + n) * LANES), sums[m][n]) };
            }
        }
    }
}
