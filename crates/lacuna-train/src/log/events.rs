//! TensorBoard's event files: records of length, checksum, message, checksum (TensorFlow's TFRecord). The messages are
//! `tensorflow.Event` protocol buffers; only the fields in use are declared here.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::{Error, Result};

/// Version that begins every file.
const VERSION: &str = "brain.Event:2";
/// TensorBoard's colour space for RGB.
const COLOURS: i32 = 3;

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Content", tags = "2, 4")]
    content: Option<Content>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Picture(Encoded),
}

#[derive(Clone, PartialEq, Message)]
struct Encoded {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded: Vec<u8>,
}

/// A file that TensorBoard can read while it grows.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Creates a file in `folder`; a resumed run has several, which TensorBoard joins.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn create(folder: &Path) -> Result<Self> {
        let seconds = now() as u64;
        for number in 0.. {
            let path = folder.join(format!("events.out.tfevents.{seconds}.lacuna.{number}"));
            match File::create_new(&path) {
                Ok(file) => {
                    let mut events = Self { path, file };
                    events.write(0, What::FileVersion(VERSION.into()))?;
                    return Ok(events);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error::Write { path, source }),
            }
        }
        unreachable!("numbers do not end")
    }

    /// Appends a scalar.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn scalar(&mut self, tag: &str, value: f32, step: u64) -> Result<()> {
        self.summary(tag, Content::Scalar(value), step)
    }

    /// Appends an image of `[width, height]` pixels, as a PNG file.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn picture(&mut self, tag: &str, [width, height]: [u32; 2], png: Vec<u8>, step: u64) -> Result<()> {
        let (width, height) = (width as i32, height as i32);
        self.summary(
            tag,
            Content::Picture(Encoded { height, width, colorspace: COLOURS, encoded: png }),
            step,
        )
    }

    fn summary(&mut self, tag: &str, content: Content, step: u64) -> Result<()> {
        let value = vec![Named { tag: tag.to_owned(), content: Some(content) }];
        self.write(step, What::Summary(Summary { value }))
    }

    fn write(&mut self, step: u64, what: What) -> Result<()> {
        let entry = Entry { wall_time: now(), step: step as i64, what: Some(what) }.encode_to_vec();
        let length = (entry.len() as u64).to_le_bytes();
        let record = [&length[..], &masked(&length), &entry, &masked(&entry)].concat();
        self.file.write_all(&record).map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// TensorFlow's masked CRC-32C: rotated and offset, so that checksums of data with checksums are safe.
fn masked(bytes: &[u8]) -> [u8; 4] {
    const SHIFT: u32 = 0xa282_ead8;
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(SHIFT).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path()).unwrap();
        events.scalar("train/latent_l1", 0.25, 7).unwrap();
        events.picture("examples", [4, 3], vec![1, 2, 3], 8).unwrap();
        assert_ne!(EventFile::create(folder.path()).unwrap().path, events.path);
        let bytes = std::fs::read(&events.path).unwrap();
        let mut rest = &bytes[..];
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]));
            let entry = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], masked(entry));
            entries.push(Entry::decode(entry).unwrap());
            rest = &rest[16 + length..];
        }
        assert_eq!(entries[0].what, Some(What::FileVersion(VERSION.into())));
        let named = |index: usize| match &entries[index].what {
            Some(What::Summary(summary)) => (entries[index].step, summary.value[0].clone()),
            other => panic!("{other:?}"),
        };
        let (step, Named { tag, content }) = named(1);
        assert_eq!((step, tag.as_str(), content), (7, "train/latent_l1", Some(Content::Scalar(0.25))));
        let (step, Named { content, .. }) = named(2);
        let picture = Encoded { height: 3, width: 4, colorspace: 3, encoded: vec![1, 2, 3] };
        assert_eq!((step, content), (8, Some(Content::Picture(picture))));
    }

    #[test]
    fn the_checksum_is_tensorflows() {
        // CRC-32C of "123456789" is 0xe3069283.
        let expected = 0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
        assert_eq!(masked(b"123456789"), expected);
    }
}
