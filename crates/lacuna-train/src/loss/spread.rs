//! A hinge on the distance between answers.
//!
//! `max(0, wanted - d) / wanted`, where `d` is the mean absolute difference of two answers in the hole: 1 if they are equal, 0 once
//! they differ by `wanted`. Unlike [mode seeking](super::mode_seeking) it never pushes answers further apart than that.
//!
//! Of pixels as they are, a tint of the whole hole is the cheapest difference, and next to it the pattern that a decoder leaves in each of its
//! cells. With a window, `d` is of what is neither: see [`shape_differences`].

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::answers::{differences, shape_differences};

/// The spread term.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadLoss {
    /// The weight.
    pub weight: f64,
    /// The mean absolute difference of two answers in the hole, in `[0, 1]`, from which on the term is zero.
    pub wanted: f64,
    /// Side in cells of 8 pixels, odd, of the window within which cells are compared, instead of pixels as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
}

/// The mean of the hinge over pairs of answers and photos.
///
/// # Shapes
/// - `predicted`: `[answers * photos, 3, height, width]`: the first answers of all photos, then the second, and so on
/// - `mask`: `[photos, 1, height, width]`, 1 = hole
pub fn l1(
    predicted: &Tensor<4>,
    mask: &Tensor<4>,
    SpreadLoss { wanted, window, .. }: SpreadLoss,
) -> Tensor<1> {
    let differences = match window {
        Some(window) => shape_differences(predicted, mask, window),
        None => differences(predicted, mask),
    };
    relu(differences.neg().add_scalar(wanted)).mean().div_scalar(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, tensor, values};
    use testkit::{assert_close, fixtures};

    fn spread(window: Option<usize>) -> SpreadLoss {
        SpreadLoss { weight: 1.0, wanted: 0.5, window }
    }

    #[test]
    fn it_equals_the_reference() {
        // expected.json of oracle/make_system_fixtures.py
        let numbers = fixtures::load("systems/sampled_io.safetensors");
        let [predicted, mask] = ["predicted", "mask"].map(|name| from_fixture(numbers.get(name)));
        assert_close(&values(l1(&predicted, &mask, spread(None))), &[0.950_023_95], 1e-6);
    }

    #[test]
    fn pairs_that_differ_enough_do_not_count() {
        // Two answers for two photos: differences 0.25 and 0.75.
        let predicted = tensor([4, 1, 1, 1], vec![0.5, 0.0, 0.25, 0.75]);
        let mask = tensor([2, 1, 1, 1], vec![1.0; 2]);
        assert_eq!(values(l1(&predicted, &mask, spread(None))), [0.25]);
    }

    #[test]
    fn a_window_takes_a_tint_away() {
        let predicted = tensor([2, 1, 8, 16], [[0.5; 128], [0.0; 128]].concat());
        let mask = tensor([1, 1, 8, 16], vec![1.0; 128]);
        assert_eq!(values(l1(&predicted, &mask, spread(None))), [0.0]);
        assert_eq!(values(l1(&predicted, &mask, spread(Some(3)))), [1.0]);
    }
}
