//! The residual block of the regular family's refiner.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Activation, Conv2dConfig, ConvNormAct, Init, Padding};

/// `x + second(first(x))`; only the first half has a ReLU.
#[derive(Module, Debug)]
pub struct Residual {
    first: ConvNormAct,
    second: ConvNormAct,
}

impl Residual {
    /// A block for latents with this many channels; kernel 3, reflected borders, bias.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        let config = Conv2dConfig {
            channels_in: channels,
            channels_out: channels,
            kernel: 3,
            stride: 1,
            padding: Padding::Reflect(1),
            bias: true,
        };
        Self {
            first: ConvNormAct::new(&config, Activation::Relu, init),
            second: ConvNormAct::new(&config, Activation::Identity, init),
        }
    }

    /// Refines `x`.
    ///
    /// # Shapes
    /// `x` and the result: `[batch, channels, height, width]`, both sides at least 2.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(self.first.forward(x.clone()));
        x + y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded, values};

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    #[test]
    fn it_can_add_and_subtract() {
        let block = Residual::new(3, &mut seeded(1));
        for shape in [[1, 3, 2, 2], [2, 3, 5, 3]] {
            let x = random(shape, 2);
            let added = values(block.forward(x.clone()) - x);
            assert!(added.iter().any(|&value| value > 0.0) && added.iter().any(|&value| value < 0.0));
        }
    }

    #[test]
    fn it_has_the_right_gradient() {
        let block = Residual::new(3, &mut seeded(1));
        assert_block_gradient(block, Residual::forward, [1, 3, 4, 3], GRADIENT_TOLERANCE);
    }
}
