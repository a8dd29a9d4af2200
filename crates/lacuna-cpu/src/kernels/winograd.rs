//! Wide 3x3 convolutions and their gradients by the engine's Winograd kernel, which wants channels in blocks.

use lacuna_network::Border;
use rayon::prelude::*;

use super::shape::{ConvShape, Padding, folded};
use crate::simd::LANES;
use crate::tiles::arena::Kept;
use crate::tiles::channels::{Channels, Layout};
use crate::tiles::map::Map;
use crate::tiles::winograd::{Blocks, Ending, Winograd};
use crate::{After, Isa};

/// From so many channels on, in and out, what it saves is more than moving channels into blocks and back costs.
const FEWEST_CHANNELS: usize = 64;
/// Smaller maps are mostly border tiles.
const SMALLEST_SIDE: usize = 8;

/// Whether a convolution of this shape goes this way.
pub(super) fn applies(shape: &ConvShape) -> bool {
    let ConvShape { channels_in, channels_out, height, width, kernel, stride, padding, .. } = *shape;
    kernel == 3
        && stride == 1
        && padding.width() == 1
        && channels_in.min(channels_out) >= FEWEST_CHANNELS
        && height.min(width) >= SMALLEST_SIDE
}

/// As [`super::conv::forward`].
pub(super) fn forward(
    isa: Isa,
    shape: &ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let ConvShape { channels_in, channels_out, height, width, .. } = *shape;
    let border = match shape.padding {
        Padding::Reflect(_) => Border::Reflect,
        Padding::Zero(_) | Padding::None => Border::Zero,
    };
    let plan = Plan::new(isa, (channels_in, channels_out), border, |output, input, tap| {
        weight[(output * channels_in + input) * 9 + tap]
    });
    plan.run(x, (height, width), 0, bias)
}

/// As [`super::conv::input_gradient`].
pub(super) fn input_gradient(isa: Isa, shape: &ConvShape, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    let ConvShape { channels_in, channels_out, height, width, .. } = *shape;
    // The input's gradient is a convolution with kernels turned by half a turn.
    let plan = Plan::new(isa, (channels_out, channels_in), Border::Zero, |output, input, tap| {
        weight[(input * channels_in + output) * 9 + 8 - tap]
    });
    match shape.padding {
        Padding::Reflect(by) => folded(&plan.run(dy, (height, width), by, None), (height, width), by),
        Padding::Zero(_) | Padding::None => plan.run(dy, (height, width), 0, None),
    }
}

struct Plan {
    inputs: Channels,
    outputs: Channels,
    winograd: Winograd,
}

impl Plan {
    fn new(
        isa: Isa,
        (inputs, outputs): (usize, usize),
        border: Border,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let (inputs, outputs) = (Channels::parts([inputs]), Channels::parts([outputs]));
        let blocks = vec![Blocks { inputs: 0..inputs.blocks(), outputs: 0..outputs.blocks() }];
        let winograd = Winograd::new(isa, (&inputs, &outputs), border, blocks, weight);
        Self { inputs, outputs, winograd }
    }

    /// Convolves pictures with a ring of `ring` zeros around each, which the result has too.
    fn run(&self, x: &[f32], (height, width): (usize, usize), ring: usize, bias: Option<&[f32]>) -> Vec<f32> {
        let (rows, columns) = (height + 2 * ring, width + 2 * ring);
        let from = Layout::new(self.inputs.blocks(), rows, columns);
        let to = Layout::new(self.outputs.blocks(), rows, columns);
        let threads = rayon::current_num_threads();
        let scratch = self.winograd.scratch(rows, columns, threads);
        let mut arena = KEPT
            .take_at_least(from.len() + to.len() + scratch)
            .unwrap_or_else(|error| panic!("no memory for a convolution: {error}"));
        let (input, rest) = arena.numbers().split_at_mut(from.len());
        let (output, scratch) = rest[..to.len() + scratch].split_at_mut(to.len());
        let bias = self.outputs.spread(|channel| bias.map_or(0.0, |bias| bias[channel]));
        let (channels_in, channels_out) = (self.inputs.total(), self.outputs.total());
        let mut y = vec![0.0; x.len() / (channels_in * height * width) * channels_out * rows * columns];
        let pictures = x.chunks_exact(channels_in * height * width);
        for (x, y) in pictures.zip(y.chunks_exact_mut(channels_out * rows * columns)) {
            gather(x, (height, width), ring, input, from);
            let ending = Ending { bias: &bias, add_from: to.blocks, after: After::Nothing, residual: None };
            self.winograd.run(Map::whole(input, from), Map::whole(output, to), ending, scratch, threads);
            scatter(output, to, y);
        }
        KEPT.put_back(arena);
        y
    }
}

/// Memory from one convolution for the next: fresh pages would cost as much time as the products.
static KEPT: Kept = Kept::new();

/// Moves planes into blocks of channels, with a ring of zeros.
fn gather(planes: &[f32], (height, width): (usize, usize), ring: usize, map: &mut [f32], layout: Layout) {
    let blocks = map[..layout.len()].par_chunks_exact_mut(layout.plane);
    blocks.zip(planes.par_chunks(LANES * height * width)).for_each(|(block, planes)| {
        let channels = planes.len() / (height * width);
        if ring > 0 || channels < LANES {
            block.fill(0.0);
        }
        for row in 0..height {
            let line = &mut block[layout.row(row + ring) + ring * LANES..][..width * LANES];
            // A few pixels at a time: their lines stay in the first-level cache until all lanes are written.
            for start in (0..width).step_by(LANES) {
                let end = width.min(start + LANES);
                for (lane, plane) in planes.chunks_exact(height * width).enumerate() {
                    let from = &plane[row * width + start..row * width + end];
                    let to = line[start * LANES + lane..].iter_mut().step_by(LANES);
                    to.zip(from).for_each(|(to, value)| *to = *value);
                }
            }
        }
    });
}

/// Moves blocks of channels into planes.
fn scatter(map: &[f32], layout: Layout, planes: &mut [f32]) {
    let pixels = layout.pixels();
    planes.par_chunks_mut(LANES * pixels).zip(map.par_chunks_exact(layout.plane)).for_each(
        |(planes, block)| {
            for start in (0..pixels).step_by(LANES) {
                let end = pixels.min(start + LANES);
                for (lane, plane) in planes.chunks_exact_mut(pixels).enumerate() {
                    let from = block[start * LANES + lane..].iter().step_by(LANES);
                    plane[start..end].iter_mut().zip(from).for_each(|(to, value)| *to = *value);
                }
            }
        },
    );
}
