//! The residual block of the refiner.

use burn::module::Module;
use lacuna_network::Layer;

use super::{FfcNormAct, Init, LayerBlock, Style};
use crate::Features;
use crate::error::Result;

/// `x + second(first(x))`.
///
/// If the second half ends in ReLU, as in the Fourier family, a block can only add.
#[derive(Module, Debug)]
pub struct Residual {
    first: LayerBlock,
    second: LayerBlock,
}

impl Residual {
    /// The block of these halves, with PyTorch's default initialisation.
    ///
    /// # Errors
    /// As [`LayerBlock::new`].
    pub fn new([first, second]: &[Layer; 2], init: &mut Init) -> Result<Self> {
        Ok(Self { first: LayerBlock::new(first, init)?, second: LayerBlock::new(second, init)? })
    }

    /// Refines `x`.
    ///
    /// # Shapes
    /// `x` and the result: parts `[batch, channels, height, width]`, both sides at least 2.
    pub fn forward(&self, x: Features) -> Features {
        let y = self.second.forward(self.first.forward(x.clone()));
        x + y
    }

    /// As [`Residual::forward`], with a style for each half.
    ///
    /// # Panics
    /// If a half is no fast Fourier convolution.
    pub fn forward_styled(&self, x: Features, [first, second]: &[Style; 2]) -> Features {
        let [own_first, own_second] = self.fast_fourier();
        let y = own_second.forward_styled(own_first.forward_styled(x.clone(), first), second);
        x + y
    }

    /// The halves of a block of fast Fourier convolutions.
    ///
    /// # Panics
    /// If a half is no fast Fourier convolution.
    pub fn fast_fourier(&self) -> [&FfcNormAct; 2] {
        [&self.first, &self.second].map(|half| half.as_fast_fourier().expect("a fast Fourier convolution"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded, values};
    use burn::tensor::Tensor;
    use lacuna_network::{Delta, Family, Layers, Shape};

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    /// The layers of a network with one block, whose latent has eight channels.
    fn layers(family: Family, delta: Delta) -> Layers {
        family.network(Shape { channels_in: 3, width: 1, blocks: 1, control: false, delta }).layers()
    }

    /// What the block adds to `x`.
    fn added(family: Family, delta: Delta, x: Tensor<4>) -> Vec<f32> {
        let layers = layers(family, delta);
        let block = Residual::new(&layers.refiner[0], &mut seeded(1)).unwrap();
        values(block.forward(Features::split(x.clone(), layers.latent())).concat() - x)
    }

    #[test]
    fn a_block_that_ends_in_relu_can_only_add() {
        for shape in [[1, 8, 2, 2], [2, 8, 5, 3]] {
            assert!(added(Family::Fourier, Delta::None, random(shape, 2)).iter().all(|&value| value >= 0.0));
            let both = added(Family::Regular, Delta::None, random(shape, 2));
            assert!(both.iter().any(|&value| value > 0.0) && both.iter().any(|&value| value < 0.0));
        }
    }

    #[test]
    fn a_signed_block_can_subtract_too() {
        let x = random([1, 8, 5, 3], 2);
        let plain = added(Family::Fourier, Delta::None, x.clone());
        let signed = added(Family::Fourier, Delta::Signed, x);
        assert!(signed.iter().any(|&value| value < 0.0));
        let cut: Vec<f32> = signed.iter().map(|value| value.max(0.0)).collect();
        testkit::assert_close(&plain, &cut, 1e-6);
    }

    #[test]
    fn it_has_the_right_gradient() {
        for family in Family::ALL {
            let layers = layers(family, Delta::None);
            let block = Residual::new(&layers.refiner[0], &mut seeded(1)).unwrap();
            let latent = layers.latent();
            let forward = |block: &Residual, x: Tensor<4>| block.forward(Features::split(x, latent)).concat();
            assert_block_gradient(block, forward, [1, 8, 3, 4], GRADIENT_TOLERANCE);
        }
    }
}
