//! A convolution with normalisation and activation.

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna_network::Activation;

use super::{BatchNorm, Conv2d, Conv2dConfig, Init};

/// `activation(norm(conv(x)))`.
#[derive(Module, Debug)]
pub struct ConvNormAct {
    conv: Conv2d,
    norm: BatchNorm,
    #[module(skip)]
    activation: Activation,
}

impl ConvNormAct {
    /// PyTorch's default values.
    pub fn new(config: &Conv2dConfig, activation: Activation, init: &mut Init) -> Self {
        Self { conv: config.init(init), norm: BatchNorm::new(config.channels_out, init), activation }
    }

    /// Convolves, normalises and activates `x`.
    ///
    /// # Shapes
    /// As [`Conv2d::forward`].
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward_activated(self.conv.forward(x), self.activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Padding;
    use crate::testing::{assert_block_gradient, random, seeded, values};

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn block(activation: Activation) -> ConvNormAct {
        let padding = Padding::Zero(1);
        let config =
            Conv2dConfig { channels_in: 2, channels_out: 3, kernel: 3, stride: 2, padding, bias: true };
        ConvNormAct::new(&config, activation, &mut seeded(1))
    }

    #[test]
    fn only_relu_cuts_at_zero() {
        for batch in [1, 2] {
            let x = random([batch, 2, 7, 5], 2);
            let linear = values(block(Activation::Identity).forward(x.clone()));
            assert!(linear.iter().any(|&value| value < 0.0));
            let y = block(Activation::Relu).forward(x);
            assert_eq!(y.dims(), [batch, 3, 4, 3]);
            let cut: Vec<f32> = linear.iter().map(|value| value.max(0.0)).collect();
            assert_eq!(values(y), cut);
        }
    }

    #[test]
    fn it_has_the_right_gradient() {
        for activation in [Activation::Identity, Activation::Relu] {
            assert_block_gradient(block(activation), ConvNormAct::forward, [2, 2, 4, 5], GRADIENT_TOLERANCE);
        }
    }
}
