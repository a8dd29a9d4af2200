//! Named tensors of a safetensors file, read into memory.

use std::collections::BTreeMap;
use std::path::Path;

use half::f16;
use safetensors::{Dtype, SafeTensors};

use crate::{Error, Result};

/// The values of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Reads all tensors of a file; 16-bit floats are converted.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read, [`Error::Weights`] if it is not a safetensors file or contains other
/// types than floats.
pub fn read(path: &Path) -> Result<Tensors> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&bytes).map_err(|problem| Error::Weights { path: path.to_owned(), problem })
}

/// All tensors in the bytes of a file.
///
/// # Errors
/// What is wrong with it, as text.
pub fn parse(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        let values = match view.dtype() {
            Dtype::F32 => bytemuck::pod_collect_to_vec::<u8, f32>(view.data()),
            Dtype::F16 => {
                let pairs = view.data().chunks_exact(2);
                pairs.map(|bytes| f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()).collect()
            }
            other => return Err(format!("{name}: expected F32 or F16, found {other:?}")),
        };
        Ok((name, Tensor { shape: view.shape().to_vec(), values }))
    });
    tensors.collect()
}

/// Removes and returns the values of the tensor called `name`, if it has this shape.
///
/// # Errors
/// The tensor that is missing or has another shape, as text.
pub fn take(tensors: &mut Tensors, name: &str, shape: &[usize]) -> std::result::Result<Vec<f32>, String> {
    match tensors.remove(name) {
        Some(tensor) if tensor.shape == shape => Ok(tensor.values),
        Some(tensor) => Err(format!("{name}: expected {shape:?}, found {:?}", tensor.shape)),
        None => Err(format!("{name}: expected {shape:?}, found nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize};

    #[test]
    fn both_kinds_of_floats_are_read_and_others_named() {
        let file = |dtype, bytes: &[u8]| {
            serialize([("a", TensorView::new(dtype, vec![2], bytes).unwrap())], None).unwrap()
        };
        let halves: Vec<u8> =
            [1.5, -2.0].iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        let mut tensors = parse(&file(Dtype::F16, &halves)).unwrap();
        assert_eq!(take(&mut tensors.clone(), "a", &[2]), Ok(vec![1.5, -2.0]));
        assert_eq!(take(&mut tensors, "a", &[3]).unwrap_err(), "a: expected [3], found [2]");
        assert_eq!(take(&mut tensors, "b", &[1]).unwrap_err(), "b: expected [1], found nothing");
        assert!(
            parse(&file(Dtype::I8, &[1, 2])).unwrap_err().starts_with("a: expected F32 or F16, found I8")
        );
        assert!(parse(b"nothing").is_err());
    }
}
