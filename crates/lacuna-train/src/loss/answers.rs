//! Distances between several answers for the same photos, within their holes.

use burn::tensor::Tensor;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use lacuna_network::geometry::MULTIPLE;

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
    of_pairs(predicted, mask, |difference| hole_means(difference, mask.clone()))
}

/// What `mean` gives for the difference of each pair of answers, `[pairs, photos]`.
fn of_pairs(predicted: &Tensor<4>, mask: &Tensor<4>, mean: impl Fn(Tensor<4>) -> Tensor<1>) -> Tensor<2> {
    let pair = |[one, other]: [usize; 2]| {
        mean(answer(predicted, mask, one) - answer(predicted, mask, other)).unsqueeze::<2>()
    };
    Tensor::cat(pairs(predicted, mask).map(pair).collect(), 0)
}

/// [`differences`] of the means of cells, less their mean in a window around each cell: neither a tint nor a pattern finer than a cell
/// counts. A cell is a position of the latent, [`MULTIPLE`] pixels wide.
///
/// # Shapes
/// - `predicted`, `mask`: as [`differences`], with sides that are multiples of [`MULTIPLE`]
/// - `window`: side in cells, odd; what is outside the hole or the picture does not count
///
/// # Panics
/// If there is only one answer for each photo or the window is even.
pub fn shape_differences(predicted: &Tensor<4>, mask: &Tensor<4>, window: usize) -> Tensor<2> {
    assert!(window % 2 == 1, "a window of {window} cells has no centre");
    let cells = |x: Tensor<4>| avg_pool2d(x, AvgPoolOptions::new([MULTIPLE; 2]));
    let around = AvgPoolOptions::new([window; 2]).with_stride([1; 2]).with_padding([window / 2; 2]);
    let around = |x: Tensor<4>| avg_pool2d(x, around.clone());
    let least = 1.0 / (MULTIPLE * MULTIPLE * window * window) as f64;
    let share = cells(mask.clone());
    let [share_around, divisor] = [around(share.clone()), share.clone()].map(|share| share.clamp_min(least));
    of_pairs(predicted, mask, |difference| {
        let difference = cells(difference * mask.clone());
        let mean = around(difference.clone()) / share_around.clone();
        hole_means(difference / divisor.clone() - mean, share.clone())
    })
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
    fn shapes_are_what_is_neither_a_tint_nor_finer_than_a_cell() {
        // Two answers for a photo of one row of four cells, the last of them known.
        let width = 4 * MULTIPLE;
        let mask: Vec<f32> = (0..MULTIPLE * width).map(|at| f32::from(at % width < 3 * MULTIPLE)).collect();
        let mask = tensor([1, 1, MULTIPLE, width], mask);
        let shape = |value: fn(usize) -> f32| {
            let first: Vec<f32> = (0..MULTIPLE * width).map(|at| value(at % width)).collect();
            let predicted = [first, vec![0.0; MULTIPLE * width]].concat();
            values(shape_differences(&tensor([2, 1, MULTIPLE, width], predicted), &mask, 3))[0]
        };
        assert_eq!(shape(|_| 0.5), 0.0);
        assert_eq!(shape(|column| (column % 2) as f32), 0.0);
        // Cells differ by 1, 0, 0; their means are 1/2, 1/3, 0.
        let found = shape(|column| if column < MULTIPLE { 1.0 } else { 0.0 });
        assert!((found - (0.5 + 1.0 / 3.0) / 3.0).abs() < 1e-6, "{found}");
    }

    #[test]
    #[should_panic(expected = "one answer has no other")]
    fn a_single_answer_has_no_difference() {
        let one = tensor([1, 1, 1, 1], vec![1.0]);
        differences(&one, &one);
    }
}
