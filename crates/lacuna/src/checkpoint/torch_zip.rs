//! `torch.save` since torch 1.6 and `torch.jit.save`: a zip archive with a pickle and one entry per storage.
//!
//! Torch stores its entries uncompressed so that they can be mapped. Compressed ones are refused, which also rules out
//! archives that unpack to far more than their size.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

use zip::{CompressionMethod, ZipArchive};

use super::container::{Container, Contents};
use super::{Element, Parsed, pickle, torch_tree};

/// The entry with the pickle, within the archive's one folder.
const PICKLE: &str = "data.pkl";
/// Entries that only TorchScript archives have.
const SCRIPT_ENTRIES: [&str; 2] = ["constants.pkl", "code/"];
/// Limit of the archive's directory and local headers in bytes. A big-lama training checkpoint with 5,000 storages has
/// about 600,000, plus 64 KiB in which the zip reader searches for the directory.
const DIRECTORY_BYTES: u64 = 16 << 20;

/// Finds the tensors.
pub(super) fn read(file: &[u8]) -> Parsed<Contents> {
    let entries = Entries::read(file)?;
    let root = entries.root()?;
    if let Some(order) = entries.get(&format!("{root}byteorder"))
        && &file[order.stored()?] != b"little"
    {
        return Err("was not written on a little-endian machine".into());
    }
    let script = entries.0.keys().any(|name| {
        name.strip_prefix(&root)
            .is_some_and(|name| SCRIPT_ENTRIES.iter().any(|entry| name.starts_with(entry)))
    });
    let container = if script { Container::TorchScript } else { Container::TorchZip };

    let bytes = entries.0[&format!("{root}{PICKLE}")].stored()?;
    if bytes.len() > pickle::limits::PICKLE_BYTES {
        return Err(format!("has a pickle of {} bytes, over {}", bytes.len(), pickle::limits::PICKLE_BYTES));
    }
    let mut used = HashMap::from([(PICKLE.to_owned(), bytes.clone())]);
    let saved = pickle::read(&file[bytes])?;
    let mut tensors = BTreeMap::new();
    for (name, tensor) in torch_tree::named_tensors(&saved)? {
        let key = saved.text(tensor.storage.key).unwrap_or_default();
        let storage = entries.storage(&root, key, &name, tensor.storage)?;
        used.insert(format!("data/{key}"), storage.clone());
        tensors.insert(name, torch_tree::stored(tensor, storage));
    }
    check_apart(used)?;
    Ok(Contents::torch(container, tensors))
}

/// Torch writes no entries that overlap.
fn check_apart(used: HashMap<String, Range<usize>>) -> Parsed<()> {
    let mut used: Vec<_> = used.into_iter().filter(|(_, range)| !range.is_empty()).collect();
    used.sort_by_key(|(_, range)| range.start);
    match used.windows(2).find(|pair| pair[0].1.end > pair[1].1.start) {
        Some(pair) => Err(format!("has overlapping entries {} and {}", pair[0].0, pair[1].0)),
        None => Ok(()),
    }
}

/// Names of entries whose bytes do not match their checksum in the archive.
pub(super) fn damaged_entries(file: &[u8]) -> Parsed<Vec<String>> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(malformed)?;
    let mut damaged = Vec::new();
    for index in 0..archive.len() {
        if archive.by_index_raw(index).map_err(malformed)?.compression() != CompressionMethod::Stored {
            continue; // TorchScript's source code, which is not read
        }
        let mut entry = archive.by_index(index).map_err(malformed)?;
        if std::io::copy(&mut entry, &mut std::io::sink()).is_err() {
            damaged.push(entry.name().map_err(malformed)?.into_owned());
        }
    }
    Ok(damaged)
}

fn malformed(problem: zip::result::ZipError) -> String {
    format!("is a malformed zip archive: {problem}")
}

/// The locations of the archive's entries, by name.
struct Entries(HashMap<String, Entry>);

struct Entry {
    name: String,
    bytes: Range<usize>,
    plain: bool,
}

impl Entry {
    /// The entry's bytes in the file.
    fn stored(&self) -> Parsed<Range<usize>> {
        if self.plain {
            Ok(self.bytes.clone())
        } else {
            Err(format!("has a compressed or encrypted entry {}, torch stores them plainly", self.name))
        }
    }
}

impl Entries {
    fn read(file: &[u8]) -> Parsed<Self> {
        let reader = Budgeted { inner: Cursor::new(file), left: DIRECTORY_BYTES };
        let mut archive = ZipArchive::new(reader).map_err(malformed)?;
        let mut entries = HashMap::with_capacity(archive.len());
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).map_err(malformed)?;
            let name = entry.name().map_err(malformed)?.into_owned();
            let plain = entry.compression() == CompressionMethod::Stored
                && !entry.encrypted()
                && entry.size() == entry.compressed_size();
            let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
            let end =
                start.and_then(|start| start.checked_add(usize::try_from(entry.compressed_size()).ok()?));
            let (Some(start), Some(end)) = (start, end.filter(|&end| end <= file.len())) else {
                return Err(format!("has an entry {name} that leaves the file"));
            };
            entries.insert(name.clone(), Entry { name, bytes: start..end, plain });
        }
        Ok(Self(entries))
    }

    fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// The archive's folder with its slash: the prefix of `data.pkl`.
    fn root(&self) -> Parsed<String> {
        let mut roots = self.0.keys().filter_map(|name| {
            let root = name.strip_suffix(PICKLE)?;
            // At the top level or in one folder; deeper ones belong to other packed files.
            (root.is_empty() || root.ends_with('/') && root.matches('/').count() == 1)
                .then(|| root.to_owned())
        });
        match (roots.next(), roots.next()) {
            (Some(root), None) => Ok(root),
            (Some(_), Some(_)) => Err(format!("is a zip archive with several {PICKLE}")),
            (None, _) => {
                Err(format!("is a zip archive without {PICKLE}, so torch (1.6 or newer) did not write it"))
            }
        }
    }

    fn storage(&self, root: &str, key: &str, name: &str, storage: pickle::Storage) -> Parsed<Range<usize>> {
        let entry =
            self.get(&format!("{root}data/{key}")).ok_or_else(|| format!("has no numbers for {name}"))?;
        let bytes = entry.stored()?;
        let described = storage.count.checked_mul(storage.element.bytes());
        if described != Some(bytes.len()) && storage.element != Element::Other(1) {
            return Err(format!(
                "holds {} bytes in {}, {} elements of {:?} are described",
                bytes.len(),
                entry.name,
                storage.count,
                storage.element
            ));
        }
        Ok(bytes)
    }
}

/// A reader with a limit on bytes: the archive's directory determines how much memory the zip reader uses.
struct Budgeted<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| std::io::Error::other(format!("its directory is over {DIRECTORY_BYTES} bytes")))?;
        Ok(read)
    }
}

impl<R: Seek> Seek for Budgeted<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use testkit::checkpoints::{PickleWriter, zip};

    use super::*;

    fn pickle(count: i64, shape: &[i64]) -> Vec<u8> {
        let mut writer = PickleWriter::new();
        writer.dictionary(|writer| {
            writer.text("a").tensor("FloatStorage", "0", count, 0, shape, &[1]);
        });
        writer.finish()
    }

    #[test]
    fn storages_are_entries() {
        let file = zip(&[("net/data.pkl", &pickle(2, &[2])), ("net/data/0", &[1; 8])]);
        let contents = read(&file).unwrap();
        assert_eq!(contents.container, Container::TorchZip);
        assert_eq!(&file[contents.tensors["a"].storage.clone()], &[1; 8]);
        assert_eq!(damaged_entries(&file), Ok(vec![]));
    }

    #[test]
    fn damage_is_found_by_checksum() {
        let mut file = zip(&[("net/data.pkl", &pickle(2, &[2])), ("net/data/0", &[1; 8])]);
        let at = read(&file).unwrap().tensors["a"].storage.start;
        file[at] ^= 0x40;
        assert_eq!(damaged_entries(&file), Ok(vec!["net/data/0".to_owned()]));
    }

    #[test]
    fn archives_that_torch_did_not_write_are_refused() {
        let good = pickle(2, &[2]);
        let attack = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.";
        struct Case<'a>(&'a [(&'a str, &'a [u8])], &'a str);
        let cases = [
            Case(&[("readme", b"x")], "without data.pkl"),
            Case(&[("a/data.pkl", &good), ("b/data.pkl", &good)], "several"),
            Case(&[("a/data.pkl", &good)], "no numbers for a"),
            Case(&[("a/data.pkl", &good), ("a/data/0", &[0; 7])], "7 bytes"),
            Case(&[("a/data.pkl", &good), ("a/data/0", &[0; 8]), ("a/byteorder", b"big")], "little-endian"),
            Case(&[("a/data.pkl", attack)], "os.system"),
        ];
        for Case(entries, expected) in cases {
            let problem = read(&zip(entries)).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn entries_that_share_bytes_are_refused() {
        let used = |second| {
            HashMap::from([("a".to_owned(), 0..8), ("b".to_owned(), second), ("c".to_owned(), 4..4)])
        };
        assert_eq!(check_apart(used(8..9)), Ok(()));
        assert!(check_apart(used(7..9)).unwrap_err().contains("a and b"));
    }

    /// The directory says "deflated": its method is the two bytes at 10 of each central header.
    #[test]
    fn compressed_entries_are_refused() {
        let mut file = zip(&[("a/data.pkl", &pickle(2, &[2])), ("a/data/0", &[0; 8])]);
        for at in 0..file.len() - 4 {
            if file[at..].starts_with(b"PK\x01\x02") {
                file[at + 10] = 8;
            }
        }
        assert!(read(&file).unwrap_err().contains("compressed"));
    }

    #[test]
    fn directories_without_end_are_refused() {
        let mut reader = Budgeted { inner: Cursor::new([0; 10]), left: 9 };
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }
}
