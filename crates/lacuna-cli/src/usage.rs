//! Errors in the arguments, for which the program exits with 2.

use std::fmt;

/// Arguments that contradict each other or name something that does not exist. The program exits with
/// [`crate::USAGE`], as it does for arguments that cannot be parsed.
#[derive(Debug)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Returns a [`UsageError`] with a formatted message.
macro_rules! bail_usage {
    ($($message:tt)+) => {
        return Err($crate::usage::UsageError(format!($($message)+)).into())
    };
}

/// Returns a [`UsageError`] with a formatted message unless the condition holds.
macro_rules! ensure_usage {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::usage::bail_usage!($($message)+);
        }
    };
}

pub(crate) use {bail_usage, ensure_usage};
