//! The mapping from random codes to codes that styles are computed from.
//!
//! Karras et al. 2019, <https://arxiv.org/abs/1812.04948>: codes of unit mean square, linear layers with LeakyReLU, and a running
//! mean towards which codes are truncated.
//! Differs from it in: two layers instead of eight, and no scaling of weights at run time.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use lacuna_network::{CODE_EPSILON, MAPPING_SLOPE, Modulation};

use crate::block::{Init, Linear, Statistic};

/// Weight of the newest batch in the running mean.
const MOMENTUM: f32 = 0.005;

/// From `z` to `w`, and the running mean of `w`.
#[derive(Module, Debug)]
pub struct Mapping {
    first: Linear,
    second: Linear,
    w_mean: Statistic,
}

impl Mapping {
    /// With PyTorch's default initialisation, and a mean of zero.
    pub fn new(layers: &Modulation, init: &mut Init) -> Self {
        let [first, second] = &layers.mapping;
        Self {
            first: Linear::new(first, init),
            second: Linear::new(second, init),
            w_mean: Statistic::new(Tensor::zeros([layers.mean.length], init.device())),
        }
    }

    /// The mapped codes.
    ///
    /// # Shapes
    /// `z` and the result: `[batch, 64]`.
    pub fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        let size = z.clone().square().mean_dim(1).add_scalar(CODE_EPSILON).sqrt(); // [batch, 1]
        let hidden = leaky_relu(self.first.forward(z / size), MAPPING_SLOPE);
        leaky_relu(self.second.forward(hidden), MAPPING_SLOPE)
    }

    /// Moves the running mean towards the mean of `w`: in training, once for each batch.
    ///
    /// # Shapes
    /// `w`: `[batch, 64]`.
    pub fn track(&self, w: Tensor<2>) {
        let [_, length] = w.dims();
        self.w_mean.update(w.detach().mean_dim(0).reshape([length]), MOMENTUM);
    }

    /// The running mean of `w`, as the code of each image.
    ///
    /// # Shapes
    /// The result: `[batch, 64]`.
    pub fn mean(&self, batch: usize) -> Tensor<2> {
        self.w_mean.value().unsqueeze::<2>().repeat_dim(0, batch)
    }

    /// Codes moved towards their mean: `mean + psi (w - mean)`. With `psi` 0 all are the mean, with 1 they stay.
    ///
    /// # Shapes
    /// `w` and the result: `[batch, 64]`.
    pub fn truncated(&self, w: Tensor<2>, psi: f64) -> Tensor<2> {
        let mean = self.mean(w.dims()[0]);
        mean.clone() + (w - mean).mul_scalar(psi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, from_fixture, load_fixture, random, seeded, values};
    use testkit::{assert_close, fixtures};

    const TOLERANCE: f32 = 1e-5;
    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn mapping() -> Mapping {
        Mapping::new(&Modulation::new(2, 64), &mut seeded(1))
    }

    #[test]
    fn codes_are_those_of_the_reference() {
        let weights = fixtures::load("systems/sampled_weights.safetensors");
        let numbers = fixtures::load("systems/sampled_io.safetensors");
        let mapping = load_fixture(mapping(), &weights, |name| format!("mapping.{name}"));
        let w = mapping.forward(from_fixture(numbers.get("z")));
        assert_close(&values(w.clone()), &numbers.get("w").values, TOLERANCE);
        let half = mapping.truncated(w, 0.5);
        assert_close(&values(half), &numbers.get("w_psi_half").values, TOLERANCE);
    }

    #[test]
    fn the_mean_follows_slowly() {
        let mapping = mapping();
        let w = || Tensor::full([2, 64], 3.0, &burn::tensor::Device::flex());
        mapping.track(w());
        assert_close(&values(mapping.mean(1)), &[0.015; 64], 1e-7);
        mapping.track(w());
        assert_close(&values(mapping.mean(2)), &[0.995 * 0.015 + 0.015; 128], 1e-7);
        // Without truncation codes stay, with all of it they are the mean.
        assert_close(&values(mapping.truncated(w(), 1.0)), &[3.0; 128], 1e-6);
        assert_close(&values(mapping.truncated(w(), 0.0)), &values(mapping.mean(2)), 0.0);
    }

    #[test]
    fn the_size_of_a_code_does_not_count() {
        let (mapping, z) = (mapping(), random([2, 64], 3));
        let small = mapping.forward(z.clone());
        assert_close(&values(mapping.forward(z.mul_scalar(100.0))), &values(small), 1e-5);
    }

    #[test]
    fn it_has_the_right_gradient() {
        let forward = |mapping: &Mapping, x: Tensor<4>| {
            let [batch, ..] = x.dims();
            mapping.forward(x.reshape([batch, 64])).reshape([batch, 64, 1, 1])
        };
        assert_block_gradient(mapping(), forward, [1, 64, 1, 1], GRADIENT_TOLERANCE);
    }
}
