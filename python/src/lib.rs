//! The native part of the Python package `lacuna_inpaint`. Its Python part converts images and arguments, and is the only
//! caller.
//!
//! Nothing here computes on rayon's global pool, whose threads do not exist in a forked process: see `loaded.rs`.

mod arrays;
mod errors;
mod files;
mod loaded;
mod run;
mod settings;

use pyo3::prelude::*;

/// The native part of `lacuna_inpaint`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use super::arrays::fill;
    #[pymodule_export]
    use super::files::{fill_bytes, forecast, key, output_format, read, sha256, write};
    #[pymodule_export]
    use super::settings::check;

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
