//! Stands for `torch_zip.rs` in WebAssembly, where zip archives are not read.

use super::Parsed;
use super::container::Contents;

/// Refuses the file.
pub(super) fn read(_: &[u8]) -> Parsed<Contents> {
    refused()
}

/// Refuses the file.
pub(super) fn damaged_entries(_: &[u8]) -> Parsed<Vec<String>> {
    refused()
}

fn refused<T>() -> Parsed<T> {
    Err("is an archive of torch, which is not read in WebAssembly: convert it with the program `lacuna`"
        .into())
}
