//! Random regions of context encoders (Pathak et al. 2016, <https://arxiv.org/abs/1604.07379>), as in their program:
//! smooth noise below a threshold, drawn again until the area is right.
//!
//! Differs from it in: each image has its own mask, not each batch; the size of blobs scales with the image, not with
//! a pattern of 10,000 pixels; noise is drawn for the image alone, so that the border of a pattern plays no part.

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::Canvas;

/// Cubic convolution's free parameter, as PyTorch's bicubic resizing has it.
const SHARPNESS: f64 = -0.75;

/// Taps of cubic convolution.
const TAPS: usize = 4;

/// Draws after which a mask of the wrong area is taken: small canvases have no others. At 128 pixels 31 % of draws are
/// accepted.
const MOST_DRAWS: usize = 200;

/// Regions where smooth noise is below a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Blob {
    /// Cells of noise along the longer side.
    pub cells: f64,
    /// Noise below this is hole; noise is uniform in `[0, 1)` before it is smoothed.
    pub threshold: f64,
    /// The hole covers a larger fraction than this …
    pub min_area: f64,
    /// … and a smaller one than this.
    pub max_area: f64,
}

impl Default for Blob {
    /// The published values: cells of 10,000 / 600 pixels in images of 128.
    fn default() -> Self {
        Self { cells: 7.68, threshold: 0.25, min_area: 0.20, max_area: 0.30 }
    }
}

impl Blob {
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { cells, threshold, min_area, max_area } = *self;
        if !(1.0..=1000.0).contains(&cells) {
            return Err(format!("cells is {cells}, expected 1 to 1000"));
        }
        if !(0.0..1.0).contains(&threshold) || threshold == 0.0 {
            return Err(format!("threshold is {threshold}, expected more than 0 and less than 1"));
        }
        if !(0.0 <= min_area && min_area < max_area && max_area <= 1.0) {
            return Err(format!(
                "min_area is {min_area} and max_area {max_area}, expected 0 <= min_area < max_area <= 1"
            ));
        }
        Ok(())
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, rng: &mut Pcg64) {
        let [width, height] = canvas.size();
        let cell = width.max(height) as f64 / self.cells;
        for draw in 1..=MOST_DRAWS {
            let noise = Noise::draw([width, height], cell, rng);
            let hole: Vec<bool> = noise.smooth().into_iter().map(|value| value < self.threshold).collect();
            let area = hole.iter().filter(|hole| **hole).count() as f64 / hole.len() as f64;
            if (self.min_area < area && area < self.max_area) || draw == MOST_DRAWS {
                return canvas.paint(|x, y| hole[y * width + x]);
            }
        }
    }
}

/// Noise on a grid of cells, at a random position under the image.
struct Noise {
    values: Vec<f64>,
    columns: usize,
    x: Vec<Place>,
    y: Vec<Place>,
}

/// Where a pixel reads the grid along one axis: the first of [`TAPS`] cells, and their weights.
struct Place {
    first: usize,
    weights: [f64; TAPS],
}

impl Noise {
    fn draw([width, height]: [usize; 2], cell: f64, rng: &mut Pcg64) -> Self {
        let [left, top] = [rng.random::<f64>(), rng.random::<f64>()];
        let place = |at: usize, start: f64| {
            let at = start + (at as f64 + 0.5) / cell;
            let first = at.floor();
            Place { first: first as usize, weights: cubic(at - first) }
        };
        let x: Vec<Place> = (0..width).map(|at| place(at, left)).collect();
        let y: Vec<Place> = (0..height).map(|at| place(at, top)).collect();
        let cells = |places: &[Place]| places.last().map_or(0, |last| last.first + TAPS);
        let (columns, rows) = (cells(&x), cells(&y));
        let values = (0..columns * rows).map(|_| rng.random::<f64>()).collect();
        Self { values, columns, x, y }
    }

    /// The noise at every pixel, by cubic convolution, row by row.
    fn smooth(&self) -> Vec<f64> {
        let mut smooth = Vec::with_capacity(self.x.len() * self.y.len());
        for y in &self.y {
            let rows = self.values[y.first * self.columns..].chunks_exact(self.columns);
            let mut line = vec![0.0; self.columns];
            for (row, weight) in rows.zip(y.weights) {
                line.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
            }
            smooth.extend(self.x.iter().map(|x| {
                line[x.first..][..TAPS]
                    .iter()
                    .zip(x.weights)
                    .map(|(value, weight)| value * weight)
                    .sum::<f64>()
            }));
        }
        smooth
    }
}

/// Weights of the four cells around a place `at` (0 to 1) between the second and the third.
fn cubic(at: f64) -> [f64; TAPS] {
    let near = |d: f64| ((SHARPNESS + 2.0) * d - (SHARPNESS + 3.0)) * d * d + 1.0;
    let far = |d: f64| ((SHARPNESS * d - 5.0 * SHARPNESS) * d + 8.0 * SHARPNESS) * d - 4.0 * SHARPNESS;
    [far(1.0 + at), near(at), near(1.0 - at), far(2.0 - at)]
}

#[cfg(test)]
mod tests {
    use super::super::MaskGenerator;
    use super::*;
    use rand::SeedableRng;

    /// Reference specification C.5: accepted masks of 128 pixels cover 22.9 % on average.
    #[test]
    fn areas_are_those_of_the_published_program() {
        let generator = MaskGenerator::Blob(Blob::default());
        let area = |seed: u64| {
            let mask = generator.draw(128, 128, &mut Pcg64::seed_from_u64(seed));
            mask.count() as f64 / 16_384.0
        };
        let areas: Vec<f64> = (0..1000).map(area).collect();
        assert!(areas.iter().all(|area| (0.20..0.30).contains(area)));
        let mean = areas.iter().sum::<f64>() / 1000.0;
        // The standard error of the mean of 1,000 is 0.0008.
        assert!((mean - 0.229).abs() < 0.005, "{mean}");
        assert_eq!(area(7), areas[7], "the same seed gives the same mask");
        assert_ne!(areas[7], areas[8]);
    }

    #[test]
    fn cubic_weights_by_hand() {
        assert_eq!(cubic(0.0), [0.0, 1.0, 0.0, 0.0]);
        // PyTorch's bicubic doubling has -0.1054, 0.8789, 0.2617, -0.0352 (at 0.25).
        let expected = [-0.105_468_75, 0.878_906_25, 0.261_718_75, -0.035_156_25];
        for (found, expected) in cubic(0.25).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_values() {
        let refused = |blob: Blob| blob.check().unwrap_err();
        assert_eq!(Blob::default().check(), Ok(()));
        assert!(refused(Blob { cells: 0.5, ..Blob::default() }).contains("0.5"));
        assert!(refused(Blob { threshold: 1.0, ..Blob::default() }).contains("threshold is 1"));
        let areas = refused(Blob { min_area: 0.4, ..Blob::default() });
        assert!(areas.contains("min_area is 0.4 and max_area 0.3"), "{areas}");
    }
}
