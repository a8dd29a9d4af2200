//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::Error;

/// Writes `path` by way of a temporary file beside it, which is synced and renamed once it is complete.
///
/// # Errors
/// What `write` says, or [`Error::Write`].
pub fn write_atomically<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |source| Error::Write { path: path.into(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut buffer = BufWriter::new(file.reopen().map_err(failed)?);
    write(&mut buffer)?;
    buffer.flush().map_err(failed)?;
    buffer.get_ref().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
