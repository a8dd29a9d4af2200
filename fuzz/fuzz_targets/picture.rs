//! Decoders of all formats: any bytes give a picture or an error, within the limits. What is read can be written.
#![no_main]

use lacuna::Picture;
use lacuna::picture::{Limits, SaveOptions};
use libfuzzer_sys::fuzz_target;

/// Small, so that many files are tried in a second.
const LIMITS: Limits = Limits { side: 512, pixels: 1 << 16, bytes: 1 << 20, memory: None };

fuzz_target!(|bytes: &[u8]| {
    if let Ok(picture) = Picture::decode(bytes, "fuzz", &LIMITS) {
        assert!(picture.width() * picture.height() <= LIMITS.pixels as usize);
        let written = picture.encode(&SaveOptions::default()).expect("a format holds what was read from it");
        let again = Picture::decode(&written, "again", &Limits::default()).expect("what was written can be read");
        assert_eq!((again.width(), again.height()), (picture.width(), picture.height()));
    }
});
