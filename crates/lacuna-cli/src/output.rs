//! Writing to standard output, which may be a pipe that its reader closes.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes a line of data to standard output. A reader that closes the pipe early (`| head`) is not an error.
///
/// # Errors
/// If standard output cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
