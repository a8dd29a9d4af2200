//! Named sets of parameters: LaMa's for training and evaluation, and three of ours.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Boxes, Brush, Irregular, MaskGenerator, Outpainting, WeightedGenerator};

/// A set of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Preset {
    /// LaMa's training masks (`abl-04-256-mh-dist`), which the thesis uses too.
    Train256,
    /// LaMa's narrow training masks (`abl-02-thin-bb`).
    TrainThin256,
    /// LaMa's evaluation masks.
    Thin256,
    /// For 512 pixels.
    Thin512,
    /// LaMa's evaluation masks.
    Medium256,
    /// For 512 pixels.
    Medium512,
    /// LaMa's evaluation masks.
    Thick256,
    /// For 512 pixels.
    Thick512,
    /// Rectangles only.
    Box256,
    /// Borders.
    Outpainting256,
    /// Half of the image.
    Half,
}

/// Parameters of strokes and rectangles, and the probability of the latter relative to the former.
struct Parameters {
    times: [usize; 2],
    length: usize,
    width: usize,
    boxes: Option<(f64, Boxes)>,
}

impl Parameters {
    fn generator(self) -> MaskGenerator {
        let [min_times, max_times] = self.times;
        let irregular = MaskGenerator::Irregular(Irregular {
            max_angle: 4,
            max_length: self.length,
            max_width: self.width,
            min_times,
            max_times,
            brush: Brush::Line,
        });
        let Some((probability, boxes)) = self.boxes else { return irregular };
        MaskGenerator::Mixed {
            of: vec![
                WeightedGenerator { probability: 1.0, generator: irregular },
                WeightedGenerator { probability, generator: MaskGenerator::Box(boxes) },
            ],
        }
    }
}

fn boxes(times: [usize; 2], size: [usize; 2], margin: usize) -> Boxes {
    Boxes { min_times: times[0], max_times: times[1], min_size: size[0], max_size: size[1], margin }
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 11] = [
        Self::Train256,
        Self::TrainThin256,
        Self::Thin256,
        Self::Thin512,
        Self::Medium256,
        Self::Medium512,
        Self::Thick256,
        Self::Thick512,
        Self::Box256,
        Self::Outpainting256,
        Self::Half,
    ];

    /// Its name, such as `thick-256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train256 => "train-256",
            Self::TrainThin256 => "train-thin-256",
            Self::Thin256 => "thin-256",
            Self::Thin512 => "thin-512",
            Self::Medium256 => "medium-256",
            Self::Medium512 => "medium-512",
            Self::Thick256 => "thick-256",
            Self::Thick512 => "thick-512",
            Self::Box256 => "box-256",
            Self::Outpainting256 => "outpainting-256",
            Self::Half => "half",
        }
    }

    /// The generator with these parameters.
    pub fn generator(self) -> MaskGenerator {
        let parameters = match self {
            Self::Train256 => Parameters {
                times: [1, 5],
                length: 200,
                width: 100,
                boxes: Some((1.0, boxes([1, 4], [30, 150], 10))),
            },
            Self::TrainThin256 => Parameters {
                times: [4, 12],
                length: 80,
                width: 40,
                boxes: Some((1.0, boxes([1, 1], [30, 128], 0))),
            },
            Self::Thin256 => Parameters { times: [4, 50], length: 40, width: 10, boxes: None },
            Self::Thin512 => Parameters { times: [4, 70], length: 100, width: 20, boxes: None },
            Self::Medium256 => Parameters {
                times: [4, 5],
                length: 100,
                width: 50,
                boxes: Some((0.3, boxes([1, 5], [10, 50], 0))),
            },
            Self::Medium512 => Parameters {
                times: [4, 10],
                length: 200,
                width: 100,
                boxes: Some((0.3, boxes([1, 5], [30, 150], 0))),
            },
            Self::Thick256 => Parameters {
                times: [1, 5],
                length: 200,
                width: 100,
                boxes: Some((0.3, boxes([1, 3], [30, 150], 10))),
            },
            Self::Thick512 => Parameters {
                times: [1, 5],
                length: 450,
                width: 250,
                boxes: Some((0.3, boxes([1, 4], [30, 300], 10))),
            },
            Self::Box256 => return MaskGenerator::Box(boxes([1, 4], [30, 150], 10)),
            Self::Outpainting256 => return MaskGenerator::Outpainting(Outpainting::default()),
            Self::Half => return MaskGenerator::Half,
        };
        parameters.generator()
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|preset| preset.name() == text);
        found.ok_or_else(|| format!("unknown masks {text:?}, expected one of {}", names()))
    }
}

impl TryFrom<String> for Preset {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Preset> for String {
    fn from(preset: Preset) -> Self {
        preset.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg64;
    use sha2::{Digest, Sha256};

    /// Hole fractions of `count` masks, sorted.
    fn fractions(generator: &MaskGenerator, side: usize, count: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(1);
        let mut fractions: Vec<f64> = (0..count)
            .map(|_| generator.draw(side, side, &mut rng).count() as f64 / (side * side) as f64)
            .collect();
        fractions.sort_by(f64::total_cmp);
        fractions
    }

    #[test]
    fn statistics_are_those_of_the_reference_generator() {
        // Mean, standard deviation, and quantiles at 5, 50 and 95 %, measured on LaMa's own generator. Allowed is 0.02,
        // plus half of the last printed digit of the quantiles.
        const TOLERANCE: f64 = 0.02;
        const QUANTILE_TOLERANCE: f64 = 0.025;
        struct Case {
            name: &'static str,
            generator: MaskGenerator,
            side: usize,
            count: u64,
            mean: f64,
            deviation: f64,
            quantiles: [f64; 3],
        }
        let case = |preset: Preset, side, mean, deviation, quantiles| Case {
            name: preset.name(),
            generator: preset.generator(),
            side,
            count: if side == 256 { 2500 } else { 1500 },
            mean,
            deviation,
            quantiles,
        };
        let MaskGenerator::Mixed { of } = Preset::Train256.generator() else { panic!("a mixture") };
        let part = |index: usize, name, mean, deviation, quantiles| Case {
            name,
            generator: of[index].generator.clone(),
            side: 256,
            count: 2500,
            mean,
            deviation,
            quantiles,
        };
        for Case { name, generator, side, count, mean, deviation, quantiles } in [
            case(Preset::Train256, 256, 0.355, 0.202, [0.07, 0.32, 0.74]),
            part(0, "train irregular", 0.458, 0.213, [0.11, 0.47, 0.79]),
            part(1, "train box", 0.249, 0.115, [0.06, 0.25, 0.44]),
            case(Preset::Thin256, 256, 0.294, 0.134, [0.07, 0.30, 0.49]),
            case(Preset::Thin512, 512, 0.297, 0.136, [0.06, 0.31, 0.49]),
            case(Preset::Medium256, 256, 0.242, 0.136, [0.02, 0.26, 0.44]),
            case(Preset::Medium512, 512, 0.306, 0.160, [0.04, 0.32, 0.55]),
            case(Preset::Thick256, 256, 0.401, 0.217, [0.08, 0.38, 0.77]),
            case(Preset::Thick512, 512, 0.463, 0.248, [0.08, 0.45, 0.85]),
        ] {
            let fractions = fractions(&generator, side, count);
            let found = fractions.iter().sum::<f64>() / fractions.len() as f64;
            let variance = fractions.iter().map(|fraction| (fraction - found).powi(2)).sum::<f64>()
                / fractions.len() as f64;
            let at = |fraction: f64| fractions[(fraction * (fractions.len() - 1) as f64).round() as usize];
            let found_quantiles = [0.05, 0.5, 0.95].map(at);
            println!(
                "{name}: mean {found:.3}, deviation {:.3}, quantiles {found_quantiles:.3?}",
                variance.sqrt()
            );
            assert!((found - mean).abs() <= TOLERANCE, "{name}: mean {found}, expected {mean}");
            assert!(
                (variance.sqrt() - deviation).abs() <= TOLERANCE,
                "{name}: deviation {}",
                variance.sqrt()
            );
            for (found, expected) in found_quantiles.into_iter().zip(quantiles) {
                assert!(
                    (found - expected).abs() <= QUANTILE_TOLERANCE,
                    "{name}: {found_quantiles:?}, expected {quantiles:?}"
                );
            }
        }
    }

    #[test]
    fn holes_are_the_same_on_every_machine() {
        let mut hash = Sha256::new();
        for preset in Preset::ALL {
            for seed in 0..20 {
                let mask = preset.generator().draw(256, 256, &mut Pcg64::seed_from_u64(seed));
                hash.update(mask.hole().iter().map(|&hole| u8::from(hole)).collect::<Vec<u8>>());
            }
        }
        let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "8327b0a1f3e724aa3ca2e9f79d2128468af73b62eecfe1dd6548729ee8618888");
    }

    #[test]
    fn names_parse() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse::<Preset>().unwrap(), preset);
        }
        let error = "thick".parse::<Preset>().unwrap_err();
        assert!(error.starts_with("unknown masks \"thick\", expected one of train-256"), "{error}");
    }
}
