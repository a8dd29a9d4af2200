//! Distances between several answers for the same photos, within their holes.

use burn::tensor::Tensor;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;

/// Values of an empty hole, which has none.
const NO_PIXELS: f64 = 1.0;

/// The mean absolute value over the hole, for each image.
///
/// # Shapes
/// - `x`: `[batch, 3, height, width]`
/// - `mask`: `[batch, 1, height, width]`, 1 = hole
/// - the result: `[batch]`; 0 without a hole
pub fn hole_means(x: Tensor<4>, mask: Tensor<4>) -> Tensor<1> {
    let [batch, channels, height, width] = x.dims();
    let total = |x: Tensor<4>| {
        let [_, channels, _, _] = x.dims();
        x.reshape([batch, channels * height * width]).sum_dim(1).reshape([batch])
    };
    let values = total(mask.clone()).mul_scalar(channels as f64).clamp_min(NO_PIXELS);
    total(x.abs() * mask) / values
}

/// The mean absolute difference in the hole of each pair of answers.
///
/// # Shapes
/// - `predicted`: `[answers * photos, 3, height, width]`: the first answers of all photos, then the second, and so on
/// - `mask`: `[photos, 1, height, width]`, 1 = hole
/// - the result: `[pairs, photos]`
///
/// # Panics
/// If there is only one answer for each photo.
pub fn differences(predicted: &Tensor<4>, mask: &Tensor<4>) -> Tensor<2> {
    means_of_pairs(predicted, mask, |difference| difference)
}

/// [`differences`] less their mean in a window around each pixel, so that a tint does not count.
///
/// # Shapes
/// - `window`: side in pixels, odd; pixels outside the hole and outside the picture do not count
/// - the others: as [`differences`]
///
/// # Panics
/// If there is only one answer for each photo or the window is even.
pub fn detail_differences(predicted: &Tensor<4>, mask: &Tensor<4>, window: usize) -> Tensor<2> {
    assert!(window % 2 == 1, "a window of {window} pixels has no centre");
    let mean = |x: Tensor<4>| {
        avg_pool2d(x, AvgPoolOptions::new([window; 2]).with_stride([1; 2]).with_padding([window / 2; 2]))
    };
    let share = mean(mask.clone()).clamp_min(1.0 / (window * window) as f64);
    means_of_pairs(predicted, mask, |difference| {
        difference.clone() - mean(difference * mask.clone()) / share.clone()
    })
}

fn means_of_pairs(
    predicted: &Tensor<4>,
    mask: &Tensor<4>,
    change: impl Fn(Tensor<4>) -> Tensor<4>,
) -> Tensor<2> {
    let pair = |[one, other]: [usize; 2]| {
        let difference = answer(predicted, mask, one) - answer(predicted, mask, other);
        hole_means(change(difference), mask.clone()).unsqueeze::<2>()
    };
    Tensor::cat(pairs(predicted, mask).map(pair).collect(), 0)
}

/// All pairs of answers.
///
/// # Shapes
/// As [`differences`].
pub fn pairs(predicted: &Tensor<4>, mask: &Tensor<4>) -> impl Iterator<Item = [usize; 2]> + use<> {
    let count = count(predicted, mask);
    assert!(count > 1, "one answer has no other");
    (0..count).flat_map(move |one| (one + 1..count).map(move |other| [one, other]))
}

/// Number of answers for each photo.
///
/// # Shapes
/// As [`differences`].
pub fn count(predicted: &Tensor<4>, mask: &Tensor<4>) -> usize {
    let [all, photos] = [predicted, mask].map(|tensor| tensor.dims()[0]);
    assert!(all % photos == 0, "{all} answers for {photos} photos");
    all / photos
}

/// The answers with this number, `[photos, 3, height, width]`.
fn answer(predicted: &Tensor<4>, mask: &Tensor<4>, number: usize) -> Tensor<4> {
    let photos = mask.dims()[0];
    predicted.clone().narrow(0, number * photos, photos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};

    #[test]
    fn means_are_over_the_hole_of_each_image() {
        let x = tensor([2, 1, 1, 3], vec![-1.0, 2.0, 9.0, 4.0, 4.0, 4.0]);
        let mask = tensor([2, 1, 1, 3], vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(values(hole_means(x, mask)), [1.5, 0.0]);
    }

    #[test]
    fn every_pair_of_answers_is_compared() {
        // Three answers for two photos of one hole pixel.
        let predicted = tensor([6, 1, 1, 1], vec![0.0, 10.0, 1.0, 10.0, 3.0, 14.0]);
        let mask = tensor([2, 1, 1, 1], vec![1.0, 1.0]);
        assert_eq!(pairs(&predicted, &mask).collect::<Vec<_>>(), [[0, 1], [0, 2], [1, 2]]);
        assert_eq!(values(differences(&predicted, &mask)), [1.0, 0.0, 3.0, 4.0, 2.0, 4.0]);
    }

    #[test]
    fn detail_is_what_differs_from_the_mean_around() {
        // Two answers for a photo of one row. A tint of the hole is no detail, nor is the known pixel, which the window sees last.
        let mask = tensor([1, 1, 1, 4], vec![1.0, 1.0, 1.0, 0.0]);
        let detail = |first: [f32; 4]| {
            let predicted = tensor([2, 1, 1, 4], [first, [0.0; 4]].concat());
            values(detail_differences(&predicted, &mask, 3))
        };
        assert_eq!(detail([0.5, 0.5, 0.5, 9.0]), [0.0]);
        // Differences 1, 0, 0; their means 1/2, 1/3, 0.
        let found = detail([1.0, 0.0, 0.0, 9.0])[0];
        assert!((found - (0.5 + 1.0 / 3.0) / 3.0).abs() < 1e-6, "{found}");
    }

    #[test]
    #[should_panic(expected = "one answer has no other")]
    fn a_single_answer_has_no_difference() {
        let one = tensor([1, 1, 1, 1], vec![1.0]);
        differences(&one, &one);
    }
}
