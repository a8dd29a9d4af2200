//! Writes Lacuna's own weights files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use half::slice::HalfFloatSliceExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Architecture, header};
use crate::atomic::write_atomically;
use crate::words::{display_name, words};
use crate::{Error, Result};

/// The type of stored weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// All values as 32-bit floats.
    #[default]
    F32,
    /// Convolution weights as 16-bit floats, half the size. Biases and norms stay at 32 bits: they are 0.3 % of a file,
    /// and a running variance can exceed the range of 16 bits.
    F16,
}

words! {
    Storage, "dtype",
    F32 = "f32": "32-bit floats, exact",
    F16 = "f16": "16-bit floats, half the size",
}
display_name!(Storage);

/// One tensor to write.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor<'a> {
    /// Name as in the network's layers.
    pub name: String,
    /// Shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Cow<'a, [f32]>,
}

/// The data of a safetensors file starts at a multiple of this many bytes, so that it can be read in place.
const ALIGNMENT: usize = 8;
/// Values converted at a time when 16-bit floats are written.
const CHUNK: usize = 1 << 14;

/// Writes the complete weights of a network, atomically. The same weights give the same bytes.
///
/// `provenance` describes the origin of the weights.
///
/// # Errors
/// [`Error::Argument`] if `config` is invalid, `tensors` are not exactly those of its network, or a weight does not fit
/// into 16 bits; [`Error::Write`] if the file cannot be written.
pub fn save<'a>(
    path: impl AsRef<Path>,
    config: &Architecture,
    provenance: &str,
    tensors: impl IntoIterator<Item = NamedTensor<'a>>,
    storage: Storage,
) -> Result<()> {
    config.check().map_err(|error| Error::Argument(error.to_string()))?;
    let tensors = complete(config.layers().tensors(), tensors, storage)?;
    let network = serde_json::to_string(config).expect("plain data");
    write_lacuna(path.as_ref(), [header::NETWORK, &network], provenance, &tensors, storage)
}

/// Writes a file of Lacuna's format, atomically. `what` is the name and value of the entry that describes its network.
///
/// # Errors
/// [`Error::Write`] if the file cannot be written.
pub(crate) fn write_lacuna(
    path: &Path,
    what: [&str; 2],
    provenance: &str,
    tensors: &[NamedTensor],
    storage: Storage,
) -> Result<()> {
    let header = header(what, provenance, tensors, storage);
    write_atomically(path, |file| {
        write(file, &header, tensors, storage)
            .map_err(|source| Error::Write { path: path.to_owned(), source })
    })
}

/// The tensors sorted by name, checked against the names and shapes of a network's layers.
///
/// # Errors
/// [`Error::Argument`] if they are not exactly these, or a weight does not fit into 16 bits.
pub(crate) fn complete<'a>(
    expected: Vec<(String, Vec<usize>)>,
    tensors: impl IntoIterator<Item = NamedTensor<'a>>,
    storage: Storage,
) -> Result<Vec<NamedTensor<'a>>> {
    let mut expected: BTreeMap<String, Vec<usize>> = expected.into_iter().collect();
    let mut complete = BTreeMap::new();
    for tensor in tensors {
        let name = tensor.name.clone();
        let shape = expected
            .remove(&name)
            .ok_or_else(|| Error::Argument(format!("{name} is unknown or given twice")))?;
        if shape != tensor.shape || shape.iter().product::<usize>() != tensor.values.len() {
            let (given, count) = (&tensor.shape, tensor.values.len());
            return Err(Error::Argument(format!(
                "{name}: expected {shape:?}, got {given:?} with {count} values"
            )));
        }
        if half_precision(&shape, storage)
            && let Some(value) =
                tensor.values.iter().find(|v| v.is_finite() && half::f16::from_f32(**v).is_infinite())
        {
            return Err(Error::Argument(format!("{name} holds {value}, which 16 bits cannot hold")));
        }
        complete.insert(name, tensor);
    }
    match expected.first_key_value() {
        Some((name, shape)) => Err(Error::Argument(format!(
            "{} tensors are missing, the first is {name} {shape:?}",
            expected.len()
        ))),
        None => Ok(complete.into_values().collect()),
    }
}

/// Whether a tensor of this shape is written in 16 bits: convolution weights only.
fn half_precision(shape: &[usize], storage: Storage) -> bool {
    storage == Storage::F16 && shape.len() > 1
}

fn header([entry, value]: [&str; 2], provenance: &str, tensors: &[NamedTensor], storage: Storage) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let metadata = json!({ header::FORMAT: header::VERSION, entry: value, header::PROVENANCE: provenance });
    header.insert("__metadata__".into(), metadata);
    let mut start = 0;
    for tensor in tensors {
        let (kind, size) = if half_precision(&tensor.shape, storage) { ("F16", 2) } else { ("F32", 4) };
        let end = start + tensor.values.len() * size;
        header.insert(
            tensor.name.clone(),
            json!({"dtype": kind, "shape": tensor.shape, "data_offsets": [start, end]}),
        );
        start = end;
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' '); // JSON may end in spaces
    header
}

fn write(
    file: &mut BufWriter<File>,
    header: &[u8],
    tensors: &[NamedTensor],
    storage: Storage,
) -> std::io::Result<()> {
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header)?;
    for tensor in tensors {
        if half_precision(&tensor.shape, storage) {
            let mut halves = [half::f16::ZERO; CHUNK];
            for values in tensor.values.chunks(CHUNK) {
                let halves = &mut halves[..values.len()];
                halves.convert_from_f32_slice(values);
                halves.iter().try_for_each(|half| file.write_all(&half.to_le_bytes()))?;
            }
        } else if cfg!(target_endian = "little") {
            file.write_all(bytemuck::cast_slice(&tensor.values))?;
        } else {
            tensor.values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoint, Container, Element, fixture};

    #[test]
    fn what_was_saved_is_read_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let (path, again) = (folder.path().join("a.safetensors"), folder.path().join("b.safetensors"));
        for file in ["generator/lightning-legacy.ckpt", "control/weights.safetensors"] {
            let original = Checkpoint::open(fixture(file)).unwrap();
            save(&path, original.config(), "a \"test\"", original.tensors(), Storage::F32).unwrap();
            let saved = Checkpoint::open(&path).unwrap();
            assert_eq!(saved.config(), original.config());
            assert_eq!(saved.provenance(), Some("a \"test\""));
            assert_eq!(saved.source().container, Container::Lacuna);
            assert!(saved.tensors().eq(original.tensors()));
            assert!(saved.tensors().all(|tensor| matches!(tensor.values, Cow::Borrowed(_))));
            save(&again, saved.config(), "a \"test\"", saved.tensors(), Storage::F32).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
        }
    }

    #[test]
    fn sixteen_bits_hold_convolutions_to_eleven_digits() {
        /// Half of the spacing of 16-bit floats (10 bits after the point), relative.
        const ROUNDING: f32 = 1.0 / 2048.0;
        /// Half of the spacing of the smallest 16-bit floats.
        const SMALLEST: f32 = 1.0 / (1 << 25) as f32;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half.safetensors");
        let original = Checkpoint::open(fixture("generator/bare.safetensors")).unwrap();
        save(&path, original.config(), "", original.tensors(), Storage::F16).unwrap();
        let saved = Checkpoint::open(&path).unwrap();
        for (a, b) in saved.tensors().zip(original.tensors()) {
            let tolerance =
                |value: f32| if a.shape.len() > 1 { ROUNDING * value.abs() + SMALLEST } else { 0.0 };
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= tolerance(*b);
            assert!(a.values.iter().zip(&*b.values).all(close), "{}", a.name);
        }
        assert_eq!(saved.element("decoder.out.weight"), Some(Element::F16));
        assert_eq!(saved.element("decoder.out.bias"), Some(Element::F32));
    }

    #[test]
    fn incomplete_weights_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let original = Checkpoint::open(fixture("generator/bare.safetensors")).unwrap();
        let tensors: Vec<_> = original.tensors().collect();
        let mut misshapen = tensors.clone();
        misshapen[0].shape = vec![1];
        let mut large = tensors.clone();
        let convolution = large.iter_mut().find(|tensor| tensor.shape.len() == 4).unwrap();
        convolution.values.to_mut()[0] = 1e6;
        let mut twice = tensors.clone();
        twice.push(tensors[0].clone());
        for (tensors, expected) in [
            (tensors[1..].to_vec(), "missing"),
            (misshapen, "expected"),
            (large, "16 bits"),
            (twice, "twice"),
        ] {
            let problem = save(&path, original.config(), "", tensors, Storage::F16).unwrap_err().to_string();
            assert!(problem.contains(expected), "{problem}");
            assert!(!path.exists());
        }
    }
}
