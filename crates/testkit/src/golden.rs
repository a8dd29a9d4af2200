//! Results that must not change, kept as text files in `fixtures/golden`.

use sha2::{Digest, Sha256};

use crate::fixtures;

/// The environment variable that, set to 1, writes golden files instead of comparing with them: for results that change on
/// purpose.
const WRITE_VARIABLE: &str = "LACUNA_WRITE_GOLDEN";

/// Compares `text` with the golden file of this name, line by line.
///
/// # Panics
/// If they differ, with the first line that does; if the file cannot be read or written.
#[track_caller]
pub fn assert_golden(name: &str, text: &str) {
    let path = fixtures::path("golden").join(name);
    if std::env::var_os(WRITE_VARIABLE).is_some_and(|value| value == "1") {
        std::fs::write(&path, text).expect("a golden file can be written");
        return;
    }
    let golden = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error} ({WRITE_VARIABLE}=1 writes it)", path.display()));
    for (index, (found, expected)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {name}", index + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count(), "lines of {name}");
}

/// The SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of the bits of some values, in hexadecimal.
pub fn sha256_of_bits(values: &[f32]) -> String {
    sha256(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_by_the_book() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha256_of_bits(&[0.0]), sha256(&[0; 4]));
        assert_ne!(sha256_of_bits(&[0.0]), sha256_of_bits(&[-0.0]));
    }

    #[test]
    #[should_panic(expected = "golden")]
    fn a_missing_file_is_a_failure() {
        assert_golden("absent/absent.txt", "text");
    }
}
