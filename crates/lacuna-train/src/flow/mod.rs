//! Training of a flow between a generator's latents (run files with `task = "flow"`).
//!
//! `x = (1 - s) data + s start` with a time `s` in `[0, 1]`: 0 is the data, 1 the start; see [`lacuna_diffusion::flow`]. This file has
//! times, starts, and noisy latents between start and data. `generator.rs` is the frozen network, `latents.rs` makes its normalised
//! latents (`statistics.rs`) from masked crops, of which `cache.rs` keeps those of the ground truth, `learner.rs` has the training step, [`fit_flow`] is the loop with `checkpoint.rs` and
//! `validate.rs`, for which `sample.rs` generates fills. What is trained (`model.rs`) is a denoiser or, with `task = "control"`
//! ([`fit_control`]), a ControlNet branch of a trained one, with hints from `hint.rs`; `run.rs` knows both kinds of runs.

mod cache;
mod checkpoint;
pub(crate) mod fit;
mod generator;
mod hint;
mod latents;
mod learner;
mod model;
pub(crate) mod run;
mod sample;
mod statistics;
#[cfg(test)]
mod tests;
mod validate;

use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

pub use cache::LatentCache;
pub use fit::{fit_control, fit_flow};
pub use generator::FrozenGenerator;
pub(crate) use generator::{generator_file, without_autodiff};
pub use hint::HintSource;
pub use latents::{LatentMaker, Latents};
pub use learner::{FlowLearner, FlowParts};
pub use model::{FlowModel, Velocities};
pub use sample::DeviceSampling;
pub use statistics::{LatentSums, Normaliser};
pub use validate::{FlowScores, SteeredScores};

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
