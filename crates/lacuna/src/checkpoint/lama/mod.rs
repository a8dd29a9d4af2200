//! LaMa's names for the tensors of a network. Only this module knows its layer numbers.
//!
//! LaMa's generator is one list of layers, so its keys are numbers: layer 1 is the first convolution, the refiner's
//! blocks follow the encoder, and the decoder's numbers depend on the number of blocks. Each family has a file with its
//! [`Keys`]; `import.rs` finds a generator among the tensors of a foreign file.

mod fourier;
pub(super) mod import;
mod regular;

use super::{Architecture, Family, Stored};

/// Suffix of the mask encoder's first weight.
const CONTROL_STEM: &str = "mask_encoder.0.weight";

/// BatchNorm's step counter, which only training with a cumulative average needs; never loaded.
const COUNTER: &str = ".num_batches_tracked";

/// LaMa's names for the tensors of a family's generators. All names follow the generator's prefix.
struct Keys {
    family: Family,
    /// The first weight.
    stem: &'static str,
    /// A weight that exists only in this family's generators.
    marker: &'static str,
    /// Whether a tensor with the marker's name is really the marker.
    is_marker: fn(&Stored) -> bool,
    /// A weight of each refiner block, after its number.
    block: &'static str,
    /// Number of the first refiner block.
    first_block: usize,
    /// Layers between the last refiner block and the decoder.
    between_refiner_and_decoder: usize,
    /// The key of a tensor of encoder or refiner.
    key: fn(&str) -> Option<String>,
}

const ALL: [&Keys; 2] = [&fourier::KEYS, &regular::KEYS];

impl Keys {
    /// The keys of a family; `None` for one that LaMa does not have.
    fn of(family: Family) -> Option<&'static Self> {
        ALL.into_iter().find(|keys| keys.family == family)
    }
}

/// A key in LaMa's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LamaKey {
    /// After the generator's prefix.
    Generator(String),
    /// After the prefix of the mask encoder and its zero convolutions.
    Control(String),
}

/// LaMa's key for our tensor `name` in the network with this configuration; `None` if it has none.
pub(super) fn lama_key(name: &str, config: &Architecture) -> Option<LamaKey> {
    if let Some(rest) = name.strip_prefix("control.") {
        return control(rest).map(LamaKey::Control);
    }
    let keys = Keys::of(config.family())?;
    let key = match name.strip_prefix("decoder.") {
        Some(rest) => {
            decoder(rest, keys.first_block + config.shape().blocks + keys.between_refiner_and_decoder)
        }
        None => (keys.key)(name),
    };
    key.map(LamaKey::Generator)
}

/// A number and the rest: `2.ffc` is 2 and `ffc`.
fn numbered(rest: &str) -> Option<(usize, &str)> {
    let (number, rest) = rest.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

/// The decoder's keys, starting at number `first`: three numbers per level, one for the last padding.
fn decoder(rest: &str, first: usize) -> Option<String> {
    if let Some(rest) = rest.strip_prefix("out.") {
        return Some(format!("{}.{rest}", first + 10));
    }
    let (level, rest) = numbered(rest.strip_prefix("up.")?)?;
    layer_and_norm(rest, "", first + 3 * level, first + 3 * level + 1)
}

fn control(rest: &str) -> Option<String> {
    if let Some(rest) = rest.strip_prefix("zero.") {
        let (level, rest) = numbered(rest)?;
        // The thesis counts them from 2.
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
    use crate::checkpoint::{Delta, Shape};

    fn config(family: Family, blocks: usize) -> Architecture {
        family.network(Shape { channels_in: 4, width: 8, blocks, control: true, delta: Delta::None })
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
        for family in Family::PLAIN {
            for blocks in [1, 9, 18] {
                let config = config(family, blocks);
                let keys: String = config
                    .layers()
                    .tensors()
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
        for family in Family::PLAIN {
            let config = config(family, 15);
            let names = config.layers().tensors();
            let keys: std::collections::BTreeSet<_> =
                names.iter().map(|(name, _)| format!("{:?}", lama_key(name, &config).unwrap())).collect();
            assert_eq!(keys.len(), names.len());
        }
    }
}
