//! What colour each missing pixel gets: the votes of the patches that cover it.
//!
//! Wexler et al., "Space-Time Completion of Video", TPAMI 2007 (<https://doi.org/10.1109/TPAMI.2007.60>),
//! section 3.2: every patch that covers a pixel votes for the colour its source has there, with the weight
//! `alpha * exp(-distance / (2 sigma^2))`, `sigma^2` the 75th percentile of all distances and
//! `alpha = 1.3^-depth` of the patch's centre.
//! Differs from it in: votes for the same source pixel are counted together and raised to a power, so that a
//! coherent majority outvotes the blur of a mean; power 1 is the mean.

use super::field::Field;
use super::level::{Level, Pixel};
use super::metric::FilledPart;
use super::patch_map::{PATCH, PATCH_AREA};
use rayon::prelude::*;

/// By how much a vote counts less for each pixel that the patch's centre lies deeper: the base of Wexler et al.
const DEPTH_BASE: f32 = 1.3;

/// Beyond this depth in pixels all patches are equally far from what is known: keeps weights above 1e-24.
const DEEPEST: u16 = 200;

/// The largest exponent of a weight: with the depth it keeps weights within the range of 32-bit floats.
const LARGEST_EXPONENT: f32 = 20.0;

/// The share of distances below `sigma^2`.
const PERCENTILE: f64 = 0.75;

/// At most this many distances are sorted for the percentile; its error is then below 1 % of them.
const PERCENTILE_SAMPLES: usize = 1 << 16;

/// The weight of each patch's vote.
///
/// # Shapes
/// `values`: `[region.height, region.width]`.
pub(super) struct Weights {
    values: Vec<f32>,
}

impl Weights {
    /// Weights from the field's distances and `depths`, `[height, width]` of the frame.
    pub(super) fn new(level: &Level, field: &Field, depths: &[u16]) -> Self {
        let region = field.region;
        let falloff = -0.5 / percentile(level, field).max(1.0);
        let by_depth: Vec<f32> = (0..=DEEPEST).map(|depth| DEPTH_BASE.powi(-i32::from(depth))).collect();
        let mut values = vec![0.0; field.matches.len()];
        let rows = values.par_chunks_mut(region.width).zip(field.matches.par_chunks(region.width));
        rows.enumerate().for_each(|(row, (values, matches))| {
            let centre = (region.y + row + PATCH / 2) * level.width + region.x + PATCH / 2;
            for (column, (value, matched)) in values.iter_mut().zip(matches).enumerate() {
                let depth = depths[(centre + column).min(depths.len() - 1)].min(DEEPEST);
                let exponent = (matched.distance as f32 * falloff).max(-LARGEST_EXPONENT);
                *value = by_depth[usize::from(depth)] * exponent.exp();
            }
        });
        Self { values }
    }

    /// The same for patches that are filled in part: they count as the square of the share that is filled.
    pub(super) fn of_filled(level: &Level, field: &Field, depths: &[u16], filled: &FilledPart) -> Self {
        let mut weights = Self::new(level, field, depths);
        let region = field.region;
        weights.values.par_chunks_mut(region.width).enumerate().for_each(|(row, values)| {
            for (column, value) in values.iter_mut().enumerate() {
                let patch = (region.y + row) * level.width + region.x + column;
                if level.patches.targets()[patch] {
                    *value *= (filled.count(patch) as f32 / PATCH_AREA as f32).powi(2);
                }
            }
        });
        weights
    }
}

/// The 75th percentile of the targets' distances, from evenly spread samples.
fn percentile(level: &Level, field: &Field) -> f32 {
    let region = field.region;
    let step = (field.matches.len() / PERCENTILE_SAMPLES).max(1);
    let is_target = |index: usize| {
        let (x, y) = (region.x + index % region.width, region.y + index / region.width);
        level.patches.targets()[y * level.width + x]
    };
    let indices = (0..field.matches.len()).step_by(step).filter(|&index| is_target(index));
    let mut distances: Vec<u32> = indices.map(|index| field.matches[index].distance).collect();
    if distances.is_empty() {
        return 0.0;
    }
    let rank = ((distances.len() - 1) as f64 * PERCENTILE) as usize;
    *distances.select_nth_unstable(rank).1 as f32
}

/// The votes on one pixel: source pixels, each with the weight of all patches that vote for it.
pub(super) struct Ballot {
    sources: [u32; PATCH_AREA],
    weights: [f32; PATCH_AREA],
    count: usize,
}

impl Ballot {
    /// The votes on the pixel at column `x`, row `y`.
    #[inline(always)]
    pub(super) fn on(level: &Level, field: &Field, weights: &Weights, x: usize, y: usize) -> Self {
        let region = field.region;
        let targets = level.patches.targets();
        let mut ballot = Self { sources: [0; PATCH_AREA], weights: [0.0; PATCH_AREA], count: 0 };
        let columns = x.saturating_sub(PATCH - 1).max(region.x)..(x + 1).min(region.x + region.width);
        let rows = y.saturating_sub(PATCH - 1).max(region.y)..(y + 1).min(region.y + region.height);
        for patch_y in rows {
            for patch_x in columns.clone() {
                if !targets[patch_y * level.width + patch_x] {
                    continue;
                }
                let index = (patch_y - region.y) * region.width + patch_x - region.x;
                let source =
                    field.matches[index].source(level.width) + (y - patch_y) * level.width + x - patch_x;
                ballot.add(source as u32, weights.values[index]);
            }
        }
        ballot
    }

    #[inline(always)]
    fn add(&mut self, source: u32, weight: f32) {
        let known = self.sources[..self.count].iter().rposition(|&known| known == source);
        let index = known.unwrap_or(self.count);
        self.sources[index] = source;
        self.weights[index] += weight;
        self.count = self.count.max(index + 1);
    }

    /// Whether nobody voted: only outside the hole.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elected value: `value` of the sources, averaged with their weights raised to `power`.
    #[inline(always)]
    pub(super) fn elect<const CHANNELS: usize>(
        &self,
        power: i32,
        value: impl Fn(usize) -> [f32; CHANNELS],
    ) -> [f32; CHANNELS] {
        // Relative to the largest weight, so that no power underflows.
        let largest = self.weights[..self.count].iter().fold(f32::MIN_POSITIVE, |a, &b| a.max(b));
        let (mut sums, mut total) = ([0.0; CHANNELS], 0.0);
        for (&source, &weight) in self.sources.iter().zip(&self.weights).take(self.count) {
            let weight = (weight / largest).powi(power);
            for (sum, value) in sums.iter_mut().zip(value(source as usize)) {
                *sum += weight * value;
            }
            total += weight;
        }
        sums.map(|sum| sum / total)
    }
}

/// Gives every pixel of `which` (`[height, width]`, inside the hole) the colour its patches vote for.
pub(super) fn repaint(
    level: &mut Level,
    field: &Field,
    weights: &Weights,
    power: i32,
    which: impl Fn(usize) -> bool + Sync,
) {
    let width = level.width;
    let rows: Vec<usize> =
        (0..level.height).filter(|&y| level.hole[y * width..(y + 1) * width].contains(&true)).collect();
    let painted: Vec<Vec<Pixel>> = rows
        .par_iter()
        .map(|&y| {
            (0..width)
                .filter(|x| level.hole[y * width + x] && which(y * width + x))
                .map(|x| {
                    let ballot = Ballot::on(level, field, weights, x, y);
                    ballot
                        .elect(power, |source| level.pixels[source].map(f32::from))
                        .map(|value| value.round() as i16)
                })
                .collect()
        })
        .collect();
    for (y, painted) in rows.into_iter().zip(painted) {
        let mut painted = painted.into_iter();
        for index in y * width..(y + 1) * width {
            if level.hole[index] && which(index) {
                level.pixels[index] = painted.next().expect("one colour for each pixel");
            }
        }
    }
}
