//! From the bytes of a file to the tensors of one network, for any container.

use std::collections::BTreeMap;

use super::container::{self, Container};
use super::header::Header;
use super::{Architecture, Parsed, Stored, lama};

/// Names that an error lists.
pub(super) const NAMES_SHOWN: usize = 10;

/// The complete weights of one network, located in a file.
#[derive(Debug)]
pub(super) struct Weights {
    /// The network's configuration.
    pub config: Architecture,
    /// A description of the weights' origin; only in Lacuna's own files.
    pub provenance: Option<String>,
    /// The kind of file.
    pub container: Container,
    /// The prefix of LaMa's layer numbers; empty for Lacuna's own files.
    pub prefix: String,
    /// Prefixes of other generators in the file.
    pub other_generators: Vec<String>,
    /// All tensors of the network, by name, with verified locations in the file.
    pub tensors: BTreeMap<String, Stored>,
    /// Names of all other tensors, as in the file.
    pub skipped: Vec<String>,
}

impl Weights {
    /// Finds the weights in the bytes of a file.
    ///
    /// # Errors
    /// The problem of the file.
    pub fn find(file: &[u8]) -> Parsed<Self> {
        let mut contents = container::read(file)?;
        let weights = match Header::read(&contents.metadata)? {
            Some(header) => {
                let expected = header.config.layers().tensors();
                let tensors = take(expected, &mut contents.tensors, str::to_owned)?;
                if let Some(name) = contents.tensors.keys().next() {
                    return Err(format!("holds {name}, which its network does not have"));
                }
                Self {
                    config: header.config,
                    provenance: Some(header.provenance),
                    container: Container::Lacuna,
                    prefix: String::new(),
                    other_generators: Vec::new(),
                    tensors,
                    skipped: Vec::new(),
                }
            }
            None => {
                let imported = lama::import::import(contents.tensors)?;
                Self {
                    config: imported.config,
                    provenance: None,
                    container: contents.container,
                    prefix: imported.prefix,
                    other_generators: imported.other_generators,
                    tensors: imported.tensors,
                    skipped: imported.skipped,
                }
            }
        };
        for (name, tensor) in &weights.tensors {
            tensor.check(file.len()).map_err(|problem| format!("{name} {problem}"))?;
        }
        Ok(weights)
    }
}

/// Takes the `expected` tensors of a network, names and shapes, out of `tensors`, by `key(name)`.
///
/// # Errors
/// If some are missing or have another shape, with the names of the first ten.
pub(crate) fn take(
    expected: Vec<(String, Vec<usize>)>,
    tensors: &mut BTreeMap<String, Stored>,
    key: impl Fn(&str) -> String,
) -> Parsed<BTreeMap<String, Stored>> {
    let total = expected.len();
    let mut taken = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, shape) in expected {
        let key = key(&name);
        let label = if key == name { name.clone() } else { format!("{name} ({key})") };
        match tensors.remove(&key) {
            Some(tensor) if tensor.shape == shape => {
                taken.insert(name, tensor);
            }
            Some(tensor) => problems.push(format!("{label}: expected {shape:?}, found {:?}", tensor.shape)),
            None => problems.push(format!("{label}: expected {shape:?}, found nothing")),
        }
    }
    if problems.is_empty() {
        return Ok(taken);
    }
    let more = problems.len().saturating_sub(NAMES_SHOWN);
    let mut message = format!("lacks {} of the {total} tensors of its network: ", problems.len());
    problems.truncate(NAMES_SHOWN);
    message += &problems.join("; ");
    if more > 0 {
        message += &format!("; and {more} more");
    }
    Err(message)
}
