//! The input gradient of Winograd's convolution: the same method with rotated kernels and the folded border.
//!
//! Its kernels are read from those of the forward pass each time they are transformed, so they take no memory.
#![expect(unsafe_code, reason = "vectors in raw memory")]

use std::ops::Range;

use lacuna_network::Border;
use rayon::prelude::*;

use super::edge::Edge;
use super::kernel_job::transform;
use super::{Blocks, Ending, PLACES, Product, ROWS_PER_TASK, TAPS, Winograd};
use crate::shared::Shared;
use crate::simd::{LANES, Op, Simd, dispatch};
use crate::tiles::map::Map;
use crate::tiles::tile::panel_blocks;

/// The input gradient of a convolution.
#[derive(Clone, Debug)]
pub(crate) struct InputGradient {
    /// A convolution without kernels.
    winograd: Winograd,
}

impl InputGradient {
    /// The input gradient of `forward`. Each range of its input blocks in `blocks` (the outputs here) depends on a range
    /// of its output blocks (the inputs here).
    pub fn new(forward: &Winograd, blocks: Vec<Blocks>) -> Self {
        let inputs = forward.outputs.clone();
        let product = |Blocks { inputs: from, outputs }: Blocks| {
            let rows = from.clone().map(|block| inputs.count(block)).sum();
            Product { inputs: from, outputs, rows, kernels: Vec::new() }
        };
        let products = blocks.into_iter().map(product).collect();
        let edge = match forward.edge {
            Edge::Padded(Border::Zero) => Edge::Padded(Border::Zero),
            Edge::Padded(Border::Reflect) => Edge::Folded,
            Edge::Folded | Edge::Padded(Border::None) => {
                unreachable!("a forward convolution that keeps the sides")
            }
        };
        let outputs = forward.inputs.clone();
        let (task_tiles, isa) = (forward.task_tiles, forward.isa);
        Self { winograd: Winograd { inputs, outputs, edge, products, task_tiles, isa } }
    }

    /// As [`Winograd::scratch`].
    pub fn scratch(&self, rows: usize, columns: usize, threads: usize) -> usize {
        self.winograd.scratch(rows, columns, threads)
    }

    /// Computes the gradient with respect to the input of `forward` from that with respect to its output.
    ///
    /// # Panics
    /// As [`Winograd::run`].
    pub fn run(
        &self,
        forward: &Winograd,
        (input, output): (Map<'_>, Map<'_>),
        ending: Ending<'_>,
        scratch: &mut [f32],
        threads: usize,
    ) {
        let (weights, maps) = scratch.split_at_mut(self.winograd.weight_numbers());
        self.transform_weights(forward, weights);
        self.winograd.multiply(input, output, ending, weights, maps, threads);
    }

    fn transform_weights(&self, forward: &Winograd, weights: &mut [f32]) {
        let mut rest = weights;
        for product in &self.winograd.products {
            let here;
            (here, rest) = rest.split_at_mut(PLACES * product.place());
            let weights = Shared::new(here);
            let width = panel_blocks(self.winograd.isa);
            // A task has all inputs of a panel in some blocks: whole blocks of the forward pass's outputs.
            let per_task = ROWS_PER_TASK / LANES;
            let panels = product.outputs.len().div_ceil(width);
            let parts = product.inputs.len().div_ceil(per_task);
            (0..panels * parts).into_par_iter().for_each(|task| {
                let (first, part) = (task / parts * width, task % parts);
                let outputs = first..product.outputs.len().min(first + width);
                let start = product.inputs.start + part * per_task;
                let inputs = start..product.inputs.end.min(start + per_task);
                let job = RotatedJob { gradient: self, forward, product, outputs, inputs, weights };
                dispatch(self.winograd.isa, job);
            });
        }
    }
}

/// Rotated kernels of one panel of outputs and some blocks of inputs.
struct RotatedJob<'a> {
    gradient: &'a InputGradient,
    forward: &'a Winograd,
    product: &'a Product,
    /// The output blocks of one panel.
    outputs: Range<usize>,
    /// Input blocks, in the whole map.
    inputs: Range<usize>,
    weights: Shared<'a>,
}

impl Op for RotatedJob<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { gradient, forward, product, outputs, inputs, weights } = self;
        let channels = &gradient.winograd.inputs;
        let mut row: usize = (product.inputs.start..inputs.start).map(|block| channels.count(block)).sum();
        // Kernels of a block of inputs and a block of outputs, `[input lane][TAPS][output lane]`.
        let mut kernels = [0.0; LANES * TAPS * LANES];
        for input in inputs {
            let source = forward
                .products
                .iter()
                .find(|source| source.outputs.contains(&input))
                .expect("every block is the output of a product");
            for index in outputs.clone() {
                let output = product.outputs.start + index;
                rotate(forward, source, (input, output), &mut kernels);
                for lane in 0..channels.count(input) {
                    let kernel = &kernels[lane * TAPS * LANES..][..TAPS * LANES];
                    let to =
                        outputs.start * product.rows + (row + lane) * outputs.len() + index - outputs.start;
                    // SAFETY: each kernel has places of its own.
                    unsafe { transform(simd, kernel, weights, to * LANES, product.place()) };
                }
            }
            row += channels.count(input);
        }
    }
}

/// Copies the kernels from a block `output` of the forward pass's inputs to a block `input` of its outputs, rotated by
/// half a turn and with inputs and outputs exchanged.
#[inline(always)]
fn rotate(
    forward: &Winograd,
    source: &Product,
    (input, output): (usize, usize),
    kernels: &mut [f32; LANES * TAPS * LANES],
) {
    assert!(source.inputs.contains(&output), "kernels between blocks {input} and {output}");
    let before: usize = (source.inputs.start..output).map(|block| forward.inputs.count(block)).sum();
    let first = (input - source.outputs.start) * source.rows + before;
    let count = forward.inputs.count(output);
    for lane in 0..LANES {
        if lane >= count {
            kernels.iter_mut().skip(lane).step_by(LANES).for_each(|value| *value = 0.0);
            continue;
        }
        let kernel = &source.kernels[(first + lane) * TAPS * LANES..][..TAPS * LANES];
        for (tap, values) in kernel.chunks_exact(LANES).enumerate() {
            for (other, &value) in values.iter().enumerate() {
                kernels[(other * TAPS + TAPS - 1 - tap) * LANES + lane] = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::channels::Channels;
    use crate::tiles::signs::{self, Signs};
    use crate::tiles::testing::{Memory, Reference, weights};
    use crate::tiles::winograd::Signed;
    use crate::{After, Isa};
    use testkit::assert_close;
    use testkit::pictures::noise;

    /// Of values near 1: the transforms cost a few bits.
    const TOLERANCE: f32 = 2e-5;

    /// `<dy, conv(x)> = <gradient(dy), x>` for unit `x`, by definition.
    fn expected(reference: &Reference<'_>, dy: &[f32], shape: [usize; 4]) -> Vec<f32> {
        let [inputs, _, height, width] = shape;
        let mut x = vec![0.0; inputs * height * width];
        (0..x.len())
            .map(|index| {
                x[index] = 1.0;
                let y = reference.run(&x, shape);
                x[index] = 0.0;
                y.iter().zip(dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum::<f64>() as f32
            })
            .collect()
    }

    #[test]
    fn it_is_the_adjoint_of_the_convolution() {
        for (parts, [height, width], border) in [
            (&[3, 7][..], [2, 2], Border::Reflect),
            (&[3, 18], [3, 2], Border::Reflect),
            (&[5, 4], [5, 3], Border::Reflect),
            (&[4, 17], [4, 6], Border::Reflect),
            (&[9], [7, 10], Border::Reflect),
            (&[4, 6], [5, 6], Border::Zero),
        ] {
            let channels = Channels::parts(parts.iter().copied());
            let count = channels.total();
            let mut weights = weights(count, count, 3, 2);
            // Channels of the second part do not read each other, as in a Fourier convolution.
            let (all, split) = (channels.blocks(), parts.len() > 1);
            let local = parts[0].div_ceil(LANES);
            let mut blocks = vec![Blocks { inputs: 0..all, outputs: 0..all }];
            if split {
                for output in parts[0]..count {
                    weights[(output * count + parts[0]) * 9..][..parts[1] * 9].fill(0.0);
                }
                blocks = vec![
                    Blocks { inputs: 0..all, outputs: 0..local },
                    Blocks { inputs: 0..local, outputs: local..all },
                ];
            }
            let reference = Reference { kernel: 3, stride: 1, border, weights: &weights };
            let (dy, residual) = (noise(1, count * height * width), noise(2, count * height * width));
            let signs_of = noise(3, count * height * width);
            let linear = expected(&reference, &dy, [count, count, height, width]);
            let expected: Vec<f32> = linear
                .iter()
                .zip(&signs_of)
                .zip(&residual)
                .map(|((&value, &sign), &residual)| if sign > 0.0 { value } else { 0.0 } + residual)
                .collect();
            for isa in Isa::available() {
                let weight =
                    |output: usize, input: usize, tap: usize| weights[(output * count + input) * 9 + tap];
                let forward = Winograd::new(isa, (&channels, &channels), border, blocks.clone(), weight);
                let gradient = InputGradient::new(&forward, blocks.clone());
                let mut scratch = vec![f32::NAN; gradient.scratch(height, width, 2)];
                let of = |planes: &[f32]| Memory::of(&channels, height, width, planes);
                let (mut dy, mut residual, mut recorded) = (of(&dy), of(&residual), of(&signs_of));
                let mut output = Memory::empty(&channels, height, width);
                let mut bits = vec![0.0; signs::numbers(all, height, width)];
                let signs = Signs::new(&mut bits, output.layout, height);
                signs.record(isa, recorded.map(), 0..height);
                let ending = Ending {
                    bias: &vec![0.0; all * LANES],
                    add_from: all,
                    after: After::Nothing,
                    signs: Signed::Gated(signs),
                    residual: Some(residual.map()),
                };
                gradient.run(&forward, (dy.map(), output.map()), ending, &mut scratch, 2);
                assert_close(&output.map().to_planes(&channels), &expected, TOLERANCE);
            }
        }
    }
}
