//! Wide 3x3 convolutions and their gradients by the engine's Winograd kernel, which needs channels in blocks.

use lacuna_network::Border;

use super::mosaic::Mosaic;
use super::shape::{ConvShape, Padding, folded};
use crate::tiles::arena::Kept;
use crate::tiles::channels::{Channels, Layout};
use crate::tiles::map::Map;
use crate::tiles::winograd::{Blocks, Ending, OUT, Signed, Winograd};
use crate::{After, Isa};

/// From this many input and output channels, the savings exceed the cost of converting channels to blocks and back.
const FEWEST_CHANNELS: usize = 32;
/// From this many tiles in a batch, they exceed that of transforming weights.
const FEWEST_TILES: usize = 8;

/// Tiles per task: with `in * out / (in + out)` tiles, a task moves as many values of maps as of weights. Fewer read weights
/// too often; more do not stay in the cache.
const FEWEST_TASK_TILES: usize = 48;
const MOST_TASK_TILES: usize = 192;

/// Whether a convolution of this shape uses this kernel.
pub(super) fn applies(shape: &ConvShape) -> bool {
    let ConvShape { batch, channels_in, channels_out, height, width, kernel, stride, padding } = *shape;
    kernel == 3
        && stride == 1
        && padding.width() == 1
        && channels_in.min(channels_out) >= FEWEST_CHANNELS
        && height.min(width) >= 2
        && batch * height.div_ceil(OUT) * width.div_ceil(OUT) >= FEWEST_TILES
}

/// As [`super::conv::forward`].
pub(super) fn forward(
    isa: Isa,
    shape: &ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let ConvShape { channels_in, channels_out, .. } = *shape;
    let plan = Plan::new(isa, (channels_in, channels_out), |output, input, tap| {
        weight[(output * channels_in + input) * 9 + tap]
    });
    let ring = match shape.padding {
        Padding::Reflect(_) => Some(Border::Reflect),
        Padding::Zero(_) | Padding::None => None,
    };
    plan.run(shape, x, Surround { ring, kept: 0 }, bias)
}

/// As [`super::conv::input_gradient`].
pub(super) fn input_gradient(isa: Isa, shape: &ConvShape, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    let ConvShape { channels_in, channels_out, height, width, .. } = *shape;
    // The input gradient is a convolution with kernels rotated by half a turn.
    let plan = Plan::new(isa, (channels_out, channels_in), |output, input, tap| {
        weight[(input * channels_in + output) * 9 + 8 - tap]
    });
    match shape.padding {
        Padding::Reflect(by) => {
            let padded = plan.run(shape, dy, Surround { ring: Some(Border::Zero), kept: by }, None);
            folded(&padded, (height, width), by)
        }
        Padding::Zero(_) | Padding::None => plan.run(shape, dy, Surround { ring: None, kept: 0 }, None),
    }
}

/// What is around each image.
#[derive(Clone, Copy)]
struct Surround {
    /// How a ring of one pixel is filled; without one, zeros follow the image.
    ring: Option<Border>,
    /// Lines of the ring that the result has too.
    kept: usize,
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
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let (inputs, outputs) = (Channels::parts([inputs]), Channels::parts([outputs]));
        let blocks = vec![Blocks { inputs: 0..inputs.blocks(), outputs: 0..outputs.blocks() }];
        let winograd = Winograd::new(isa, (&inputs, &outputs), Border::Zero, blocks, weight);
        let (channels_in, channels_out) = (inputs.total(), outputs.total());
        let tiles = channels_in * channels_out / (channels_in + channels_out);
        let winograd = winograd.with_task_tiles(tiles.clamp(FEWEST_TASK_TILES, MOST_TASK_TILES));
        Self { inputs, outputs, winograd }
    }

    /// Convolves images.
    fn run(&self, shape: &ConvShape, x: &[f32], around: Surround, bias: Option<&[f32]>) -> Vec<f32> {
        let ConvShape { batch, height, width, .. } = *shape;
        let mosaic = Mosaic::new(batch, (height, width), usize::from(around.ring.is_some()), OUT);
        let (rows, columns) = (mosaic.rows(), mosaic.columns());
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
        let pixels = (height + 2 * around.kept) * (width + 2 * around.kept);
        let mut y = vec![0.0; batch * channels_out * pixels];
        let images = x.chunks(mosaic.images() * channels_in * height * width);
        for (x, y) in images.zip(y.chunks_mut(mosaic.images() * channels_out * pixels)) {
            mosaic.gather(x, channels_in, around.ring.unwrap_or(Border::Zero), input, from);
            let ending = Ending {
                bias: &bias,
                add_from: to.blocks,
                after: After::Nothing,
                signs: Signed::No,
                residual: None,
            };
            self.winograd.run(Map::whole(input, from), Map::whole(output, to), ending, scratch, threads);
            mosaic.scatter(output, to, channels_out, around.kept, y);
        }
        KEPT.put_back(arena);
        y
    }
}

/// Memory kept for the next convolution: fresh pages would cost as much time as the products.
static KEPT: Kept = Kept::new();
