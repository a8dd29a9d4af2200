//! Denoisers: U-Nets that predict a velocity or noise in a latent space ([`lacuna_network::Denoiser`]).
//!
//! A plan is a list of operations on buffers of one block of memory (`plan.rs`), which a run repeats at each time (`run.rs`).
//! GroupNorm, the change by the time, and SiLU are one operation on a block of channels, which is a group (`norm.rs`). Nothing
//! is copied to concatenate maps: what will be concatenated is written next to each other. Values of the time are computed
//! once for each prediction.

mod compile;
mod norm;
mod plan;
mod run;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use lacuna_network::Denoiser;

pub use plan::DenoiserPlan;
pub use run::{DenoiserRun, Known};

use crate::Isa;
use crate::error::Result;
use compile::Network;

/// A denoiser compiled for this processor.
#[derive(Debug)]
pub struct DenoiserEngine {
    network: Network,
    config: Denoiser,
}

impl DenoiserEngine {
    /// Packs weights, which `weights` returns by the names of [`lacuna_network::DenoiserLayers::tensors`].
    ///
    /// # Errors
    /// [`Error::Structure`](crate::Error::Structure) if there is no such denoiser;
    /// [`Error::MissingTensor`](crate::Error::MissingTensor) and [`Error::TensorSize`](crate::Error::TensorSize).
    pub fn compile<'w>(
        config: &Denoiser,
        isa: Isa,
        weights: impl Fn(&str) -> Option<Cow<'w, [f32]>>,
    ) -> Result<Self> {
        Ok(Self { network: Network::compile(config, isa, weights)?, config: config.clone() })
    }

    /// The configuration.
    pub fn config(&self) -> &Denoiser {
        &self.config
    }

    /// The instruction set that it uses.
    pub fn isa(&self) -> Isa {
        self.network.isa
    }

    /// Bytes of all packed weights.
    pub fn weight_bytes(&self) -> u64 {
        self.network.bytes() as u64
    }
}
