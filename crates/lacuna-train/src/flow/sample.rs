//! Fills by a model in training: sampling on its device.

use burn::tensor::{Tensor, TensorData};
use lacuna::flow::{Flow, Sampling};
use lacuna_diffusion::noise::Origin;
use lacuna_diffusion::{Draw, KnownRegion, MapShape, Noise};
use lacuna_nets::weights::read_tensor;

use super::latents::{LatentMaker, Latents};
use super::model::Velocities;
use crate::{Error, Result};

/// What generates latents.
#[derive(Clone, Copy, Debug)]
pub struct DeviceSampling<'a> {
    /// The model, without autodiff.
    pub velocities: &'a Velocities,
    /// Its flow.
    pub flow: &'a Flow,
    /// Euler steps.
    pub steps: usize,
}

impl DeviceSampling<'_> {
    /// Generates the free cells of a batch. The noise of image `k` is that of the seed `seed + k`.
    ///
    /// # Shapes
    /// The result: normalised latents `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// If the model fails.
    pub fn latents(&self, latents: &Latents, seed: u64) -> Result<Tensor<4>> {
        let shape = latents.fill.dims();
        let [batch, channels, height, width] = shape;
        let device = latents.fill.device();
        let rows = |tensor: &Tensor<4>| Ok::<_, Error>(read_tensor(tensor.clone())?.values);
        let fill = rows(&latents.fill)?;
        let free: Vec<bool> = rows(&latents.free)?.into_iter().map(|free| free > 0.0).collect();
        let predict = |x: &[f32], time: f64| {
            let x = Tensor::from_data(TensorData::new(x.to_vec(), shape), &device);
            let velocity = self.velocities.predict(x, &vec![time; batch], latents).map_err(Error::Nets)?;
            Ok::<_, SampleError>(read_tensor(velocity).map_err(Error::Nets)?.values)
        };
        let noise = |draw: Draw| {
            let one = MapShape::one(channels, height, width);
            let maps =
                (0..batch as u64).map(|image| Noise::new(seed + image).map(draw, one, Origin::default()));
            maps.flatten().collect()
        };
        let sampled = || {
            let region = KnownRegion::new(MapShape { batch, channels, height, width }, &fill, &free)?;
            // Crops have the size of training, for which no step is shifted.
            let start = (self.flow.start.of(&fill), 1.0);
            Sampling::steps(self.steps).sample(start, &region, noise, predict)
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
    /// As [`DeviceSampling::latents`].
    pub fn fill(
        &self,
        maker: &LatentMaker,
        latents: &Latents,
        [image, mask]: [Tensor<4>; 2],
        seed: u64,
    ) -> Result<Tensor<4>> {
        let latent = maker.normaliser().restore(self.latents(latents, seed)?);
        Ok(maker.generator().fill(latent, [image, mask]))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Batch;
    use crate::flow::FlowLearner;
    use crate::step::Pictures;
    use crate::testing::{small_batch, small_flow, values};

    /// The fills of a batch by a denoiser that was trained for a few steps.
    fn fill(learner: &FlowLearner, batch: &Batch, seed: u64) -> Vec<f32> {
        let latents = learner.maker().latents(batch).unwrap();
        let (velocities, flow) = (learner.averaged(), learner.flow());
        let sampling = DeviceSampling { velocities: &velocities, flow: &flow, steps: 2 };
        let Pictures { image, mask } = Pictures::new(batch, &learner.maker().generator().device());
        values(sampling.fill(learner.maker(), &latents, [image, mask], seed).unwrap())
    }

    #[test]
    fn fills_keep_known_pixels_and_follow_their_seed() {
        for start in ["noise", "{ mean = { deviation = 0.5 } }"] {
            let mut learner = small_flow(&[&format!("flow.start={start}"), "ema.on=false"]);
            let batch = small_batch();
            learner.step(std::slice::from_ref(&batch)).unwrap();
            let filled = fill(&learner, &batch, 3);
            let pixels = batch.side * batch.side;
            let hole = |index: usize| batch.masks[index / (3 * pixels) * pixels + index % pixels] > 0.0;
            for (index, (filled, truth)) in filled.iter().zip(&batch.images).enumerate() {
                assert!(hole(index) || filled == truth, "{start}: value {index}");
            }
            assert_ne!(filled, batch.images);
            assert_eq!(filled, fill(&learner, &batch, 3));
            assert_ne!(filled, fill(&learner, &batch, 4));
            // The second image of a batch is the first of the next seed.
            let second = Batch {
                images: batch.images[3 * pixels..].to_vec(),
                masks: batch.masks[pixels..].to_vec(),
                names: vec!["b".into()],
                ..batch
            };
            testkit::assert_close(&fill(&learner, &second, 4), &filled[3 * pixels..], 1e-5);
        }
    }

    #[test]
    fn without_steps_there_is_no_fill() {
        let learner = small_flow(&[]);
        let latents = learner.maker().latents(&small_batch()).unwrap();
        let (velocities, flow) = (learner.averaged(), learner.flow());
        let sampling = DeviceSampling { velocities: &velocities, flow: &flow, steps: 0 };
        let error = sampling.latents(&latents, 0).unwrap_err().to_string();
        assert_eq!(error, "steps of a flow: 0, possible are 1 and more");
    }
}
