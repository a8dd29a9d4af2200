//! Writing to standard output, which may be a pipe that somebody closes.

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};

/// Writes a line of data to standard output. A reader who has seen enough (`| head`) is no failure.
///
/// # Errors
/// If standard output cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
