//! Flows between a generator's latents: what a flow file says besides its weights.
//!
//! A denoiser ([`lacuna_network::Denoiser`]) generates the latent of the hole from the refined latent of a generator's own fill. It
//! works on latents that are normalised for each channel by the mean and standard deviation of its training set ([`Statistics`]),
//! and belongs to one generator: [`Flow::generator`] is the fingerprint of that generator's weights.

mod control;
mod file;
mod predictor;
mod sampling;
mod statistics;
#[cfg(test)]
mod tests;

use lacuna_diffusion::Start;
use lacuna_network::Denoiser;
use serde::{Deserialize, Serialize};

pub use control::{CONTROL_PREFIX, Control, hint_input};
pub use file::FlowFile;
pub use predictor::FlowPredictor;
pub(crate) use predictor::METHOD;
pub use sampling::{Sampling, Velocity};
pub use statistics::{CLIP, Statistics};

/// Most cells by which the generated cells exceed the hole.
pub const HALO_LIMIT: usize = 16;

/// The description of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The network that predicts velocities. Its condition is the refined latent of the generator's fill, so it has no
    /// [`Denoiser::mean`].
    pub denoiser: Denoiser,
    /// [`crate::checkpoint::Checkpoint::fingerprint`] of the generator.
    pub generator: String,
    /// Where the flow starts.
    pub start: FlowStart,
    /// Cells around those with hole pixels that are generated as well.
    pub halo: usize,
    /// Mean and deviation of the latent's channels.
    pub statistics: Statistics,
    /// A ControlNet branch, which a hint can steer.
    pub control: Option<Control>,
}

/// Where a flow starts, at time 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FlowStart {
    /// Standard normal noise.
    Noise,
    /// The generator's fill, normalised, with noise.
    Mean {
        /// Standard deviation of the noise.
        deviation: f64,
    },
}

impl FlowStart {
    /// The start of a sampler.
    ///
    /// # Shapes
    /// `fill`: the normalised latent of the generator's fill, `[batch, channels, height, width]`.
    pub fn of(self, fill: &[f32]) -> Start<'_> {
        match self {
            Self::Noise => Start::Noise,
            Self::Mean { deviation } => Start::Mean { mean: fill, deviation: deviation as f32 },
        }
    }
}

/// Name and shape of every trained tensor of a flow.
fn tensors(denoiser: &Denoiser, control: Option<Control>) -> Vec<(String, Vec<usize>)> {
    let mut tensors = denoiser.layers().tensors();
    if let Some(control) = control {
        let branch = control.network(denoiser).layers().tensors();
        tensors.extend(branch.into_iter().map(|(name, shape)| (format!("{CONTROL_PREFIX}{name}"), shape)));
    }
    tensors
}

impl Flow {
    /// Name and shape of every trained tensor: those of the denoiser, and those of the ControlNet branch with [`CONTROL_PREFIX`].
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        tensors(&self.denoiser, self.control)
    }

    /// Checks all values.
    ///
    /// # Errors
    /// The value that is out of range, in words.
    pub fn check(&self) -> Result<(), String> {
        let Self { denoiser, generator, start, halo, statistics, control } = self;
        denoiser.check().map_err(|problem| problem.to_string())?;
        if let Some(control) = control {
            control.network(denoiser).check().map_err(|problem| problem.to_string())?;
        }
        if denoiser.mean {
            return Err("a denoiser with the fill as a further input, which is its condition already".into());
        }
        if generator.len() != 64 || !generator.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            let shown: String = generator.chars().take(64).collect();
            return Err(format!("a generator {shown:?}, expected is a SHA-256 of 64 hexadecimal digits"));
        }
        if let FlowStart::Mean { deviation } = *start
            && !(deviation >= 0.0 && deviation.is_finite())
        {
            return Err(format!("a deviation of the start of {deviation}, possible are values from 0"));
        }
        if *halo > HALO_LIMIT {
            return Err(format!("a halo of {halo} cells, possible are 0 to {HALO_LIMIT}"));
        }
        statistics.check(denoiser.latent)
    }
}
