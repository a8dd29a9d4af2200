//! Fills by a denoiser in training: sampling on its device.

use burn::tensor::{Tensor, TensorData};
use lacuna::flow::{Flow, FlowStart};
use lacuna_diffusion::flow::FlowGrid;
use lacuna_diffusion::noise::Origin;
use lacuna_diffusion::{Draw, FlowSampler, KnownRegion, KnownWay, MapShape, Noise, Start};
use lacuna_nets::Denoiser;
use lacuna_nets::weights::read_tensor;

use super::latents::{LatentMaker, Latents};
use crate::{Error, Result};

/// What generates latents.
#[derive(Clone, Copy, Debug)]
pub struct Sampling<'a> {
    /// The denoiser, without autodiff.
    pub denoiser: &'a Denoiser,
    /// Its flow.
    pub flow: &'a Flow,
    /// Euler steps.
    pub steps: usize,
}

impl Sampling<'_> {
    /// Generates the free cells of a batch. The noise of image `k` is that of the seed `seed + k`.
    ///
    /// # Shapes
    /// The result: normalised latents `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// If the denoiser fails.
    pub fn latents(&self, latents: &Latents, seed: u64) -> Result<Tensor<4>> {
        let shape = latents.fill.dims();
        let [batch, channels, height, width] = shape;
        let device = latents.fill.device();
        let rows = |tensor: &Tensor<4>| Ok::<_, Error>(read_tensor(tensor.clone())?.values);
        let fill = rows(&latents.fill)?;
        let free: Vec<bool> = rows(&latents.free)?.into_iter().map(|free| free > 0.0).collect();
        let condition = latents.condition();
        let predict = |x: &[f32], time: f64| {
            let x = Tensor::from_data(TensorData::new(x.to_vec(), shape), &device);
            let velocity = self.denoiser.forward(x, &vec![time; batch], &condition).map_err(Error::Nets)?;
            Ok::<_, SampleError>(read_tensor(velocity).map_err(Error::Nets)?.values)
        };
        let noise = |draw: Draw| {
            let one = MapShape::one(channels, height, width);
            let maps =
                (0..batch as u64).map(|image| Noise::new(seed + image).map(draw, one, Origin::default()));
            maps.flatten().collect()
        };
        let start = match self.flow.start {
            FlowStart::Noise => Start::Noise,
            FlowStart::Mean { deviation } => Start::Mean { mean: &fill, deviation: deviation as f32 },
        };
        let sampled = || {
            let region = KnownRegion::new(MapShape { batch, channels, height, width }, &fill, &free)?;
            // Crops have the size of training, for which no step is shifted.
            let sampler = FlowSampler { grid: FlowGrid::new(self.steps, 1.0)?, way: KnownWay::Clean };
            sampler.sample(start, &region, noise, predict)
        };
        let x: Vec<f32> = sampled().map_err(|SampleError(error)| error)?;
        Ok(Tensor::from_data(TensorData::new(x, shape), &device))
    }

    /// Fills the images of a batch.
    ///
    /// # Shapes
    /// - `image` and the result: `[batch, 3, height, width]` in `[0, 1]`
    /// - `mask`: `[batch, 1, height, width]`, 1 = hole
    ///
    /// # Errors
    /// As [`Sampling::latents`].
    pub fn fill(
        &self,
        maker: &LatentMaker,
        latents: &Latents,
        [image, mask]: [Tensor<4>; 2],
        seed: u64,
    ) -> Result<Tensor<4>> {
        let latent = maker.normaliser().restore(self.latents(latents, seed)?);
        let decoded = maker.generator().decode(latent);
        let known = mask.clone().neg().add_scalar(1.0);
        Ok(decoded * mask + image * known)
    }
}

/// An error of this crate, which also takes up those of the sampler.
struct SampleError(Error);

impl From<Error> for SampleError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<lacuna_diffusion::Error> for SampleError {
    fn from(error: lacuna_diffusion::Error) -> Self {
        Self(Error::Config(error.to_string()))
    }
}
