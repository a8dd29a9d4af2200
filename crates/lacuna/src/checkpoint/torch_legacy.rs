//! `torch.save` before torch 1.6: five pickles, then the values of each storage.
//!
//! The pickles are a magic number, the protocol version, system information, the saved value, and the keys of the
//! storages in the order of their values, each of which is preceded by its count.

use std::collections::{BTreeMap, HashMap};

use super::container::{Container, Contents};
use super::pickle::{self, Node, Pickle};
use super::{Element, Parsed, torch_tree};

/// Torch's magic number 0x1950a86a20f9469cfc6c, as a `LONG1` instruction with ten bytes and the end.
const MAGIC: &[u8] = &[0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
/// The magic number comes after the protocol (2 bytes) and, since pickle protocol 4, a frame (9 bytes).
const MAGIC_WITHIN: usize = 2 + 9 + MAGIC.len();
/// The only version of this format.
const VERSION: i64 = 1001;
/// Bytes of a storage's count.
const COUNT_BYTES: usize = 8;

/// Whether `file` starts with torch's magic number.
pub(super) fn is_legacy(file: &[u8]) -> bool {
    file[..file.len().min(MAGIC_WITHIN)].windows(MAGIC.len()).any(|bytes| bytes == MAGIC)
}

/// Finds the tensors.
pub(super) fn read(file: &[u8]) -> Parsed<Contents> {
    let mut rest = Rest { file, position: 0 };
    rest.pickle()?; // the magic number
    let version = rest.pickle()?;
    match version.node(version.root) {
        Node::Integer(VERSION) => {}
        other => return Err(format!("is of torch's old format version {other:?}, known is {VERSION}")),
    }
    let machine = rest.pickle()?;
    if let Some(id) = machine.entry(machine.root, "little_endian")
        && matches!(machine.node(id), Node::Bool(false))
    {
        return Err("was written on a big-endian machine".into());
    }
    let saved = rest.pickle()?;
    let keys = rest.pickle()?;
    let storages = rest.storages(&saved, &keys)?;

    let mut tensors = BTreeMap::new();
    for (name, tensor) in torch_tree::named_tensors(&saved)? {
        let key = saved.text(tensor.storage.key).unwrap_or_default();
        let found = storages.get(key).ok_or_else(|| format!("has no numbers for {name}"))?;
        tensors.insert(name, torch_tree::stored(tensor, found.clone()));
    }
    Ok(Contents::torch(Container::TorchLegacy, tensors))
}

struct Rest<'a> {
    file: &'a [u8],
    position: usize,
}

impl<'a> Rest<'a> {
    fn pickle(&mut self) -> Parsed<Pickle<'a>> {
        let pickle = pickle::read(&self.file[self.position..])?;
        self.position += pickle.length;
        Ok(pickle)
    }

    /// The location of each storage's values, by key.
    fn storages(&mut self, saved: &Pickle, keys: &Pickle) -> Parsed<HashMap<String, std::ops::Range<usize>>> {
        let mut described: HashMap<&str, (Element, usize)> = HashMap::new();
        for node in saved.nodes() {
            let Node::Storage(storage) = node else { continue };
            let Some(key) = saved.text(storage.key) else { continue };
            let description = (storage.element, storage.count);
            if described.insert(key, description).is_some_and(|earlier| earlier != description) {
                return Err(format!("describes storage {key:?} in two ways"));
            }
        }
        let Node::Sequence(order) = keys.node(keys.root) else {
            return Err("has no list of its storages".into());
        };
        let mut found = HashMap::with_capacity(order.len());
        for &id in order {
            let key = keys.text(id).ok_or("has a storage key that is not text")?;
            let &(element, count) = described
                .get(key)
                .ok_or_else(|| format!("holds storage {key:?} of an unknown kind, so its size is unknown"))?;
            let range = self.numbers(key, element, count)?;
            if found.insert(key.to_owned(), range).is_some() {
                return Err(format!("holds storage {key:?} twice"));
            }
        }
        Ok(found)
    }

    fn numbers(&mut self, key: &str, element: Element, expected: usize) -> Parsed<std::ops::Range<usize>> {
        let broken = || format!("breaks off in storage {key:?}");
        let (count, numbers) =
            self.file[self.position..].split_first_chunk::<COUNT_BYTES>().ok_or_else(broken)?;
        let count = u64::from_le_bytes(*count);
        if usize::try_from(count) != Ok(expected) {
            return Err(format!("holds {count} elements in storage {key:?}, {expected} are described"));
        }
        let bytes = expected
            .checked_mul(element.bytes())
            .filter(|&bytes| bytes <= numbers.len())
            .ok_or_else(broken)?;
        let start = self.position + COUNT_BYTES;
        self.position = start + bytes;
        Ok(start..start + bytes)
    }
}

#[cfg(test)]
mod tests {
    use testkit::checkpoints::PickleWriter;

    use super::*;

    /// A file with one tensor "a" of `shape` in a storage of three floats, preceded by the count `count`.
    fn file(version: i64, shape: &[i64], count: u64, numbers: usize) -> Vec<u8> {
        let mut bytes = [&[0x80, 2][..], MAGIC].concat();
        bytes.extend(PickleWriter::new().integer(version).finish());
        bytes.extend(PickleWriter::new().dictionary(|_| {}).finish());
        let mut saved = PickleWriter::new();
        saved.dictionary(|writer| {
            writer.text("a").tensor("FloatStorage", "7", 3, 0, shape, &[1]);
        });
        bytes.extend(saved.finish());
        bytes.extend(
            PickleWriter::new()
                .list(|writer| {
                    writer.text("7");
                })
                .finish(),
        );
        bytes.extend(count.to_le_bytes());
        bytes.extend(vec![0; numbers]);
        bytes
    }

    #[test]
    fn numbers_follow_their_count() {
        let file = file(VERSION, &[3], 3, 12);
        assert!(is_legacy(&file));
        let tensor = &read(&file).unwrap().tensors["a"];
        assert_eq!(tensor.storage, file.len() - 12..file.len());
    }

    #[test]
    fn counts_that_lie_are_refused() {
        for (broken, expected) in [
            (file(1000, &[3], 3, 12), "version"),
            (file(VERSION, &[3], 4, 16), "4 elements"),
            (file(VERSION, &[3], u64::MAX, 12), "elements"),
            (file(VERSION, &[3], 3, 11), "breaks off"),
            (file(VERSION, &[-3], 3, 12), "impossible size"),
            (file(VERSION, &[1, 3], 3, 12), "2 sizes and 1 strides"),
        ] {
            let problem = read(&broken).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
