//! IOPaint's JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| lacuna_serve::fuzzing::iopaint(bytes));
