//! Mean and deviation of a latent's channels over training crops, and normalisation on a device.

use burn::tensor::{Device, Tensor, TensorData};
use lacuna::flow::{CLIP, Statistics};

use crate::{Error, Result};

/// The smallest deviation of a channel, relative to the mean deviation: a channel that is constant in the training set must not
/// magnify rounding errors.
const SMALLEST: f64 = 1e-3;

/// Sums over latents.
#[derive(Clone, Debug)]
pub struct LatentSums {
    count: u64,
    /// Sum and sum of squares of each channel.
    sums: Vec<[f64; 2]>,
}

impl LatentSums {
    /// Sums of no latents of `channels` channels.
    pub fn new(channels: usize) -> Self {
        Self { count: 0, sums: vec![[0.0; 2]; channels] }
    }

    /// Adds latents.
    ///
    /// # Shapes
    /// `latents`: `[batch, channels, cells]`
    pub fn add(&mut self, latents: &[f32], cells: usize) {
        let channels = self.sums.len();
        for (index, map) in latents.chunks_exact(cells).enumerate() {
            let [sum, squares] = &mut self.sums[index % channels];
            for &value in map {
                *sum += f64::from(value);
                *squares += f64::from(value).powi(2);
            }
        }
        self.count += (latents.len() / channels) as u64;
    }

    /// Mean and deviation of each channel.
    ///
    /// # Errors
    /// [`Error::Config`] if all channels are constant, or a value is not finite.
    pub fn statistics(&self) -> Result<Statistics> {
        let count = self.count as f64;
        let mean: Vec<f64> = self.sums.iter().map(|[sum, _]| sum / count).collect();
        let deviation: Vec<f64> = (self.sums.iter().zip(&mean))
            .map(|([_, squares], mean)| (squares / count - mean * mean).max(0.0).sqrt())
            .collect();
        let smallest = SMALLEST * deviation.iter().sum::<f64>() / deviation.len() as f64;
        let statistics = Statistics {
            mean: mean.into_iter().map(|mean| mean as f32).collect(),
            deviation: deviation.into_iter().map(|deviation| deviation.max(smallest) as f32).collect(),
        };
        statistics.check(self.sums.len()).map_err(|problem| {
            Error::Config(format!("start.network: latents of training crops: {problem}"))
        })?;
        Ok(statistics)
    }
}

/// Normalisation of latents on a device.
#[derive(Clone, Debug)]
pub struct Normaliser {
    mean: Tensor<4>,
    deviation: Tensor<4>,
}

impl Normaliser {
    /// Normalisation with these statistics.
    pub fn new(statistics: &Statistics, device: &Device) -> Self {
        let tensor = |values: &[f32]| {
            Tensor::from_data(TensorData::new(values.to_vec(), [1, values.len(), 1, 1]), device)
        };
        Self { mean: tensor(&statistics.mean), deviation: tensor(&statistics.deviation) }
    }

    /// `(latent - mean) / deviation`, clipped to `±`[`CLIP`].
    ///
    /// # Shapes
    /// `latent` and the result: `[batch, channels, height, width]`.
    pub fn normalise(&self, latent: Tensor<4>) -> Tensor<4> {
        ((latent - self.mean.clone()) / self.deviation.clone()).clamp(-CLIP, CLIP)
    }

    /// `latent · deviation + mean`.
    ///
    /// # Shapes
    /// As [`Normaliser::normalise`].
    pub fn restore(&self, latent: Tensor<4>) -> Tensor<4> {
        latent * self.deviation.clone() + self.mean.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};
    use testkit::assert_close;

    #[test]
    fn statistics_of_three_latents_by_hand() {
        let mut sums = LatentSums::new(2);
        sums.add(&[1.0, 3.0, 7.0, 7.0, 3.0, 5.0, 7.0, 7.0], 2);
        sums.add(&[3.0, 3.0, 7.0, 7.0], 2);
        let Statistics { mean, deviation } = sums.statistics().unwrap();
        assert_close(&mean, &[3.0, 7.0], 1e-6);
        // (4 + 0 + 0 + 4 + 0 + 0) / 6, and a constant channel.
        let first = (8.0f64 / 6.0).sqrt();
        assert_close(&deviation, &[first as f32, (SMALLEST * first / 2.0) as f32], 1e-6);
    }

    #[test]
    fn latents_without_statistics_are_refused() {
        let mut constant = LatentSums::new(2);
        constant.add(&[1.0, 1.0, 2.0, 2.0], 2);
        assert!(constant.statistics().unwrap_err().to_string().contains("deviation of channel 0 is 0"));
        let mut infinite = LatentSums::new(1);
        infinite.add(&[f32::NAN, 1.0], 2);
        assert!(infinite.statistics().unwrap_err().to_string().contains("channel 0 is NaN"));
    }

    #[test]
    fn normalisation_is_that_of_flow_files() {
        let statistics = Statistics { mean: vec![1.0, -2.0], deviation: vec![0.5, 4.0] };
        let latent = [1.0, 2.0, -2.0, 2.0, 0.5, 9.0, -6.0, -40.0];
        let mut expected = latent;
        statistics.normalise(&mut expected, 2);
        let normaliser = Normaliser::new(&statistics, &Device::flex());
        let normalised = normaliser.normalise(tensor([2, 2, 1, 2], latent.to_vec()));
        assert_close(&values(normalised.clone()), &expected, 1e-6);
        statistics.restore(&mut expected, 2);
        assert_close(&values(normaliser.restore(normalised)), &expected, 1e-6);
    }
}
