//! The spectral transform: the global path of a fast Fourier convolution.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{BatchNorm, Conv2d, Conv2dConfig, FourierUnit, Init};

/// `expand(y + fourier(y))` with `y = relu(norm(reduce(x)))` at half the channels.
///
/// LaMa's local Fourier unit is omitted: it is disabled in every published model.
#[derive(Module, Debug)]
pub struct Spectral {
    pub(super) reduce: Conv2d,
    reduce_norm: BatchNorm,
    fourier: FourierUnit,
    expand: Conv2d,
}

impl Spectral {
    /// From `channels_in` to `channels_out`, with half of `channels_out` in between.
    pub fn new(channels_in: usize, channels_out: usize, init: &mut Init) -> Self {
        let half = channels_out / 2;
        Self {
            reduce: Conv2dConfig::pointwise(channels_in, half).init(init),
            reduce_norm: BatchNorm::new(half, init),
            fourier: FourierUnit::new(half, init),
            expand: Conv2dConfig::pointwise(half, channels_out).init(init),
        }
    }

    /// Transforms `x`.
    ///
    /// # Shapes
    /// `x`: `[batch, channels_in, height, width]`; the result: `[batch, channels_out, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_reduced(self.reduce.forward(x))
    }

    /// What follows the first convolution, whose output is `reduced`.
    ///
    /// # Shapes
    /// `reduced`: `[batch, channels_out / 2, height, width]`; the result: `[batch, channels_out, height, width]`.
    pub(super) fn forward_reduced(&self, reduced: Tensor<4>) -> Tensor<4> {
        let y = self.reduce_norm.forward_relu(reduced);
        let z = self.fourier.forward(y.clone());
        self.expand.forward(y + z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded};

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    #[test]
    fn any_size_and_batch() {
        let spectral = Spectral::new(6, 4, &mut seeded(1));
        for [batch, height, width] in [[1, 4, 4], [2, 5, 3], [1, 1, 2]] {
            let y = spectral.forward(random([batch, 6, height, width], 2));
            assert_eq!(y.dims(), [batch, 4, height, width]);
        }
    }

    #[test]
    fn it_has_the_right_gradient() {
        let spectral = Spectral::new(4, 4, &mut seeded(1));
        assert_block_gradient(spectral, Spectral::forward, [1, 4, 3, 4], GRADIENT_TOLERANCE);
    }
}
