//! The run file's table `data`: photos and masks.

use std::path::PathBuf;

use lacuna::Mask;
use lacuna_masks::{MaskGenerator, Preset};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::data::Source;

/// Photos and masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Training photos.
    pub train: Vec<Source>,
    /// Validation photos; without any there is no validation.
    #[serde(default)]
    pub validation: Vec<Source>,
    /// Photos that must not be trained on. The run is refused if one of them is in `train`, under any name.
    #[serde(default)]
    pub held_out: Vec<Source>,
    /// Largest number of validation photos; they are evenly spaced.
    #[serde(default = "Data::default_validation_photos")]
    pub validation_photos: usize,
    /// Side of the square crops in pixels, a multiple of 8, at least 16.
    pub side: usize,
    /// Augmentation of the photos.
    pub augment: Augment,
    /// Training masks.
    pub masks: Masks,
    /// Side of the canvas on which masks are drawn before they are scaled to `side`, in pixels; `side` by default.
    /// Presets are designed for the side in their name.
    #[serde(default)]
    pub masks_side: Option<usize>,
    /// Validation masks.
    #[serde(default = "Data::default_validation_masks")]
    pub validation_masks: Masks,
    /// Weights of LPIPS, for validation by LPIPS as well (tools/fetch_metric_weights.py downloads them).
    #[serde(default)]
    pub lpips_weights: Option<PathBuf>,
    /// Threads that decode and augment.
    #[serde(default = "Data::default_workers")]
    pub workers: usize,
}

impl Data {
    fn default_validation_photos() -> usize {
        64
    }

    fn default_validation_masks() -> Masks {
        Masks::Preset(Preset::Medium256)
    }

    fn default_workers() -> usize {
        2
    }
}

/// The source of masks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Masks {
    /// A preset, such as `"train-256"`.
    Preset(Preset),
    /// A generator with its own parameters.
    Generator(MaskGenerator),
}

impl Data {
    /// Draws a mask of `side` x `side` pixels.
    pub fn draw(&self, generator: &MaskGenerator, rng: &mut Pcg64) -> Mask {
        let (side, canvas) = (self.side, self.masks_side.unwrap_or(self.side));
        let drawn = generator.draw(canvas, canvas, rng);
        if side == canvas {
            return drawn;
        }
        // The centre of the canvas pixels that a pixel covers.
        let from = |at: usize| (2 * at + 1) * canvas / (2 * side);
        let hole = (0..side * side).map(|index| drawn.is_hole(from(index % side), from(index / side)));
        Mask::new(side, side, hole.collect())
    }
}

impl Masks {
    /// The generator.
    pub fn generator(&self) -> MaskGenerator {
        match self {
            Self::Preset(preset) => preset.generator(),
            Self::Generator(generator) => generator.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunConfig;
    use super::super::tests::SMALL;
    use super::*;

    #[test]
    fn holes_are_scaled_from_their_canvas() {
        use rand::SeedableRng;
        let mut config = RunConfig::parse(SMALL, &[]).unwrap();
        let generator = MaskGenerator::Half;
        let rng = || Pcg64::seed_from_u64(4);
        let plain = config.data.draw(&generator, &mut rng());
        config.data.masks_side = Some(96);
        assert_eq!(config.data.draw(&generator, &mut rng()), plain);
        assert_eq!(plain.count(), 512);
    }
}
