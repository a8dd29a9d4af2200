//! The error of the best of several answers.
//!
//! `mean over photos of min over answers of mean |predicted - image|` within the hole: the "variety loss" of Gupta et al. 2018,
//! <https://arxiv.org/abs/1803.10892>, with an absolute error. It pulls one answer to the ground truth and leaves the others free
//! to differ; an error of all answers would pull them to their common mean.

use burn::tensor::{Int, Tensor, TensorData};

use super::answers::{count, hole_means};

/// The best answer of each photo.
#[derive(Clone, Debug)]
pub struct Best {
    /// Mean of their errors, `[1]`.
    pub error: Tensor<1>,
    /// Their positions in the batch of all answers, one for each photo.
    pub positions: Vec<i32>,
    /// Fraction of the photos whose first answer is the best: about one over the number of answers if all are used alike.
    pub first: f32,
}

/// Finds the best answer of each photo by its mean absolute error in the hole. Of equal ones the first counts.
///
/// # Shapes
/// - `predicted`: `[answers * photos, 3, height, width]`: the first answers of all photos, then the second, and so on
/// - `image`: `[photos, 3, height, width]`
/// - `mask`: `[photos, 1, height, width]`, 1 = hole
pub fn l1(predicted: &Tensor<4>, image: &Tensor<4>, mask: &Tensor<4>) -> Best {
    let (answers, photos) = (count(predicted, mask), mask.dims()[0]);
    let [image, mask] = [image, mask].map(|tensor| tensor.clone().repeat_dim(0, answers));
    let errors = hole_means(predicted.clone() - image, mask); // [answers * photos]
    let known: Vec<f32> = errors.clone().into_data().iter::<f32>().collect();
    let best = |photo: usize| {
        let rest = (1..answers).map(|answer| answer * photos + photo);
        rest.fold(photo, |best, position| if known[position] < known[best] { position } else { best })
    };
    let positions: Vec<usize> = (0..photos).map(best).collect();
    let first = positions.iter().filter(|&&position| position < photos).count() as f32 / photos as f32;
    let positions: Vec<i32> = positions.into_iter().map(|position| position as i32).collect();
    let chosen = TensorData::new(positions.clone(), [photos]);
    let chosen = Tensor::<1, Int>::from_data(chosen, &errors.device());
    Best { error: errors.select(0, chosen).mean(), positions, first }
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
        let [predicted, image, mask] =
            ["predicted", "image", "mask"].map(|name| from_fixture(numbers.get(name)));
        assert_close(&values(l1(&predicted, &image, &mask).error), &[0.259_863_2], 1e-6);
    }

    #[test]
    fn each_photo_has_its_own_best_answer() {
        // Two answers for three photos of one hole pixel.
        let predicted = tensor([6, 1, 1, 1], vec![0.0, 0.5, 0.25, 0.75, 0.5, 0.0]);
        let image = tensor([3, 1, 1, 1], vec![1.0, 0.25, 0.0]);
        let mask = tensor([3, 1, 1, 1], vec![1.0; 3]);
        let Best { error, positions, first } = l1(&predicted, &image, &mask);
        // 0.25 by the second answer, 0.25 by either, 0 by the second.
        assert_eq!(values(error), [0.5 / 3.0]);
        assert_eq!(positions, [3, 1, 5]);
        assert!((first - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn only_the_best_answer_is_pulled() {
        let lift = |values: Vec<f32>| Tensor::<4>::from_inner(tensor([2, 1, 1, 1], values));
        let predicted = lift(vec![0.5, 0.9]).require_grad();
        let one = |value: f32| Tensor::<4>::from_inner(tensor([1, 1, 1, 1], vec![value]));
        let gradients = l1(&predicted, &one(0.0), &one(1.0)).error.backward();
        assert_eq!(values(predicted.grad(&gradients).unwrap()), [1.0, 0.0]);
    }
}
