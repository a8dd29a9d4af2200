//! Lacuna's errors as Python's.

use std::io;
use std::path::Path;

use lacuna::Error;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// The module that declares the classes.
const MODULE: &str = "lacuna_inpaint.errors";

/// A class of `lacuna_inpaint.errors`.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// The arguments, or anything else.
    Error,
    /// The image or the mask.
    PictureError,
    /// A limit of size.
    TooLarge,
    /// The memory limit.
    MemoryBudget,
    /// The weights.
    CheckpointError,
    /// The time limit.
    Stopped,
}

/// A Python exception of a class, with a message.
pub fn raised(py: Python<'_>, class: Class, message: &str) -> PyErr {
    let exception = || py.import(MODULE)?.getattr(format!("{class:?}"))?.call1((message,));
    exception().map_or_else(|error| error, PyErr::from_value)
}

/// The Python exception for an error of the library. Errors of the operating system become `OSError`, with the file.
pub fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::Mask(inner) => return raise(py, inner),
        Error::Read { path, source } => return os_error("cannot read", path, source),
        Error::Write { path, source } => return os_error("cannot write", path, source),
        Error::Picture { .. }
        | Error::MaskSize { .. }
        | Error::MaskShape { .. }
        | Error::NoKnownPixels { .. }
        | Error::Unfit { .. } => Class::PictureError,
        Error::TooLarge { .. } => Class::TooLarge,
        Error::Memory { .. } => Class::MemoryBudget,
        Error::Checkpoint { .. } => Class::CheckpointError,
        Error::Stopped => Class::Stopped,
        Error::Argument(_) | Error::Predict { .. } => Class::Error,
    };
    raised(py, class, &error.to_string())
}

/// Python's subclass for the error's number, such as `FileNotFoundError`.
fn os_error(what: &str, path: &Path, source: &io::Error) -> PyErr {
    match source.raw_os_error() {
        Some(number) => PyOSError::new_err((number, format!("{what} the file: {source}"), path.to_owned())),
        None => PyOSError::new_err(format!("{what} {}: {source}", path.display())),
    }
}
