//! Filling holes without a network: PatchMatch completion.

mod complete;
mod depth;
mod field;
mod level;
mod membrane;
mod metric;
mod patch_map;
mod peel;
mod roughness;
mod seam;
mod search;
mod vote;
mod weights;

use crate::{Mask, Planes, Predictor, Result};

/// TEMP
pub(crate) fn knob(name: &str, default: f32) -> f32 {
    static KNOBS: std::sync::OnceLock<std::collections::HashMap<String, f32>> = std::sync::OnceLock::new();
    let knobs =
        KNOBS.get_or_init(|| std::env::vars().filter_map(|(k, v)| Some((k, v.parse().ok()?))).collect());
    knobs.get(name).copied().unwrap_or(default)
}

/// How hard PatchMatch tries.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchMatchConfig {
    /// Rounds of search and vote at full size.
    pub finest_rounds: usize,
    /// Rounds more at each coarser level.
    pub rounds_per_level: usize,
}

impl Default for PatchMatchConfig {
    fn default() -> Self {
        Self { finest_rounds: 4, rounds_per_level: 3 }
    }
}

/// The PatchMatch predictor.
#[derive(Clone, Debug, Default)]
pub struct PatchMatch {
    config: PatchMatchConfig,
}

impl PatchMatch {
    /// new
    pub fn new(config: PatchMatchConfig) -> Self {
        Self { config }
    }
}

impl Predictor for PatchMatch {
    fn name(&self) -> String {
        "patchmatch".into()
    }

    fn predict(&self, image: &Planes, mask: &Mask, seed: u64) -> Result<Planes> {
        Ok(complete::complete(image, mask, &self.config, seed))
    }

    fn multiple(&self) -> usize {
        1
    }

    fn smallest_side(&self) -> usize {
        1
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        (width * height * 60) as u64
    }

    fn forecast_seconds(&self, _width: usize, _height: usize, hole_pixels: usize) -> f64 {
        hole_pixels as f64 * 1e-6
    }
}
