//! Style loss: differences of feature correlations, independent of position.
//!
//! Gatys et al. 2016, <https://arxiv.org/abs/1508.06576>, with the L1 norm of partial convolutions (Liu et al. 2018,
//! <https://arxiv.org/abs/1804.07723>, eq. 4): `sum over stages of mean |G(predicted) - G(image)|`,
//! `G = F Fᵀ / (channels · pixels)`.

use burn::tensor::Tensor;

/// The sum over all stages.
///
/// # Shapes
/// `predicted`, `target`: results of [`crate::net::Vgg16::forward`].
pub fn l1(predicted: &[Tensor<4>], target: &[Tensor<4>]) -> Tensor<1> {
    let stages = predicted.iter().zip(target);
    let terms =
        stages.map(|(predicted, target)| (gram(predicted.clone()) - gram(target.clone())).abs().mean());
    terms.reduce(|sum, term| sum + term).expect("a network with stages")
}

/// Gram matrix of the channels, `[batch, channels, channels]`.
fn gram(features: Tensor<4>) -> Tensor<3> {
    let [batch, channels, height, width] = features.dims();
    let rows = features.reshape([batch, channels, height * width]);
    rows.clone().matmul(rows.transpose()).div_scalar((channels * height * width) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};

    #[test]
    fn places_do_not_count() {
        let features = tensor([1, 2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(values(gram(features.clone())), [1.25, 2.75, 2.75, 6.25]);
        let moved = tensor([1, 2, 1, 2], vec![2.0, 1.0, 4.0, 3.0]);
        assert_eq!(values(l1(std::slice::from_ref(&features), &[moved])), [0.0]);
        let dark = features.zeros_like();
        assert_eq!(values(l1(&[features], &[dark])), [13.0 / 4.0]);
    }
}
