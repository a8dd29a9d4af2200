//! Perceptual loss: differences of a classifier's features.
//!
//! Johnson et al. 2016, <https://arxiv.org/abs/1603.08155>, summed over stages as in LaMa's `ResNetPL`: `sum over
//! stages of mean (features(predicted) - features(image))²`.
//! Differs from it in: features of VGG16 instead of LaMa's ResNet50 for ADE20K, see [`crate::net::Vgg16`].

use burn::tensor::Tensor;

/// The sum over all stages.
///
/// # Shapes
/// `predicted`, `target`: results of [`crate::net::Vgg16::forward`].
pub fn mse(predicted: &[Tensor<4>], target: &[Tensor<4>]) -> Tensor<1> {
    let stages = predicted.iter().zip(target);
    let terms = stages.map(|(predicted, target)| (predicted.clone() - target.clone()).square().mean());
    terms.reduce(|sum, term| sum + term).expect("a network with stages")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};

    #[test]
    fn stages_are_added_up() {
        let stage = |value: f32, size: usize| tensor([1, 1, 1, size], vec![value; size]);
        let predicted = [stage(1.0, 4), stage(2.0, 2)];
        let target = [stage(0.5, 4), stage(-1.0, 2)];
        assert_eq!(values(mse(&predicted, &target)), [9.25]);
    }
}
