//! A hinge on the distance between answers.
//!
//! `max(0, wanted - d) / wanted`, where `d` is the mean absolute difference of two answers in the hole: 1 if they are equal, 0 once
//! they differ by `wanted`. Unlike [mode seeking](super::mode_seeking) it never pushes answers further apart than that.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::answers::differences;

/// The spread term.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadLoss {
    /// The weight.
    pub weight: f64,
    /// The mean absolute difference of two answers in the hole, in `[0, 1]`, from which on the term is zero.
    pub wanted: f64,
}

/// The mean of the hinge over pairs of answers and photos.
///
/// # Shapes
/// - `predicted`: `[answers * photos, 3, height, width]`: the first answers of all photos, then the second, and so on
/// - `mask`: `[photos, 1, height, width]`, 1 = hole
pub fn l1(predicted: &Tensor<4>, mask: &Tensor<4>, wanted: f64) -> Tensor<1> {
    relu(differences(predicted, mask).neg().add_scalar(wanted)).mean().div_scalar(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, tensor, values};
    use testkit::{assert_close, fixtures};

    #[test]
    fn it_equals_the_reference() {
        // expected.json of oracle/make_system_fixtures.py
        let numbers = fixtures::load("systems/sampled_io.safetensors");
        let [predicted, mask] = ["predicted", "mask"].map(|name| from_fixture(numbers.get(name)));
        assert_close(&values(l1(&predicted, &mask, 0.5)), &[0.950_023_95], 1e-6);
    }

    #[test]
    fn pairs_that_differ_enough_do_not_count() {
        // Two answers for two photos: differences 0.25 and 0.75.
        let predicted = tensor([4, 1, 1, 1], vec![0.5, 0.0, 0.25, 0.75]);
        let mask = tensor([2, 1, 1, 1], vec![1.0; 2]);
        assert_eq!(values(l1(&predicted, &mask, 0.5)), [0.25]);
    }
}
