//! Adversarial loss of the generator and of its discriminator.
//!
//! Non-saturating (Goodfellow et al. 2014, <https://arxiv.org/abs/1406.2661>), with the mask as in LaMa:
//! `softplus(-D(predicted))` for the generator. For the discriminator `softplus(-D(image))` and, with the mask `m`
//! resized to the logits, `m softplus(D(predicted)) + (1 - m) softplus(-D(predicted))`: known pixels count as real.

use burn::tensor::activation::softplus;
use burn::tensor::{Int, Tensor, TensorData};

/// Softplus with beta 1.
const STEEPNESS: f64 = 1.0;

/// The generator's loss.
///
/// # Shapes
/// `fake_logits`: `[batch, 1, rows, columns]`.
pub fn generator(fake_logits: Tensor<4>) -> Tensor<1> {
    softplus(fake_logits.neg(), STEEPNESS).mean()
}

/// The discriminator's loss on real images.
///
/// # Shapes
/// `real_logits`: `[batch, 1, rows, columns]`.
pub fn real(real_logits: Tensor<4>) -> Tensor<1> {
    softplus(real_logits.neg(), STEEPNESS).mean()
}

/// The discriminator's loss on predicted images.
///
/// # Shapes
/// - `fake_logits`: `[batch, 1, rows, columns]`
/// - `mask`: `[batch, 1, height, width]`, 1 = hole, of any size
pub fn fake(fake_logits: Tensor<4>, mask: Tensor<4>) -> Tensor<1> {
    let [_, _, rows, columns] = fake_logits.dims();
    let hole = nearest(mask, [rows, columns]);
    let known = hole.clone().neg().add_scalar(1.0);
    let as_fake = softplus(fake_logits.clone(), STEEPNESS);
    let as_real = softplus(fake_logits.neg(), STEEPNESS);
    (hole * as_fake + known * as_real).mean()
}

/// Resizes `mask` with PyTorch's `nearest`: each value is taken from `floor(index · old / new)`.
fn nearest(mask: Tensor<4>, [rows, columns]: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = mask.dims();
    let device = mask.device();
    let pick = |old: usize, new: usize| {
        let indices: Vec<i32> = (0..new).map(|index| (index * old / new) as i32).collect();
        Tensor::<1, Int>::from_data(TensorData::new(indices, [new]), &device)
    };
    mask.select(2, pick(height, rows)).select(3, pick(width, columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, tensor, values};
    use testkit::{assert_close, fixtures};

    #[test]
    fn both_equal_the_reference() {
        let numbers = fixtures::load("adversarial.safetensors");
        let [real_logits, fake_logits, mask] =
            ["real_logits", "fake_logits", "mask"].map(|name| from_fixture::<4>(numbers.get(name)));
        // losses.json of oracle/make_fixtures.py
        assert_close(&values(generator(fake_logits.clone())), &[0.729_685_4], 2e-6);
        assert_close(&values(real(real_logits) + fake(fake_logits, mask)), &[1.448_566_6], 2e-6);
    }

    #[test]
    fn nearest_takes_the_pixels_that_lamas_resize_takes() {
        let ramp = tensor([1, 1, 1, 256], (0..256).map(|index| index as f32).collect());
        let expected = [0, 13, 26, 40, 53, 67, 80, 94, 107, 121, 134, 148, 161, 175, 188, 202, 215, 229, 242];
        assert_eq!(values(nearest(ramp, [1, 19])), expected.map(|index| index as f32));
    }
}
