//! Keys of LaMa's regular generator: convolution, norm and activation take a number each.

use super::{Keys, layer_and_norm, numbered};
use crate::checkpoint::Family;

/// Number of the first refiner block.
const FIRST_BLOCK: usize = 13;

pub(super) const KEYS: Keys = Keys {
    family: Family::Regular,
    stem: "1.weight",
    // The stem's key is so short that other networks have it too.
    marker: "13.conv_block.1.weight",
    // In the dilated generators the same name is a norm's.
    is_marker: |tensor| tensor.shape.len() == 4,
    block: "conv_block.1.weight",
    first_block: FIRST_BLOCK,
    between_refiner_and_decoder: 0,
    key,
};

fn key(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("encoder.stem.") {
        return layer_and_norm(rest, "", 1, 2);
    }
    if let Some(rest) = name.strip_prefix("encoder.down.") {
        let (level, rest) = numbered(rest)?;
        return layer_and_norm(rest, "", 4 + 3 * level, 5 + 3 * level);
    }
    let (block, rest) = numbered(name.strip_prefix("refiner.blocks.")?)?;
    let inside = format!("{}.conv_block.", FIRST_BLOCK + block);
    // Pad, convolution, norm, activation, pad, convolution, norm.
    match rest.split_once('.')? {
        ("first", rest) => layer_and_norm(rest, &inside, 1, 2),
        ("second", rest) => layer_and_norm(rest, &inside, 5, 6),
        _ => None,
    }
}
