//! The first estimate at the coarsest level, layer by layer from the rim inwards (an onion peel), as in
//! Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL 2017 (<https://doi.org/10.5201/ipol.2017.189>),
//! section 2.4: patches are compared only where they are known or filled already.

use super::field::Field;
use super::level::Level;
use super::metric::FilledPart;
use super::patch_map::touching;
use super::search::{Order, Pass};
use super::vote::{self, Weights};

/// Search passes for each layer.
const PASSES: u64 = 4;

/// Fills the hole of the coarsest level and leaves in `field` the matches that did it.
///
/// `depths`: `[height, width]`; `seed` is raised by the number of passes, and the new one returned.
pub(super) fn peel(level: &mut Level, field: &mut Field, depths: &[u16], mut seed: u64) -> u64 {
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let mut filled: Vec<bool> = depths.iter().map(|&depth| depth == 0).collect();
    for layer in 1..=deepest {
        let in_layer: Vec<bool> = depths.iter().map(|&depth| depth == layer).collect();
        let active = touching(level.width, level.height, &in_layer);
        let metric = FilledPart { pixels: &level.pixels, width: level.width, filled: &filled };
        for number in 0..PASSES {
            let order = if number % 2 == 0 { Order::Forward } else { Order::Backward };
            let radius = level.width.max(level.height);
            Pass { level, metric: &metric, active: &active, order, radius, seed }.run(field);
            seed += 1;
        }
        let weights = Weights::of_filled(level, field, depths, &metric);
        vote::repaint(level, field, &weights, 1, |index| in_layer[index]);
        for (filled, in_layer) in filled.iter_mut().zip(in_layer) {
            *filled |= in_layer;
        }
    }
    seed
}
