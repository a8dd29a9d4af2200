//! The loss of a discrete diffusion: squared error of what the network predicts, over all cells, as published (Ho et al. 2020,
//! <https://arxiv.org/abs/2006.11239>, equation 14; v: Salimans and Ho 2022, <https://arxiv.org/abs/2202.00512>).

use burn::tensor::Tensor;
use lacuna_diffusion::Prediction;
use lacuna_nets::Result;

use crate::flow::rows;

/// A batch at levels of a noise schedule.
#[derive(Clone, Debug)]
pub struct Noised {
    /// Ground truth, `[batch, latent, height, width]`.
    pub data: Tensor<4>,
    /// Standard normal noise of the same shape.
    pub noise: Tensor<4>,
    /// The fraction of the data's variance that is left, for each image.
    pub alpha_bars: Vec<f64>,
}

impl Noised {
    /// The noisy latents: `sqrt(alpha_bar) data + sqrt(1 - alpha_bar) noise`.
    pub fn noisy(&self) -> Tensor<4> {
        let [signal, noise] = self.factors();
        self.data.clone() * signal + self.noise.clone() * noise
    }

    /// What the network should predict.
    pub fn target(&self, prediction: Prediction) -> Tensor<4> {
        match prediction {
            Prediction::Epsilon => self.noise.clone(),
            Prediction::X0 => self.data.clone(),
            Prediction::V => {
                let [signal, noise] = self.factors();
                self.noise.clone() * signal - self.data.clone() * noise
            }
        }
    }

    /// The factors of data and noise, `[batch, 1, 1, 1]`.
    fn factors(&self) -> [Tensor<4>; 2] {
        let bars = || self.alpha_bars.iter();
        [
            rows(bars().map(|bar| bar.sqrt()), &self.data),
            rows(bars().map(|bar| (1.0 - bar).sqrt()), &self.data),
        ]
    }
}

/// Mean squared error of what `predict` returns for the noisy latents.
///
/// # Shapes
/// The result: `[1]`.
///
/// # Errors
/// That of `predict`.
pub fn mse(
    batch: &Noised,
    prediction: Prediction,
    predict: impl FnOnce(Tensor<4>) -> Result<Tensor<4>>,
) -> Result<Tensor<1>> {
    Ok((predict(batch.noisy())? - batch.target(prediction)).square().mean())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, reference_batch, reference_denoiser, tensor, values};
    use lacuna_diffusion::{Betas, NoiseSchedule};
    use testkit::{assert_close, fixtures};

    #[test]
    fn losses_of_all_predictions_equal_the_reference() {
        let numbers = fixtures::load("diffusion/training.safetensors");
        let schedule = NoiseSchedule::new(Betas::STABLE_DIFFUSION, 1000).unwrap();
        let indices: Vec<usize> =
            numbers.get("ddpm.index").values.iter().map(|&index| index as usize).collect();
        let times: Vec<f64> = indices.iter().map(|&index| index as f64 / 1000.0).collect();
        let (path, _, condition) = reference_batch();
        let stages = fixtures::load("diffusion/stages.safetensors");
        let batch = Noised {
            data: path.data,
            noise: from_fixture(stages.get("batch.noise")),
            alpha_bars: indices.iter().map(|&index| schedule.alpha_bars()[index]).collect(),
        };
        let denoiser = reference_denoiser();
        for prediction in [Prediction::Epsilon, Prediction::V, Prediction::X0] {
            let loss = mse(&batch, prediction, |x| denoiser.forward(x, &times, &condition)).unwrap();
            assert_close(&values(loss), &numbers.get(&format!("loss.ddpm_{prediction}")).values, 1e-5);
        }
    }

    #[test]
    fn targets_by_hand() {
        let batch = Noised {
            data: tensor([2, 1, 1, 1], vec![1.0, -2.0]),
            noise: tensor([2, 1, 1, 1], vec![0.5, 3.0]),
            alpha_bars: vec![0.36, 1.0],
        };
        assert_close(&values(batch.noisy()), &[0.6 + 0.4, -2.0], 1e-6);
        assert_close(&values(batch.target(Prediction::V)), &[0.3 - 0.8, 3.0], 1e-6);
        let loss = mse(&batch, Prediction::X0, |x| Ok(x.zeros_like())).unwrap();
        assert_close(&values(loss), &[(1.0 + 4.0) / 2.0], 1e-6);
    }
}
