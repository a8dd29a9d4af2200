//! The body of a form, with the boundary X, and the settings in it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// Bodies are read against the clock.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

fuzz_target!(|bytes: &[u8]| RUNTIME.block_on(lacuna_serve::fuzzing::form(bytes)));
