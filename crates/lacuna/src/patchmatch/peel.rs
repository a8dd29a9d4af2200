//! The first estimate at the coarsest level, layer by layer from the rim inwards (an onion peel), as in
//! Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL 2017 (<https://doi.org/10.5201/ipol.2017.189>),
//! section 2.4: patches are compared only where they are known or filled already.

use super::PeelConfig;
use super::field::Field;
use super::level::Level;
use super::membrane::{self, Cell};
use super::metric::FilledPart;
use super::patch_map::touching;
use super::search::{Scope, Seeds, search};
use super::vote;
use super::weights::Weights;

/// What lies deeper than this is filled smoothly: only in holes that leave the pyramid too few sources to go on,
/// and so many layers away from anything known nothing is left to match.
const MOST_LAYERS: u16 = 128;

/// Fills the hole of the coarsest level and leaves in `field` the matches that did it.
pub(super) fn peel(level: &mut Level, field: &mut Field, config: &PeelConfig, seeds: &mut Seeds) {
    let deepest = level.depths.iter().copied().max().unwrap_or(0).min(MOST_LAYERS);
    let mut filled: Vec<bool> = level.depths.iter().map(|&depth| depth == 0).collect();
    for first in (1..=deepest).step_by(usize::from(config.thickness.get())) {
        let layer = first..(first + config.thickness.get()).min(deepest + 1);
        let in_layer: Vec<bool> = level.depths.iter().map(|depth| layer.contains(depth)).collect();
        let active = touching(level.width, level.height, &in_layer);
        let metric = FilledPart { pixels: &level.pixels, width: level.width, filled: &filled };
        let scope =
            Scope { active: &active, radius: level.width.max(level.height), pairs: config.pairs.get() };
        search(level, &metric, &scope, field, seeds);
        let weights = Weights::of_filled(level, field, &active, &metric);
        vote::repaint(level, field, &weights, |_, index| in_layer[index]);
        for (filled, in_layer) in filled.iter_mut().zip(in_layer) {
            *filled |= in_layer;
        }
    }
    fill_rest(level, &filled);
}

/// Stretches a membrane over what is not filled.
fn fill_rest(level: &mut Level, filled: &[bool]) {
    let cells: Vec<Cell> =
        filled.iter().map(|&filled| if filled { Cell::Fixed } else { Cell::Free }).collect();
    if !cells.contains(&Cell::Free) {
        return;
    }
    let loads = vec![0.0; cells.len()];
    for channel in 0..4 {
        let mut values: Vec<f32> = level.pixels.iter().map(|pixel| f32::from(pixel[channel])).collect();
        membrane::fill(level.width, level.height, &mut values, &cells, &loads);
        for (pixel, value) in level.pixels.iter_mut().zip(values) {
            pixel[channel] = value.round() as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patchmatch::level::FULL_SCALE;
    use crate::{Mask, Planes};

    fn peeled(
        width: usize,
        height: usize,
        hole: impl Fn(usize) -> bool,
        colour: impl Fn(usize) -> f32,
    ) -> Level {
        let hole: Vec<bool> = (0..width * height).map(hole).collect();
        let values = (0..3 * width * height).map(|index| colour(index % (width * height))).collect();
        let mut level = Level::whole(&Planes::new(width, height, values), &Mask::new(width, height, hole));
        let mut field = Field::random(&level, 1);
        peel(&mut level, &mut field, &PeelConfig::default(), &mut Seeds::new(1));
        level
    }

    #[test]
    fn stripes_are_continued() {
        let stripe = |index: usize| if index % 60 % 4 < 2 { 0.2 } else { 0.8 };
        let hole = |index: usize| (20..40).contains(&(index % 60)) && (15..30).contains(&(index / 60));
        let level = peeled(60, 45, hole, stripe);
        for (index, pixel) in level.pixels.iter().enumerate() {
            let expected = (stripe(index) * FULL_SCALE).round() as i16;
            assert!((pixel[1] - expected).abs() <= 20, "{} instead of {expected} at {index}", pixel[1]);
        }
    }

    #[test]
    fn beyond_the_last_layer_it_is_smooth() {
        let level = peeled(400, 20, |index| index % 400 >= 30, |_| 0.5);
        let expected = (0.5 * FULL_SCALE).round() as i16;
        assert!(level.pixels.iter().all(|pixel| (pixel[0] - expected).abs() <= 1));
    }
}
