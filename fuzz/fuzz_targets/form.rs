//! The body of a form, with the boundary X, and the settings in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| futures_executor::block_on(lacuna_serve::fuzzing::form(bytes)));
