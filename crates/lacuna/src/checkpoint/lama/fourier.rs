//! Keys of LaMa's Fourier generator: a fast Fourier convolution with its norms takes one number.

use super::{Keys, numbered};
use crate::checkpoint::Family;

/// Number of the first refiner block.
const FIRST_BLOCK: usize = 5;

pub(super) const KEYS: Keys = Keys {
    family: Family::Fourier,
    stem: "1.ffc.convl2l.weight",
    marker: "1.ffc.convl2l.weight",
    is_marker: |_| true,
    block: "conv1.ffc.convl2l.weight",
    first_block: FIRST_BLOCK,
    // Local and global channels are joined.
    between_refiner_and_decoder: 1,
    key,
};

fn key(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("encoder.stem.") {
        return Some(format!("1.{}", unit(rest)?));
    }
    if let Some(rest) = name.strip_prefix("encoder.down.") {
        let (level, rest) = numbered(rest)?;
        return Some(format!("{}.{}", 2 + level, unit(rest)?));
    }
    let (block, rest) = numbered(name.strip_prefix("refiner.blocks.")?)?;
    let (half, rest) = rest.split_once('.')?;
    let half = match half {
        "first" => "conv1",
        "second" => "conv2",
        _ => return None,
    };
    Some(format!("{}.{half}.{}", FIRST_BLOCK + block, unit(rest)?))
}

/// Inside one fast Fourier convolution with its norms.
fn unit(rest: &str) -> Option<String> {
    const PARTS: &[(&str, &str)] = &[
        ("ffc.local_to_local.", "ffc.convl2l."),
        ("ffc.local_to_global.", "ffc.convl2g."),
        ("ffc.global_to_local.", "ffc.convg2l."),
        ("ffc.global_to_global.reduce.", "ffc.convg2g.conv1.0."),
        ("ffc.global_to_global.reduce_norm.", "ffc.convg2g.conv1.1."),
        ("ffc.global_to_global.fourier.conv.", "ffc.convg2g.fu.conv_layer."),
        ("ffc.global_to_global.fourier.norm.", "ffc.convg2g.fu.bn."),
        ("ffc.global_to_global.expand.", "ffc.convg2g.conv2."),
        ("norm_local.", "bn_l."),
        ("norm_global.", "bn_g."),
    ];
    PARTS.iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", rest.strip_prefix(ours)?)))
}
