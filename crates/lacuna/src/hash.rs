//! SHA-256 of bytes and files, in hexadecimal.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// Bytes of a file read at a time.
const BLOCK: usize = 1 << 16;

/// The SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of all bytes that `parts` adds, one after another.
pub(crate) fn sha256_of_parts(parts: impl FnOnce(&mut dyn FnMut(&[u8]))) -> String {
    let mut hash = Sha256::new();
    parts(&mut |bytes| hash.update(bytes));
    hexadecimal(&hash.finalize())
}

/// The first eight bytes of the SHA-256 of bytes, as a big-endian number: a short hash that other programs can compute.
pub fn sha256_number(bytes: &[u8]) -> u64 {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let [first, ..] = digest.as_chunks::<8>().0 else { unreachable!("32 bytes are four chunks") };
    u64::from_be_bytes(*first)
}

/// The SHA-256 of a file, read in blocks.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read.
pub fn sha256_of_file(path: &Path) -> Result<String> {
    let failed = |source| Error::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(failed)?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            length => hash.update(&block[..length]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_files_hash_alike() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        let parts = sha256_of_parts(|add| {
            add(b"a");
            add(b"bc");
        });
        assert_eq!(parts, abc);
        assert_eq!(sha256_number(b"abc"), 0xba78_16bf_8f01_cfea);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(sha256_of_file(file.path()).unwrap(), abc);
        assert!(sha256_of_file(Path::new("no such file")).is_err());
    }
}
