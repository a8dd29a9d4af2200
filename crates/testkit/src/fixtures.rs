//! The reference values in `fixtures/`, written by `oracle/make_fixtures.py`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};

/// One tensor of a fixture file.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixture {
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// All tensors of one fixture file, by name.
#[derive(Clone, Debug)]
pub struct Fixtures {
    path: PathBuf,
    tensors: BTreeMap<String, Fixture>,
}

impl Fixtures {
    /// The tensor called `name`.
    ///
    /// # Panics
    /// If the file has no such tensor.
    #[track_caller]
    pub fn get(&self, name: &str) -> &Fixture {
        self.find(name).unwrap_or_else(|| {
            panic!("{} has no {name}, only {:?}", self.path.display(), self.tensors.keys())
        })
    }

    /// The tensor called `name`, if the file has one.
    pub fn find(&self, name: &str) -> Option<&Fixture> {
        self.tensors.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }
}

/// Path of a fixture, independent of the current folder.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures")).join(name)
}

/// Loads a safetensors file of `fixtures/`, such as `"generator/io.safetensors"`.
///
/// # Panics
/// If the file cannot be read or contains other types than float32.
pub fn load(name: &str) -> Fixtures {
    let path = path(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensors = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            assert_eq!(view.dtype(), Dtype::F32, "{}: {name}", path.display());
            let values = view
                .data()
                .chunks_exact(size_of::<f32>())
                .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
                .collect();
            (name, Fixture { shape: view.shape().to_vec(), values })
        })
        .collect();
    Fixtures { path, tensors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_of_ones_and_zeros_loads() {
        let mask = load("generator/io.safetensors").get("mask").clone();
        assert_eq!(mask.shape, [1, 1, 72, 88]);
        assert_eq!(mask.values.len(), 72 * 88);
        assert!(mask.values.iter().all(|&value| value == 0.0 || value == 1.0));
        assert!(mask.values.contains(&1.0));
    }

    #[test]
    #[should_panic(expected = "has no nonsense")]
    fn a_missing_tensor_is_named() {
        load("generator/io.safetensors").get("nonsense");
    }
}
