//! Mask generators: LaMa's (<https://arxiv.org/abs/2109.07161>, section 2.4 and appendix), those of context encoders, and
//! an object-like one.
//!
//! All randomness comes from the generator that is passed in, and nothing depends on the platform's math library: the
//! same seed gives the same mask on every machine.

mod blob;
mod boxes;
mod canvas;
mod centre;
mod irregular;
mod object;
mod outpainting;
mod presets;
mod superres;

use lacuna::Mask;
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

pub use blob::Blob;
pub use boxes::Boxes;
pub use centre::Centre;
pub use irregular::{Brush, Irregular};
pub use object::Object;
pub use outpainting::Outpainting;
pub use presets::Preset;
pub use superres::Superres;

use canvas::Canvas;

/// A mask generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MaskGenerator {
    /// Chains of strokes.
    Irregular(Irregular),
    /// Rectangles.
    Box(Boxes),
    /// An object-like shape.
    Segmentation(Object),
    /// Rows and columns at regular distances.
    Superres(Superres),
    /// The image borders.
    Outpainting(Outpainting),
    /// Regions of smooth noise.
    Blob(Blob),
    /// The centre.
    Centre(Centre),
    /// One of several generators.
    Mixed {
        /// The generators.
        of: Vec<WeightedGenerator>,
    },
    /// Half of the image, at one of its four sides.
    Half,
    /// No hole.
    Empty,
}

/// A generator of a mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedGenerator {
    /// Its weight relative to the others.
    pub probability: f64,
    /// The generator.
    pub generator: MaskGenerator,
}

impl MaskGenerator {
    /// Draws a mask of `width` x `height` pixels.
    pub fn draw(&self, width: usize, height: usize, rng: &mut Pcg64) -> Mask {
        let mut canvas = Canvas::new(width, height);
        self.draw_on(&mut canvas, rng);
        canvas.into_mask()
    }

    fn draw_on(&self, canvas: &mut Canvas, rng: &mut Pcg64) {
        match self {
            Self::Irregular(irregular) => irregular.draw(canvas, rng),
            Self::Box(boxes) => boxes.draw(canvas, rng),
            Self::Segmentation(object) => object.draw(canvas, rng),
            Self::Superres(superres) => superres.draw(canvas, rng),
            Self::Outpainting(outpainting) => outpainting.draw(canvas, rng),
            Self::Blob(blob) => blob.draw(canvas, rng),
            Self::Centre(centre) => centre.draw(canvas),
            Self::Mixed { of } => {
                let sum: f64 = of.iter().map(|item| item.probability).sum();
                let mut left = rng.random::<f64>() * sum;
                for item in of {
                    left -= item.probability;
                    if left < 0.0 {
                        return item.generator.draw_on(canvas, rng);
                    }
                }
                // Rounding may leave a small remainder of the sum.
                if let Some(last) = of.iter().rev().find(|item| item.probability > 0.0) {
                    last.generator.draw_on(canvas, rng);
                }
            }
            Self::Half => {
                let [width, height] = canvas.size();
                match rng.random_range(0..4) {
                    0 => canvas.fill(0..width / 2, 0..height),
                    1 => canvas.fill(width / 2..width, 0..height),
                    2 => canvas.fill(0..width, 0..height / 2),
                    _ => canvas.fill(0..width, height / 2..height),
                }
            }
            Self::Empty => {}
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// The parameter and its value, as text.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Irregular(irregular) => irregular.check(),
            Self::Box(boxes) => boxes.check(),
            Self::Segmentation(object) => object.check(),
            Self::Superres(superres) => superres.check(),
            Self::Outpainting(outpainting) => outpainting.check(),
            Self::Blob(blob) => blob.check(),
            Self::Mixed { of } => {
                let sum: f64 = of.iter().map(|item| item.probability).sum();
                if !sum.is_finite() || sum <= 0.0 || of.iter().any(|item| item.probability < 0.0) {
                    return Err(format!(
                        "probabilities must not be negative or all zero; their sum is {sum}"
                    ));
                }
                of.iter().try_for_each(|item| item.generator.check())
            }
            Self::Half | Self::Empty | Self::Centre(_) => Ok(()),
        }
    }
}

/// `Err` with both values unless `least <= most`.
fn ordered(name: &str, least: usize, most: usize) -> Result<(), String> {
    if least <= most {
        Ok(())
    } else {
        Err(format!("min_{name} is {least}, more than max_{name}, which is {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    pub fn rng(seed: u64) -> Pcg64 {
        Pcg64::seed_from_u64(seed)
    }

    #[test]
    fn tiny_canvases_are_no_trouble() {
        let generators = Preset::ALL.map(Preset::generator);
        let others = [
            MaskGenerator::Superres(Superres::default()),
            MaskGenerator::Segmentation(Object::default()),
            MaskGenerator::Blob(Blob::default()),
            MaskGenerator::Centre(Centre { margin: 4 }),
            MaskGenerator::Empty,
        ];
        for generator in generators.iter().chain(&others) {
            generator.check().unwrap();
            for (width, height) in [(1, 1), (16, 9), (3, 40)] {
                for seed in 0..20 {
                    let mask = generator.draw(width, height, &mut rng(seed));
                    assert_eq!((mask.width(), mask.height()), (width, height));
                }
            }
        }
    }

    #[test]
    fn a_mixture_takes_each_in_proportion() {
        let item = |probability, generator| WeightedGenerator { probability, generator };
        let mixed = MaskGenerator::Mixed {
            of: vec![
                item(1.0, MaskGenerator::Empty),
                item(3.0, MaskGenerator::Half),
                item(0.0, MaskGenerator::Empty),
            ],
        };
        let halves = (0..2000).filter(|&seed| mixed.draw(4, 4, &mut rng(seed)).count() == 8).count();
        assert!((1430..1570).contains(&halves), "{halves}");
        let empty = MaskGenerator::Mixed { of: vec![item(0.0, MaskGenerator::Half)] };
        assert!(empty.check().unwrap_err().contains("their sum is 0"));
    }

    #[test]
    fn generators_are_written_as_tables() {
        let text = r#"{"kind":"mixed","of":[{"probability":1.0,"generator":{"kind":"box","min_times":1,"max_times":2,"min_size":3,"max_size":9,"margin":0}},{"probability":0.5,"generator":{"kind":"half"}}]}"#;
        let generator: MaskGenerator = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&generator).unwrap(), text);
        assert!(serde_json::from_str::<MaskGenerator>(r#"{"kind":"superres","stepp":3}"#).is_err());
    }
}
