//! A transposed convolution with normalisation and activation: a layer of the decoder.

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna_network::Activation;

use super::{BatchNorm, ConvTranspose2d, ConvTransposeConfig, Init};

/// `activation(norm(conv(x)))`.
#[derive(Module, Debug)]
pub struct ConvTransposeNormAct {
    conv: ConvTranspose2d,
    norm: BatchNorm,
    #[module(skip)]
    activation: Activation,
}

impl ConvTransposeNormAct {
    /// PyTorch's default values.
    pub fn new(config: &ConvTransposeConfig, activation: Activation, init: &mut Init) -> Self {
        Self { conv: config.init(init), norm: BatchNorm::new(config.channels_out, init), activation }
    }

    /// Enlarges, normalises and activates `x`.
    ///
    /// # Shapes
    /// As [`ConvTranspose2d::forward`].
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward_activated(self.conv.forward(x), self.activation)
    }
}
