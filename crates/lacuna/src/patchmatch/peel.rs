//! The first estimate at the coarsest level, layer by layer from the rim inwards (an onion peel), as in
//! Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL 2017 (<https://doi.org/10.5201/ipol.2017.189>),
//! section 2.4: patches are compared only where they are known or filled already.

use super::field::Field;
use super::level::Level;
use super::metric::FilledPart;
use super::patch_map::touching;
use super::search::{Order, Pass, Seeds};
use super::vote;
use super::weights::Weights;

/// Pairs of search passes, forward and backward, for each layer.
const PAIRS: usize = 2;

/// Fills the hole of the coarsest level and leaves in `field` the matches that did it.
///
/// # Shapes
/// `depths`: `[height, width]`.
pub(super) fn peel(level: &mut Level, field: &mut Field, depths: &[u16], seeds: &mut Seeds) {
    let deepest = depths.iter().copied().max().unwrap_or(0);
    let mut filled: Vec<bool> = depths.iter().map(|&depth| depth == 0).collect();
    let orders = [Order::Forward, Order::Backward].into_iter().cycle().take(2 * PAIRS);
    for layer in 1..=deepest {
        let in_layer: Vec<bool> = depths.iter().map(|&depth| depth == layer).collect();
        let active = touching(level.width, level.height, &in_layer);
        let metric = FilledPart { pixels: &level.pixels, width: level.width, filled: &filled };
        let radius = level.width.max(level.height);
        for order in orders.clone() {
            Pass { level, metric: &metric, active: &active, order, radius, seed: seeds.next() }.run(field);
        }
        let weights = Weights::of_filled(level, field, depths, &active, &metric);
        vote::repaint(level, field, &weights, |_, index| in_layer[index]);
        for (filled, in_layer) in filled.iter_mut().zip(in_layer) {
            *filled |= in_layer;
        }
    }
}
