//! A network's weights, ready for loading.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::container::Container;
use super::found::Weights;
use super::map::Map;
use super::{Architecture, Element, NamedTensor, is_parameter};
use crate::hash::sha256_of_parts;
use crate::{Budget, Error, Result};

/// The origin of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// The kind of file.
    pub container: Container,
    /// The prefix of LaMa's layer numbers, such as `generator.model.`; empty for Lacuna's own files.
    pub prefix: String,
    /// Prefixes of other generators in the file, which were not used, such as `generator_average.model.`.
    pub other_generators: Vec<String>,
}

/// The complete weights of one network, in a mapped file or in the program.
#[derive(Debug)]
pub struct Checkpoint {
    weights: Weights,
    source: Source,
    map: Map,
}

impl Checkpoint {
    /// Opens a weights file: Lacuna's own, or LaMa's and the thesis's in any of torch's containers. The content decides
    /// its kind.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read; [`Error::Checkpoint`] if it is not a weights file, is damaged or
    /// hostile, contains an unsupported network, or is incomplete.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::read(path, Map::open(path)?)
    }

    /// Reads a weights file that is part of the program; `name` takes the place of its path.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] as [`Checkpoint::open`].
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::read(Path::new(name), Map::Program(bytes))
    }

    fn read(path: &Path, map: Map) -> Result<Self> {
        let weights = Weights::find(map.bytes())
            .map_err(|problem| Error::checkpoint(path.display().to_string(), printable(&problem)))?;
        let source = Source {
            path: path.to_owned(),
            container: weights.container,
            prefix: weights.prefix.clone(),
            other_generators: weights.other_generators.clone(),
        };
        Ok(Self { weights, source, map })
    }

    /// The network's configuration.
    pub fn config(&self) -> &Architecture {
        &self.weights.config
    }

    /// The description of the weights' origin in a Lacuna file.
    pub fn provenance(&self) -> Option<&str> {
        self.weights.provenance.as_deref()
    }

    /// The origin of the checkpoint.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Names, as in the file, of the tensors that are not the generator's: discriminator, losses, evaluators,
    /// BatchNorm's counters, the thesis's unused `mask_conv`. Sorted.
    pub fn skipped(&self) -> &[String] {
        &self.weights.skipped
    }

    /// Names of all tensors of the network, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.weights.tensors.keys().map(String::as_str)
    }

    /// A tensor's shape, outermost dimension first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.weights.tensors.get(name).map(|tensor| tensor.shape.as_slice())
    }

    /// A tensor's element type in the file.
    pub fn element(&self, name: &str) -> Option<Element> {
        self.weights.tensors.get(name).map(|tensor| tensor.element)
    }

    /// A tensor's values in row-major order: borrowed from the mapped file if they are aligned f32 there, otherwise
    /// converted.
    pub fn values(&self, name: &str) -> Option<Cow<'_, [f32]>> {
        self.weights.tensors.get(name).map(|tensor| tensor.values(self.map.bytes()))
    }

    /// A tensor's shape and a copy of its values.
    pub fn tensor(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        Some((self.shape(name)?.to_vec(), self.values(name)?.into_owned()))
    }

    /// All tensors, in the form that [`super::save`] takes.
    pub fn tensors(&self) -> impl Iterator<Item = NamedTensor<'_>> {
        self.weights.tensors.iter().map(|(name, tensor)| NamedTensor {
            name: name.clone(),
            shape: tensor.shape.clone(),
            values: tensor.values(self.map.bytes()),
        })
    }

    /// The SHA-256 of all tensors, hexadecimal: names, shapes and values as 32-bit floats, sorted by name. Files of any
    /// container with the same weights have the same fingerprint.
    pub fn fingerprint(&self) -> String {
        sha256_of_parts(|add| {
            for NamedTensor { name, shape, values } in self.tensors() {
                let number = |number: usize| (number as u64).to_le_bytes();
                add(&number(name.len()));
                add(name.as_bytes());
                add(&number(shape.len()));
                shape.iter().for_each(|&side| add(&number(side)));
                if cfg!(target_endian = "little") {
                    add(bytemuck::cast_slice(&values));
                } else {
                    values.iter().for_each(|value| add(&value.to_le_bytes()));
                }
            }
        })
    }

    /// Number of trained values: everything except BatchNorm's running statistics.
    pub fn parameters(&self) -> usize {
        let trained = self.weights.tensors.iter().filter(|(name, _)| is_parameter(name));
        trained.map(|(_, tensor)| tensor.shape.iter().product::<usize>()).sum()
    }

    /// Checks that a process with `memory` bytes can load the network, before it is loaded. Packed weights take what is
    /// counted here and a little more.
    ///
    /// # Errors
    /// [`Error::Memory`] with the bytes needed and the bytes allowed.
    pub fn check_memory(&self, memory: u64) -> Result<()> {
        let weights = (self.parameters() * size_of::<f32>()) as u64;
        Budget::new(memory, 0).check(self.source().path.display().to_string(), weights)
    }

    /// Releases the memory of tensors that were read; they can be read again.
    pub fn release(&self) {
        self.map.release();
    }

    /// The bytes of the file.
    pub(super) fn bytes(&self) -> &[u8] {
        self.map.bytes()
    }
}

/// Names in a hostile file may contain control characters, which a terminal would obey.
pub(crate) fn printable(problem: &str) -> String {
    problem.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use testkit::checkpoints::{PickleWriter, zip};

    use super::*;
    use crate::checkpoint::lama::{LamaKey, lama_key};
    use crate::checkpoint::{Delta, Family, Shape, Storage, fixture, save};

    #[test]
    fn all_containers_give_the_same_weights() {
        let reference = Checkpoint::open(fixture("generator/bare.safetensors")).unwrap();
        let shape = Shape { channels_in: 4, width: 4, blocks: 2, control: false, delta: Delta::None };
        let config = Family::Fourier.network(shape);
        assert_eq!(*reference.config(), config);
        struct Case(&'static str, Container, &'static str);
        let cases = [
            Case("bare.safetensors", Container::Safetensors, "model."),
            Case("lightning.ckpt", Container::TorchZip, "generator.model."),
            Case("lightning-legacy.ckpt", Container::TorchLegacy, "generator.model."),
            Case("torchscript.pt", Container::TorchScript, "model.generator.model."),
            Case("rewrapped.pth", Container::TorchZip, "model.model."),
        ];
        for Case(file, container, prefix) in cases {
            let checkpoint = Checkpoint::open(fixture("generator").join(file)).unwrap();
            assert_eq!(*checkpoint.config(), config, "{file}");
            assert_eq!(checkpoint.source().container, container, "{file}");
            assert_eq!(checkpoint.source().prefix, prefix, "{file}");
            assert_eq!(checkpoint.names().count(), reference.names().count(), "{file}");
            for name in reference.names() {
                assert_eq!(checkpoint.tensor(name), reference.tensor(name), "{name} of {file}");
            }
        }
    }

    #[test]
    fn fingerprints_are_of_weights_not_of_files() {
        let fingerprint = |file: &str| Checkpoint::open(fixture(file)).unwrap().fingerprint();
        let reference = fingerprint("generator/bare.safetensors");
        assert_eq!(reference.len(), 64);
        assert_eq!(fingerprint("generator/lightning.ckpt"), reference);
        assert_eq!(fingerprint("generator/torchscript.pt"), reference);
        assert_ne!(fingerprint("control/weights.safetensors"), reference);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.safetensors");
        let original = Checkpoint::open(fixture("generator/bare.safetensors")).unwrap();
        let mut tensors: Vec<NamedTensor> = original.tensors().collect();
        save(&path, original.config(), "", tensors.clone(), Storage::F32).unwrap();
        assert_eq!(Checkpoint::open(&path).unwrap().fingerprint(), reference);
        tensors[0].values.to_mut()[0] += 1.0;
        save(&path, original.config(), "", tensors, Storage::F32).unwrap();
        assert_ne!(Checkpoint::open(&path).unwrap().fingerprint(), reference);
    }

    #[test]
    fn lists_what_it_skipped() {
        let checkpoint = Checkpoint::open(fixture("generator/lightning.ckpt")).unwrap();
        for name in ["discriminator.model0.0.weight", "val_evaluator.scores.lpips.net.lin0.weight"] {
            assert!(checkpoint.skipped().iter().any(|skipped| skipped == name), "{:?}", checkpoint.skipped());
        }
        assert!(checkpoint.skipped().iter().any(|name| name == "generator.model.1.bn_l.num_batches_tracked"));
    }

    #[test]
    fn reads_the_thesis_mask_control() {
        let checkpoint = Checkpoint::open(fixture("control/weights.safetensors")).unwrap();
        assert!(checkpoint.config().shape().control);
        assert_eq!(checkpoint.config().shape().channels_in, 3);
        assert_eq!(checkpoint.shape("control.zero.3.weight"), Some(&[32, 32, 1, 1][..]));
        assert_eq!(checkpoint.shape("control.encoder.0.conv.weight"), Some(&[4, 1, 1, 1][..]));
    }

    /// Every tensor as 64-bit floats in column-major order, as a view that starts after two other values.
    #[test]
    fn other_kinds_of_numbers_and_strides_give_the_same_weights() {
        const OFFSET: i64 = 2;
        let reference = Checkpoint::open(fixture("generator/bare.safetensors")).unwrap();
        let (mut pickle, mut storages) = (PickleWriter::new(), Vec::new());
        pickle.dictionary(|pickle| {
            for tensor in reference.tensors() {
                let shape: Vec<i64> = tensor.shape.iter().map(|&size| size as i64).collect();
                let strides: Vec<i64> = (0..shape.len()).map(|axis| shape[..axis].iter().product()).collect();
                let mut numbers = vec![f64::NAN; tensor.values.len() + OFFSET as usize];
                for (index, &value) in tensor.values.iter().enumerate() {
                    let (mut rest, mut at) = (index as i64, OFFSET);
                    for (size, stride) in shape.iter().zip(&strides).rev() {
                        at += rest % size * stride;
                        rest /= size;
                    }
                    numbers[at as usize] = f64::from(value);
                }
                let Some(LamaKey::Generator(name)) = lama_key(&tensor.name, reference.config()) else {
                    panic!()
                };
                let key = storages.len().to_string();
                pickle.text(&name).tensor(
                    "DoubleStorage",
                    &key,
                    numbers.len() as i64,
                    OFFSET,
                    &shape,
                    &strides,
                );
                storages.push((format!("x/data/{key}"), numbers));
            }
        });
        let pickle = pickle.finish();
        let mut entries: Vec<(&str, &[u8])> = vec![("x/data.pkl", &pickle)];
        entries.extend(storages.iter().map(|(name, numbers)| (&**name, bytemuck::cast_slice(numbers))));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("double.pth");
        std::fs::write(&path, zip(&entries)).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.element("decoder.out.weight"), Some(Element::F64));
        assert!(checkpoint.tensors().eq(reference.tensors()));
    }

    #[test]
    fn weights_are_borrowed_where_they_lie_aligned() {
        for file in ["bare.safetensors", "lightning.ckpt", "torchscript.pt"] {
            let checkpoint = Checkpoint::open(fixture("generator").join(file)).unwrap();
            assert!(matches!(checkpoint.values("decoder.out.weight"), Some(Cow::Borrowed(_))), "{file}");
        }
    }

    #[test]
    fn problems_name_the_file_and_stay_printable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("attack.ckpt");
        std::fs::write(&path, b"cos\n\x1b[2Jsystem\n(tR.").unwrap();
        let problem = Checkpoint::open(&path).unwrap_err().to_string();
        assert!(
            problem.contains("attack.ckpt") && problem.contains("os.") && !problem.contains('\u{1b}'),
            "{problem}"
        );
        assert!(matches!(Checkpoint::open(folder.path().join("absent")), Err(Error::Read { .. })));
    }
}
