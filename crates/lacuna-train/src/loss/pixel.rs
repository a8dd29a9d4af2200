//! Pixel losses.
//!
//! LaMa (<https://arxiv.org/abs/2109.07161>): `mean |predicted - image| · (hole_weight · mask + known_weight · (1 - mask))`,
//! on the raw prediction. The thesis trains its small networks with both weights 1.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Weights of the L1 loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelWeights {
    /// Of known pixels. 10 in LaMa.
    pub known: f64,
    /// Of hole pixels. 0 in LaMa.
    pub hole: f64,
}

/// Weighted L1.
///
/// # Shapes
/// - `predicted`, `image`: `[batch, 3, height, width]`
/// - `mask`: `[batch, 1, height, width]`, 1 = hole
pub fn l1(predicted: Tensor<4>, image: Tensor<4>, mask: Tensor<4>, weights: PixelWeights) -> Tensor<1> {
    let difference = (predicted - image).abs();
    if weights.known == weights.hole {
        return difference.mean().mul_scalar(weights.known);
    }
    let weight = mask.mul_scalar(weights.hole - weights.known).add_scalar(weights.known);
    (difference * weight).mean()
}

/// Mean squared error.
///
/// # Shapes
/// `predicted`, `image`: `[batch, 3, height, width]`.
pub fn mse(predicted: Tensor<4>, image: Tensor<4>) -> Tensor<1> {
    (predicted - image).square().mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, tensor, values};
    use testkit::{assert_close, fixtures};

    #[test]
    fn l1_equals_the_reference() {
        // losses.json of oracle/make_fixtures.py
        let numbers = fixtures::load("adversarial.safetensors");
        let [fake, real, mask] = ["fake", "real", "mask"].map(|name| from_fixture(numbers.get(name)));
        for (known, hole, expected) in [(10.0, 0.0, 1.215_754), (1.0, 1.0, 0.139_923_92)] {
            let loss = l1(fake.clone(), real.clone(), mask.clone(), PixelWeights { known, hole });
            assert_close(&values(loss), &[expected], 2e-6);
        }
    }

    #[test]
    fn by_hand() {
        let predicted = tensor([1, 1, 1, 2], vec![0.5, 0.25]);
        let image = tensor([1, 1, 1, 2], vec![0.0, 1.0]);
        let mask = tensor([1, 1, 1, 2], vec![1.0, 0.0]);
        let weights = PixelWeights { known: 2.0, hole: 4.0 };
        assert_eq!(values(l1(predicted.clone(), image.clone(), mask, weights)), [1.75]);
        assert_eq!(values(mse(predicted, image)), [0.406_25]);
    }
}
