//! LaMa's names for the tensors of a network. The only place that knows its layer numbers.
//!
//! LaMa keeps its generator in one list of layers, so its keys are numbers: layer 1 is the first convolution,
//! the refiner's blocks follow the encoder, and the decoder's numbers depend on how many blocks there are.

use super::{Family, NetworkConfig};

/// End of the Fourier generator's first weight: what stands before it is the generator's prefix.
pub const FOURIER_STEM: &str = "1.ffc.convl2l.weight";
/// End of the regular generator's first weight; short, so [`REGULAR_BLOCK`] tells a generator from other
/// networks.
pub const REGULAR_STEM: &str = "1.weight";
/// A weight that only regular generators have.
pub const REGULAR_BLOCK: &str = "13.conv_block.1.weight";
/// End of the mask encoder's first weight.
pub const CONTROL_STEM: &str = "mask_encoder.0.weight";
/// BatchNorm's step counter, which only training with a cumulative average needs: never loaded.
pub const COUNTER: &str = ".num_batches_tracked";

/// Number of the first refiner block.
const FOURIER_BLOCKS: usize = 5;
const REGULAR_BLOCKS: usize = 13;

/// A key in LaMa's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LamaKey {
    /// After the generator's prefix.
    Generator(String),
    /// After the prefix of the mask encoder and its zero convolutions.
    Control(String),
}

/// LaMa's key for our tensor `name` in a network of shape `config`; `None` if it has none.
pub fn lama_key(name: &str, config: &NetworkConfig) -> Option<LamaKey> {
    if let Some(rest) = name.strip_prefix("control.") {
        return control(rest).map(LamaKey::Control);
    }
    let key = if let Some(rest) = name.strip_prefix("decoder.") {
        decoder(rest, config)
    } else {
        match config.family {
            Family::Fourier => fourier(name),
            Family::Regular => regular(name),
        }
    };
    key.map(LamaKey::Generator)
}

/// Numbers of the refiner's blocks that occur in `names`, given without the generator's prefix.
pub fn block_numbers<'a>(names: impl Iterator<Item = &'a str>, family: Family) -> Vec<usize> {
    let marker = match family {
        Family::Fourier => "conv1.ffc.convl2l.weight",
        Family::Regular => "conv_block.1.weight",
    };
    names
        .filter_map(|name| {
            let (number, rest) = name.split_once('.')?;
            if rest == marker { number.parse().ok() } else { None }
        })
        .collect()
}

/// A number and what follows it: `2.ffc` is 2 and `ffc`.
fn numbered(rest: &str) -> Option<(usize, &str)> {
    let (number, rest) = rest.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

fn fourier(name: &str) -> Option<String> {
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
    Some(format!("{}.{half}.{}", FOURIER_BLOCKS + block, unit(rest)?))
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

fn regular(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("encoder.stem.") {
        return layer_and_norm(rest, "", 1, 2);
    }
    if let Some(rest) = name.strip_prefix("encoder.down.") {
        let (level, rest) = numbered(rest)?;
        // Convolution, norm and activation take a number each.
        return layer_and_norm(rest, "", 4 + 3 * level, 5 + 3 * level);
    }
    let (block, rest) = numbered(name.strip_prefix("refiner.blocks.")?)?;
    let inside = format!("{}.conv_block.", REGULAR_BLOCKS + block);
    // Pad, convolution, norm, activation, pad, convolution, norm.
    match rest.split_once('.')? {
        ("first", rest) => layer_and_norm(rest, &inside, 1, 2),
        ("second", rest) => layer_and_norm(rest, &inside, 5, 6),
        _ => None,
    }
}

fn decoder(rest: &str, config: &NetworkConfig) -> Option<String> {
    // One number for joining local and global (Fourier only), three for each level, one for the last pad.
    let first = match config.family {
        Family::Fourier => FOURIER_BLOCKS + config.blocks + 1,
        Family::Regular => REGULAR_BLOCKS + config.blocks,
    };
    if let Some(rest) = rest.strip_prefix("out.") {
        return Some(format!("{}.{rest}", first + 10));
    }
    let (level, rest) = numbered(rest.strip_prefix("up.")?)?;
    layer_and_norm(rest, "", first + 3 * level, first + 3 * level + 1)
}

fn control(rest: &str) -> Option<String> {
    if let Some(rest) = rest.strip_prefix("zero.") {
        let (level, rest) = numbered(rest)?;
        // The thesis numbers them from 2.
        return Some(format!("zero_conv{}.{rest}", level + 2));
    }
    let (level, rest) = numbered(rest.strip_prefix("encoder.")?)?;
    layer_and_norm(rest, "mask_encoder.", 3 * level, 3 * level + 1)
}

fn layer_and_norm(rest: &str, before: &str, layer: usize, norm: usize) -> Option<String> {
    match rest.split_once('.')? {
        ("conv", rest) => Some(format!("{before}{layer}.{rest}")),
        ("norm", rest) => Some(format!("{before}{norm}.{rest}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Delta, expected_tensors};

    fn config(family: Family, blocks: usize) -> NetworkConfig {
        NetworkConfig { family, channels_in: 4, width: 8, blocks, control: true, delta: Delta::None }
    }

    #[test]
    fn keys_are_lamas() {
        let cases = [
            ("encoder.stem.ffc.local_to_local.weight", Family::Fourier, 9, "1.ffc.convl2l.weight"),
            ("encoder.down.2.norm_global.bias", Family::Fourier, 9, "4.bn_g.bias"),
            ("refiner.blocks.0.first.norm_local.weight", Family::Fourier, 9, "5.conv1.bn_l.weight"),
            (
                "refiner.blocks.17.second.ffc.global_to_global.fourier.norm.running_var",
                Family::Fourier,
                18,
                "22.conv2.ffc.convg2g.fu.bn.running_var",
            ),
            ("decoder.up.0.conv.weight", Family::Fourier, 9, "15.weight"),
            ("decoder.up.2.norm.weight", Family::Fourier, 18, "31.weight"),
            ("decoder.out.bias", Family::Fourier, 9, "25.bias"),
            ("decoder.out.bias", Family::Fourier, 18, "34.bias"),
            ("encoder.down.2.conv.weight", Family::Regular, 9, "10.weight"),
            ("encoder.down.2.norm.weight", Family::Regular, 9, "11.weight"),
            ("refiner.blocks.8.second.norm.bias", Family::Regular, 9, "21.conv_block.6.bias"),
            ("decoder.up.1.conv.bias", Family::Regular, 15, "31.bias"),
            ("decoder.up.1.norm.bias", Family::Regular, 9, "26.bias"),
            ("decoder.out.weight", Family::Regular, 9, "32.weight"),
            ("decoder.out.weight", Family::Regular, 15, "38.weight"),
        ];
        for (ours, family, blocks, theirs) in cases {
            assert_eq!(lama_key(ours, &config(family, blocks)), Some(LamaKey::Generator(theirs.into())));
        }
        let control = [
            ("control.encoder.0.conv.bias", "mask_encoder.0.bias"),
            ("control.encoder.3.norm.running_mean", "mask_encoder.10.running_mean"),
            ("control.zero.3.weight", "zero_conv5.weight"),
        ];
        for (ours, theirs) in control {
            assert_eq!(lama_key(ours, &config(Family::Fourier, 9)), Some(LamaKey::Control(theirs.into())));
        }
    }

    #[test]
    fn keys_stay_as_they_are() {
        let mut hashes = String::new();
        for family in [Family::Fourier, Family::Regular] {
            for blocks in [1, 9, 18] {
                let config = config(family, blocks);
                let keys: String = expected_tensors(&config)
                    .into_iter()
                    .map(|(name, _)| format!("{name} {:?}\n", lama_key(&name, &config).unwrap()))
                    .collect();
                let hash = testkit::golden::sha256(keys.as_bytes());
                hashes += &format!("{family:?} blocks {blocks}: {hash}\n");
            }
        }
        testkit::golden::assert_golden("lama-keys.txt", &hashes);
    }

    #[test]
    fn every_tensor_has_a_key_of_its_own() {
        for family in [Family::Fourier, Family::Regular] {
            let config = config(family, 15);
            let names = expected_tensors(&config);
            let keys: std::collections::BTreeSet<_> =
                names.iter().map(|(name, _)| format!("{:?}", lama_key(name, &config).unwrap())).collect();
            assert_eq!(keys.len(), names.len());
        }
    }
}
