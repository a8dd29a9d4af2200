//! Group normalisation (Wu and He 2018, <https://arxiv.org/abs/1803.08494>): `y = weight (x - mean) / sqrt(variance + eps) + bias`, with
//! the mean and the biased variance of each image's group of channels.
//!
//! Nothing depends on other images of a batch, nor on whether the network is trained, as BatchNorm does: the values of a denoiser
//! have other statistics at each time.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lacuna_network::{GROUP_EPSILON, GroupNorm as Shape};

use super::Init;

/// Normalises groups of channels that follow each other.
///
/// # Shapes
/// `weight` and `bias`: `[channels]`.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// Scale of each channel.
    pub weight: Param<Tensor<1>>,
    /// Offset of each channel.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    groups: usize,
}

/// A change of each channel of each image: `scale x + offset`.
///
/// # Shapes
/// Both `[batch, channels, 1, 1]`.
#[derive(Clone, Debug)]
pub struct Affine {
    /// Factors.
    pub scale: Tensor<4>,
    /// Summands.
    pub offset: Tensor<4>,
}

impl Affine {
    /// The changed map.
    ///
    /// # Shapes
    /// `x` and the result: `[batch, channels, height, width]`.
    pub fn apply(self, x: Tensor<4>) -> Tensor<4> {
        x * self.scale + self.offset
    }
}

impl GroupNorm {
    /// Weight 1, bias 0.
    ///
    /// # Panics
    /// If the channels are no whole groups.
    pub fn new(shape: &Shape, init: &mut Init) -> Self {
        let (channels, groups) = (shape.channels, shape.groups());
        assert!(channels.is_multiple_of(groups), "{channels} channels in {groups} groups");
        Self { weight: init.constant([channels], 1.0), bias: init.constant([channels], 0.0), groups }
    }

    /// Normalises `x`.
    ///
    /// # Shapes
    /// `x` and the result: `[batch, channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.affine(&x).apply(x)
    }

    /// Normalises `x`, then changes it: in one pass over the map.
    ///
    /// # Shapes
    /// As [`GroupNorm::forward`].
    pub fn forward_then(&self, x: Tensor<4>, after: Affine) -> Tensor<4> {
        let Affine { scale, offset } = self.affine(&x);
        Affine { scale: scale * after.scale.clone(), offset: offset * after.scale + after.offset }.apply(x)
    }

    /// What normalising does to `x`.
    fn affine(&self, x: &Tensor<4>) -> Affine {
        let [batch, channels, height, width] = x.dims();
        let in_group = channels / self.groups;
        let groups = x.clone().reshape([batch, self.groups, in_group * height * width]);
        let mean = groups.clone().mean_dim(2); // [batch, groups, 1]
        let variance = (groups - mean.clone()).square().mean_dim(2); // [batch, groups, 1]
        let factor = variance.add_scalar(GROUP_EPSILON).sqrt().recip();
        let by_channel = |values: Tensor<3>| values.repeat_dim(2, in_group).reshape([batch, channels]);
        let weight = self.weight.val().unsqueeze::<2>(); // [1, channels]
        let scale = by_channel(factor) * weight; // [batch, channels]
        let offset = self.bias.val().unsqueeze::<2>() - by_channel(mean) * scale.clone();
        let [scale, offset] = [scale, offset].map(|values| values.reshape([batch, channels, 1, 1]));
        Affine { scale, offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded, tensor, values};
    use testkit::assert_close;

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn norm(channels: usize) -> GroupNorm {
        GroupNorm::new(&Shape { path: "norm".into(), channels }, &mut seeded(1))
    }

    #[test]
    fn two_channels_of_one_group_by_hand() {
        let mut norm = norm(2);
        norm.weight = Param::from_tensor(tensor([2], vec![1.0, 2.0]));
        norm.bias = Param::from_tensor(tensor([2], vec![0.0, 10.0]));
        // Mean 4, variance 5; the second image has no variance.
        let x = || tensor([2, 2, 1, 2], vec![1.0, 3.0, 5.0, 7.0, 2.0, 2.0, 2.0, 2.0]);
        let root = 5.000_01f32.sqrt();
        let expected = [-3.0 / root, -1.0 / root, 10.0 + 2.0 / root, 10.0 + 6.0 / root, 0.0, 0.0, 10.0, 10.0];
        assert_close(&values(norm.forward(x())), &expected, 1e-5);
        let ones = Tensor::<4>::ones([2, 2, 1, 1], &burn::tensor::Device::flex());
        let after = Affine { scale: ones.clone().mul_scalar(2.0), offset: ones.neg() };
        let changed = expected.map(|value| 2.0 * value - 1.0);
        assert_close(&values(norm.forward_then(x(), after)), &changed, 1e-5);
    }

    /// Sixteen channels are a group; each group and image is alone.
    #[test]
    fn groups_and_images_do_not_meet() {
        let both = random([2, 32, 3, 5], 1);
        let normalised = norm(32).forward(both.clone());
        for image in 0..2 {
            for group in 0..2 {
                let part = |x: &Tensor<4>| x.clone().narrow(0, image, 1).narrow(1, 16 * group, 16);
                let alone = norm(16).forward(part(&both));
                assert_close(&values(part(&normalised)), &values(alone), 1e-5);
            }
        }
    }

    /// A mean that is large beside the deviation does not spoil the variance.
    #[test]
    fn a_large_mean_is_removed() {
        let x = random([1, 16, 4, 4], 1);
        let expected = values(norm(16).forward(x.clone()));
        assert_close(&values(norm(16).forward(x.add_scalar(1000.0))), &expected, 1e-3);
    }

    #[test]
    fn it_has_the_right_gradient() {
        let forward = |norm: &GroupNorm, x: Tensor<4>| {
            let [batch, ..] = x.dims();
            // Another change for each image and channel.
            let row = |first: f32| {
                let values = (0..batch * 32).map(|index| first + 0.01 * index as f32).collect();
                tensor([batch, 32, 1, 1], values).cast(x.dtype())
            };
            let lift = |row: Tensor<4>| if x.is_autodiff() { Tensor::from_inner(row) } else { row };
            norm.forward_then(x.clone(), Affine { scale: lift(row(0.5)), offset: lift(row(-0.2)) })
        };
        assert_block_gradient(norm(32), forward, [2, 32, 1, 2], GRADIENT_TOLERANCE);
    }
}
