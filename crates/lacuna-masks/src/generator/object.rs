//! Object-like shapes.
//!
//! LaMa cuts such masks out with a segmentation network, which is too large for this program. Here a smooth closed
//! outline is drawn instead: a circle whose radius varies in a few waves, stretched and rotated, sometimes joined with
//! a second one.

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::Canvas;

/// One object-like shape.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Object {
    /// Smallest area as a fraction of the image, before clipping at the border.
    pub min_area: f64,
    /// Largest area.
    pub max_area: f64,
}

impl Default for Object {
    /// LaMa's limits for objects.
    fn default() -> Self {
        Self { min_area: 0.02, max_area: 0.3 }
    }
}

/// Number of waves of an outline, and amplitude of the first as a fraction of the radius; each further one is smaller.
const WAVES: usize = 4;
const HEIGHT: f64 = 0.35;
/// Largest stretch of an outline.
const STRETCH: f64 = 2.5;
/// Probability of a second part, and its size as a fraction of the first's.
const JOINED: f64 = 0.5;
const PART: f64 = 0.6;

impl Object {
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { min_area, max_area } = *self;
        if !(0.0..=1.0).contains(&min_area) || !(min_area..=1.0).contains(&max_area) {
            return Err(format!("expected 0 <= min_area <= max_area <= 1, got {min_area} and {max_area}"));
        }
        Ok(())
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, rng: &mut Pcg64) {
        let [width, height] = canvas.size().map(|side| side as f64);
        let area = width * height * (self.min_area + (self.max_area - self.min_area) * rng.random::<f64>());
        let centre = [width, height].map(|side| side * rng.random::<f64>());
        // Radius of a circle with this area: 3 is close enough to π.
        let radius = (area / 3.0).sqrt();
        let body = Outline::draw(centre, radius, rng);
        let limb = rng.random_bool(JOINED).then(|| {
            let [x, y] = unit(rng);
            Outline::draw([centre[0] + radius * x, centre[1] + radius * y], PART * radius, rng)
        });
        canvas.paint(|x, y| {
            let at = [x as f64, y as f64];
            body.holds(at) || limb.as_ref().is_some_and(|limb| limb.holds(at))
        });
    }
}

/// A random direction: a random point within the unit circle, normalised. Uses only sums, products and roots, which are
/// the same on every machine.
fn unit(rng: &mut Pcg64) -> [f64; 2] {
    loop {
        let [x, y] = [(); 2].map(|()| 2.0 * rng.random::<f64>() - 1.0);
        let square = x * x + y * y;
        if square > 0.01 && square <= 1.0 {
            let length = square.sqrt();
            return [x / length, y / length];
        }
    }
}

/// `radius · (1 + sum of waves)` around a centre, along rotated and stretched axes.
struct Outline {
    centre: [f64; 2],
    radius: f64,
    axis: [f64; 2],
    stretch: f64,
    /// Cosine and sine amplitude of each wave.
    waves: [[f64; 2]; WAVES],
}

impl Outline {
    fn draw(centre: [f64; 2], radius: f64, rng: &mut Pcg64) -> Self {
        let stretch = 1.0 + (STRETCH - 1.0) * rng.random::<f64>();
        let axis = unit(rng);
        let waves = std::array::from_fn(|wave| {
            let height = HEIGHT * rng.random::<f64>() / (wave + 1) as f64;
            unit(rng).map(|part| height * part)
        });
        Self { centre, radius, axis, stretch, waves }
    }

    fn holds(&self, at: [f64; 2]) -> bool {
        let [x, y] = [at[0] - self.centre[0], at[1] - self.centre[1]];
        let root = self.stretch.sqrt();
        // Along and across the axis; stretching one and squeezing the other keeps the area.
        let along = (x * self.axis[0] + y * self.axis[1]) / root;
        let across = (y * self.axis[0] - x * self.axis[1]) * root;
        let distance = (along * along + across * across).sqrt();
        if distance == 0.0 {
            return true;
        }
        let [cosine, sine] = [along / distance, across / distance];
        let (mut turned, mut wave_sum) = ([cosine, sine], 1.0);
        for [by_cosine, by_sine] in self.waves {
            // Multiples of the angle by complex multiplication: waves 2, 3, 4, 5.
            turned = [turned[0] * cosine - turned[1] * sine, turned[0] * sine + turned[1] * cosine];
            wave_sum += by_cosine * turned[0] + by_sine * turned[1];
        }
        distance <= self.radius * wave_sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::MaskGenerator;
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn areas_are_about_what_is_asked_for() {
        let object = Object { min_area: 0.1, max_area: 0.1 };
        let fractions: Vec<f64> = (0..300)
            .map(|seed| {
                let mask = MaskGenerator::Segmentation(object).draw(64, 64, &mut Pcg64::seed_from_u64(seed));
                mask.count() as f64 / 4096.0
            })
            .collect();
        let mean = fractions.iter().sum::<f64>() / 300.0;
        // The border cuts off about a quarter; a second part adds about a sixth.
        assert!((0.06..0.13).contains(&mean), "{mean}");
        assert!(fractions.iter().all(|&fraction| fraction > 0.0 && fraction < 0.3));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Object { min_area: -0.1, max_area: 0.2 }.check().unwrap_err().contains("got -0.1 and 0.2"));
    }
}
