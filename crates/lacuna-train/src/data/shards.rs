//! Photos in tar files, indexed in one pass over the headers and read in place.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use lacuna::picture::Format;

use crate::{Error, Result};

/// A photo in a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name in the tar file.
    pub name: PathBuf,
    /// Offset of its first byte.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
}

/// The photos of a tar file, in its order; other members are ignored.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read or ends too early.
pub(super) fn index(path: &Path) -> Result<Vec<Member>> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut members = Vec::new();
    for entry in archive.entries_with_seek().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.path().map_err(failed)?.into_owned();
        let (start, length) = (entry.raw_file_position(), entry.size());
        if start.checked_add(length).is_none_or(|end| end > size) {
            let problem = format!(
                "{} ends at byte {}, the file at {size}",
                name.display(),
                start.saturating_add(length)
            );
            return Err(failed(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, problem)));
        }
        if entry.header().entry_type().is_file() && is_sample(&name) {
            members.push(Member { name, start, length });
        }
    }
    Ok(members)
}

/// Whether a member is its sample's photo. webdataset treats everything after the first dot of a name as its kind, so
/// `1.mask.png` is not a photo. Hidden files are ignored.
fn is_sample(name: &Path) -> bool {
    let file = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Format::reads_extension(name) && !file.starts_with('.') && file.matches('.').count() == 1
}

/// Reads the bytes of a photo.
///
/// # Errors
/// [`Error::Read`].
pub(super) fn read(path: &Path, member: &Member) -> Result<Vec<u8>> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(member.start)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(member.length).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn shard(path: &Path, members: &[(&str, &[u8])]) {
        let mut builder = tar::Builder::new(File::create(path).unwrap());
        for (name, bytes) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.finish().unwrap();
    }

    #[test]
    fn photos_are_found_and_read_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.tar");
        let long = format!("{}/2.png", "x".repeat(150));
        shard(
            &path,
            &[
                ("1.jpg", b"one"),
                ("1.cls", b"7"),
                ("1.mask.png", b"8"),
                ("._1.jpg", b"9"),
                (&long, b"second photo"),
            ],
        );
        let members = index(&path).unwrap();
        let names: Vec<_> = members.iter().map(|member| member.name.clone()).collect();
        assert_eq!(names, [PathBuf::from("1.jpg"), PathBuf::from(long)]);
        let bytes: Vec<_> = members.iter().map(|member| read(&path, member).unwrap()).collect();
        assert_eq!(bytes, [b"one".to_vec(), b"second photo".to_vec()]);
    }

    #[test]
    fn a_truncated_shard_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.tar");
        shard(&path, &[("1.jpg", &[1; 2000])]);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..1000]).unwrap();
        let error = index(&path).unwrap_err().to_string();
        assert!(error.contains("0.tar"), "{error}");
    }
}
