//! A memory-mapped file, or bytes of the program: weights are read in place, not copied.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::{Error, Result};

/// Bytes at a fixed address.
#[derive(Debug)]
pub(crate) enum Map {
    /// A file, mapped read-only.
    File(Mmap),
    /// An empty file, which several systems refuse to map, or bytes of the program itself.
    Program(&'static [u8]),
}

impl Map {
    /// Maps the file at `path`; an empty file has no bytes.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be opened or is not a plain file.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(std::io::Error::other("not a plain file")));
        }
        if metadata.len() == 0 {
            return Ok(Self::Program(&[]));
        }
        map(&file).map(Self::File).map_err(failed)
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::File(map) => map,
            Self::Program(bytes) => bytes,
        }
    }

    /// Releases the memory of pages that were read; they are read from the file again on the next access.
    pub fn release(&self) {
        #[cfg(target_os = "linux")]
        if let Self::File(map) = self {
            drop_pages(map);
        }
    }
}

/// Without this a loaded model counts twice for a moment: in the file's pages and in the engine's own order.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the call destroys what was written to private memory, of which a file's map has none"
)]
fn drop_pages(map: &Mmap) {
    // SAFETY: the map is read-only, so every page holds what the file holds and comes back from there.
    let dropped = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
    // A hint: without it the pages stay in memory until the file is closed.
    let _ = dropped;
}

/// This and [`drop_pages`] are the only `unsafe` in this crate.
#[expect(unsafe_code, reason = "mapping a file is the only way to read weights without a copy")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read-only and private to `Map`, which hands out shared slices of plain bytes only;
    // any bit pattern is a valid byte. What remains is another program changing or truncating the file while
    // it is mapped: Lacuna itself never does (it writes to a temporary name and renames), and whoever else
    // writes into a weights file in use gets wrong weights or a bus error, as with every program that maps
    // its files.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_what_the_file_holds_and_refuses_folders() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, b"abc").unwrap();
        let map = Map::open(&path).unwrap();
        assert_eq!(map.bytes(), b"abc");
        map.release();
        assert_eq!(map.bytes(), b"abc");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(Map::open(&path).unwrap().bytes(), b"");
        assert!(matches!(Map::open(folder.path()), Err(Error::Read { .. })));
        assert!(matches!(Map::open(&folder.path().join("absent")), Err(Error::Read { .. })));
    }
}
