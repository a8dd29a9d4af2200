//! The guide: a network's rough prediction of the hole, structure and colour without detail.

use crate::distance::squared_distances;
use crate::resample::{KnownScaling, Padding, UP_SMOOTH, blacken, resize, scale_down};
use crate::{Mask, Planes, Predictor, Result, Watch};

/// The network sees the image at a scale at which no hole pixel is farther than this from a known one: as deep as the
/// holes of `train-256` at the 128 pixels that the default network was trained on.
const DEEPEST: f64 = 24.0;

/// Longest side shown to the network, in pixels; farther context costs time and adds nothing.
const LONGEST: usize = 512;

/// The guide's resolution is the network's divided by this, so that a blurred prediction and the sharp image around it
/// look alike.
const COARSER: usize = 2;

/// A downscaled pixel counts as hole if less than this fraction of it is known.
const KNOWN_SHARE: f32 = 0.5;

/// The scales of an image.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    /// The image's own size.
    full: (usize, usize),
    /// The network's input size, without and with padding.
    padding: Padding,
}

impl Scale {
    /// The scale for a hole with a depth of `depth` pixels.
    pub(super) fn new(full: (usize, usize), depth: f64, network: &dyn Predictor) -> Self {
        let factor = (depth / DEEPEST).max(full.0.max(full.1) as f64 / LONGEST as f64).max(1.0);
        let side = |side: usize| ((side as f64 / factor).round() as usize).max(1);
        let padded = |side: usize| network.sides().padded(side);
        let from = (side(full.0), side(full.1));
        Self { full, padding: Padding { from, to: (padded(from.0), padded(from.1)) } }
    }

    /// The network's input size without padding.
    pub(super) fn seen(&self) -> (usize, usize) {
        self.padding.to
    }
}

/// The largest distance of a hole pixel to a known one, in pixels.
pub(super) fn depth(mask: &Mask) -> f64 {
    let Some(bounds) = mask.bounds() else { return 0.0 };
    // Around the bounds all pixels are known, and none beyond them is nearer.
    let window = bounds.grown(1, mask.width(), mask.height());
    let is_known = |x, y| !mask.is_hole(window.x + x, window.y + y);
    squared_distances(window.width, window.height, is_known).into_iter().fold(0.0, f64::max).sqrt()
}

/// The image with its hole filled by the network, without detail.
///
/// # Errors
/// As [`Predictor::predict_watched`].
pub(super) fn guide(
    network: &dyn Predictor,
    image: &Planes,
    mask: &Mask,
    seed: u64,
    watch: &Watch,
) -> Result<Planes> {
    let Scale { full, padding } = Scale::new((image.width(), image.height()), depth(mask), network);
    let scaling = KnownScaling::new(mask, padding.from);
    let hole = scaling.mask(KNOWN_SHARE);
    let mut small = Vec::with_capacity(3 * padding.to.0 * padding.to.1);
    for channel in 0..3 {
        let mut plane = image.plane(channel).to_vec();
        blacken(&mut plane, mask);
        let mut plane = scaling.scale(&plane);
        blacken(&mut plane, &hole);
        padding.append(&plane, &mut small);
    }
    let mut small = Planes::new(padding.to.0, padding.to.1, small);
    if hole.count() > 0 {
        let hole = padding.mask(&hole);
        let predicted = network.predict_watched(&small, &hole, seed, watch)?;
        for channel in 0..3 {
            let pixels = small.plane_mut(channel).iter_mut().zip(predicted.plane(channel)).zip(hole.hole());
            pixels.filter(|(_, hole)| **hole).for_each(|((value, predicted), _)| *value = *predicted);
        }
    }
    let coarse = (padding.from.0.div_ceil(COARSER), padding.from.1.div_ceil(COARSER));
    let mut values = Vec::with_capacity(3 * full.0 * full.1);
    for channel in 0..3 {
        let plane = scale_down(&padding.remove(small.plane(channel)), padding.from, coarse);
        values.extend(resize(&plane, coarse, full, UP_SMOOTH, &Default::default()));
    }
    Ok(Planes::new(full.0, full.1, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::tests::Constant;

    const NETWORK: Constant = Constant { multiple: 8, smallest: 16 };

    fn of(hole: impl Fn(usize, usize) -> bool) -> Planes {
        let mask = Mask::new(90, 70, (0..90 * 70).map(|index| hole(index % 90, index / 90)).collect());
        let image = Planes::new(90, 70, vec![0.2; 3 * 90 * 70]);
        guide(&NETWORK, &image, &mask, 1, &Watch::default()).unwrap()
    }

    #[test]
    fn the_hole_is_the_networks_and_the_rest_the_pictures() {
        // `Constant` predicts 0.5.
        let guide = of(|x, y| (20..70).contains(&x) && (15..55).contains(&y));
        assert_eq!((guide.width(), guide.height()), (90, 70));
        assert!((guide.plane(0)[35 * 90 + 45] - 0.5).abs() < 1e-6);
        assert!((guide.plane(1)[3 * 90 + 3] - 0.2).abs() < 1e-6);
        let at_rim = guide.plane(2)[35 * 90 + 20];
        assert!(at_rim > 0.25 && at_rim < 0.45, "no detail: {at_rim}");
    }

    #[test]
    fn deep_holes_and_large_pictures_are_seen_smaller() {
        let seen = |full, depth| Scale::new(full, depth, &NETWORK).seen();
        assert_eq!(seen((200, 100), 10.0), (200, 104));
        assert_eq!(seen((200, 100), 48.0), (104, 56));
        assert_eq!(seen((2048, 1024), 10.0), (512, 256));
        assert_eq!(seen((2048, 1024), 192.0), (256, 128));
        assert_eq!(seen((5, 3), f64::INFINITY), (16, 16));
    }

    #[test]
    fn depth_is_the_farthest_from_what_is_known() {
        let line = Mask::new(9, 3, (0..27).map(|index| index % 9 >= 4).collect());
        assert_eq!(depth(&line), 5.0);
        assert_eq!(depth(&Mask::new(9, 3, vec![false; 27])), 0.0);
    }
}
