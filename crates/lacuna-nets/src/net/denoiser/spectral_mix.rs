//! LaMa's spectral transform as a residual block.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, silu};
use lacuna_network::SpectralMix as Shape;

use crate::block::{Conv2d, Conv2dConfig, GroupNorm, Init};
use crate::ops;

/// A spectral mix; see [`lacuna_network::SpectralMix`].
#[derive(Module, Debug)]
pub struct SpectralMix {
    norm: GroupNorm,
    reduce: Conv2d,
    fourier: Conv2d,
    expand: Conv2d,
}

impl SpectralMix {
    /// With PyTorch's default initialisation, but for the last convolution, which is zero: the block changes nothing.
    pub fn new(shape: &Shape, init: &mut Init) -> Self {
        Self {
            norm: GroupNorm::new(&shape.norm, init),
            reduce: Conv2dConfig::of(&shape.reduce).init(init),
            fourier: Conv2dConfig::pointwise(shape.fourier.inputs, shape.fourier.outputs).init(init),
            expand: Conv2dConfig::of(&shape.expand).init_zero(init),
        }
    }

    /// The block's output.
    ///
    /// # Shapes
    /// `x` and the result: `[batch, channels, height, width]`, any height and width.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let width = x.dims()[3];
        let y = silu(self.reduce.forward(self.norm.forward(x.clone()))); // [batch, channels / 2, height, width]
        let spectrum = relu(self.fourier.forward(ops::spectrum(y.clone()))); // [batch, channels, height, width / 2 + 1]
        x + self.expand.forward(y + ops::plane(spectrum, width))
    }
}
