//! The central hole of context encoders (Pathak et al. 2016, <https://arxiv.org/abs/1604.07379>).

use serde::{Deserialize, Serialize};

use super::Canvas;

/// The central half of both sides, without a margin that stays visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Centre {
    /// Visible pixels on each side of the central half: the network's overlap.
    pub margin: usize,
}

impl Centre {
    pub(super) fn draw(&self, canvas: &mut Canvas) {
        let half = |side: usize| {
            let (start, end) = (side / 4 + self.margin, side / 4 + side / 2);
            start..end.saturating_sub(self.margin).max(start)
        };
        let [width, height] = canvas.size();
        canvas.fill(half(width), half(height));
    }
}

#[cfg(test)]
mod tests {
    use super::super::MaskGenerator;
    use super::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    #[test]
    fn the_published_hole_has_56_pixels_of_128() {
        let draw = |margin, width, height| {
            let generator = MaskGenerator::Centre(Centre { margin });
            generator.draw(width, height, &mut Pcg64::seed_from_u64(1))
        };
        let mask = draw(4, 128, 128);
        let bounds = mask.bounds().unwrap();
        assert_eq!((bounds.x, bounds.y, bounds.width, bounds.height), (36, 36, 56, 56));
        assert_eq!(mask.count(), 56 * 56);
        assert_eq!(draw(0, 9, 5).count(), 4 * 2);
        assert_eq!(draw(9, 16, 16).count(), 0);
    }
}
