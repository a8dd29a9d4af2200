//! Any network, for code that fills, stores or trains it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lacuna::checkpoint::Checkpoint;
use lacuna_network::Architecture;
use rand_pcg::Pcg64;

use super::{ContextEncoder, Generator};
use crate::error::Result;
use crate::weights::{self, NamedWeight};

/// A network of any family.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a few of them live in a program")]
pub enum Network {
    /// With encoder, refiner and decoder, for images of any size.
    Generator(Generator),
    /// For square images of one size.
    ContextEncoder(ContextEncoder),
}

impl Network {
    /// A network with its family's initialisation, drawn from `rng`. To train, pass an autodiff device.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if there is no such network.
    pub fn new(config: &Architecture, rng: Pcg64, device: &Device) -> Result<Self> {
        Ok(match config.context_encoder() {
            Some(options) => Self::ContextEncoder(ContextEncoder::new(options, rng, device)?),
            None => Self::Generator(Generator::new(config, rng, device)?),
        })
    }

    /// A network whose parameters have shapes but no values.
    ///
    /// # Errors
    /// As [`Network::new`].
    pub(crate) fn unset(config: &Architecture, device: &Device) -> Result<Self> {
        Ok(match config.context_encoder() {
            Some(options) => Self::ContextEncoder(ContextEncoder::unset(options, device)?),
            None => Self::Generator(Generator::unset(config, device)?),
        })
    }

    /// The network of a weights file.
    ///
    /// # Errors
    /// As [`Generator::load`]; an opened checkpoint has all tensors.
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        Ok(match checkpoint.config().context_encoder() {
            Some(_) => Self::ContextEncoder(ContextEncoder::from_checkpoint(checkpoint, device)?),
            None => Self::Generator(Generator::from_checkpoint(checkpoint, device)?),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Architecture {
        match self {
            Self::Generator(network) => network.config(),
            Self::ContextEncoder(network) => network.config(),
        }
    }

    /// The network with encoder, refiner and decoder; `None` if it is of another kind.
    pub fn generator(&self) -> Option<&Generator> {
        match self {
            Self::Generator(network) => Some(network),
            Self::ContextEncoder(_) => None,
        }
    }

    /// The image with its hole filled.
    ///
    /// # Shapes
    /// - `image` and the result: `[batch, 3, height, width]` in `[0, 1]`
    /// - `mask`: `[batch, 1, height, width]`, 1 = hole
    ///
    /// # Errors
    /// [`crate::Error::Shape`] for sides that the network does not accept.
    pub fn fill(&self, image: Tensor<4>, mask: Tensor<4>) -> Result<Tensor<4>> {
        match self {
            Self::Generator(network) => Ok(network.forward(image, mask)?.inpainted),
            Self::ContextEncoder(network) => network.fill(image, mask),
        }
    }

    /// All tensors, for saving.
    ///
    /// # Errors
    /// [`crate::Error::Execution`] if a tensor cannot be read from its device.
    pub fn weights(&self) -> Result<Vec<NamedWeight>> {
        weights::read(self)
    }
}

impl From<Generator> for Network {
    fn from(network: Generator) -> Self {
        Self::Generator(network)
    }
}

impl From<ContextEncoder> for Network {
    fn from(network: ContextEncoder) -> Self {
        Self::ContextEncoder(network)
    }
}
