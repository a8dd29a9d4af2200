//! Batch normalisation with PyTorch's names and statistics.
//!
//! Ioffe and Szegedy 2015, <https://arxiv.org/abs/1502.03167>: `y = weight (x - mean) / sqrt(var + eps) + bias`.
//! Burn's own module differs where it matters here: it names the parameters gamma and beta, and puts the biased
//! variance into the running one, so that training would drift from the reference.

use burn::module::{Flag, Module, Param};
use burn::tensor::Tensor;
use lacuna_network::Activation;
use lacuna_network::geometry::EPSILON;

use super::activation::activate;
use super::{Init, Statistic};
use crate::ops::{self, After};

/// The weight of the newest batch in the running statistics. PyTorch's default.
pub const MOMENTUM: f32 = 0.1;

/// Normalises every channel: in train mode over the batch, in eval mode with the running statistics.
///
/// It is in train mode on an autodiff device unless frozen: `module.freeze()` freezes the statistics and the parameters
/// of a whole subtree while the rest of the network trains; `module.valid()` leaves autodiff.
///
/// # Shapes
/// All parameters and statistics: `[channels]`.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale of each channel.
    pub weight: Param<Tensor<1>>,
    /// Offset of each channel.
    pub bias: Param<Tensor<1>>,
    /// Mean of each channel over past batches.
    pub running_mean: Statistic,
    /// Unbiased variance of each channel over past batches.
    pub running_var: Statistic,
    training: Param<Flag>,
}

impl BatchNorm {
    /// Weight 1, bias 0, mean 0, variance 1.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        Self {
            weight: init.constant([channels], 1.0),
            bias: init.constant([channels], 0.0),
            running_mean: Statistic::new(Tensor::zeros([channels], init.device())),
            running_var: Statistic::new(Tensor::ones([channels], init.device())),
            training: Param::from_bool(true),
        }
    }

    /// Normalises `x`.
    ///
    /// # Shapes
    /// `x` and the result: `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// In train mode if there is only one value per channel, which has no variance.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.then(x, After::Nothing)
    }

    /// Normalises `x` and applies ReLU, in one pass where there are kernels for it.
    ///
    /// # Shapes
    /// As [`BatchNorm::forward`].
    ///
    /// # Panics
    /// As [`BatchNorm::forward`].
    pub fn forward_relu(&self, x: Tensor<4>) -> Tensor<4> {
        self.then(x, After::Relu)
    }

    /// Normalises and activates `x`.
    ///
    /// # Shapes
    /// As [`BatchNorm::forward`].
    ///
    /// # Panics
    /// As [`BatchNorm::forward`].
    pub fn forward_activated(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        match activation {
            Activation::Relu => self.forward_relu(x),
            other => activate(self.forward(x), other),
        }
    }

    /// Normalises `x`, and computes the directional derivative along `tangent` (forward mode). Both can be
    /// differentiated with respect to the parameters, which replaces second derivatives, for example in R1.
    ///
    /// # Shapes
    /// `x`, `tangent` and both results: `[batch, channels, height, width]`.
    ///
    /// # Panics
    /// As [`BatchNorm::forward`].
    pub fn forward_tangent(&self, x: Tensor<4>, tangent: Tensor<4>) -> [Tensor<4>; 2] {
        let channels = x.dims()[1];
        let wide = |row: Tensor<1>| row.reshape([1, channels, 1, 1]);
        let weight = wide(self.weight.val());
        if !self.is_training(&x) {
            let scale = weight / wide(self.running_var.value()).add_scalar(EPSILON).sqrt();
            return [self.forward(x), tangent * scale];
        }
        let mean = |x: Tensor<4>| x.mean_dim(0).mean_dim(2).mean_dim(3);
        let centred = x.clone() - mean(x.clone());
        let moved = tangent.clone() - mean(tangent);
        let variance = mean(centred.clone() * centred.clone());
        let change = mean(centred.clone() * moved.clone()).mul_scalar(2.0);
        let inverse = variance.add_scalar(EPSILON).sqrt().recip();
        let cube = inverse.clone() * inverse.clone() * inverse.clone();
        let slope = moved * inverse - centred * change * cube.mul_scalar(0.5);
        [self.forward(x), slope * weight]
    }

    fn is_training(&self, x: &Tensor<4>) -> bool {
        x.device().is_autodiff() && self.training.is_enabled()
    }

    fn then(&self, x: Tensor<4>, after: After) -> Tensor<4> {
        if self.is_training(&x) { self.train_mode(x, after) } else { self.eval_mode(x, after) }
    }

    fn train_mode(&self, x: Tensor<4>, after: After) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let count = batch * height * width;
        assert!(
            count > 1,
            "BatchNorm in train mode needs more than one value for each of {channels} channels"
        );
        let normalised = ops::normalise(x, self.weight.val(), self.bias.val(), after);
        let unbiased = normalised.variance.mul_scalar(count as f64 / (count - 1) as f64);
        self.running_mean.update(normalised.mean, MOMENTUM);
        self.running_var.update(unbiased, MOMENTUM);
        normalised.output
    }

    fn eval_mode(&self, x: Tensor<4>, after: After) -> Tensor<4> {
        // One scale and one offset per channel: two passes over the values instead of four.
        let scale = self.weight.val() / self.running_var.value().add_scalar(EPSILON).sqrt();
        let offset = self.bias.val() - self.running_mean.value() * scale.clone();
        ops::affine(x, scale, offset, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_block_gradient, in_float64, random, seeded, seeded_to_train, tensor, values, weighted_sum,
    };
    use burn::tensor::{DType, Device};
    use testkit::assert_close;
    use testkit::pictures::noise;

    const TOLERANCE: f32 = 1e-6;
    const GRADIENT_TOLERANCE: f64 = 1e-4;

    #[test]
    fn train_mode_by_hand() {
        let norm = BatchNorm::new(1, &mut seeded_to_train(1));
        let x = Tensor::from_inner(tensor([2, 1, 1, 2], vec![1.0, 2.0, 3.0, 6.0]));
        let y = values(norm.forward(x));
        // mean 3, biased variance (4 + 1 + 0 + 9) / 4 = 3.5, unbiased 14 / 3
        let scale = 1.0 / (3.5f32 + 1e-5).sqrt();
        assert_close(&y, &[-2.0 * scale, -scale, 0.0, 3.0 * scale], TOLERANCE);
        assert_close(&values(norm.running_mean.value()), &[0.3], TOLERANCE);
        assert_close(&values(norm.running_var.value()), &[0.9 + 0.1 * 14.0 / 3.0], TOLERANCE);
    }

    #[test]
    fn eval_mode_by_hand() {
        let norm = BatchNorm::new(2, &mut seeded(1));
        norm.running_mean.update(tensor([2], vec![1.0, 2.0]), 1.0);
        norm.running_var.update(tensor([2], vec![4.0, 0.25]), 1.0);
        let y = values(norm.forward(tensor([1, 2, 1, 2], vec![1.0, 5.0, 2.0, 1.0])));
        assert_close(&y, &[0.0, 2.0, 0.0, -2.0], 1e-4);
    }

    #[test]
    fn a_frozen_norm_on_an_autodiff_device_keeps_its_statistics() {
        let norm = BatchNorm::new(3, &mut seeded_to_train(1)).freeze();
        let x = Tensor::from_inner(random([2, 3, 4, 4], 5));
        let y = norm.forward(x.clone());
        assert_eq!(values(norm.running_mean.value()), [0.0; 3]);
        assert_eq!(values(norm.running_var.value()), [1.0; 3]);
        assert_close(&values(y), &values(x), 1e-4);
        norm.clone().unfreeze().forward(Tensor::from_inner(random([2, 3, 4, 4], 5)));
        assert_eq!(values(norm.running_mean.value()), [0.0; 3], "a clone trains apart");
    }

    #[test]
    fn eval_mode_has_the_right_gradient() {
        let norm = BatchNorm::new(3, &mut seeded(1));
        assert_block_gradient(norm, BatchNorm::forward, [2, 3, 3, 5], GRADIENT_TOLERANCE);
    }

    #[test]
    fn train_mode_has_the_right_gradient() {
        let shape = [2, 2, 3, 3];
        let norm = BatchNorm::new(2, &mut seeded_to_train(1));
        let input = noise(3, 36);
        let weighting = noise(4, 36);
        let x = Tensor::<4>::from_inner(tensor(shape, input.clone())).require_grad();
        let total = norm.forward(x.clone()) * Tensor::from_inner(tensor(shape, weighting.clone()));
        let gradient = values(x.grad(&total.sum().backward()).unwrap());
        let norm = in_float64(norm);
        testkit::gradient::assert_gradient(
            |point| {
                let x = Tensor::from_inner(tensor(shape, point.to_vec()).cast(DType::F64));
                weighted_sum(norm.forward(x), &weighting)
            },
            &input,
            &gradient,
            GRADIENT_TOLERANCE,
        );
    }

    #[test]
    #[should_panic(expected = "more than one value")]
    fn one_value_for_each_channel_has_no_variance() {
        let norm = BatchNorm::new(2, &mut seeded_to_train(1));
        norm.forward(Tensor::ones([1, 2, 1, 1], &Device::flex().autodiff()));
    }
}
