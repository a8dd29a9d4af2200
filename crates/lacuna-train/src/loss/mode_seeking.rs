//! The mode-seeking loss.
//!
//! Mao et al. 2019, <https://arxiv.org/abs/1903.05628>: `1 / (d / mean |z1 - z2| + 1e-5)`, where `d` is the mean absolute difference
//! of two answers, here in the hole. It pushes answers apart without bound; [spread](super::spread) does not.

use burn::tensor::Tensor;

use super::answers::{differences, pairs};

/// Added to the ratio, so that equal answers give a large and not an infinite value.
const EPSILON: f64 = 1e-5;

/// The mean over pairs of answers and photos.
///
/// # Shapes
/// - `predicted`: `[answers * photos, 3, height, width]`: the first answers of all photos, then the second, and so on
/// - `z`: `[answers * photos, 64]`, their codes
/// - `mask`: `[photos, 1, height, width]`, 1 = hole
pub fn l1(predicted: &Tensor<4>, z: &Tensor<2>, mask: &Tensor<4>) -> Tensor<1> {
    let photos = mask.dims()[0];
    let codes = |answer: usize| z.clone().narrow(0, answer * photos, photos);
    let distances = pairs(predicted, mask)
        .map(|[one, other]| (codes(one) - codes(other)).abs().mean_dim(1).reshape([1, photos]));
    let distances = Tensor::cat(distances.collect(), 0); // [pairs, photos]
    (differences(predicted, mask) / distances).add_scalar(EPSILON).recip().mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, tensor, values};
    use testkit::fixtures;

    #[test]
    fn it_equals_the_reference() {
        // expected.json of oracle/make_system_fixtures.py
        let numbers = fixtures::load("systems/sampled_io.safetensors");
        let [predicted, mask] = ["predicted", "mask"].map(|name| from_fixture(numbers.get(name)));
        let found = values(l1(&predicted, &from_fixture(numbers.get("z")), &mask))[0];
        assert!((found - 52.248_79).abs() < 1e-2, "{found}");
    }

    #[test]
    fn by_hand() {
        // Differences 0.5 and 0.25; codes 1 and 2 apart.
        let predicted = tensor([4, 1, 1, 1], vec![0.5, 0.25, 0.0, 0.0]);
        let z = tensor([4, 2], vec![1.0, 1.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        let found = values(l1(&predicted, &z, &tensor([2, 1, 1, 1], vec![1.0; 2])))[0];
        let expected = 0.5 * (1.0 / (0.5 + 1e-5) + 1.0 / (0.125 + 1e-5));
        assert!((found - expected as f32).abs() < 1e-4, "{found}");
    }
}
