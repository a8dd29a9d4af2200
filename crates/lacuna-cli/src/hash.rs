//! SHA-256 of files and texts, in hexadecimal.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Bytes that are read at a time for a hash.
const BLOCK: usize = 1 << 16;

/// A file's SHA-256 in hexadecimal.
///
/// # Errors
/// If the file cannot be read.
pub fn hash_file(path: &Path) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        match file.read(&mut block).with_context(context)? {
            0 => return Ok(hex(hash.finalize().as_slice())),
            length => hash.update(&block[..length]),
        }
    }
}

/// A text's SHA-256 in hexadecimal.
pub fn hash_text(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()).as_slice())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_texts_hash_alike() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_text("abc"), abc);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(hash_file(file.path()).unwrap(), abc);
    }
}
