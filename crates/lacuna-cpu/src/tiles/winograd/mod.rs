//! 3x3 convolution of stride 1 by Winograd's minimal filtering F(4x4, 3x3): 36 products where the definition has 144.
//!
//! Lavin and Gray 2016, <https://arxiv.org/abs/1509.09308>: `Y = A' [ (G g G') . (B' d B) ] A`, with the sum over input
//! channels as one matrix product for each of the 36 positions of the transformed tile.
//! Differs from it in: several convolutions of the same map use one transform of it, and those with the same output map
//! are summed before the inverse transform. Weights are transformed again for every image, since transformed weights
//! are four times as large and reading them from memory takes as long as computing them.

mod edge;
mod gradient;
mod kernel_job;
mod tile_job;
mod transforms;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use lacuna_network::Border;
use rayon::prelude::*;

use super::channels::{Channels, spaced};
use super::map::Map;
use super::signs::Signs;
use super::tile::panel_blocks;
use crate::shared::Shared;
use crate::simd::{LANES, dispatch};
use crate::{After, Isa};
use edge::Edge;
pub(crate) use gradient::InputGradient;
use kernel_job::KernelJob;
use tile_job::TileJob;

/// Side of a tile of outputs …
pub(crate) const OUT: usize = 4;
/// … and of the inputs that it needs.
const IN: usize = 6;
/// Positions in a transformed tile.
const PLACES: usize = IN * IN;
/// Taps of a kernel.
const TAPS: usize = 9;
/// Tiles that are stored together in transformed maps: as many as a register tile has pixels.
const GROUP: usize = 12;
/// Tiles per task. More tiles read the weights less often, fewer keep transformed maps in the cache.
const TASK_TILES: usize = 48;

/// Convolutions with one input map and one output map.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    inputs: Channels,
    outputs: Channels,
    edge: Edge,
    products: Vec<Product>,
    task_tiles: usize,
    isa: Isa,
}

/// One product of transformed maps.
#[derive(Clone, Debug)]
struct Product {
    inputs: Range<usize>,
    outputs: Range<usize>,
    /// Summands per output.
    rows: usize,
    /// Kernels `[output block][row][TAPS][LANES]`.
    kernels: Vec<f32>,
}

/// The blocks that a product reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// Input blocks of the sum.
    pub inputs: Range<usize>,
    /// Output blocks; every output block belongs to one product.
    pub outputs: Range<usize>,
}

/// How sums are stored.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// One value per output lane.
    pub bias: &'a [f32],
    /// From this block on, the existing output is added first.
    pub add_from: usize,
    /// What follows.
    pub after: After,
    /// What happens with the signs of the results …
    pub signs: Signed<'a>,
    /// … before this is added.
    pub residual: Option<Map<'a>>,
}

/// The use of a map's signs where results are stored.
#[derive(Clone, Copy)]
pub(crate) enum Signed<'a> {
    /// None.
    No,
    /// The results' signs are stored, for the backward pass.
    Recorded(Signs<'a>),
    /// Results become 0 where the stored signs are not positive.
    Gated(Signs<'a>),
}

impl Winograd {
    /// Packs the kernels that `weight` gives for output channel, input channel and tap.
    pub fn new(
        isa: Isa,
        (inputs, outputs): (&Channels, &Channels),
        border: Border,
        blocks: Vec<Blocks>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let product = |Blocks { inputs: from, outputs: to }: Blocks| {
            let sources: Vec<usize> = from.clone().flat_map(|block| inputs.of(block)).collect();
            let mut kernels = vec![0.0; to.len() * sources.len() * TAPS * LANES];
            let each = kernels.par_chunks_exact_mut(TAPS * LANES).enumerate();
            each.for_each(|(index, kernel)| {
                let (block, row) = (index / sources.len(), index % sources.len());
                for (lane, output) in outputs.of(to.start + block).enumerate() {
                    for tap in 0..TAPS {
                        kernel[tap * LANES + lane] = weight(output, sources[row], tap);
                    }
                }
            });
            Product { inputs: from, outputs: to, rows: sources.len(), kernels }
        };
        let products = blocks.into_iter().map(product).collect();
        let (inputs, outputs) = (inputs.clone(), outputs.clone());
        Self { inputs, outputs, edge: Edge::Padded(border), products, task_tiles: TASK_TILES, isa }
    }

    /// The same with at most `tiles` tiles per task: it needs more memory for maps, and reads weights less often.
    pub fn with_task_tiles(self, tiles: usize) -> Self {
        Self { task_tiles: tiles, ..self }
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.products.iter().map(|product| product.kernels.len() * size_of::<f32>()).sum()
    }

    /// Values of scratch memory for a map of `rows` and `columns` on `threads` threads.
    pub fn scratch(&self, rows: usize, columns: usize, threads: usize) -> usize {
        let scratch = Scratch::of(self, rows, columns, threads);
        self.weight_numbers() + scratch.tasks * (scratch.input + scratch.output)
    }

    /// Values of transformed weights: the first part of the scratch memory.
    pub fn weight_numbers(&self) -> usize {
        self.products.iter().map(|product| PLACES * product.place()).sum()
    }

    /// Convolves `input` into `output`. All of `scratch` is overwritten.
    ///
    /// # Panics
    /// If the maps' channels do not match the weights, or the scratch memory is too small.
    pub fn run(
        &self,
        input: Map<'_>,
        output: Map<'_>,
        ending: Ending<'_>,
        scratch: &mut [f32],
        threads: usize,
    ) {
        let (weights, maps) = scratch.split_at_mut(self.weight_numbers());
        self.transform_weights(weights);
        self.multiply(input, output, ending, weights, maps, threads);
    }

    /// Convolves `input` into `output` with weights that [`Winograd::transform_weights`] has transformed; `maps` is the scratch memory after
    /// its first part.
    ///
    /// # Panics
    /// As [`Winograd::run`].
    pub fn multiply(
        &self,
        input: Map<'_>,
        output: Map<'_>,
        ending: Ending<'_>,
        weights: &[f32],
        maps: &mut [f32],
        threads: usize,
    ) {
        let (rows, columns) = (input.height, input.columns());
        let found = (input.layout.blocks, output.layout.blocks);
        assert_eq!(found, (self.inputs.blocks(), self.outputs.blocks()));
        assert_eq!((output.height, output.columns()), (rows, columns));
        assert!(rows > 1 && columns > 1, "a map of one row or column");
        assert_eq!(ending.bias.len(), self.outputs.blocks() * LANES, "bias lanes");
        let sizes = Scratch::of(self, rows, columns, threads);
        let geometry = Geometry {
            tile_columns: self.edge.tiles(columns),
            tiles: sizes.tiles,
            task_tiles: sizes.task_tiles,
        };
        let tasks = sizes.tiles.div_ceil(sizes.task_tiles);
        let next = AtomicUsize::new(0);
        // As many workers as there is scratch memory for; each takes the next tiles until none is left.
        maps.par_chunks_exact_mut(sizes.input + sizes.output).take(sizes.tasks).with_max_len(1).for_each(
            |maps| {
                let (transformed, products) = maps.split_at_mut(sizes.input);
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    if task >= tasks {
                        break;
                    }
                    let first = task * geometry.task_tiles;
                    let tiles = first..geometry.tiles.min(first + geometry.task_tiles);
                    let job = TileJob {
                        winograd: self,
                        input,
                        output,
                        ending,
                        weights,
                        transformed,
                        products,
                        tiles,
                        geometry,
                    };
                    dispatch(self.isa, job);
                }
            },
        );
    }

    /// Transforms the weights into [`Winograd::weight_numbers`] values.
    pub fn transform_weights(&self, weights: &mut [f32]) {
        let mut rest = weights;
        for product in &self.products {
            let here;
            (here, rest) = rest.split_at_mut(PLACES * product.place());
            let shared = Shared::new(here);
            let width = panel_blocks(self.isa);
            let panels = product.outputs.len().div_ceil(width);
            let parts = product.rows.div_ceil(ROWS_PER_TASK);
            (0..panels * parts).into_par_iter().for_each(|task| {
                let (first, part) = (task / parts * width, task % parts);
                let blocks = first..product.outputs.len().min(first + width);
                let rows = part * ROWS_PER_TASK..product.rows.min((part + 1) * ROWS_PER_TASK);
                dispatch(self.isa, KernelJob { product, blocks, rows, weights: shared });
            });
        }
    }
}

/// Input channels of a panel whose kernels one task transforms: some microseconds of work.
const ROWS_PER_TASK: usize = 64;

impl Product {
    /// Values of transformed weights per position.
    fn place(&self) -> usize {
        spaced(self.rows * self.outputs.len()) * LANES
    }
}

#[derive(Clone, Copy)]
struct Geometry {
    tile_columns: usize,
    tiles: usize,
    task_tiles: usize,
}

/// Sizes of the scratch memory.
struct Scratch {
    tiles: usize,
    task_tiles: usize,
    tasks: usize,
    input: usize,
    output: usize,
}

impl Scratch {
    fn of(winograd: &Winograd, rows: usize, columns: usize, threads: usize) -> Self {
        let tiles = winograd.edge.tiles(rows) * winograd.edge.tiles(columns);
        // Equal parts for all threads, none larger than the cache allows.
        let shares = tiles.div_ceil(winograd.task_tiles).next_multiple_of(threads);
        let task_tiles = tiles.div_ceil(shares).max(1);
        let tasks = threads.min(tiles.div_ceil(task_tiles));
        let numbers = |blocks: usize| PLACES * place(task_tiles, blocks);
        Self {
            tiles,
            task_tiles,
            tasks,
            input: numbers(winograd.inputs.blocks()),
            output: numbers(winograd.outputs.blocks()),
        }
    }
}

/// Values of one position of a transformed map `[group][block][GROUP][LANES]`.
fn place(tiles: usize, blocks: usize) -> usize {
    spaced(tiles.div_ceil(GROUP) * GROUP * blocks) * LANES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::testing::{Memory, Reference, weights};
    use testkit::assert_close;
    use testkit::pictures::noise;

    /// Of values near 1: the transforms cost a few bits.
    const TOLERANCE: f32 = 2e-5;

    #[test]
    fn it_is_the_definition() {
        struct Case {
            inputs: &'static [usize],
            outputs: &'static [usize],
            size: [usize; 2],
        }
        for Case { inputs, outputs, size: [height, width] } in [
            Case { inputs: &[5], outputs: &[3], size: [2, 2] },
            Case { inputs: &[8, 24], outputs: &[8, 24], size: [7, 9] },
            Case { inputs: &[16, 48], outputs: &[16, 48], size: [33, 18] },
            Case { inputs: &[40], outputs: &[17], size: [64, 61] },
            Case { inputs: &[20, 30], outputs: &[18, 6], size: [12, 6] },
            Case { inputs: &[20], outputs: &[5], size: [3, 4] },
        ] {
            let (from, to) =
                (Channels::parts(inputs.iter().copied()), Channels::parts(outputs.iter().copied()));
            let planes = noise(1, from.total() * height * width);
            let mut weights = weights(to.total(), from.total(), 3, 2);
            // The second output part reads only the first input part, as in a Fourier convolution.
            let split = inputs.len() > 1;
            if split {
                for output in outputs[0]..to.total() {
                    weights[(output * from.total() + inputs[0]) * 9..][..inputs[1] * 9].fill(0.0);
                }
            }
            let border = if height % 2 == 0 { Border::Reflect } else { Border::Zero };
            let reference = Reference { kernel: 3, stride: 1, border, weights: &weights };
            let linear = reference.run(&planes, [from.total(), to.total(), height, width]);
            let first = inputs[0].div_ceil(LANES);
            let blocks = if split {
                vec![
                    Blocks { inputs: 0..from.blocks(), outputs: 0..first },
                    Blocks { inputs: 0..first, outputs: first..to.blocks() },
                ]
            } else {
                vec![Blocks { inputs: 0..from.blocks(), outputs: 0..to.blocks() }]
            };
            let bias = noise(3, to.total());
            let residual = noise(4, linear.len());
            let before = noise(5, linear.len());
            let pixels = height * width;
            let expected: Vec<f32> = (0..linear.len())
                .map(|i| {
                    let channel = i / pixels;
                    let added = if split && channel >= outputs[0] { before[i] } else { 0.0 };
                    (linear[i] + bias[channel] + added).max(0.0) + residual[i]
                })
                .collect();
            for isa in Isa::available() {
                let weight = |output: usize, input: usize, tap: usize| {
                    weights[(output * from.total() + input) * 9 + tap]
                };
                let winograd = Winograd::new(isa, (&from, &to), border, blocks.clone(), weight);
                let mut bits = Vec::new();
                for threads in [1, 2, 5] {
                    let mut scratch = vec![f32::NAN; winograd.scratch(height, width, threads)];
                    let mut input = Memory::of(&from, height, width, &planes);
                    let mut output = Memory::of(&to, height, width, &before);
                    let mut residual = Memory::of(&to, height, width, &residual);
                    let lanes = to.spread(|channel| bias[channel]);
                    let add_from = if split { first } else { to.blocks() };
                    let ending = Ending {
                        bias: &lanes,
                        add_from,
                        after: After::Relu,
                        signs: Signed::No,
                        residual: Some(residual.map()),
                    };
                    winograd.run(input.map(), output.map(), ending, &mut scratch, threads);
                    let result = output.map().to_planes(&to);
                    assert_close(&result, &expected, TOLERANCE);
                    bits.push(result.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
                }
                assert!(bits.iter().all(|other| *other == bits[0]), "{isa}: bits depend on threads");
            }
        }
    }
}
