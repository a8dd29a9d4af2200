//! Atomic file writes: a file is either the old one or the new one.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::Error;

/// Writes the file at `path` through `write`: under a temporary name in the same folder, synced, then renamed.
///
/// If `write` fails, or the program ends, the file at `path` is unchanged. The permissions of an existing file are
/// kept. A symbolic link is kept, and the file that it points to is replaced.
///
/// # Errors
/// The error of `write`, or [`Error::Write`].
pub fn write_atomically<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let target = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path).map_err(failed)?,
        _ => path.to_owned(),
    };
    let folder = folder_of(&target);
    let temporary = temporary_file(&target, &folder).map_err(failed)?;
    let file = temporary.reopen().map_err(failed)?;
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.flush().map_err(failed)?;
    writer.get_ref().sync_all().map_err(failed)?;
    drop(writer);
    temporary.persist(&target).map_err(|problem| failed(problem.error))?;
    sync_folder(&folder).map_err(failed)?;
    Ok(())
}

/// Writes `bytes` to the file at `path`, like [`write_atomically`].
///
/// # Errors
/// [`Error::Write`].
pub fn write_bytes_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_atomically(path, |file| {
        file.write_all(bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
    })
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A new file with the target's permissions, or the default ones.
fn temporary_file(target: &Path, folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".lacuna-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The mode of `File::create`, before the process's umask.
        const PLAIN_FILE: u32 = 0o666;
        builder.permissions(fs::Permissions::from_mode(PLAIN_FILE));
    }
    let temporary = builder.tempfile_in(folder)?;
    if let Ok(metadata) = fs::metadata(target) {
        fs::set_permissions(temporary.path(), metadata.permissions())?;
    }
    Ok(temporary)
}

/// Makes the rename survive a power failure.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems cannot sync folders.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) -> Result<(), Error> {
        write_atomically(path, |file| {
            file.write_all(text.as_bytes()).map_err(|source| Error::Write { path: path.to_owned(), source })
        })
    }

    #[test]
    fn replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "old").unwrap();
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "old").unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"half").unwrap();
            Err(Error::Argument("no".into()))
        });
        assert!(matches!(failed, Err(Error::Argument(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(write(&folder.path().join("absent/file"), ""), Err(Error::Write { .. })));
        assert!(matches!(write(folder.path(), ""), Err(Error::Write { .. })), "a folder is not replaced");
    }

    #[cfg(unix)]
    #[test]
    fn keeps_permissions_and_links() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        write(&path, "old").unwrap();
        let created = folder.path().join("created");
        File::create(&created).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&created));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(&path) & 0o777, 0o640);
    }
}
