//! Masks: any picture becomes one, by any options; the first three bytes choose them.
#![no_main]

use lacuna::mask::MaskChannel;
use lacuna::picture::Limits;
use lacuna::{Hole, HoleOptions, Mask, MaskOptions, Picture};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { side: 256, pixels: 1 << 14, bytes: 1 << 20, memory: None };

fuzz_target!(|bytes: &[u8]| {
    let [threshold, choice, growth, file @ ..] = bytes else { return };
    let Ok(picture) = Picture::decode(file, "fuzz", &LIMITS) else { return };
    let channel = [MaskChannel::Auto, MaskChannel::Brightness, MaskChannel::Alpha][usize::from(choice % 3)];
    let options = MaskOptions { threshold: (*threshold < 255).then_some(*threshold), invert: choice & 128 != 0, channel };
    let mask = Mask::from_picture(&picture, &options);
    assert_eq!(mask.bounds().is_none(), mask.count() == 0);
    let growth = HoleOptions { expand: u32::from(growth & 15), feather: u32::from(growth >> 4) };
    if let Ok(hole) = Hole::new(&mask, &growth) {
        assert!(hole.mask().count() >= mask.count());
    }
});
