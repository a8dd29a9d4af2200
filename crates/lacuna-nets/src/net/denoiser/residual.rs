//! A residual block that a time scales and shifts.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use lacuna_network::ResidualBlock as Shape;

use crate::block::group_norm::Affine;
use crate::block::{Conv2d, Conv2dConfig, GroupNorm, Init, Linear};

/// A residual block; see [`lacuna_network::ResidualBlock`].
#[derive(Module, Debug)]
pub struct ResidualBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    skip: Option<Conv2d>,
}

impl ResidualBlock {
    /// With PyTorch's default initialisation, but for the last convolution, which is zero: the block is its skip connection.
    pub fn new(shape: &Shape, init: &mut Init) -> Self {
        Self {
            norm1: GroupNorm::new(&shape.norm1, init),
            conv1: Conv2dConfig::of(&shape.conv1).init(init),
            time: Linear::new(&shape.time, init),
            norm2: GroupNorm::new(&shape.norm2, init),
            conv2: Conv2dConfig::of(&shape.conv2).init_zero(init),
            skip: shape.skip.as_ref().map(|skip| Conv2dConfig::of(skip).init(init)),
        }
    }

    /// The block's output.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels in, height, width]`; the result: `[batch, channels out, height, width]`
    /// - `time`: `[batch, values]`
    pub fn forward(&self, x: Tensor<4>, time: Tensor<2>) -> Tensor<4> {
        let hidden = self.conv1.forward(silu(self.norm1.forward(x.clone())));
        let hidden = silu(self.norm2.forward_then(hidden, self.change(time)));
        let skipped = match &self.skip {
            Some(skip) => skip.forward(x),
            None => x,
        };
        self.conv2.forward(hidden) + skipped
    }

    /// The scale and the shift of a time.
    fn change(&self, time: Tensor<2>) -> Affine {
        let both = self.time.forward(silu(time)); // [batch, 2 channels]
        let [batch, values] = both.dims();
        let half = |half: usize| {
            both.clone().narrow(1, half * values / 2, values / 2).reshape([batch, values / 2, 1, 1])
        };
        Affine { scale: half(0).add_scalar(1.0), offset: half(1) }
    }
}
