//! Every float tensor of a weights file, whatever network it is of.

use std::collections::BTreeMap;
use std::path::Path;

use super::container;
use super::map::Map;
use super::open::printable;
use crate::{Error, Result};

/// The values of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, FloatTensor>;

/// Reads the float tensors of a safetensors file or of what `torch.save` wrote; counters and the like are left out. Nothing
/// in a pickle is executed.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read; [`Error::Checkpoint`] if it is no weights file, is damaged or hostile.
pub fn read_tensors(path: &Path) -> Result<Tensors> {
    let map = Map::open(path)?;
    parse_tensors(map.bytes())
        .map_err(|problem| Error::checkpoint(path.display().to_string(), printable(&problem)))
}

/// The float tensors of a weights file's content, as [`read_tensors`].
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_tensors(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    let contents = container::read(bytes)?;
    let floats = contents.tensors.into_iter().filter(|(_, stored)| stored.element.is_float());
    let tensors = floats.map(|(name, stored)| {
        stored.check(bytes.len()).map_err(|problem| format!("{name} {problem}"))?;
        let values = stored.values(bytes).into_owned();
        Ok((name, FloatTensor { shape: stored.shape, values }))
    });
    tensors.collect()
}

/// Takes the values of the tensor called `name`, if it has this shape.
///
/// # Errors
/// What is missing or has which other shape, in words.
pub fn take_tensor(
    tensors: &mut Tensors,
    name: &str,
    shape: &[usize],
) -> std::result::Result<Vec<f32>, String> {
    match tensors.remove(name) {
        Some(tensor) if tensor.shape == shape => Ok(tensor.values),
        Some(tensor) => Err(format!("{name}: expected {shape:?}, found {:?}", tensor.shape)),
        None => Err(format!("{name}: expected {shape:?}, found nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fixtures;

    #[test]
    fn a_fixture_is_read_and_other_files_are_not() {
        let path = fixtures::path("control/weights.safetensors");
        let tensors = read_tensors(&path).unwrap();
        assert!(tensors.values().all(|tensor| tensor.values.len() == tensor.shape.iter().product::<usize>()));
        assert!(tensors.len() > 50);
        let text = fixtures::path("losses.json");
        assert!(read_tensors(&text).unwrap_err().to_string().contains("no weights file"));
    }

    #[test]
    fn tensors_are_taken_by_name_and_shape() {
        let tensor = FloatTensor { shape: vec![2], values: vec![1.5, -2.0] };
        let mut tensors = Tensors::from([("a".to_owned(), tensor)]);
        assert_eq!(take_tensor(&mut tensors.clone(), "a", &[2]), Ok(vec![1.5, -2.0]));
        assert_eq!(take_tensor(&mut tensors, "a", &[3]).unwrap_err(), "a: expected [3], found [2]");
        assert_eq!(take_tensor(&mut tensors, "b", &[1]).unwrap_err(), "b: expected [1], found nothing");
        assert!(parse_tensors(b"nothing").is_err());
    }
}
