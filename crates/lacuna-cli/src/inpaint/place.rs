//! Where an image, a mask and the result are: in files, or on the standard streams.

use std::fmt;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use lacuna::atomic::write_bytes_atomically;
use lacuna::hash::{sha256, sha256_of_file};
use lacuna::job::Source;
use lacuna::picture::Limits;

use crate::usage::ensure_usage;

/// The argument that stands for a standard stream.
const STREAM: &str = "-";
/// The name of what comes on standard input.
const STANDARD_INPUT: &str = "standard input";

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file on disk.
    File(PathBuf),
    /// A file in memory.
    Bytes {
        /// Its name, for messages.
        name: Arc<str>,
        /// Its contents.
        bytes: Arc<[u8]>,
    },
}

/// What says where the hole is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaskInput {
    /// A mask file.
    File(Input),
    /// The photo's own alpha channel.
    Alpha,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A file on disk.
    File(PathBuf),
    /// Standard output.
    Stream,
    /// A member of a tar file, with the file's path before its own. Whoever writes the tar file writes it.
    Member(PathBuf),
}

impl Input {
    /// Whether an argument stands for standard input.
    pub fn is_stream(argument: &Path) -> bool {
        argument == Path::new(STREAM)
    }

    /// Reads the file that comes on standard input.
    ///
    /// # Errors
    /// A usage error if nothing is piped in; else if it cannot be read, or is longer than the limits allow.
    pub fn read_stream(limits: &Limits) -> Result<Self> {
        let stream = io::stdin();
        ensure_usage!(!stream.is_terminal(), "{STREAM} reads standard input, but no file is piped in");
        let mut bytes = Vec::new();
        let read = stream.lock().take(limits.bytes.saturating_add(1)).read_to_end(&mut bytes);
        read.context("cannot read standard input")?;
        limits.check_file(STANDARD_INPUT, bytes.len() as u64)?;
        Ok(Self::Bytes { name: STANDARD_INPUT.into(), bytes: bytes.into() })
    }

    /// The file, for a fill.
    pub fn source(&self) -> Source<'_> {
        match self {
            Self::File(path) => Source::File(path),
            Self::Bytes { name, bytes } => Source::Bytes { name, bytes },
        }
    }

    /// The bytes of the file that are in memory all the time.
    pub fn held_bytes(&self) -> u64 {
        match self {
            Self::File(_) => 0,
            Self::Bytes { bytes, .. } => bytes.len() as u64,
        }
    }

    /// The hash of the file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn sha256(&self) -> Result<String> {
        Ok(match self {
            Self::File(path) => sha256_of_file(path)?,
            Self::Bytes { bytes, .. } => sha256(bytes),
        })
    }
}

impl MaskInput {
    /// The mask's file, if there is one.
    pub fn file(&self) -> Option<&Input> {
        match self {
            Self::File(input) => Some(input),
            Self::Alpha => None,
        }
    }
}

impl Output {
    /// The output that an argument names.
    ///
    /// # Errors
    /// A usage error if that is standard output and a terminal.
    pub fn checked(argument: &Path) -> Result<Self> {
        if argument != Path::new(STREAM) {
            return Ok(Self::File(argument.into()));
        }
        let is_terminal = io::stdout().is_terminal();
        ensure_usage!(!is_terminal, "{STREAM} writes an image to standard output, which is a terminal here");
        Ok(Self::Stream)
    }

    /// The path of the file; `-` for standard output.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Member(path) => path,
            Self::Stream => Path::new(STREAM),
        }
    }

    /// Whether a file is there already.
    pub fn exists(&self) -> bool {
        match self {
            Self::File(path) => std::fs::symlink_metadata(path).is_ok(),
            Self::Stream | Self::Member(_) => false,
        }
    }

    /// Writes the file, with the folders that it is in.
    ///
    /// # Panics
    /// For a member of a tar file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::File(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)
                        .with_context(|| format!("cannot create {}", folder.display()))?;
                }
                Ok(write_bytes_atomically(path, bytes)?)
            }
            Self::Stream => {
                let mut stream = io::stdout().lock();
                stream
                    .write_all(bytes)
                    .and_then(|()| stream.flush())
                    .context("cannot write to standard output")
            }
            Self::Member(path) => unreachable!("{} is written with its tar file", path.display()),
        }
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<PathBuf> for MaskInput {
    fn from(path: PathBuf) -> Self {
        Self::File(path.into())
    }
}

impl From<PathBuf> for Output {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Bytes { name, .. } => formatter.write_str(name),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Member(path) => write!(formatter, "{}", path.display()),
            Self::Stream => formatter.write_str("standard output"),
        }
    }
}
