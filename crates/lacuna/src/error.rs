//! Errors, sorted by cause.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;

use crate::units::{at_least, at_most};

/// The result of Lacuna's library functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the library. Messages name the subject and, if two values disagree, both. No message names a program's
/// option: the caller adds it, for limits by [`Error::limit`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request: an option out of range, or options that contradict each other.
    #[error("{0}")]
    Argument(String),
    /// The image: truncated, hostile or unsupported.
    #[error("{name}: {problem}")]
    Picture {
        /// File name or other label of the image.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The mask file; the inner error has the problem.
    #[error(transparent)]
    Mask(Box<Self>),
    /// The mask's size differs from the image's.
    #[error("{name}: {}", size_text(*.mask, *.image))]
    MaskSize {
        /// File name or other label of the image.
        name: String,
        /// The mask's columns and rows.
        mask: (usize, usize),
        /// The image's columns and rows.
        image: (usize, usize),
    },
    /// The mask is not the same view as the image at another size.
    #[error(
        "{name}: the mask is {} x {} pixels, the image {} x {}: not the same shape, upright or turned by 90 degrees",
        .mask.0, .mask.1, .image.0, .image.1
    )]
    MaskShape {
        /// File name or other label of the image.
        name: String,
        /// The mask's columns and rows.
        mask: (usize, usize),
        /// The image's columns and rows.
        image: (usize, usize),
    },
    /// The mask leaves nothing to fill from.
    #[error(
        "the mask{} covers the whole image of {width} x {height} pixels ({known} known before growing): nothing is left \
         to fill from (is the mask inverted?)",
        growth_text(*.growth)
    )]
    NoKnownPixels {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Known pixels before the hole grows.
        known: usize,
        /// Pixels by which the hole grows.
        growth: u32,
    },
    /// The output format cannot store the image, or has no such setting.
    #[error("{name}: {problem}")]
    Unfit {
        /// File name or other label of the image.
        name: String,
        /// What the format cannot store.
        problem: String,
    },
    /// An image or mask exceeds a limit; nothing was decoded.
    #[error("{name}: {problem}")]
    TooLarge {
        /// File name or other label of the image.
        name: String,
        /// The limit.
        limit: Limit,
        /// The limit's value, and the value that exceeds it.
        problem: String,
    },
    /// More memory is needed than allowed; nothing was allocated.
    #[error("{what}: {} of memory are needed, {} are allowed", at_least(*.needed), at_most(*.allowed))]
    Memory {
        /// What needs it.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// A model file cannot be used: unknown, truncated, hostile, or incomplete.
    #[error("{name}: {problem}")]
    Checkpoint {
        /// File name or other label of the checkpoint.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The fill was cancelled.
    #[error("the fill was stopped")]
    Stopped,
    /// A predictor failed.
    #[error("{predictor} failed: {problem}")]
    Predict {
        /// The predictor's name.
        predictor: String,
        /// What went wrong.
        problem: String,
    },
}

/// A limit that a caller can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The longer side of an image.
    Side,
    /// The number of pixels of an image.
    Pixels,
    /// The size of a file, and of its decoded pixels, in bytes.
    Bytes,
    /// The memory of the process.
    Memory,
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Side => "longest side",
            Self::Pixels => "pixels",
            Self::Bytes => "bytes",
            Self::Memory => "memory",
        })
    }
}

impl Error {
    /// An [`Error::Picture`].
    pub fn picture(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Picture { name: name.into(), problem: problem.into() }
    }

    /// An [`Error::Unfit`].
    pub fn unfit(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Unfit { name: name.into(), problem: problem.into() }
    }

    /// An [`Error::Checkpoint`].
    pub fn checkpoint(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Checkpoint { name: name.into(), problem: problem.into() }
    }

    /// This error, marked as one that occurred while the mask was read.
    pub fn in_mask(self) -> Self {
        Self::Mask(Box::new(self))
    }

    /// The exceeded limit, if any.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::TooLarge { limit, .. } => Some(*limit),
            Self::Memory { .. } => Some(Limit::Memory),
            Self::Mask(inner) => inner.limit(),
            _ => None,
        }
    }
}

fn size_text(mask: (usize, usize), image: (usize, usize)) -> String {
    let is_turned = (mask.1, mask.0) == image;
    let hint = if is_turned { "; the mask must be upright, like the displayed photo" } else { "" };
    format!("the mask is {} x {} pixels, the image {} x {}{hint}", mask.0, mask.1, image.0, image.1)
}

fn growth_text(growth: u32) -> String {
    if growth > 0 { format!(", grown by {growth} pixels,") } else { String::new() }
}

/// The message of a caught panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn panics_have_messages() {
        let text = |panic: Box<dyn Any + Send>| panic_text(panic.as_ref()).to_owned();
        assert_eq!(text(catch_unwind(|| panic!("row {}", 7)).unwrap_err()), "row 7");
        assert_eq!(text(catch_unwind(|| panic!("plain")).unwrap_err()), "plain");
        assert_eq!(text(Box::new(7)), "unknown");
    }

    #[test]
    fn a_limit_is_known_also_of_masks() {
        let memory = || Error::Memory { what: "reading a".into(), needed: 2 << 30, allowed: 1 << 30 };
        assert_eq!(memory().to_string(), "reading a: 2.0 GiB of memory are needed, 1.0 GiB are allowed");
        assert_eq!(memory().in_mask().limit(), Some(Limit::Memory));
        assert_eq!(memory().in_mask().to_string(), memory().to_string());
        assert_eq!(Error::picture("a", "b").limit(), None);
    }
}
