//! Reports on weight files: what they are (`info`), and whether their numbers are sound (`verify`).

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::{Architecture, Checkpoint, Container, Element, Source, torch_zip};
use crate::hash::sha256;
use crate::{Error, Result};

/// What a weights file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// The network: family, width, blocks, inputs, control.
    pub config: Architecture,
    /// Trained numbers.
    pub parameters: usize,
    /// Tensors of the network.
    pub tensors: usize,
    /// Kinds of numbers that its tensors are stored as.
    pub elements: Vec<Element>,
    /// File, container and prefix.
    pub source: Source,
    /// What a Lacuna file says about the origin of its weights.
    pub provenance: Option<String>,
    /// Tensors in the file that are not the network's.
    pub skipped: Vec<String>,
}

/// A tensor with numbers that it should not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suspect {
    /// The tensor.
    pub name: String,
    /// How many of its numbers.
    pub count: usize,
}

/// Whether a weights file is sound. Names and shapes are: the file would not open otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// What the file is.
    pub info: Info,
    /// SHA-256 of the whole file, hexadecimal.
    pub sha256: String,
    /// Tensors with values that are not a number or infinite.
    pub not_finite: Vec<Suspect>,
    /// Running variances below zero, which no training gives.
    pub negative_variances: Vec<Suspect>,
    /// Entries of a zip container whose bytes do not have their checksum.
    pub damaged_entries: Vec<String>,
}

impl Verification {
    /// Whether nothing was found.
    pub fn is_sound(&self) -> bool {
        self.not_finite.is_empty() && self.negative_variances.is_empty() && self.damaged_entries.is_empty()
    }
}

/// What the weights file at `path` is.
///
/// # Errors
/// Those of [`Checkpoint::open`].
pub fn info(path: impl AsRef<Path>) -> Result<Info> {
    Checkpoint::open(path).map(|checkpoint| describe(&checkpoint))
}

/// Reads every number of the weights file at `path`.
///
/// # Errors
/// Those of [`Checkpoint::open`]; unsound numbers are no error but reported.
pub fn verify(path: impl AsRef<Path>) -> Result<Verification> {
    let path = path.as_ref();
    let checkpoint = Checkpoint::open(path)?;
    let (mut not_finite, mut negative_variances) = (Vec::new(), Vec::new());
    for tensor in checkpoint.tensors() {
        let note = |list: &mut Vec<Suspect>, is_suspect: fn(&f32) -> bool| {
            let count = tensor.values.iter().filter(|&value| is_suspect(value)).count();
            if count > 0 {
                list.push(Suspect { name: tensor.name.clone(), count });
            }
        };
        note(&mut not_finite, |value| !value.is_finite());
        if tensor.name.ends_with(".running_var") {
            note(&mut negative_variances, |value| *value < 0.0);
        }
    }
    let damaged_entries = match checkpoint.source().container {
        Container::TorchZip | Container::TorchScript => torch_zip::damaged_entries(checkpoint.bytes())
            .map_err(|problem| Error::checkpoint(path.display().to_string(), problem))?,
        Container::Lacuna | Container::Safetensors | Container::TorchLegacy => Vec::new(),
    };
    Ok(Verification {
        info: describe(&checkpoint),
        sha256: sha256(checkpoint.bytes()),
        not_finite,
        negative_variances,
        damaged_entries,
    })
}

fn describe(checkpoint: &Checkpoint) -> Info {
    let elements: BTreeSet<_> = checkpoint.names().filter_map(|name| checkpoint.element(name)).collect();
    Info {
        config: checkpoint.config().clone(),
        parameters: checkpoint.parameters(),
        tensors: checkpoint.names().count(),
        elements: elements.into_iter().collect(),
        source: checkpoint.source().clone(),
        provenance: checkpoint.provenance().map(str::to_owned),
        skipped: checkpoint.skipped().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{NamedTensor, Storage, fixture, save};

    #[test]
    fn fixtures_are_sound() {
        for file in ["bare.safetensors", "lightning.ckpt", "lightning-legacy.ckpt", "torchscript.pt"] {
            let report = verify(fixture("generator").join(file)).unwrap();
            assert!(report.is_sound(), "{report:?}");
            assert_eq!(report.info, info(fixture("generator").join(file)).unwrap());
            assert_eq!(report.info.elements, [Element::F32]);
            assert_eq!(report.sha256.len(), 64);
        }
    }

    #[test]
    fn unsound_numbers_are_counted_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let original = Checkpoint::open(fixture("generator/bare.safetensors")).unwrap();
        let mut tensors: Vec<NamedTensor> = original.tensors().collect();
        for tensor in &mut tensors {
            match tensor.name.as_str() {
                "decoder.out.bias" => tensor.values.to_mut()[..2].copy_from_slice(&[f32::NAN, f32::INFINITY]),
                "decoder.up.0.norm.running_var" => tensor.values.to_mut()[3] = -0.5,
                _ => {}
            }
        }
        save(&path, original.config(), "", tensors, Storage::F32).unwrap();
        let report = verify(&path).unwrap();
        assert_eq!(report.not_finite, [Suspect { name: "decoder.out.bias".into(), count: 2 }]);
        assert_eq!(
            report.negative_variances,
            [Suspect { name: "decoder.up.0.norm.running_var".into(), count: 1 }]
        );
        assert!(!report.is_sound());
        serde_json::to_string(&report).unwrap();
    }
}
