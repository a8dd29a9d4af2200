//! What a flow between latents is trained on: times, starts, and noisy latents between start and data.
//!
//! `x = (1 - s) data + s start` with a time `s` in `[0, 1]`: 0 is the data, 1 the start. See [`lacuna_diffusion::flow`].

use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// How times are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// `sigmoid(normal)`: most of them in the middle, where predictions are hardest (Esser et al. 2024,
    /// <https://arxiv.org/abs/2403.03206>). For starts of noise.
    LogitNormal,
    /// Uniform, one in each of as many equal intervals as a batch has images: the loss varies less from batch to batch (PMRF, Ohayon
    /// et al. 2025, <https://arxiv.org/abs/2410.00418>). For starts near the data.
    Stratified,
}

impl Times {
    /// The times of a batch.
    pub fn draw(self, batch: usize, rng: &mut impl Rng) -> Vec<f64> {
        let time = |image: usize| match self {
            Self::LogitNormal => {
                let normal: f64 = StandardNormal.sample(rng);
                1.0 / (1.0 + (-normal).exp())
            }
            Self::Stratified => (image as f64 + rng.random::<f64>()) / batch as f64,
        };
        (0..batch).map(time).collect()
    }
}

/// The path of a batch from its starts to its data.
#[derive(Clone, Debug)]
pub struct Path {
    /// Ground truth, `[batch, latent, height, width]`.
    pub data: Tensor<4>,
    /// Where the flow starts, of the same shape: noise, or a fill with noise.
    pub start: Tensor<4>,
    /// One time for each image, in `[0, 1]`.
    pub times: Vec<f64>,
}

impl Path {
    /// The latents at the times.
    pub fn noisy(&self) -> Tensor<4> {
        let times = rows(self.times.iter().copied(), &self.data);
        self.data.clone() + (self.start.clone() - self.data.clone()) * times
    }

    /// What the network should predict: `start - data`.
    pub fn velocity(&self) -> Tensor<4> {
        self.start.clone() - self.data.clone()
    }
}

/// A start near a deterministic fill: `mean + deviation · noise`.
///
/// # Shapes
/// All `[batch, latent, height, width]`.
pub fn mean_start(mean: Tensor<4>, deviation: f64, noise: Tensor<4>) -> Tensor<4> {
    mean + noise.mul_scalar(deviation)
}

/// One value for each image, `[batch, 1, 1, 1]`, on the device of `like`.
pub(crate) fn rows(values: impl Iterator<Item = f64>, like: &Tensor<4>) -> Tensor<4> {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    let batch = values.len();
    assert_eq!(batch, like.dims()[0], "one value for each image");
    Tensor::from_data(TensorData::new(values, [batch, 1, 1, 1]), &like.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rng, tensor, values};
    use testkit::assert_close;

    #[test]
    fn stratified_times_lie_in_intervals_of_their_own() {
        let mut rng = rng(1);
        for batch in [1, 4, 7] {
            for (image, time) in Times::Stratified.draw(batch, &mut rng).into_iter().enumerate() {
                let interval = image as f64 / batch as f64..(image + 1) as f64 / batch as f64;
                assert!(interval.contains(&time), "{time} of image {image} of {batch}");
            }
        }
    }

    #[test]
    fn logit_normal_times_are_normal_before_the_sigmoid() {
        const COUNT: usize = 10_000;
        let times = Times::LogitNormal.draw(COUNT, &mut rng(1));
        assert!(times.iter().all(|time| (0.0..1.0).contains(time)));
        let logits = || times.iter().map(|time| (time / (1.0 - time)).ln());
        let (mean, square) = (logits().sum::<f64>(), logits().map(|logit| logit * logit).sum::<f64>());
        // Five standard errors of the first and the second moment.
        assert!((mean / COUNT as f64).abs() < 5.0 / (COUNT as f64).sqrt());
        assert!((square / COUNT as f64 - 1.0).abs() < 5.0 * (2.0 / COUNT as f64).sqrt());
    }

    #[test]
    fn a_path_by_hand() {
        let data = tensor([2, 1, 1, 1], vec![1.0, -2.0]);
        let mean = tensor([2, 1, 1, 1], vec![3.0, 0.0]);
        let noise = tensor([2, 1, 1, 1], vec![2.0, 4.0]);
        let start = mean_start(mean, 0.5, noise);
        let path = Path { data, start, times: vec![0.25, 1.0] };
        assert_close(&values(path.noisy()), &[1.0 + 0.25 * 3.0, 2.0], 1e-6);
        assert_close(&values(path.velocity()), &[3.0, 4.0], 1e-6);
    }
}
