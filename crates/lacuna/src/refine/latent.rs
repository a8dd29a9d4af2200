//! The seam between refinement and whatever runs the network.

use std::fmt;

pub use lacuna_cpu::engine::LatentPart;

use crate::{Mask, Planes, Predictor, Result};

/// Called with the fraction of a pass that is done. The pass is cancelled if it returns false.
pub type Proceed<'a> = &'a dyn Fn(f32) -> bool;

/// A network that predicts from a latent, and computes the latent's gradient.
pub trait LatentNetwork: fmt::Debug + Send + Sync {
    /// The network as it predicts without refinement.
    fn predictor(&self) -> &dyn Predictor;

    /// Encodes a picture with sides that the network accepts.
    ///
    /// # Errors
    /// As [`Predictor::predict_watched`].
    fn encode<'a>(
        &'a self,
        image: &'a Planes,
        mask: &'a Mask,
        proceed: Proceed<'_>,
    ) -> Result<Box<dyn Latent + 'a>>;

    /// The memory of refining a picture of this size, which the network accepts.
    ///
    /// # Errors
    /// As [`Predictor::predict_watched`].
    fn memory(&self, width: usize, height: usize) -> Result<LatentMemory>;

    /// The time of refining it. The speed of this machine is measured on first use.
    ///
    /// # Errors
    /// As [`Predictor::predict_watched`].
    fn time(&self, width: usize, height: usize) -> Result<LatentTime>;

    /// The bytes that it holds besides [`Predictor::resident_bytes`] of its predictor.
    fn resident_bytes(&self) -> u64;
}

/// The latent of one picture. It can be changed between a backward and a forward pass.
pub trait Latent {
    /// Predicts the picture from the latent as it is.
    ///
    /// # Shapes
    /// Returns `[3, height, width]` in `[0, 1]`.
    ///
    /// # Errors
    /// As [`Predictor::predict_watched`].
    fn predict(&mut self, proceed: Proceed<'_>) -> Result<Vec<f32>>;

    /// Computes the gradient of the latent from that of the last prediction.
    ///
    /// # Shapes
    /// `predicted`, the result of [`Self::predict`], and `gradient`: `[3, height, width]`.
    ///
    /// # Errors
    /// As [`Predictor::predict_watched`].
    fn backward(&mut self, predicted: &[f32], gradient: &[f32], proceed: Proceed<'_>) -> Result<()>;

    /// The latent and its gradient, always in the same parts.
    fn parts(&mut self) -> Vec<LatentPart<'_>>;
}

/// The memory of refining a picture.
#[derive(Clone, Copy, Debug)]
pub struct LatentMemory {
    /// Values of the latent.
    pub latent_values: usize,
    /// Peak memory in bytes while the passes run, without weights, the picture and the optimizer.
    pub bytes: u64,
}

/// The time of refining a picture, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct LatentTime {
    /// The encoder.
    pub encode: f64,
    /// A forward pass from the latent.
    pub forward: f64,
    /// A backward pass to the latent.
    pub backward: f64,
}
