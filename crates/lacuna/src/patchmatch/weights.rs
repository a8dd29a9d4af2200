//! How much the vote of each patch counts.
//!
//! Wexler et al., "Space-Time Completion of Video", TPAMI 2007 (<https://doi.org/10.1109/TPAMI.2007.60>),
//! section 3.2: `alpha * exp(-distance / (2 sigma^2))` with `sigma^2` the 75th percentile of all distances and
//! `alpha = 1.3^-depth`, the depth of the patch's centre in the hole.

use super::field::Field;
use super::level::Level;
use super::metric::FilledPart;
use super::patch_map::{PATCH, PATCH_AREA};
use rayon::prelude::*;

/// By how much a vote counts less for each pixel that the patch's centre lies deeper.
const DEPTH_BASE: f32 = 1.3;

/// Beyond this depth in pixels all patches are equally far from what is known: keeps weights above 1e-24.
const DEEPEST: u16 = 200;

/// The largest exponent of a weight: together with the depth it stays within the range of 32-bit floats.
const LARGEST_EXPONENT: f32 = 20.0;

/// The share of distances below `sigma^2`.
const PERCENTILE: f64 = 0.75;

/// About this many distances are sorted for the percentile, which is then exact to below 1 % of them.
const PERCENTILE_SAMPLES: usize = 1 << 16;

/// The weight of each patch's vote.
///
/// # Shapes
/// `values`: `[region.height, region.width]` of the field.
pub(super) struct Weights {
    pub(super) values: Vec<f32>,
}

impl Weights {
    /// Weights from the field's distances and the level's depths. `sigma` is that of the `active` patches, named by the
    /// pixel index of their top left corner.
    pub(super) fn new(level: &Level, field: &Field, active: &[bool]) -> Self {
        let region = field.region;
        // Below a distance of 1 differences are rounding.
        let falloff = -0.5 / percentile(level, field, active).max(1.0);
        let by_depth: Vec<f32> = (0..=DEEPEST).map(|depth| DEPTH_BASE.powi(-i32::from(depth))).collect();
        let mut values = vec![0.0; field.matches.len()];
        let rows = values.par_chunks_mut(region.width).zip(field.matches.par_chunks(region.width));
        rows.enumerate().for_each(|(row, (values, matches))| {
            let centre = (region.y + row + PATCH / 2) * level.width + region.x + PATCH / 2;
            let depths = &level.depths[centre..centre + region.width];
            let active = &active[(region.y + row) * level.width + region.x..][..region.width];
            let patches = values.iter_mut().zip(matches).zip(depths).zip(active);
            for ((value, matched), depth) in patches.filter_map(|(patch, active)| active.then_some(patch)) {
                let exponent = (matched.distance as f32 * falloff).max(-LARGEST_EXPONENT);
                // The same bits on every system, unlike the standard library's.
                *value = by_depth[usize::from(*depth.min(&DEEPEST))] * libm::expf(exponent);
            }
        });
        Self { values }
    }

    /// The same for targets that are filled in part: they count as the square of the share that is filled, so
    /// none where nothing is.
    pub(super) fn of_filled(level: &Level, field: &Field, active: &[bool], filled: &FilledPart) -> Self {
        let mut weights = Self::new(level, field, active);
        let region = field.region;
        weights.values.par_chunks_mut(region.width).enumerate().for_each(|(row, values)| {
            for (column, value) in values.iter_mut().enumerate() {
                let patch = (region.y + row) * level.width + region.x + column;
                if active[patch] {
                    *value *= (filled.count(patch) as f32 / PATCH_AREA as f32).powi(2);
                }
            }
        });
        weights
    }
}

/// The 75th percentile of the active patches' distances, from evenly spread samples.
fn percentile(level: &Level, field: &Field, active: &[bool]) -> f32 {
    let region = field.region;
    let step = (field.matches.len() / PERCENTILE_SAMPLES).max(1);
    let is_active = |index: &usize| {
        let (x, y) = (region.x + index % region.width, region.y + index / region.width);
        active[y * level.width + x]
    };
    let indices = (0..field.matches.len()).step_by(step).filter(is_active);
    let mut distances: Vec<u32> = indices.map(|index| field.matches[index].distance).collect();
    if distances.is_empty() {
        return 0.0;
    }
    let rank = ((distances.len() - 1) as f64 * PERCENTILE) as usize;
    *distances.select_nth_unstable(rank).1 as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mask, Planes};

    #[test]
    fn deeper_and_less_similar_patches_count_less() {
        let hole: Vec<bool> =
            (0..40 * 40).map(|i| (12..27).contains(&(i % 40)) && (12..27).contains(&(i / 40))).collect();
        let level = Level::whole(&Planes::black(40, 40), &Mask::new(40, 40, hole));
        let mut field = Field::random(&level, 1);
        for matched in &mut field.matches {
            matched.distance = 800;
        }
        field.matches[0].distance = 1600;
        let weights = Weights::new(&level, &field, level.patches.targets()).values;
        // The corner patch's centre (9, 9) is known; sigma^2 is 800.
        assert!((weights[0] - (-1.0f32).exp()).abs() < 1e-6);
        assert!((weights[1] - (-0.5f32).exp()).abs() < 1e-6);
        // The patch at the region's (10, 10) has its centre at (19, 19), 8 pixels deep.
        let deep = weights[10 * field.region.width + 10];
        assert!((deep / weights[1] - 1.3f32.powi(-8)).abs() < 1e-6, "{deep}");
    }
}
