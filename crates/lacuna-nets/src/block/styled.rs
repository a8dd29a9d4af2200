//! A fast Fourier convolution whose weights are scaled by a style.
//!
//! Karras et al. 2020, <https://arxiv.org/abs/1912.04958>, equations 1 and 3: `W' = d W s`, with one factor `s` for each input
//! channel and one factor `d` for each output, which restores the size of the output. Scaling inputs and outputs instead of the
//! weights is the same, and serves a batch with a style for each image.
//! Differs from it in: `d` restores the norm that an output's weights have without a style, `sqrt(sum W² / sum (W s)²)`, and not
//! the norm 1, so that BatchNorm's trained statistics stay valid. The layer is a fast Fourier convolution: its spatial
//! convolutions and the first pointwise convolution of its spectral path have styles. The Fourier unit and the last pointwise
//! convolution, which see no input of the layer, have none.

use burn::module::Param;
use burn::tensor::Tensor;
use lacuna_network::{NORM_EPSILON, Split};

use super::{Conv2d, Ffc, FfcNormAct};
use crate::Features;

/// Factors for the input channels of a layer, for each image of a batch.
#[derive(Clone, Debug)]
pub struct Style {
    /// Of the local channels, `[batch, local]`.
    pub local: Tensor<2>,
    /// Of the global channels, `[batch, global]`.
    pub global: Tensor<2>,
}

/// Factors for the outputs of a layer that restore the norms of their weights, for each image of a batch.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Of the local output, `[batch, local]`.
    pub local: Tensor<2>,
    /// Of what local channels add to the global output, `[batch, global]`.
    pub global: Tensor<2>,
    /// Of the first convolution of the spectral path, `[batch, global / 2]`.
    pub spectral: Tensor<2>,
}

impl Style {
    /// Splits the factors of all channels.
    ///
    /// # Shapes
    /// `style`: `[batch, channels.total()]`, local channels first.
    pub fn split(style: Tensor<2>, channels: Split) -> Self {
        let local = style.clone().narrow(1, 0, channels.local);
        Self { local, global: style.narrow(1, channels.local, channels.global) }
    }
}

impl FfcNormAct {
    /// As [`FfcNormAct::forward`], with a style for each image.
    ///
    /// # Shapes
    /// As [`FfcNormAct::forward`]; `style`: of the input's channels.
    ///
    /// # Panics
    /// Unless input and output have a global part.
    pub fn forward_styled(&self, x: Features, style: &Style) -> Features {
        self.activated(self.ffc.forward_styled(x, style))
    }

    /// The factors of its outputs under a style.
    ///
    /// # Panics
    /// As [`FfcNormAct::forward_styled`].
    pub fn restored(&self, style: &Style) -> Restored {
        self.ffc.restored(style)
    }
}

const GLOBAL: &str = "only layers with a global part at both ends have styles";

impl Ffc {
    fn forward_styled(&self, x: Features, style: &Style) -> Features {
        let (local, global) = (x.local, x.global.expect(GLOBAL));
        let [to_global, to_local] =
            [&self.local_to_global, &self.global_to_local].map(|conv| conv.as_ref().expect(GLOBAL));
        let path = self.global_to_global.as_ref().expect(GLOBAL);
        let restored = self.restored(style);
        let local = local * on_map(style.local.clone());
        let global = global * on_map(style.global.clone());
        let reduced = path.reduce.forward(global.clone()) * on_map(restored.spectral);
        let from_global = path.forward_reduced(reduced);
        let from_local = to_global.forward(local.clone()) * on_map(restored.global);
        let sum = self.local_to_local.forward(local) + to_local.forward(global);
        Features { local: sum * on_map(restored.local), global: Some(from_local + from_global) }
    }

    fn restored(&self, style: &Style) -> Restored {
        let [to_global, to_local] =
            [&self.local_to_global, &self.global_to_local].map(|conv| conv.as_ref().expect(GLOBAL));
        let reduce = &self.global_to_global.as_ref().expect(GLOBAL).reduce;
        Restored {
            local: restore(&[(&self.local_to_local, &style.local), (to_local, &style.global)]),
            global: restore(&[(to_global, &style.local)]),
            spectral: restore(&[(reduce, &style.global)]),
        }
    }
}

/// Factors `d` of the outputs of convolutions that are added up: `sqrt(sum W² / sum (W s)²)`, over all inputs and taps.
///
/// # Shapes
/// Each style: `[batch, inputs]`; the result: `[batch, outputs]`.
fn restore(convolutions: &[(&Conv2d, &Tensor<2>)]) -> Tensor<2> {
    let sums = convolutions.iter().map(|(conv, style)| {
        let squares = taps(&conv.weight); // [outputs, inputs]
        let before = squares.clone().sum_dim(1).transpose(); // [1, outputs]
        let after = (*style).clone().square().matmul(squares.transpose()); // [batch, outputs]
        (before, after)
    });
    let (before, after) = sums
        .reduce(|(before, after), (more_before, more_after)| (before + more_before, after + more_after))
        .expect("at least one convolution");
    (before.add_scalar(NORM_EPSILON) / after.add_scalar(NORM_EPSILON)).sqrt()
}

/// Sums of squares over the taps of each kernel, `[outputs, inputs]`.
fn taps(weight: &Param<Tensor<4>>) -> Tensor<2> {
    let weight = weight.val();
    let [outputs, inputs, rows, columns] = weight.dims();
    weight.square().reshape([outputs, inputs, rows * columns]).sum_dim(2).reshape([outputs, inputs])
}

/// One factor for each channel of a map: `[batch, channels, 1, 1]`.
fn on_map(factors: Tensor<2>) -> Tensor<4> {
    let [batch, channels] = factors.dims();
    factors.reshape([batch, channels, 1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Conv2dConfig, FfcConfig};
    use crate::ops::Padding;
    use crate::testing::{assert_block_gradient, from_fixture, random, seeded, values};
    use burn::module::Module;
    use lacuna_network::Activation;
    use testkit::{assert_close, fixtures};

    const TOLERANCE: f32 = 1e-5;
    const GRADIENT_TOLERANCE: f64 = 1e-4;
    const BOTH: Split = Split { local: 2, global: 2 };

    fn block() -> FfcNormAct {
        let padding = Padding::Reflect(1);
        let config = FfcConfig { channels_in: BOTH, channels_out: BOTH, kernel: 3, stride: 1, padding };
        FfcNormAct::new(&config, Activation::Relu, &mut seeded(1))
    }

    /// A style near 1, and another for each image.
    fn style(batch: usize) -> Style {
        Style::split(random([batch, 4], 5).mul_scalar(0.5).add_scalar(1.0), BOTH)
    }

    /// The published form, which has no trained norm to restore: its demodulation is ours divided by the norm of the weights.
    #[test]
    fn convolutions_are_those_of_the_reference() {
        let numbers = fixtures::load("systems/modulated_conv.safetensors");
        let number = |name: &str| numbers.get(name);
        for training in [false, true] {
            let lift = |tensor: Tensor<4>| if training { Tensor::from_inner(tensor) } else { tensor };
            let padding = Padding::Zero(1);
            let config =
                Conv2dConfig { channels_in: 6, channels_out: 5, kernel: 3, stride: 1, padding, bias: false };
            let mut conv = config.init(&mut seeded(1));
            let weight: Tensor<4> = lift(from_fixture(number("weight")));
            conv.weight = Param::from_tensor(if training { weight.require_grad() } else { weight });
            let x: Tensor<4> = lift(from_fixture(number("x")));
            let style: Tensor<2> = from_fixture(number("style"));
            let style = if training { Tensor::from_inner(style).require_grad() } else { style };
            let x = if training { x.require_grad() } else { x };
            let plain = conv.forward(x.clone() * on_map(style.clone()));
            assert_close(&values(plain.clone()), &number("y_without_demodulation").values, TOLERANCE);
            let restored = restore(&[(&conv, &style)]);
            assert_close(&values(restored.clone()), &number("restore").values, TOLERANCE);
            let norm = taps(&conv.weight).sum_dim(1).transpose().add_scalar(NORM_EPSILON).sqrt();
            let y = plain * on_map(restored / norm);
            assert_close(&values(y.clone()), &number("y").values, TOLERANCE);
            if training {
                let gradients = y.square().sum().backward();
                let by_weight = conv.weight.val().grad(&gradients).unwrap();
                for (name, gradient) in [
                    ("grad_x", values(x.grad(&gradients).unwrap())),
                    ("grad_style", values(style.grad(&gradients).unwrap())),
                    ("grad_weight", values(by_weight)),
                ] {
                    let expected = &number(name).values;
                    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
                    assert_close(&gradient, expected, 1e-4 * largest.max(1.0));
                }
            }
        }
    }

    #[test]
    fn a_style_of_ones_changes_nothing() {
        let x = Features::split(random([2, 4, 5, 3], 2), BOTH);
        let ones = Style::split(Tensor::ones([2, 4], &x.local.device()), BOTH);
        let (styled, plain) = (block().forward_styled(x.clone(), &ones), block().forward(x));
        assert_close(&values(styled.concat()), &values(plain.concat()), 1e-6);
    }

    /// What restores the norm also undoes a common factor of all inputs.
    #[test]
    fn a_common_factor_changes_nothing() {
        let x = Features::split(random([1, 4, 5, 3], 2), BOTH);
        let threes = Style::split(Tensor::full([1, 4], 3.0, &x.local.device()), BOTH);
        let (styled, plain) = (block().forward_styled(x.clone(), &threes), block().forward(x));
        assert_close(&values(styled.concat()), &values(plain.concat()), 1e-5);
    }

    #[test]
    fn images_of_a_batch_have_styles_of_their_own() {
        let (block, style, x) = (block(), style(2), random([2, 4, 5, 3], 2));
        let both = values(block.forward_styled(Features::split(x.clone(), BOTH), &style).concat());
        let alone = (0..2).flat_map(|image| {
            let one = |tensor: &Tensor<2>| tensor.clone().narrow(0, image, 1);
            let style = Style { local: one(&style.local), global: one(&style.global) };
            let x = Features::split(x.clone().narrow(0, image, 1), BOTH);
            values(block.forward_styled(x, &style).concat())
        });
        assert_close(&both, &alone.collect::<Vec<_>>(), 1e-6);
    }

    #[test]
    fn it_has_the_right_gradient() {
        let forward = |block: &FfcNormAct, x: Tensor<4>| {
            let style = style(1);
            let lift = |tensor: Tensor<2>| {
                let tensor = if x.device().is_autodiff() { Tensor::from_inner(tensor) } else { tensor };
                tensor.cast(x.dtype())
            };
            let style = Style { local: lift(style.local), global: lift(style.global) };
            block.forward_styled(Features::split(x, BOTH), &style).concat()
        };
        assert_block_gradient(block().valid(), forward, [1, 4, 3, 4], GRADIENT_TOLERANCE);
    }
}
