//! Named tensors of a safetensors file, in the networks' types.

use std::collections::BTreeMap;
use std::path::Path;

use lacuna_eval::weights;
use lacuna_nets::weights::Weight;

use crate::Result;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Weight>;

/// Reads all tensors of a file; 16-bit floats are converted.
///
/// # Errors
/// If the file cannot be read, is not a safetensors file, or contains other types than floats.
pub fn read(path: &Path) -> Result<Tensors> {
    Ok(converted(weights::read(path)?))
}

/// All tensors in the bytes of a file, or what is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    weights::parse(bytes).map(converted)
}

fn converted(tensors: weights::Tensors) -> Tensors {
    let weight = |weights::Tensor { shape, values }| Weight { shape, values };
    tensors.into_iter().map(|(name, tensor)| (name, weight(tensor))).collect()
}
