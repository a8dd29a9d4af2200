//! Latent loss: difference between the refined latent and the encoding of the ground truth, without decoding.
//!
//! "Image inpainting in latent space" (Babin 2024), section 4.1.2: `mean |refined - encoder(image)|` over both parts.
//! [`Region`] is ours: it gives the hole and the surroundings that it affects a larger weight.

use burn::tensor::Tensor;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use lacuna_nets::Features;
use lacuna_network::geometry::MULTIPLE;
use serde::{Deserialize, Serialize};

/// Where the loss applies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Latent pixels around the hole that count like the hole, because the hole affects their encoding.
    pub reach: usize,
    /// Weight of everything else; the hole's is 1.
    pub outside: f64,
}

/// Mean absolute difference over all channels.
///
/// # Shapes
/// `refined`, `target`: parts `[batch, channels, height / 8, width / 8]`.
pub fn l1(refined: Features, target: Features) -> Tensor<1> {
    (refined.concat() - target.concat()).abs().mean()
}

/// Weighted mean absolute difference: `sum w |refined - target| / sum w`.
///
/// # Shapes
/// - `refined`, `target`: parts `[batch, channels, height / 8, width / 8]`
/// - `mask`: `[batch, 1, height, width]`, 1 = hole, sides multiples of 8
pub fn l1_in(refined: Features, target: Features, mask: Tensor<4>, region: Region) -> Tensor<1> {
    let difference = (refined.concat() - target.concat()).abs();
    let channels = difference.dims()[1];
    let near = spread(damaged(mask), region.reach);
    let weight = near.mul_scalar(1.0 - region.outside).add_scalar(region.outside);
    // A batch without holes has only weights of `outside`, perhaps 0; then the loss is 0.
    let sum = weight.clone().sum().mul_scalar(channels as f64).clamp_min(f64::from(f32::MIN_POSITIVE));
    (difference * weight).sum() / sum
}

/// Latent pixels that cover any pixel of the hole.
///
/// # Shapes
/// `mask`: `[batch, 1, height, width]`, sides multiples of 8; the result: `[batch, 1, height / 8, width / 8]`.
pub fn damaged(mask: Tensor<4>) -> Tensor<4> {
    max_pool2d(mask, pooling(MULTIPLE, MULTIPLE, 0))
}

fn spread(mask: Tensor<4>, reach: usize) -> Tensor<4> {
    if reach == 0 { mask } else { max_pool2d(mask, pooling(2 * reach + 1, 1, reach)) }
}

fn pooling(kernel: usize, stride: usize, padding: usize) -> MaxPoolOptions<2> {
    MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]).with_padding([padding; 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};
    use lacuna_nets::Split;
    use testkit::assert_close;

    /// A latent of one local and three global channels, 3 x 3 pixels, `value` everywhere.
    fn latent(value: f32) -> Features {
        Features::split(tensor([1, 4, 3, 3], vec![value; 36]), Split { local: 1, global: 3 })
    }

    /// A mask with a hole in one pixel of the upper left corner.
    fn mask() -> Tensor<4> {
        let mut mask = vec![0.0; 576];
        mask[25] = 1.0;
        tensor([1, 1, 24, 24], mask)
    }

    #[test]
    fn the_hole_marks_what_it_covers() {
        let expected = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(values(damaged(mask())), expected);
        let expected = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(values(spread(damaged(mask()), 1)), expected);
    }

    #[test]
    fn by_hand() {
        assert_eq!(values(l1(latent(0.5), latent(0.75))), [0.25]);
        // Off by 1 in the hole's corner, by 2 elsewhere.
        let mut off = vec![2.0; 36];
        for channel in 0..4 {
            off[9 * channel] = 1.0;
        }
        let off = || Features::split(tensor([1, 4, 3, 3], off.clone()), Split { local: 1, global: 3 });
        let region = |reach, outside| Region { reach, outside };
        assert_close(&values(l1_in(off(), latent(0.0), mask(), region(0, 0.0))), &[1.0], 1e-6);
        assert_close(&values(l1_in(off(), latent(0.0), mask(), region(1, 0.0))), &[7.0 / 4.0], 1e-6);
        assert_close(&values(l1_in(off(), latent(0.0), mask(), region(0, 1.0))), &[17.0 / 9.0], 1e-6);
        let no_hole = mask().zeros_like();
        assert_eq!(values(l1_in(off(), latent(0.0), no_hole, region(0, 0.0))), [0.0]);
    }
}
