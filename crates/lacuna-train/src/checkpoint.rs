//! Checkpoints of a run: its whole state, so that a resumed run has the same bits as an uninterrupted one.
//!
//! One safetensors file. Tensors are named `generator.…`, `ema.…`, `adam.…`, `pixels.…`, `pixels_adam.…`, `latents.…`
//! and `latents_adam.…`. The header's metadata has the rest as JSON, and a SHA-256 over everything that reveals damage.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::{FloatTensor, Tensors, parse_tensors};
use lacuna_nets::weights::{self, NamedWeight};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data::Position;
use crate::optim::{Adam, Ema};
use crate::step::{Adversary, Learner, Parts};
use crate::{Error, Result};

/// Keys of the header's metadata.
const STATE: &str = "lacuna-run";
const DIGEST: &str = "sha256";

/// The state of a run, besides its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Finished steps.
    pub step: u64,
    /// The next batch.
    pub position: Position,
    /// Best validation so far.
    pub best: Option<Best>,
    /// Seconds of training, without validation and writing.
    pub seconds: f64,
    /// Running means of the loss terms.
    means: BTreeMap<String, f32>,
    adam_steps: u64,
    ema_steps: Option<u64>,
    pixels_steps: Option<u64>,
    latents_steps: Option<u64>,
}

/// The progress of a run, besides its learner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// The next batch.
    pub position: Position,
    /// Best validation so far.
    pub best: Option<Best>,
    /// Seconds of training, without validation and writing.
    pub seconds: f64,
}

/// The best validation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its value.
    pub value: f64,
}

/// A checkpoint that was read and verified.
#[derive(Debug)]
pub struct Saved {
    /// The state of the run.
    pub state: State,
    tensors: Tensors,
}

/// Writes the state of `learner` atomically.
///
/// # Errors
/// If a tensor cannot be read from its device or the file cannot be written; the previous file is then unchanged.
pub fn save(path: &Path, learner: &Learner, progress: Progress) -> Result<()> {
    Ok(write_bytes_atomically(path, &encode(learner, progress)?)?)
}

/// The bytes of a checkpoint.
///
/// # Errors
/// If a tensor cannot be read from its device.
pub fn encode(learner: &Learner, progress: Progress) -> Result<Vec<u8>> {
    let Progress { position, best, seconds } = progress;
    let Parts { generator, adam, ema, pixels, latents, means, step } = &learner.parts;
    let mut all = Vec::new();
    let mut add = |prefix: &str, tensors: Vec<NamedWeight>| all.extend(prefixed(prefix, tensors));
    add("generator", generator.weights()?);
    add("adam", adam.state()?);
    if let Some(ema) = ema {
        add("ema", ema.average().weights()?);
    }
    for (prefix, adversary) in [("pixels", pixels), ("latents", latents)] {
        if let Some(adversary) = adversary {
            add(prefix, weights::read(&adversary.network)?);
            add(&format!("{prefix}_adam"), adversary.adam.state()?);
        }
    }
    let steps = |adversary: &Option<Adversary>| adversary.as_ref().map(|adversary| adversary.adam.steps());
    let state = State {
        step: *step,
        position,
        best,
        seconds,
        means: means.clone(),
        adam_steps: adam.steps(),
        ema_steps: ema.as_ref().map(Ema::steps),
        pixels_steps: steps(pixels),
        latents_steps: steps(latents),
    };
    encode_parts(&state, &all.into_iter().collect())
}

/// The bytes of a checkpoint with this state and these tensors.
///
/// # Errors
/// [`Error::Checkpoint`] if there are more tensors than a file can have.
pub(crate) fn encode_parts(state: &impl Serialize, all: &Tensors) -> Result<Vec<u8>> {
    let state = serde_json::to_string(state).expect("plain data");
    let metadata = HashMap::from([(DIGEST.to_owned(), digest(&state, all)), (STATE.to_owned(), state)]);
    let views = all.iter().map(|(name, weight)| {
        let bytes: &[u8] = bytemuck::cast_slice(&weight.values);
        (
            name,
            TensorView::new(Dtype::F32, weight.shape.clone(), bytes)
                .expect("as many values as the shape says"),
        )
    });
    serialize(views, Some(metadata)).map_err(|error| Error::Checkpoint(error.to_string()))
}

/// Hash of the state and all tensors with their names and shapes.
fn digest(state: &str, tensors: &Tensors) -> String {
    let mut hash = Sha256::new();
    hash.update(state.as_bytes());
    for (name, weight) in tensors {
        hash.update(format!("{name}{:?}", weight.shape).as_bytes());
        hash.update(bytemuck::cast_slice::<f32, u8>(&weight.values));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads and verifies a checkpoint.
///
/// # Errors
/// [`Error::Read`] or [`Error::Weights`].
pub fn open(path: &Path) -> Result<Saved> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    decode(path, &bytes)
}

/// Verifies the bytes of a checkpoint; `path` is its name in messages.
///
/// # Errors
/// [`Error::Weights`].
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Saved> {
    let (state, tensors) = decode_parts(path, bytes)?;
    Ok(Saved { state, tensors })
}

/// Verifies the bytes of a checkpoint; `path` is its name in messages.
///
/// # Errors
/// [`Error::Weights`].
pub(crate) fn decode_parts<S: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<(S, Tensors)> {
    let damaged = |problem: String| Error::Weights { path: path.to_owned(), problem };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let text = metadata.get(STATE).ok_or_else(|| damaged("is not a checkpoint of a run".into()))?;
    let state = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    let tensors = parse_tensors(bytes).map_err(damaged)?;
    let [expected, found] = [metadata.get(DIGEST).cloned().unwrap_or_default(), digest(text, &tensors)];
    if expected != found {
        return Err(damaged(format!("its SHA-256 is {found}, expected {expected}")));
    }
    Ok((state, tensors))
}

impl Saved {
    /// The progress of the run.
    pub fn progress(&self) -> Progress {
        let State { position, best, seconds, .. } = self.state;
        Progress { position, best, seconds }
    }

    /// Restores the state of `learner`, which was built from the same run file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] or [`Error::Nets`] if it does not fit.
    pub fn restore(mut self, learner: &mut Learner) -> Result<()> {
        let device = learner.device().clone().inner();
        let state = self.state.clone();
        let generator = self.part("generator");
        learner.parts.generator = filled(learner.parts.generator.clone(), generator)?;
        let betas = learner.config().optimizer.betas;
        learner.parts.adam = self.adam("adam", betas, state.adam_steps, &device)?;
        learner.parts.ema = match (learner.parts.ema.take(), state.ema_steps) {
            (Some(ema), Some(steps)) => {
                let average = filled(ema.average().clone(), self.part("ema"))?;
                Some(Ema::restore(average, learner.config().ema.decay, steps))
            }
            (None, None) => None,
            _ => return Err(Error::Checkpoint("the run file and the checkpoint disagree about ema".into())),
        };
        for (prefix, steps, adversary) in [
            ("pixels", state.pixels_steps, &mut learner.parts.pixels),
            ("latents", state.latents_steps, &mut learner.parts.latents),
        ] {
            match (adversary, steps) {
                (Some(adversary), Some(steps)) => {
                    adversary.network = filled(adversary.network.clone(), self.part(prefix))?;
                    adversary.adam = self.adam(&format!("{prefix}_adam"), betas, steps, &device)?;
                }
                (None, None) => {}
                _ => {
                    let problem = format!(
                        "the run file and the checkpoint disagree about the discriminator of {prefix}"
                    );
                    return Err(Error::Checkpoint(problem));
                }
            }
        }
        learner.parts.means = state.means;
        learner.parts.step = state.step;
        Ok(())
    }

    fn part(&mut self, prefix: &str) -> Tensors {
        part(&mut self.tensors, prefix)
    }

    fn adam(&mut self, prefix: &str, betas: [f64; 2], steps: u64, device: &Device) -> Result<Adam> {
        Adam::restore(betas, steps, named(self.part(prefix)), device)
    }
}

/// Tensors below `prefix`.
pub(crate) fn prefixed(
    prefix: &str,
    tensors: Vec<NamedWeight>,
) -> impl Iterator<Item = (String, FloatTensor)> + use<'_> {
    tensors.into_iter().map(move |NamedWeight { name, weight }| (format!("{prefix}.{name}"), weight))
}

/// Removes and returns the tensors below `prefix`.
pub(crate) fn part(tensors: &mut Tensors, prefix: &str) -> Tensors {
    let prefix = format!("{prefix}.");
    let names: Vec<String> = tensors.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
    names
        .into_iter()
        .filter_map(|name| Some((name[prefix.len()..].to_owned(), tensors.remove(&name)?)))
        .collect()
}

/// Tensors as a list.
pub(crate) fn named(tensors: Tensors) -> Vec<NamedWeight> {
    tensors.into_iter().map(|(name, weight)| NamedWeight { name, weight }).collect()
}

/// The module with these tensors.
///
/// # Errors
/// [`Error::Nets`] if they are not its tensors.
pub(crate) fn filled<M: Module>(module: M, mut tensors: Tensors) -> Result<M> {
    Ok(weights::load(module, |name| tensors.remove(name))?)
}

/// The checkpoints of a run.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// The checkpoints in the run folder `run`; only the newest `keep` are kept.
    pub(crate) fn of_run(run: &Path, keep: usize) -> Self {
        Self::new(run.join("checkpoints"), keep)
    }

    /// Checkpoints in `folder`; only the newest `keep` are kept.
    pub fn new(folder: PathBuf, keep: usize) -> Self {
        Self { folder, keep }
    }

    /// Writes the bytes of the checkpoint after `step` atomically, then removes the oldest.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub fn save(&self, step: u64, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.folder.join(format!("step-{step:09}.safetensors"));
        write_bytes_atomically(&path, bytes)?;
        for old in self.newest_first()?.into_iter().skip(self.keep) {
            fs::remove_file(&old).map_err(|source| Error::Write { path: old.clone(), source })?;
        }
        Ok(path)
    }

    /// All checkpoints, newest first.
    ///
    /// # Errors
    /// [`Error::Read`] if the folder cannot be listed.
    pub fn newest_first(&self) -> Result<Vec<PathBuf>> {
        let failed = |source| Error::Read { path: self.folder.clone(), source };
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&self.folder).map_err(failed)?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("step-") && name.ends_with(".safetensors") {
                paths.push(path);
            }
        }
        paths.sort_unstable_by(|one, other| other.cmp(one));
        Ok(paths)
    }
}
