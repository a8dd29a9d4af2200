//! What a run of a flow trains: a denoiser, or a ControlNet branch that steers a frozen one.

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna_nets::{ControlNet, Denoiser};

use super::latents::Latents;

/// A network that predicts velocities.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a run has one")]
pub enum FlowModel {
    /// A denoiser.
    Denoiser(Denoiser),
    /// A branch that steers a frozen denoiser.
    Branch(ControlNet),
}

/// A model with what it steers.
#[derive(Clone, Debug)]
pub struct Velocities {
    /// The model.
    pub model: FlowModel,
    /// The frozen denoiser of a branch.
    pub base: Option<Denoiser>,
}

impl FlowModel {
    /// The beginning of the names of its tensors in checkpoints.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Denoiser(_) => "denoiser",
            Self::Branch(_) => "control",
        }
    }

    /// The configuration of the denoiser.
    pub fn denoiser(&self) -> &lacuna_network::Denoiser {
        match self {
            Self::Denoiser(denoiser) => denoiser.config(),
            Self::Branch(control) => &control.config().denoiser,
        }
    }

    /// The velocity of the noisy latents `x` at their times. A branch steers `base` by the hints of the crops.
    ///
    /// # Shapes
    /// `x` and the result: `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// [`lacuna_nets::Error::Shape`] for other shapes.
    ///
    /// # Panics
    /// If a branch has no denoiser, or the crops have no hints.
    pub fn velocity(
        &self,
        base: Option<&Denoiser>,
        x: Tensor<4>,
        times: &[f64],
        latents: &Latents,
    ) -> lacuna_nets::Result<Tensor<4>> {
        let condition = latents.condition();
        match self {
            Self::Denoiser(denoiser) => denoiser.forward(x, times, &condition),
            Self::Branch(control) => {
                let base = base.expect("a branch has its denoiser");
                let hint = control.encode_hint(latents.hint.clone().expect("crops have hints"))?;
                let steering = control.forward(base, x.clone(), times, &condition, hint)?;
                base.forward_steered(x, times, &condition, steering)
            }
        }
    }
}

impl Velocities {
    /// The velocity of the noisy latents `x` at their times.
    ///
    /// # Shapes
    /// As [`FlowModel::velocity`].
    ///
    /// # Errors
    /// As [`FlowModel::velocity`].
    pub fn predict(&self, x: Tensor<4>, times: &[f64], latents: &Latents) -> lacuna_nets::Result<Tensor<4>> {
        self.model.velocity(self.base.as_ref(), x, times, latents)
    }

    /// The denoiser of a branch without the branch.
    pub fn unsteered(&self) -> Option<Self> {
        let base = self.base.clone()?;
        Some(Self { model: FlowModel::Denoiser(base), base: None })
    }
}
