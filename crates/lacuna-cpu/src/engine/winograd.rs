//! 3x3 convolution of stride 1 by Winograd's minimal filtering F(4x4, 3x3): 36 products where the definition has 144.
//!
//! Lavin and Gray 2016, <https://arxiv.org/abs/1509.09308>: `Y = A' [ (G g G') . (B' d B) ] A`, with the sum over input
//! channels as one matrix product for each of the 36 places of the transformed tile.
//! Differs from it in: several convolutions that read the same map share its transform, and those that end in the same
//! map are summed before the transform back; weights are transformed anew for every picture, since transformed ones
//! are four times as large and reading them from memory takes as long as making them.
#![expect(unsafe_code, reason = "register tiles over raw memory")]
#![expect(clippy::needless_range_loop, reason = "indices that the compiler unrolls keep tiles in registers")]

use std::ops::Range;

use rayon::prelude::*;

use super::channels::{Channels, spaced};
use super::map::{Border, Map};
use super::tile::{self, Finish, PanelsView, Row, Segment, panel_blocks};
use crate::Isa;
use crate::shared::Shared;
use crate::simd::{LANES, Op, Simd, dispatch};

/// Sides of a tile of outputs …
const OUT: usize = 4;
/// … and of the inputs that it needs.
const IN: usize = 6;
/// Places of a transformed tile.
const PLACES: usize = IN * IN;
/// Taps of a kernel.
const TAPS: usize = 9;
/// Tiles that lie together in transformed maps: as many pixels as a register tile has.
const GROUP: usize = 12;
/// Tiles that one task takes at a time. More read the weights less often, fewer keep transformed maps in the cache.
const TASK_TILES: usize = 48;

/// Convolutions with one input map and one output map.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    inputs: Channels,
    border: Border,
    output_blocks: usize,
    products: Vec<Product>,
    isa: Isa,
}

/// One product of transformed maps.
#[derive(Clone, Debug)]
struct Product {
    inputs: Range<usize>,
    outputs: Range<usize>,
    /// Summands of each output.
    rows: usize,
    /// Kernels `[output block][row][TAPS][LANES]`.
    kernels: Vec<f32>,
}

/// Which blocks a product reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// Input blocks that are summed over.
    pub inputs: Range<usize>,
    /// Output blocks; every output block belongs to one product.
    pub outputs: Range<usize>,
}

/// What happens to the sums before they are stored.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    /// A number for each output lane.
    pub bias: &'a [f32],
    /// From this block on what the output holds already is added first.
    pub add_from: usize,
    /// Whether negative values become 0.
    pub relu: bool,
    /// Added at last.
    pub residual: Option<Map<'a>>,
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
        Self { inputs: inputs.clone(), border, output_blocks: outputs.blocks(), products, isa }
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.products.iter().map(|product| product.kernels.len() * size_of::<f32>()).sum()
    }

    /// Numbers of scratch memory for a map of `rows` and `columns` on `threads`.
    pub fn scratch(&self, rows: usize, columns: usize, threads: usize) -> usize {
        let scratch = Scratch::of(self, rows, columns, threads);
        self.weight_numbers() + scratch.tasks * (scratch.input + scratch.output)
    }

    fn weight_numbers(&self) -> usize {
        self.products.iter().map(|product| PLACES * product.place()).sum()
    }

    /// Convolves `input` into `output`. All of `scratch` is overwritten.
    ///
    /// # Panics
    /// If the maps have other channels than the weights, or the scratch memory is too small.
    pub fn run(
        &self,
        input: Map<'_>,
        output: Map<'_>,
        ending: Ending<'_>,
        scratch: &mut [f32],
        threads: usize,
    ) {
        let (rows, columns) = (input.height, input.columns());
        assert_eq!((input.layout.blocks, output.layout.blocks), (self.inputs.blocks(), self.output_blocks));
        assert_eq!((output.height, output.columns()), (rows, columns));
        assert!(rows > 1 && columns > 1, "a map of one row or column");
        assert_eq!(ending.bias.len(), self.output_blocks * LANES, "bias lanes");
        let sizes = Scratch::of(self, rows, columns, threads);
        let (weights, maps) = scratch.split_at_mut(self.weight_numbers());
        self.transform_weights(weights);
        let weights = &*weights;
        let geometry = Geometry {
            tile_columns: columns.div_ceil(OUT),
            tiles: sizes.tiles,
            task_tiles: sizes.task_tiles,
        };
        let tasks = sizes.tiles.div_ceil(sizes.task_tiles);
        let next = std::sync::atomic::AtomicUsize::new(0);
        // As many workers as there is scratch memory for; each takes the next tiles until none are left.
        maps.par_chunks_exact_mut(sizes.input + sizes.output).take(sizes.tasks).with_max_len(1).for_each(
            |maps| {
                let (transformed, products) = maps.split_at_mut(sizes.input);
                loop {
                    let task = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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

    fn transform_weights(&self, weights: &mut [f32]) {
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
                dispatch(self.isa, WeightJob { product, blocks, rows, weights: shared });
            });
        }
    }
}

/// Input channels of a panel whose kernels one task transforms: some microseconds of work.
const ROWS_PER_TASK: usize = 64;

impl Product {
    /// Numbers of transformed weights for each place.
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
        let tiles = rows.div_ceil(OUT) * columns.div_ceil(OUT);
        // Equal shares for all threads, none larger than the cache likes.
        let shares = tiles.div_ceil(TASK_TILES).next_multiple_of(threads);
        let task_tiles = tiles.div_ceil(shares).max(1);
        let tasks = threads.min(tiles.div_ceil(task_tiles));
        let numbers = |blocks: usize| PLACES * place(task_tiles, blocks);
        Self {
            tiles,
            task_tiles,
            tasks,
            input: numbers(winograd.inputs.blocks()),
            output: numbers(winograd.output_blocks),
        }
    }
}

/// Numbers of one place of a transformed map `[group][block][GROUP][LANES]`.
fn place(tiles: usize, blocks: usize) -> usize {
    spaced(tiles.div_ceil(GROUP) * GROUP * blocks) * LANES
}

struct WeightJob<'a> {
    product: &'a Product,
    /// The output blocks of one panel.
    blocks: Range<usize>,
    rows: Range<usize>,
    weights: Shared<'a>,
}

impl Op for WeightJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { product, blocks, .. } = self;
        let place = product.place();
        for row in self.rows {
            for block in blocks.clone() {
                let kernel = &product.kernels[(block * product.rows + row) * TAPS * LANES..][..TAPS * LANES];
                let mut columns = [[simd.splat(0.0); IN]; 3];
                for (x, column) in columns.iter_mut().enumerate() {
                    let mut taps = [simd.splat(0.0); 3];
                    for (y, tap) in taps.iter_mut().enumerate() {
                        // SAFETY: nine vectors long.
                        *tap = unsafe { simd.load(kernel.as_ptr().add((3 * y + x) * LANES)) };
                    }
                    *column = kernel_transform(simd, taps);
                }
                let to = blocks.start * product.rows + row * blocks.len() + block - blocks.start;
                let to =
                    self.weights.at(to * LANES + (PLACES - 1) * place).wrapping_sub((PLACES - 1) * place);
                for y in 0..IN {
                    let line = kernel_transform(simd, [columns[0][y], columns[1][y], columns[2][y]]);
                    for (x, &value) in line.iter().enumerate() {
                        // SAFETY: inside the buffer, as the last place is; each kernel has places of its own.
                        unsafe { simd.store(to.add((y * IN + x) * place), value) };
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, value: S::V) -> S::V {
    simd.mul(simd.splat(factor), value)
}

/// `factor * a + b`.
#[inline(always)]
fn times_add<S: Simd>(simd: S, factor: f32, a: S::V, b: S::V) -> S::V {
    simd.mul_add(simd.splat(factor), a, b)
}

/// `G g`.
#[inline(always)]
fn kernel_transform<S: Simd>(simd: S, [a, b, c]: [S::V; 3]) -> [S::V; IN] {
    let even = times(simd, -1.0 / 6.0, simd.add(a, c));
    let odd = times(simd, 1.0 / 6.0, b);
    let far_even = times_add(simd, 1.0 / 24.0, a, times(simd, 1.0 / 6.0, c));
    let far_odd = times(simd, 1.0 / 12.0, b);
    [
        times(simd, 0.25, a),
        simd.sub(even, odd),
        simd.add(even, odd),
        simd.add(far_even, far_odd),
        simd.sub(far_even, far_odd),
        c,
    ]
}

/// `B' d`.
#[inline(always)]
fn input_transform<S: Simd>(simd: S, d: [S::V; IN]) -> [S::V; IN] {
    let near_even = times_add(simd, -4.0, d[2], d[4]);
    let near_odd = times_add(simd, -4.0, d[1], d[3]);
    let far_even = simd.sub(d[4], d[2]);
    let far_odd = simd.sub(d[3], d[1]);
    [
        times_add(simd, 4.0, d[0], times_add(simd, -5.0, d[2], d[4])),
        simd.add(near_even, near_odd),
        simd.sub(near_even, near_odd),
        times_add(simd, 2.0, far_odd, far_even),
        times_add(simd, -2.0, far_odd, far_even),
        times_add(simd, 4.0, d[1], times_add(simd, -5.0, d[3], d[5])),
    ]
}

/// `A' m`.
#[inline(always)]
fn output_transform<S: Simd>(simd: S, m: [S::V; IN]) -> [S::V; OUT] {
    let (even, odd) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    let (far_even, far_odd) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
    [
        simd.add(m[0], simd.add(even, far_even)),
        times_add(simd, 2.0, far_odd, odd),
        times_add(simd, 4.0, far_even, even),
        simd.add(times_add(simd, 8.0, far_odd, odd), m[5]),
    ]
}

/// A row or column of a tile's inputs.
#[derive(Clone, Copy)]
struct Line {
    /// Where it is, or anywhere in the map if it is not.
    place: usize,
    /// Whether it is there; zeros are not.
    inside: bool,
}

struct TileJob<'a> {
    winograd: &'a Winograd,
    input: Map<'a>,
    output: Map<'a>,
    ending: Ending<'a>,
    weights: &'a [f32],
    transformed: &'a mut [f32],
    products: &'a mut [f32],
    tiles: Range<usize>,
    geometry: Geometry,
}

impl Op for TileJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.transform_input(simd);
        self.multiply(simd);
        self.transform_output(simd);
    }
}

impl TileJob<'_> {
    /// Where a tile's vector lies in a transformed map.
    #[inline(always)]
    fn vector(index: usize, block: usize, blocks: usize) -> usize {
        ((index / GROUP * blocks + block) * GROUP + index % GROUP) * LANES
    }

    #[inline(always)]
    fn corner(&self, tile: usize) -> (usize, usize) {
        (tile / self.geometry.tile_columns * OUT, tile % self.geometry.tile_columns * OUT)
    }

    /// The rows (or columns) of a tile's inputs. Beyond the border tiles need no more than the one line next to it; what
    /// lies further is never used.
    #[inline(always)]
    fn along(&self, start: usize, length: usize) -> [Line; IN] {
        let mut lines = [Line { place: 0, inside: false }; IN];
        for (i, line) in lines.iter_mut().enumerate() {
            let index = (start + i) as isize - 1;
            if let Some(place) = self.winograd.border.place(index.min(length as isize), length) {
                *line = Line { place, inside: true };
            }
        }
        lines
    }

    #[inline(always)]
    fn transform_input<S: Simd>(&mut self, simd: S) {
        let Map { layout, height, .. } = self.input;
        let blocks = layout.blocks;
        let stride = place(self.geometry.task_tiles, blocks);
        for tile in self.tiles.clone() {
            let (y, x) = self.corner(tile);
            let (rows, columns) = (self.along(y, height), self.along(x, layout.columns));
            let zeros = !rows.iter().chain(&columns).all(|line| line.inside);
            for block in 0..blocks {
                let from = self.input.buffer.at(block * layout.plane);
                let mut lines = [[simd.splat(0.0); IN]; IN];
                for (line, row) in lines.iter_mut().zip(rows) {
                    let mut values = [simd.splat(0.0); IN];
                    for (value, column) in values.iter_mut().zip(columns) {
                        // SAFETY: inside the map, as `along` says.
                        *value = unsafe { simd.load(from.add(layout.row(row.place) + column.place * LANES)) };
                    }
                    if zeros {
                        for (value, column) in values.iter_mut().zip(columns) {
                            if !(row.inside && column.inside) {
                                *value = simd.splat(0.0);
                            }
                        }
                    }
                    *line = input_transform(simd, values);
                }
                let to = Self::vector(tile - self.tiles.start, block, blocks);
                let target = &mut self.transformed[to..][..(PLACES - 1) * stride + LANES];
                for x in 0..IN {
                    let mut column = [simd.splat(0.0); IN];
                    for (value, line) in column.iter_mut().zip(&lines) {
                        *value = line[x];
                    }
                    for (y, value) in input_transform(simd, column).into_iter().enumerate() {
                        // SAFETY: inside the target, as it was cut.
                        unsafe { simd.store(target.as_mut_ptr().add((y * IN + x) * stride), value) };
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn multiply<S: Simd>(&mut self, simd: S) {
        let (inputs, outputs) = (self.winograd.inputs.blocks(), self.winograd.output_blocks);
        let tiles = self.geometry.task_tiles;
        let (input_stride, output_stride) = (place(tiles, inputs), place(tiles, outputs));
        let mut start = 0;
        for product in &self.winograd.products {
            let mut row = 0;
            let segments: Vec<Segment> = product
                .inputs
                .clone()
                .map(|block| {
                    let count = self.winograd.inputs.count(block);
                    row += count;
                    Segment { x: (block * GROUP * LANES) as isize, row: row - count, count }
                })
                .collect();
            let blocks = product.outputs.len();
            for place in 0..PLACES {
                let weights =
                    &self.weights[start + place * product.place()..][..product.rows * blocks * LANES];
                let panels = PanelsView { start: weights.as_ptr(), rows: product.rows, blocks };
                for first in (0..self.tiles.len()).step_by(GROUP) {
                    let from = place * input_stride + Self::vector(first, 0, inputs);
                    let to = place * output_stride + Self::vector(first, product.outputs.start, outputs);
                    let row = Row {
                        x: self.transformed[from..].as_ptr(),
                        segments: &segments,
                        pixels: GROUP.min(self.tiles.len() - first),
                        out: self.products[to..].as_mut_ptr(),
                        out_step: LANES,
                        out_plane: GROUP * LANES,
                    };
                    // SAFETY: a group of tiles has room for all blocks in both maps, the weights for all panels.
                    unsafe { tile::product::<S, LANES>(simd, &[row], panels, (0, blocks), Finish::Plain) };
                }
            }
            start += PLACES * product.place();
        }
    }

    #[inline(always)]
    fn transform_output<S: Simd>(&mut self, simd: S) {
        let (output, ending) = (self.output, self.ending);
        let blocks = output.layout.blocks;
        let stride = place(self.geometry.task_tiles, blocks);
        for tile in self.tiles.clone() {
            let (y, x) = self.corner(tile);
            let (rows, columns) = (OUT.min(output.height - y), OUT.min(output.columns() - x));
            for block in 0..blocks {
                let from = Self::vector(tile - self.tiles.start, block, blocks);
                let source = &self.products[from..][..(PLACES - 1) * stride + LANES];
                let mut lines = [[simd.splat(0.0); OUT]; IN];
                for (y, line) in lines.iter_mut().enumerate() {
                    let mut values = [simd.splat(0.0); IN];
                    for (x, value) in values.iter_mut().enumerate() {
                        // SAFETY: inside the source, as it was cut.
                        *value = unsafe { simd.load(source.as_ptr().add((y * IN + x) * stride)) };
                    }
                    *line = output_transform(simd, values);
                }
                // SAFETY: the bias has LANES numbers for each block.
                let bias = unsafe { simd.load(ending.bias[block * LANES..][..LANES].as_ptr()) };
                for column in 0..columns {
                    let values: [S::V; OUT] =
                        output_transform(simd, std::array::from_fn(|line| lines[line][column]));
                    for (row, value) in values.into_iter().enumerate().take(rows) {
                        let place = block * output.layout.plane + output.place(y + row, x + column);
                        let to = output.buffer.at(place);
                        let mut value = simd.add(value, bias);
                        // SAFETY: inside the maps; every pixel belongs to one tile.
                        unsafe {
                            if block >= ending.add_from {
                                value = simd.add(value, simd.load(to));
                            }
                            if ending.relu {
                                value = simd.max(value, simd.splat(0.0));
                            }
                            if let Some(residual) = ending.residual {
                                value = simd.add(value, simd.load(residual.buffer.at(place)));
                            }
                            simd.store(to, value);
                        }
                    }
                }
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
            let (from, to) = (Channels::parts(inputs), Channels::parts(outputs));
            let planes = noise(1, from.total() * height * width);
            let mut weights = weights(to.total(), from.total(), 3, 2);
            // The second output part sees the first input part alone, as in a Fourier convolution.
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
                    let ending =
                        Ending { bias: &lanes, add_from, relu: true, residual: Some(residual.map()) };
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
