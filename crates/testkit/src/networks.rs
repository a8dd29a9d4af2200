//! Variants of networks, for tests of all of them.

use lacuna_network::{Architecture, Delta, Family, Shape};

/// The families with one answer, with three and four inputs, with and without mask control.
pub fn variants(width: usize, blocks: usize) -> Vec<Architecture> {
    Family::PLAIN
        .into_iter()
        .flat_map(|family| [(family, 3), (family, 4)])
        .flat_map(|(family, channels_in)| [(family, channels_in, false), (family, channels_in, true)])
        .map(|(family, channels_in, control)| {
            family.network(Shape { channels_in, width, blocks, control, delta: Delta::None })
        })
        .collect()
}

/// All that a network is described by, as a line of a golden file.
pub fn label(network: &Architecture) -> String {
    let Shape { channels_in, width, blocks, control, delta } = network.shape();
    let family = network.family();
    format!("{family:?} width {width} blocks {blocks} inputs {channels_in} control {control} delta {delta:?}")
}
