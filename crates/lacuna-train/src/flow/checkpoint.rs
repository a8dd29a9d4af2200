//! Checkpoints of a flow's run, in the format of [`crate::checkpoint`]: tensors are named `denoiser.…` or `control.…`, `ema.…`,
//! `adam.…` and `latent.…`.

use std::path::Path;

use lacuna::checkpoint::{FloatTensor, Tensors, take_tensor};
use lacuna::flow::Statistics;
use lacuna_nets::weights::{self, NamedWeight};
use serde::{Deserialize, Serialize};

use super::learner::{FlowLearner, FlowParts};
use crate::checkpoint::{Best, Progress, decode_parts, encode_parts, filled, named, part, prefixed};
use crate::data::Position;
use crate::optim::{Adam, Ema};
use crate::{Error, Result};

/// The state of a run, besides its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowState {
    step: u64,
    position: Position,
    best: Option<Best>,
    seconds: f64,
    /// The generator's fingerprint.
    generator: String,
    /// Hash of the flow file of a branch's denoiser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flow: Option<String>,
    adam_steps: u64,
    ema_steps: Option<u64>,
}

/// A checkpoint that was read and verified.
#[derive(Debug)]
pub(crate) struct FlowSaved {
    state: FlowState,
    statistics: Statistics,
    tensors: Tensors,
}

/// The bytes of a checkpoint.
///
/// # Errors
/// If a tensor cannot be read from its device.
pub(crate) fn encode(learner: &FlowLearner, progress: Progress) -> Result<Vec<u8>> {
    let Progress { position, best, seconds } = progress;
    let FlowParts { model, adam, ema, step } = &learner.parts;
    let mut all = Tensors::new();
    let mut add = |prefix: &str, tensors: Vec<NamedWeight>| all.extend(prefixed(prefix, tensors));
    add(model.prefix(), weights::read(model)?);
    add("adam", adam.state()?);
    if let Some(ema) = ema {
        add("ema", weights::read(ema.average())?);
    }
    let Statistics { mean, deviation } = learner.maker().statistics().clone();
    for (name, values) in [("latent.mean", mean), ("latent.deviation", deviation)] {
        all.insert(name.to_owned(), FloatTensor { shape: vec![values.len()], values });
    }
    let state = FlowState {
        step: *step,
        position,
        best,
        seconds,
        generator: learner.maker().generator().fingerprint().to_owned(),
        flow: learner.steered_sha256().map(str::to_owned),
        adam_steps: adam.steps(),
        ema_steps: ema.as_ref().map(Ema::steps),
    };
    encode_parts(&state, &all)
}

impl FlowSaved {
    /// Reads and verifies a checkpoint of a latent of `channels` channels.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Weights`].
    pub fn open(path: &Path, channels: usize) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let (state, mut tensors) = decode_parts(path, &bytes)?;
        let mut row = |name: &str| {
            take_tensor(&mut tensors, name, &[channels])
                .map_err(|problem| Error::Weights { path: path.to_owned(), problem })
        };
        let statistics = Statistics { mean: row("latent.mean")?, deviation: row("latent.deviation")? };
        Ok(Self { state, statistics, tensors })
    }

    /// Mean and deviation of the latents.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The progress of the run.
    pub fn progress(&self) -> Progress {
        let FlowState { position, best, seconds, .. } = self.state;
        Progress { position, best, seconds }
    }

    /// Restores the state of `learner`, which was built from the same run file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it was trained on another generator, or steered another denoiser; [`Error::Nets`] if it does not fit.
    pub fn restore(self, learner: &mut FlowLearner) -> Result<()> {
        let Self { state, mut tensors, .. } = self;
        let found = learner.maker().generator().fingerprint();
        if state.generator != found {
            return Err(Error::Checkpoint(format!(
                "start.network: expected weights with SHA-256 {}, on whose latents the run was trained, found {found}",
                state.generator
            )));
        }
        let found = learner.steered_sha256();
        if state.flow.as_deref() != found {
            let [expected, found] = [state.flow.as_deref(), found].map(|hash| hash.unwrap_or("none"));
            return Err(Error::Checkpoint(format!(
                "control.flow: expected a flow file with SHA-256 {expected}, whose branch was trained, found {found}"
            )));
        }
        let device = learner.device().clone().inner();
        let prefix = learner.parts.model.prefix();
        let model = filled(learner.parts.model.clone(), part(&mut tensors, prefix))?;
        let adam = named(part(&mut tensors, "adam"));
        let adam = Adam::restore(learner.recipe().optimizer.betas, state.adam_steps, adam, &device)?;
        let ema = match (learner.parts.ema.take(), state.ema_steps) {
            (Some(ema), Some(steps)) => {
                let average = filled(ema.average().clone(), part(&mut tensors, "ema"))?;
                Some(Ema::restore(average, learner.recipe().ema.decay, steps))
            }
            (None, None) => None,
            _ => return Err(Error::Checkpoint("the run file and the checkpoint disagree about ema".into())),
        };
        learner.parts = FlowParts { model, adam, ema, step: state.step };
        Ok(())
    }
}
