//! Detects the kind of a weights file by its content, and finds the tensors in it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Parsed, Stored, pickle, safetensors_file, torch_legacy, torch_zip};

/// The container formats of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// Lacuna's own: safetensors with the network's configuration in the header.
    Lacuna,
    /// safetensors with LaMa's keys.
    Safetensors,
    /// `torch.save` since torch 1.6: a zip archive (`.ckpt`, `.pth`).
    TorchZip,
    /// `torch.save` before torch 1.6: pickles followed by bare numbers.
    TorchLegacy,
    /// `torch.jit.save`: a zip archive of modules with their code (`.pt`).
    TorchScript,
}

/// The contents of a file, before the network is identified.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The kind of file.
    pub container: Container,
    /// All tensors by their names in the file.
    pub tensors: BTreeMap<String, Stored>,
    /// The safetensors `__metadata__`; empty for other containers.
    pub metadata: HashMap<String, String>,
}

impl Contents {
    /// Contents without metadata.
    pub fn torch(container: Container, tensors: BTreeMap<String, Stored>) -> Self {
        Self { container, tensors, metadata: HashMap::new() }
    }
}

/// First bytes of a zip archive's first entry.
const ZIP: &[u8] = b"PK\x03\x04";
/// Offset and value of the tar format's magic number.
const TAR: (usize, &[u8]) = (257, b"ustar");
/// A safetensors file begins with the header's length in this many bytes; the header begins with a brace.
const SAFETENSORS_LENGTH: usize = 8;

/// Reads the index of a weights file.
///
/// # Errors
/// The problem of the file, or what it seems to be instead.
pub(crate) fn read(file: &[u8]) -> Parsed<Contents> {
    if file.is_empty() {
        return Err("is empty".into());
    }
    if file.starts_with(ZIP) {
        return torch_zip::read(file);
    }
    if file.get(TAR.0..TAR.0 + TAR.1.len()) == Some(TAR.1) {
        return Err(
            "is a tar archive, as torch before 0.4 wrote them: load and save it with a newer torch".into()
        );
    }
    if torch_legacy::is_legacy(file) {
        return torch_legacy::read(file);
    }
    if file.get(SAFETENSORS_LENGTH) == Some(&b'{') {
        return safetensors_file::read(file);
    }
    // Old pickles have no magic number. Reading them as pickles gives attacks their own error message.
    match pickle::read(file) {
        Ok(_) => Err("is a pickle, but not one of torch's weight files".into()),
        Err(problem) => Err(format!(
            "is no weights file: neither safetensors nor written by torch.save or torch.jit.save \
             (as a pickle, it {problem})"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_other_files_are() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (&tar, "before 0.4"),
            (b"\x89PNG\r\n\x1a\n0000", "no weights file"),
            (b"(dp0\n.", "not one of torch's"),
            (b"\x80\x02}q\x00.", "not one of torch's"),
            (b"\x80\x09.", "protocol 9"),
            (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
            (b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.", "posix.system"),
            (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", "builtins.eval"),
            (b"\x80\x02cbuiltins\ngetattr\n.", "builtins.getattr"),
            (b"(S'true'\nisubprocess\nPopen\n.", "subprocess.Popen"),
        ];
        for &(file, expected) in cases {
            let problem = read(file).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
