//! Named tensors of a safetensors file, read whole.

use std::collections::BTreeMap;
use std::path::Path;

use half::f16;
use lacuna_nets::weights::Weight;
use safetensors::{Dtype, SafeTensors};

use crate::{Error, Result};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Weight>;

/// All tensors of a file; 16-bit floats are widened.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read, [`Error::Weights`] if it is no safetensors file or holds anything but floats.
pub fn read(path: &Path) -> Result<Tensors> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&bytes).map_err(|problem| Error::Weights { path: path.to_owned(), problem })
}

/// All tensors of a file's content, or what is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let values = match view.dtype() {
                Dtype::F32 => bytemuck::pod_collect_to_vec::<u8, f32>(view.data()),
                Dtype::F16 => view
                    .data()
                    .chunks_exact(2)
                    .map(|bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32())
                    .collect(),
                other => return Err(format!("{name} holds {other:?}, expected F32 or F16")),
            };
            Ok((name, Weight { shape: view.shape().to_vec(), values }))
        })
        .collect()
}
