//! Every float tensor of a weights file, whatever network it is of.

use std::collections::BTreeMap;
use std::path::Path;

use super::container;
use super::map::Map;
use super::open::printable;
use crate::{Error, Result};

/// The numbers of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub values: Vec<f32>,
}

/// Reads the float tensors of a safetensors file or of what `torch.save` wrote; counters and the like are left out. Nothing
/// in a pickle is executed.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read; [`Error::Checkpoint`] if it is no weights file, is damaged or hostile.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, FloatTensor>> {
    let map = Map::open(path)?;
    let bytes = map.bytes();
    let failed = |problem: String| Error::checkpoint(path.display().to_string(), printable(&problem));
    let contents = container::read(bytes).map_err(failed)?;
    let floats = contents.tensors.into_iter().filter(|(_, stored)| stored.element.is_float());
    let tensors = floats.map(|(name, stored)| {
        stored.check(bytes.len()).map_err(|problem| failed(format!("{name} {problem}")))?;
        let values = stored.values(bytes).into_owned();
        Ok((name, FloatTensor { shape: stored.shape, values }))
    });
    tensors.collect()
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
}
