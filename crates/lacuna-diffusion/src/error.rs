//! Errors, all of which are the caller's: a value out of range, or rows that do not fit together.

use std::fmt::Display;

use crate::Prediction;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An invalid request. If two values disagree, the message has both.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A value out of range.
    #[error("{what}: {value}, possible are {possible}")]
    Range {
        /// What the value is.
        what: &'static str,
        /// The value.
        value: String,
        /// The possible values.
        possible: String,
    },
    /// Rows of different shapes.
    #[error("{what} with {found} values, expected are {expected}")]
    Length {
        /// What the row is.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A prediction from which the data cannot be computed where nothing but noise is left.
    #[error(
        "{prediction} at level {index}, which is pure noise: the data would be divided by zero; v and x0 are possible there"
    )]
    PureNoise {
        /// What the network predicts.
        prediction: Prediction,
        /// The level.
        index: usize,
    },
}

impl Error {
    pub(crate) fn range(what: &'static str, value: impl Display, possible: impl Display) -> Self {
        Self::Range { what, value: value.to_string(), possible: possible.to_string() }
    }

    /// Checks the length of a row.
    pub(crate) fn check_length(what: &'static str, found: usize, expected: usize) -> Result<()> {
        if found == expected { Ok(()) } else { Err(Self::Length { what, found, expected }) }
    }
}
