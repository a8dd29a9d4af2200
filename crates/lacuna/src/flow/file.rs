//! Flow files: a denoiser's weights with the description of its flow, as safetensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lacuna_network::Denoiser;
use serde::{Deserialize, Serialize};

use super::{CONTROL_PREFIX, Control, Flow, FlowStart, Statistics, tensors};
use crate::checkpoint::{
    Checkpoint, Map, NamedTensor, Parsed, Storage, Stored, complete, header, printable, read_container, take,
    write_lacuna,
};
use crate::hash::sha256;
use crate::{Error, Result};

/// The tensors of [`Statistics`].
const MEAN: &str = "latent.mean";
const DEVIATION: &str = "latent.deviation";

/// The entry of the header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    denoiser: Denoiser,
    generator: String,
    start: FlowStart,
    halo: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    control: Option<Control>,
}

/// A flow with the weights of its denoiser, in a mapped file.
#[derive(Debug)]
pub struct FlowFile {
    flow: Flow,
    provenance: String,
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
    map: Map,
}

impl FlowFile {
    /// Opens a flow file.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read; [`Error::Checkpoint`] if it is no flow file, is damaged or hostile, is
    /// incomplete, or has values that are not finite.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let map = Map::open(path)?;
        let (flow, provenance, tensors) = read(map.bytes())
            .map_err(|problem| Error::checkpoint(path.display().to_string(), printable(&problem)))?;
        Ok(Self { flow, provenance, path: path.to_owned(), tensors, map })
    }

    /// Whether a file is a flow file by its header, sound or not.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be read.
    pub fn is_one(path: impl AsRef<Path>) -> Result<bool> {
        let map = Map::open(path.as_ref())?;
        Ok(read_container(map.bytes()).is_ok_and(|contents| contents.metadata.contains_key(header::FLOW)))
    }

    /// Writes a flow file, atomically. The same weights give the same bytes.
    ///
    /// `provenance` describes the origin of the weights, `tensors` are those of [`Flow::tensors`].
    ///
    /// # Errors
    /// [`Error::Argument`] if `flow` is invalid, `tensors` are not exactly those of its networks, a value is not finite, or a weight
    /// does not fit into 16 bits; [`Error::Write`] if the file cannot be written.
    pub fn save<'a>(
        path: impl AsRef<Path>,
        flow: &'a Flow,
        provenance: &str,
        tensors: impl IntoIterator<Item = NamedTensor<'a>>,
        storage: Storage,
    ) -> Result<()> {
        flow.check().map_err(Error::Argument)?;
        let Flow { denoiser, generator, start, halo, statistics, control } = flow.clone();
        let rows = [(MEAN, &flow.statistics.mean), (DEVIATION, &flow.statistics.deviation)];
        let rows = rows.map(|(name, values)| NamedTensor {
            name: name.into(),
            shape: vec![statistics.mean.len()],
            values: Cow::Borrowed(values),
        });
        let tensors = complete(expected(&denoiser, control), tensors.into_iter().chain(rows), storage)?;
        if let Some(tensor) = tensors.iter().find(|tensor| tensor.values.iter().any(|x| !x.is_finite())) {
            return Err(Error::Argument(format!("{} has values that are not finite", tensor.name)));
        }
        let entry =
            serde_json::to_string(&Entry { denoiser, generator, start, halo, control }).expect("plain data");
        write_lacuna(path.as_ref(), [header::FLOW, &entry], provenance, &tensors, storage)
    }

    /// The description of the flow.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// The description of the weights' origin.
    pub fn provenance(&self) -> &str {
        &self.provenance
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors of the networks, sorted by name; those that are aligned 32-bit floats are borrowed from the file.
    pub fn tensors(&self) -> impl Iterator<Item = NamedTensor<'_>> {
        self.tensors.iter().map(|(name, tensor)| NamedTensor {
            name: name.clone(),
            shape: tensor.shape.clone(),
            values: tensor.values(self.map.bytes()),
        })
    }

    /// A tensor's values in row-major order.
    pub fn values(&self, name: &str) -> Option<Cow<'_, [f32]>> {
        self.tensors.get(name).map(|tensor| tensor.values(self.map.bytes()))
    }

    /// A tensor's shape and a copy of its values.
    pub fn tensor(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let tensor = self.tensors.get(name)?;
        Some((tensor.shape.clone(), tensor.values(self.map.bytes()).into_owned()))
    }

    /// [`FlowFile::values`] of a tensor of the ControlNet branch, by its name there.
    pub fn control_values(&self, name: &str) -> Option<Cow<'_, [f32]>> {
        self.values(&format!("{CONTROL_PREFIX}{name}"))
    }

    /// Number of trained values of the networks.
    pub fn parameters(&self) -> usize {
        self.tensors.values().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }

    /// SHA-256 of the file, hexadecimal.
    pub fn sha256(&self) -> String {
        sha256(self.map.bytes())
    }

    /// Releases the memory of tensors that were read; they can be read again.
    pub fn release(&self) {
        self.map.release();
    }

    /// Checks that the flow was trained on the latents of `generator`.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with both fingerprints, or both numbers of channels.
    pub fn check_generator(&self, generator: &Checkpoint) -> Result<()> {
        let refused = |problem| Err(Error::checkpoint(self.path.display().to_string(), problem));
        let other = generator.source().path.display();
        let (expected, given) = (&self.flow.generator, generator.fingerprint());
        if *expected != given {
            return refused(format!(
                "was trained on the latents of another network: expected weights with SHA-256 {expected}, {other} has \
                 {given}"
            ));
        }
        let [ours, theirs] = [self.flow.denoiser.latent, generator.config().latent().total()];
        if ours != theirs {
            return refused(format!("has a latent of {ours} channels, that of {other} has {theirs}"));
        }
        Ok(())
    }
}

/// Name and shape of every tensor of a flow file.
fn expected(denoiser: &Denoiser, control: Option<Control>) -> Vec<(String, Vec<usize>)> {
    let mut tensors = tensors(denoiser, control);
    tensors.extend([MEAN, DEVIATION].map(|name| (name.to_owned(), vec![denoiser.latent])));
    tensors
}

/// Finds and checks everything in the bytes of a file.
fn read(file: &[u8]) -> Parsed<(Flow, String, BTreeMap<String, Stored>)> {
    let mut contents = read_container(file)?;
    let metadata = &contents.metadata;
    if !header::is_lacuna(metadata)? || !metadata.contains_key(header::FLOW) {
        let network = metadata.contains_key(header::NETWORK);
        let kind = if network { "is the weights file of a network, no flow file" } else { "is no flow file" };
        return Err(format!(
            "{kind}: it has no {} in its header. Trainings with the task \"flow\" write flow files",
            header::FLOW
        ));
    }
    let Entry { denoiser, generator, start, halo, control } =
        serde_json::from_str(header::text(metadata, header::FLOW)?)
            .map_err(|problem| format!("has a malformed {}: {problem}", header::FLOW))?;
    let provenance = header::text(metadata, header::PROVENANCE)?.to_owned();
    // Before the layers are listed: a hostile file could describe an endless network.
    denoiser.check().map_err(|problem| format!("describes a denoiser that does not exist: {problem}"))?;
    if let Some(control) = control {
        let branch = control.network(&denoiser).check();
        branch.map_err(|problem| format!("describes a ControlNet branch that does not exist: {problem}"))?;
    }
    let mut tensors = take(expected(&denoiser, control), &mut contents.tensors, str::to_owned)?;
    if let Some(name) = contents.tensors.keys().next() {
        return Err(format!("holds {name}, which its networks do not have"));
    }
    for (name, tensor) in &tensors {
        tensor.check(file.len()).map_err(|problem| format!("{name} {problem}"))?;
        if let Some(value) = tensor.values(file).iter().find(|value| !value.is_finite()) {
            return Err(format!("{name} holds {value}"));
        }
    }
    let mut row = |name: &str| {
        let tensor = tensors.remove(name).expect("taken above");
        tensor.values(file).into_owned()
    };
    let statistics = Statistics { mean: row(MEAN), deviation: row(DEVIATION) };
    let flow = Flow { denoiser, generator, start, halo, statistics, control };
    flow.check().map_err(|problem| format!("describes a flow that does not exist: {problem}"))?;
    Ok((flow, provenance, tensors))
}
