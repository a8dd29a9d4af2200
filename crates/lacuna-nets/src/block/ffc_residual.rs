//! The residual block of the Fourier family's refiner.

use burn::module::Module;

use super::{FfcConfig, FfcNormAct, Init, Padding};
use crate::net::{Features, Split};

/// `x + second(first(x))`. Both halves end in a ReLU, so a block can only add.
#[derive(Module, Debug)]
pub struct FfcResidual {
    first: FfcNormAct,
    second: FfcNormAct,
}

impl FfcResidual {
    /// A block for latents with these channels; kernel 3, reflected borders.
    pub fn new(channels: Split, init: &mut Init) -> Self {
        let config = FfcConfig {
            channels_in: channels,
            channels_out: channels,
            kernel: 3,
            stride: 1,
            padding: Padding::Reflect(1),
        };
        Self { first: FfcNormAct::new(&config, init), second: FfcNormAct::new(&config, init) }
    }

    /// Refines `x`.
    ///
    /// # Shapes
    /// `x` and the result: parts `[batch, channels, height, width]`, both sides at least 2.
    pub fn forward(&self, x: Features) -> Features {
        let y = self.second.forward(self.first.forward(x.clone()));
        x + y
    }

    /// Refines `x`, and may take away: what is added is not rectified.
    ///
    /// # Shapes
    /// As [`FfcResidual::forward`].
    pub fn forward_signed(&self, x: Features) -> Features {
        let y = self.second.forward_linear(self.first.forward(x.clone()));
        x + y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded, values};
    use burn::tensor::Tensor;

    const GRADIENT_TOLERANCE: f64 = 1e-4;
    const BOTH: Split = Split { local: 2, global: 2 };

    #[test]
    fn it_can_only_add() {
        let block = FfcResidual::new(BOTH, &mut seeded(1));
        for shape in [[1, 4, 2, 2], [2, 4, 5, 3]] {
            let x = random(shape, 2);
            let y = block.forward(Features::split(x.clone(), BOTH)).concat();
            assert!(values(y - x).iter().all(|&added| added >= 0.0));
        }
    }

    #[test]
    fn a_signed_block_takes_away_too() {
        let block = FfcResidual::new(BOTH, &mut seeded(1));
        let x = random([1, 4, 5, 3], 2);
        let plain = values(block.forward(Features::split(x.clone(), BOTH)).concat() - x.clone());
        let signed = values(block.forward_signed(Features::split(x.clone(), BOTH)).concat() - x);
        assert!(signed.iter().any(|&added| added < 0.0));
        let cut: Vec<f32> = signed.iter().map(|added| added.max(0.0)).collect();
        testkit::assert_close(&plain, &cut, 1e-6);
    }

    #[test]
    fn it_has_the_right_gradient() {
        let block = FfcResidual::new(BOTH, &mut seeded(1));
        let forward = |block: &FfcResidual, x: Tensor<4>| block.forward(Features::split(x, BOTH)).concat();
        assert_block_gradient(block, forward, [1, 4, 3, 4], GRADIENT_TOLERANCE);
    }
}
