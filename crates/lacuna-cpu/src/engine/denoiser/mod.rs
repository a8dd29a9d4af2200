//! Denoisers: U-Nets that predict a velocity or noise in a latent space ([`lacuna_network::Denoiser`]).
//!
//! A program is a list of operations on buffers of one block of memory (`program.rs`). A plan (`plan.rs`) has that of a prediction, which
//! a run repeats at each time (`run.rs`); that of a ControlNet branch's hint runs once for each image (`control.rs`).
//! GroupNorm, the change by the time, and SiLU are one operation on a block of channels, which is a group (`norm.rs`). Nothing
//! is copied to concatenate maps: what will be concatenated is written next to each other. Values of the time are computed
//! once for each prediction.

mod compile;
mod control;
mod norm;
mod plan;
mod program;
mod run;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use lacuna_network::{Cost, Denoiser};

pub use control::ControlEngine;
pub use plan::DenoiserPlan;
pub use run::{DenoiserRun, Known, Steering};

use crate::Isa;
use crate::error::Result;
use compile::Network;

/// Speed relative to [`crate::engine::product_rate`], in operations of direct convolution: nearly all are in convolutions by Winograd's
/// method, and norms pass twice over each map.
const EFFICIENCY: f64 = 2.0;

/// Operations that could be done while a weight is transformed for Winograd's method. With the above, forecasts for S and M at 128 and
/// 512 pixels are between 3 % below and 11 % above the measured times (`examples/denoiser_pass.rs`).
const OPERATIONS_PER_WEIGHT: f64 = 97.0;

/// Forecast time in seconds of layers with packed weights, if large products run at `rate` operations per second.
fn forecast(cost: Cost, weight_bytes: u64, rate: f64) -> f64 {
    let weights = (weight_bytes / size_of::<f32>() as u64) as f64;
    (cost.operations / EFFICIENCY + weights * OPERATIONS_PER_WEIGHT) / rate
}

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
