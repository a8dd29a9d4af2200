//! Finds the generator among the tensors of a foreign file, and identifies its configuration.

use std::collections::{BTreeMap, BTreeSet};

use lacuna_network::geometry::IMAGE_CHANNELS;

use super::{ALL, CONTROL_STEM, COUNTER, Keys, LamaKey, lama_key};
use crate::checkpoint::found::{NAMES_SHOWN, take};
use crate::checkpoint::{Architecture, Delta, Parsed, Shape, Stored};

/// The module name of the preferred generator if a file contains several, such as `generator_average` (LaMa's moving
/// average, which LaMa itself never uses for inpainting).
const PREFERRED: &str = "generator";

/// A generator found in a foreign file.
#[derive(Debug)]
pub(in crate::checkpoint) struct Imported {
    /// The network.
    pub config: Architecture,
    /// The prefix of the generator's layer numbers.
    pub prefix: String,
    /// Prefixes of generators that were not used.
    pub other_generators: Vec<String>,
    /// The generator's tensors, by our names.
    pub tensors: BTreeMap<String, Stored>,
    /// Names of all other tensors in the file.
    pub skipped: Vec<String>,
}

/// A set of names that resembles a generator's.
#[derive(Clone)]
struct Candidate {
    prefix: String,
    keys: &'static Keys,
}

/// Imports the generator of `tensors`.
///
/// # Errors
/// If there is no generator, several without a preferred one, or one that is unsupported or incomplete.
pub(in crate::checkpoint) fn import(mut tensors: BTreeMap<String, Stored>) -> Parsed<Imported> {
    let mut candidates = candidates(&tensors);
    let chosen = choose(&candidates, &tensors)?;
    candidates.retain(|candidate| {
        (&candidate.prefix, candidate.keys.family) != (&chosen.prefix, chosen.keys.family)
    });
    let Candidate { prefix, keys } = chosen;

    let control = control_prefix(&tensors)?;
    let stem_name = format!("{prefix}{}", keys.stem);
    let stem = tensors
        .get(&stem_name)
        .ok_or_else(|| format!("has a {} generator without {stem_name}", keys.family))?;
    let &[width, channels_in, _, _] = stem.shape.as_slice() else {
        return Err(format!("has {stem_name} of shape {:?}, a convolution has 4 sizes", stem.shape));
    };
    let config = keys.family.network(Shape {
        channels_in,
        width,
        blocks: blocks(&tensors, &prefix, keys),
        // With a fourth channel the thesis's code takes the mask there and leaves its mask encoder unused.
        control: control.is_some() && channels_in == IMAGE_CHANNELS,
        delta: Delta::None, // leaves no trace in weights
    });
    config.check().map_err(|problem| format!("has a generator that does not exist: {problem}"))?;

    let control = control.unwrap_or_default();
    let taken = take(config.layers().tensors(), &mut tensors, |name| {
        match lama_key(name, &config).expect("every tensor of a network has a LaMa key") {
            LamaKey::Generator(key) => format!("{prefix}{key}"),
            LamaKey::Control(key) => format!("{control}{key}"),
        }
    })?;
    refuse_unknown_layers(&tensors, &prefix)?;
    let other_generators = candidates.into_iter().map(|candidate| candidate.prefix).collect();
    Ok(Imported { config, prefix, other_generators, tensors: taken, skipped: tensors.into_keys().collect() })
}

/// The prefixes of the names that end in `end`, at a boundary of the name's parts.
fn prefixes<'a>(tensors: &'a BTreeMap<String, Stored>, end: &'a str) -> impl Iterator<Item = &'a str> {
    tensors
        .keys()
        .filter_map(move |name| name.strip_suffix(end))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
}

fn candidates(tensors: &BTreeMap<String, Stored>) -> Vec<Candidate> {
    let of = |keys: &'static Keys| {
        prefixes(tensors, keys.marker)
            .filter(|prefix| (keys.is_marker)(&tensors[&format!("{prefix}{}", keys.marker)]))
            .map(|prefix| Candidate { prefix: prefix.to_owned(), keys })
            .collect::<Vec<_>>()
    };
    ALL.into_iter().flat_map(of).collect()
}

fn choose(candidates: &[Candidate], tensors: &BTreeMap<String, Stored>) -> Parsed<Candidate> {
    if let [only] = candidates {
        return Ok(only.clone());
    }
    if candidates.is_empty() {
        if tensors.keys().any(|name| name.contains(".conv_block.") && name.contains(".convs.")) {
            return Err("holds a generator with dilated convolutions (pix2pixhd_multidilated), which is not supported: \
                        convert a Fourier or a regular generator"
                .into());
        }
        let some: Vec<_> = tensors.keys().take(NAMES_SHOWN).map(String::as_str).collect();
        return Err(format!(
            "holds no LaMa generator: none of its {} tensor names ends in {} ({})",
            tensors.len(),
            ALL.map(|keys| keys.marker).join(" or "),
            some.join(", ")
        ));
    }
    let mut preferred =
        candidates.iter().filter(|candidate| candidate.prefix.split('.').any(|part| part == PREFERRED));
    match (preferred.next(), preferred.next()) {
        (Some(preferred), None) => Ok(preferred.clone()),
        _ => {
            let all: Vec<_> = candidates.iter().map(|candidate| format!("{:?}", candidate.prefix)).collect();
            Err(format!("holds several generators and none is plainly the one to take: {}", all.join(", ")))
        }
    }
}

/// The prefix of the mask encoder, if there is one.
fn control_prefix(tensors: &BTreeMap<String, Stored>) -> Parsed<Option<String>> {
    let mut found = prefixes(tensors, CONTROL_STEM);
    match (found.next(), found.next()) {
        (first, None) => Ok(first.map(str::to_owned)),
        (Some(first), Some(second)) => Err(format!("holds several mask encoders: {first:?} and {second:?}")),
        (None, Some(_)) => unreachable!("an iterator over names does not resume"),
    }
}

/// Number of refiner blocks.
fn blocks(tensors: &BTreeMap<String, Stored>, prefix: &str, keys: &Keys) -> usize {
    let names = tensors.keys().filter_map(|name| name.strip_prefix(prefix));
    let numbers = names.filter_map(|name| {
        let (number, rest) = name.split_once('.')?;
        if rest == keys.block { number.parse::<usize>().ok() } else { None }
    });
    numbers.collect::<BTreeSet<_>>().len()
}

/// Unknown layers mean that this is another network, which would be computed wrongly.
fn refuse_unknown_layers(left: &BTreeMap<String, Stored>, prefix: &str) -> Parsed<()> {
    let unknown: Vec<_> = left
        .keys()
        .filter(|name| !name.ends_with(COUNTER))
        .filter(|name| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        })
        .map(String::as_str)
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let shown = &unknown[..unknown.len().min(NAMES_SHOWN)];
    Err(format!(
        "holds a generator of an unsupported kind (local Fourier units, gates or other layers): {} tensors are not \
         LaMa's: {}",
        unknown.len(),
        shown.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Element, Family};

    fn config(family: Family, control: bool) -> Architecture {
        let channels_in = if control { 3 } else { 4 };
        family.network(Shape { channels_in, width: 4, blocks: 9, control, delta: Delta::None })
    }

    /// A network's tensors under LaMa's names.
    fn lama(config: &Architecture, prefix: &str) -> BTreeMap<String, Stored> {
        let key = |name: &str| match lama_key(name, config).unwrap() {
            LamaKey::Generator(key) => format!("{prefix}{key}"),
            LamaKey::Control(key) => {
                format!("{}{key}", prefix.strip_suffix("generator.model.").unwrap_or_default())
            }
        };
        config
            .layers()
            .tensors()
            .into_iter()
            .map(|(name, shape)| (key(&name), Stored::contiguous(Element::F32, shape, 0..0)))
            .collect()
    }

    fn tensor() -> Stored {
        Stored::contiguous(Element::F32, vec![1], 0..4)
    }

    #[test]
    fn infers_family_width_inputs_blocks_and_control() {
        for family in Family::PLAIN {
            for control in [false, true] {
                for prefix in ["", "model.", "model.generator.model."] {
                    let config = config(family, control);
                    let imported = import(lama(&config, prefix)).unwrap();
                    assert_eq!((imported.config, imported.prefix.as_str()), (config, prefix));
                    assert_eq!(imported.skipped, [""; 0]);
                }
            }
        }
    }

    #[test]
    fn prefers_the_generator_to_its_average_and_says_so() {
        let config = config(Family::Fourier, false);
        let mut tensors = lama(&config, "generator.model.");
        tensors.extend(lama(&config, "generator_average.model."));
        let imported = import(tensors).unwrap();
        assert_eq!(imported.prefix, "generator.model.");
        assert_eq!(imported.other_generators, ["generator_average.model."]);
        assert!(imported.skipped.contains(&"generator_average.model.1.ffc.convl2l.weight".to_owned()));

        let mut tensors = lama(&config, "a.");
        tensors.extend(lama(&config, "b."));
        let problem = import(tensors).unwrap_err();
        assert!(problem.contains(r#""a.", "b.""#), "{problem}");
    }

    #[test]
    fn an_unused_mask_encoder_is_skipped() {
        let mut tensors = lama(&config(Family::Fourier, true), "generator.model.");
        let stem = tensors.get_mut("generator.model.1.ffc.convl2l.weight").unwrap();
        stem.shape[1] = 4;
        let imported = import(tensors).unwrap();
        assert!(!imported.config.shape().control);
        assert!(imported.skipped.contains(&"zero_conv2.weight".to_owned()));
    }

    #[test]
    fn incomplete_generators_are_refused_by_name() {
        let mut tensors = lama(&config(Family::Fourier, false), "model.");
        tensors.remove("model.25.bias");
        tensors.get_mut("model.2.bn_l.weight").unwrap().shape = vec![9];
        let problem = import(tensors).unwrap_err();
        assert!(problem.contains("lacks 2 of the"), "{problem}");
        assert!(
            problem.contains("decoder.out.bias (model.25.bias): expected [3], found nothing"),
            "{problem}"
        );
        assert!(problem.contains("(model.2.bn_l.weight): expected [8], found [9]"), "{problem}");

        let mut tensors = lama(&config(Family::Fourier, false), "model.");
        tensors.retain(|name, _| name.contains(".ffc."));
        let problem = import(tensors).unwrap_err();
        assert_eq!(problem.matches("found nothing").count(), NAMES_SHOWN, "{problem}");
        assert!(problem.contains("more"), "{problem}");
    }

    #[test]
    fn other_networks_are_refused_in_plain_words() {
        let local = "model.5.conv1.ffc.convg2g.lfu.conv_layer.weight";
        let mut with_local_units = lama(&config(Family::Fourier, false), "model.");
        with_local_units.insert(local.into(), tensor());
        let dilated = BTreeMap::from(
            ["0.convs.0.weight", "1.weight"]
                .map(|end| (format!("generator.model.13.conv_block.{end}"), tensor())),
        );
        let other = BTreeMap::from([("conv1.weight".to_owned(), tensor())]);
        let mut wide = lama(&config(Family::Fourier, false), "model.");
        wide.get_mut("model.1.ffc.convl2l.weight").unwrap().shape[0] = usize::MAX;
        for (tensors, expected) in [
            (with_local_units, local),
            (dilated, "multidilated"),
            (other, "no LaMa generator"),
            (wide, "width"),
        ] {
            let problem = import(tensors).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
