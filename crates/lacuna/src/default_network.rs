//! The network that ships with Lacuna.
//!
//! `docs/model-card.md` has its training data, recipe and limits.

use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::hash::sha256;

/// Its weights file.
static WEIGHTS: &[u8] = include_bytes!("../network/default.safetensors");

/// Its name in messages and reports.
pub const DEFAULT_NETWORK: &str = "lacuna";

/// The weights of the network that ships with Lacuna.
///
/// # Errors
/// As [`Checkpoint::from_static`]; never for the weights in this crate.
pub fn default_network() -> Result<Checkpoint> {
    Checkpoint::from_static(DEFAULT_NETWORK, WEIGHTS)
}

/// The SHA-256 of its weights file.
pub fn default_network_hash() -> String {
    sha256(WEIGHTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_sound_and_small() {
        const MOST_BYTES: usize = 16 << 20;
        assert!(WEIGHTS.len() <= MOST_BYTES, "{} bytes", WEIGHTS.len());
        let network = default_network().unwrap();
        assert!(network.config().shape().control);
        assert!(network.provenance().is_some_and(|text| !text.is_empty()));
        let numbers = || network.tensors().flat_map(|tensor| tensor.values.into_owned());
        assert!(numbers().all(f32::is_finite));
        assert_eq!(default_network_hash().len(), 64);
    }
}
