//! Named tensors of a safetensors file, as networks take them.

use std::collections::BTreeMap;
use std::path::Path;

use lacuna_eval::weights;
use lacuna_nets::weights::Weight;

use crate::Result;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Weight>;

/// All tensors of a file; 16-bit floats are widened.
///
/// # Errors
/// If the file cannot be read, is no safetensors file or holds anything but floats.
pub fn read(path: &Path) -> Result<Tensors> {
    Ok(converted(weights::read(path)?))
}

/// All tensors of a file's content, or what is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    weights::parse(bytes).map(converted)
}

fn converted(tensors: weights::Tensors) -> Tensors {
    let weight = |weights::Tensor { shape, values }| Weight { shape, values };
    tensors.into_iter().map(|(name, tensor)| (name, weight(tensor))).collect()
}
