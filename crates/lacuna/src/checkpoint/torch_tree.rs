//! Finds the named tensors in a torch pickle: a dictionary of weights, or TorchScript's tree of modules.

use std::collections::BTreeMap;
use std::ops::Range;

use super::pickle::{Id, Node, Pickle, Tensor};
use super::{Parsed, Stored};

/// Limit of nested modules. LaMa in TorchScript has nine levels.
const NESTING: usize = 64;
/// Limit of visited values. A tree with repeated references can unfold to far more than the file contains.
const VISITS: usize = 1 << 20;
/// Limit of a tensor's name in bytes; real ones have about seventy.
const NAME_BYTES: usize = 1024;
/// The entry of a training checkpoint with the weights; the rest is optimizer states and settings.
const STATE: &str = "state_dict";

/// All tensors by name. Attributes and keys on the path are joined by dots, as torch names its modules.
///
/// # Errors
/// If the tree is too deep, unfolds too far, or has two tensors of one name.
pub(super) fn named_tensors<'p>(pickle: &'p Pickle<'_>) -> Parsed<BTreeMap<String, &'p Tensor>> {
    let root =
        pickle.entry(pickle.root, STATE).filter(|&id| children(pickle, id).is_some()).unwrap_or(pickle.root);
    let mut tensors = BTreeMap::new();
    let mut open = vec![Branch { id: root, name: String::new(), depth: 0 }];
    let mut visits = 0;
    while let Some(branch) = open.pop() {
        if branch.depth > NESTING {
            return Err(format!("nests its modules deeper than {NESTING} levels"));
        }
        for entry in children(pickle, branch.id).unwrap_or_default() {
            visits += 1;
            if visits > VISITS {
                return Err(format!("unfolds to more than {VISITS} values"));
            }
            let Some(key) = pickle.text(entry.key) else { continue };
            if branch.name.len() + key.len() >= NAME_BYTES {
                return Err(format!("has a tensor name over {NAME_BYTES} bytes"));
            }
            let name =
                || if branch.name.is_empty() { key.to_owned() } else { format!("{}.{key}", branch.name) };
            match pickle.node(entry.value) {
                Node::Tensor(tensor) => {
                    if let Some(_earlier) = tensors.insert(name(), &**tensor) {
                        return Err(format!("has two tensors named {}", name()));
                    }
                }
                Node::Mapping(_) | Node::Object(Some(_)) => {
                    open.push(Branch { id: entry.value, name: name(), depth: branch.depth + 1 });
                }
                _ => {}
            }
        }
    }
    Ok(tensors)
}

struct Branch {
    id: Id,
    name: String,
    depth: usize,
}

/// The entries of a dictionary, or of the dictionary in an object's state.
fn children<'p>(pickle: &'p Pickle<'_>, id: Id) -> Option<&'p [super::pickle::Entry]> {
    let state = match pickle.node(id) {
        Node::Object(Some(state)) => *state,
        _ => id,
    };
    match pickle.node(state) {
        Node::Mapping(entries) => Some(entries),
        _ => None,
    }
}

/// A pickled tensor whose storage is at `storage` in the file.
pub fn stored(tensor: &Tensor, storage: Range<usize>) -> Stored {
    Stored {
        element: tensor.storage.element,
        shape: tensor.shape.clone(),
        strides: tensor.strides.clone(),
        offset: tensor.offset,
        storage,
    }
}

#[cfg(test)]
mod tests {
    use testkit::checkpoints::PickleWriter;

    use super::*;
    use crate::checkpoint::pickle;

    fn names(bytes: &[u8]) -> Parsed<Vec<String>> {
        Ok(named_tensors(&pickle::read(bytes)?)?.into_keys().collect())
    }

    fn tensor(writer: &mut PickleWriter) {
        writer.tensor("FloatStorage", "0", 4, 0, &[4], &[1]);
    }

    #[test]
    fn flat_dictionaries_and_state_dicts() {
        let mut writer = PickleWriter::new();
        writer.dictionary(|writer| {
            writer.text("epoch").integer(3);
            writer.text("state_dict").dictionary(|writer| tensor(writer.text("model.a")));
            writer.text("optimizer_states").dictionary(|writer| tensor(writer.text("hidden")));
        });
        assert_eq!(names(&writer.finish()).unwrap(), ["model.a"]);
    }

    #[test]
    fn trees_of_objects_join_their_attributes() {
        let mut writer = PickleWriter::new();
        writer.object("__torch__.Net", |writer| {
            writer.text("generator").object("__torch__.Inner", |writer| tensor(writer.text("weight")));
            writer.text("training").none();
        });
        assert_eq!(names(&writer.finish()).unwrap(), ["generator.weight"]);
    }

    #[test]
    fn two_tensors_of_one_name_are_an_error() {
        let mut writer = PickleWriter::new();
        writer.dictionary(|writer| {
            tensor(writer.text("a.b"));
            writer.text("a").dictionary(|writer| tensor(writer.text("b")));
        });
        assert!(names(&writer.finish()).unwrap_err().contains("two tensors named a.b"));
    }

    /// Each level contains the one below twice: 2^40 paths in a few hundred bytes.
    #[test]
    fn trees_that_unfold_without_end_are_refused() {
        let mut bytes = vec![b'}', b'q', 0];
        for level in 0..40u8 {
            bytes.extend([
                b'}', b'X', 1, 0, 0, 0, b'a', b'h', level, b's', b'X', 1, 0, 0, 0, b'b', b'h', level, b's',
            ]);
            bytes.extend([b'q', level + 1]);
        }
        bytes.push(b'.');
        assert!(names(&bytes).unwrap_err().contains("unfolds"));
        // A dictionary that contains itself.
        let cycle = [b'}', b'q', 0, b'X', 1, 0, 0, 0, b'a', b'h', 0, b's', b'.'];
        assert!(names(&cycle).unwrap_err().contains("nests"));
    }
}
