//! What can go wrong, sorted by whose fault it is.

use std::any::Any;
use std::path::PathBuf;

use crate::budget::{at_least, at_most};

/// The result of Lacuna's library calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the library. Every message names the thing and, where two values disagree, both; what the
/// operating system said is its source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for something impossible: an option out of range, a mask of another size.
    #[error("{0}")]
    Argument(String),
    /// A picture or mask that cannot be used as it is: truncated, hostile, unsupported.
    #[error("{name}: {problem}")]
    Picture {
        /// File name or other label of the picture.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A picture or mask beyond the limits; nothing of it was decoded.
    #[error("{name}: {problem}")]
    TooLarge {
        /// File name or other label of the picture.
        name: String,
        /// The limit, and what it would be.
        problem: String,
    },
    /// More memory would be needed than was allowed; nothing of it was taken yet.
    #[error(
        "{what}: {} of memory are needed, {} are allowed (--max-memory)",
        at_least(*.needed),
        at_most(*.allowed)
    )]
    Memory {
        /// What needs it.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// A model file that cannot be used: foreign, truncated, hostile, or with missing weights.
    #[error("{name}: {problem}")]
    Checkpoint {
        /// File name or other label of the checkpoint.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The machine, not the user: a file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The machine, not the user: a file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Somebody asked for the fill to stop.
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

impl Error {
    /// A [`Error::Picture`].
    pub fn picture(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Picture { name: name.into(), problem: problem.into() }
    }

    /// A [`Error::Checkpoint`].
    pub fn checkpoint(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Checkpoint { name: name.into(), problem: problem.into() }
    }
}

/// What a caught panic said: whoever does many pictures tells it as the failure of one.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn panics_become_words() {
        let text = |panic: Box<dyn Any + Send>| panic_text(panic.as_ref()).to_owned();
        assert_eq!(text(catch_unwind(|| panic!("row {}", 7)).unwrap_err()), "row 7");
        assert_eq!(text(catch_unwind(|| panic!("plain")).unwrap_err()), "plain");
        assert_eq!(text(Box::new(7)), "unknown");
    }
}
