//! The generator of a flow: frozen, without autodiff, its norms in evaluation.

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::checkpoint::Checkpoint;
use lacuna::{EnginePredictor, default_network};
use lacuna_nets::tensors::device_of;
use lacuna_nets::weights::read_tensor;
use lacuna_nets::{Features, Generator};
use lacuna_network::Family;
use lacuna_network::geometry::MULTIPLE;

use crate::{Error, Result};

/// A generator whose refined latents a denoiser generates.
///
/// On processors the engine computes them, several crops at a time.
#[derive(Clone, Debug)]
pub struct FrozenGenerator {
    network: Generator,
    engine: Option<Arc<EnginePredictor>>,
    fingerprint: String,
}

impl FrozenGenerator {
    /// The network of a weights file, by default the one that ships, on `device` without autodiff.
    ///
    /// # Errors
    /// If the file cannot be read, or its network has no latent or several answers.
    pub fn open(path: Option<&Path>, device: &Device) -> Result<Self> {
        Self::of(&generator_file(path)?, device)
    }

    /// The network of an open weights file, on `device` without autodiff.
    ///
    /// # Errors
    /// If its network has no latent or several answers.
    pub fn of(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let label = checkpoint.config().label();
        match checkpoint.config().generator() {
            Some((Family::Fourier | Family::Regular, _)) => {}
            Some((Family::Sampled, _)) => {
                return Err(Error::Config(format!(
                    "start.network: {label} has several answers already, expected a network with one"
                )));
            }
            None => {
                return Err(Error::Config(format!(
                    "start.network: {label} has no latent, expected a network with encoder, refiner and decoder"
                )));
            }
        }
        let device = without_autodiff(device);
        let on_processor = device == Device::flex();
        let engine = on_processor.then(|| EnginePredictor::new(checkpoint)).transpose()?.map(Arc::new);
        let network = Generator::from_checkpoint(checkpoint, &device)?;
        Ok(Self { network, engine, fingerprint: checkpoint.fingerprint() })
    }

    /// [`Checkpoint::fingerprint`] of its weights.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Channels of its latent.
    pub fn channels(&self) -> usize {
        self.network.config().latent().total()
    }

    /// Number of its trained values.
    pub fn num_params(&self) -> usize {
        self.network.num_params()
    }

    /// Its device, without autodiff.
    pub fn device(&self) -> Device {
        device_of(&self.network)
    }

    /// The refined latent of a masked image. With an empty mask it is the one that the decoder needs for the whole image.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, height, width]` in `[0, 1]`
    /// - `mask`: `[batch, 1, height, width]`, 1 = hole
    /// - the result: `[batch, channels, height / 8, width / 8]`
    ///
    /// # Errors
    /// [`lacuna_nets::Error::Shape`] for other shapes.
    pub fn refined(&self, image: Tensor<4>, mask: Tensor<4>) -> Result<Tensor<4>> {
        match &self.engine {
            Some(engine) => self.refined_by(engine, image, mask),
            None => Ok(self.network.refine(self.network.encode(image, mask)?).concat()),
        }
    }

    /// The same, computed by the engine.
    fn refined_by(&self, engine: &EnginePredictor, image: Tensor<4>, mask: Tensor<4>) -> Result<Tensor<4>> {
        let [batch, _, height, width] = image.dims();
        let holes: Vec<bool> = read_tensor(mask)?.values.iter().map(|&value| value > 0.0).collect();
        let latents = engine.refined([height, width], &read_tensor(image)?.values, &holes)?;
        let shape = [batch, self.channels(), height / MULTIPLE, width / MULTIPLE];
        Ok(Tensor::from_data(TensorData::new(latents, shape), &self.device()))
    }

    /// The image with the hole of a refined latent's image.
    ///
    /// # Shapes
    /// As [`FrozenGenerator::refined`]; the result: `[batch, 3, height, width]` in `[0, 1]`.
    pub fn fill(&self, latent: Tensor<4>, [image, mask]: [Tensor<4>; 2]) -> Tensor<4> {
        let known = mask.clone().neg().add_scalar(1.0);
        self.decode(latent) * mask + image * known
    }

    /// The image of a refined latent, `[batch, 3, height, width]` in `[0, 1]`.
    ///
    /// # Shapes
    /// As [`FrozenGenerator::refined`].
    pub fn decode(&self, latent: Tensor<4>) -> Tensor<4> {
        self.network.decode(Features::split(latent, self.network.config().latent()))
    }
}

/// The weights file of a generator, by default that of the network that ships.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn generator_file(path: Option<&Path>) -> Result<Checkpoint> {
    Ok(match path {
        Some(path) => Checkpoint::open(path)?,
        None => default_network()?,
    })
}

/// The device with autodiff.
pub(super) fn with_autodiff(device: &Device) -> Device {
    if device.is_autodiff() { device.clone() } else { device.clone().autodiff() }
}

/// The device without autodiff.
pub(crate) fn without_autodiff(device: &Device) -> Device {
    if device.is_autodiff() { device.clone().inner() } else { device.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rng, small_config};
    use lacuna::checkpoint::{NamedTensor, Storage, save};
    use lacuna_nets::Network;
    use lacuna_network::{Architecture, ContextEncoder, ContextHole, Middle};

    #[test]
    fn networks_without_a_latent_or_with_several_answers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.safetensors");
        let shape = small_config(3, true).shape().clone();
        let context =
            ContextEncoder { side: 32, hole: ContextHole::Region, width: 2, middle: Middle::ChannelWise };
        for (config, words) in [
            (Family::Sampled.network(shape.clone()), "several answers already"),
            (Architecture::ContextEncoder(context), "has no latent"),
        ] {
            let network = Network::new(&config, rng(1), &Device::flex()).unwrap();
            let tensors = network.weights().unwrap().into_iter().map(|named| NamedTensor {
                name: named.name,
                shape: named.weight.shape,
                values: named.weight.values.into(),
            });
            save(&path, &config, "", tensors, Storage::F32).unwrap();
            let error = FrozenGenerator::open(Some(&path), &Device::flex()).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(&config.label()), "{error}");
        }
    }

    /// The engine and the training stack give the same latents, whatever the batch.
    #[test]
    fn latents_are_those_of_the_training_stack() {
        let generator = FrozenGenerator::open(None, &Device::flex()).unwrap();
        let (height, width) = (40, 24);
        let image =
            testkit::pictures::noise(1, 2 * 3 * height * width).iter().map(|value| value.abs()).collect();
        let image = crate::testing::tensor([2, 3, height, width], image);
        let hole = testkit::pictures::hole(width, height);
        let hole: Vec<f32> = hole.iter().map(|&hole| if hole { 1.0 } else { 0.0 }).collect();
        let mask = Tensor::from_data(
            TensorData::new([hole.clone(), hole].concat(), [2, 1, height, width]),
            &Device::flex(),
        );
        let found = read_tensor(generator.refined(image.clone(), mask.clone()).unwrap()).unwrap().values;
        let stack = FrozenGenerator { engine: None, ..generator.clone() };
        let expected = read_tensor(stack.refined(image.clone(), mask.clone()).unwrap()).unwrap().values;
        let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        testkit::assert_close(&found, &expected, 1e-4 * largest.max(1.0));
        let alone = generator.refined(image.narrow(0, 1, 1), mask.clone().narrow(0, 1, 1)).unwrap();
        assert_eq!(read_tensor(alone).unwrap().values, found[found.len() / 2..]);
        assert!(generator.refined(mask.clone(), mask).is_err());
    }

    #[test]
    fn the_network_that_ships_is_the_default() {
        let generator = FrozenGenerator::open(None, &Device::flex().autodiff()).unwrap();
        let shipped = default_network().unwrap();
        assert_eq!(generator.fingerprint(), shipped.fingerprint());
        assert_eq!(generator.channels(), shipped.config().latent().total());
        assert!(!generator.device().is_autodiff());
    }
}
