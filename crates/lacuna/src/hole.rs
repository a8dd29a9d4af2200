//! The pixels to fill, and the weight of the fill at each of them.

use std::fmt;
use std::str::FromStr;

use crate::soft_edge::MOST_GROWTH;
use crate::{Error, Mask, Rect, Result};

/// By how much a hole grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expand {
    /// By this many pixels.
    Pixels(u32),
    /// To the soft edge of what lies in it, as far as the image shows one, by at most 16 pixels.
    Auto,
}

impl Default for Expand {
    fn default() -> Self {
        Self::Pixels(0)
    }
}

impl Expand {
    /// The most pixels by which the hole may grow.
    pub(crate) fn most(self) -> u32 {
        match self {
            Self::Pixels(pixels) => pixels,
            // Measured that far beyond what grows.
            Self::Auto => 2 * MOST_GROWTH + 1,
        }
    }
}

/// The word for [`Expand::Auto`].
const AUTO: &str = "auto";

impl FromStr for Expand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == AUTO {
            return Ok(Self::Auto);
        }
        text.parse().map(Self::Pixels).map_err(|_| format!("{text:?} is neither a whole number nor {AUTO}"))
    }
}

impl fmt::Display for Expand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(formatter, "{pixels}"),
            Self::Auto => formatter.write_str(AUTO),
        }
    }
}

/// Growth of a mask before it is filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoleOptions {
    /// Pixels by which the hole grows.
    pub expand: u32,
    /// Width of the soft edge in pixels. It lies inside the ring by which the hole grows, so the hole grows by at least
    /// this much.
    pub feather: u32,
}

impl HoleOptions {
    /// Total growth of the hole in pixels.
    pub fn growth(&self) -> u32 {
        self.expand.max(self.feather)
    }

    /// Peak bytes of growing the hole of `mask`, without the mask itself but with the grown hole.
    pub(crate) fn growth_bytes(&self, mask: &Mask) -> u64 {
        let window = mask.bounds().filter(|_| self.growth() > 0);
        let grown = |bounds: Rect| bounds.grown(self.growth() as usize, mask.width(), mask.height()).area();
        mask.hole().len() as u64 + GROWTH_BYTES * window.map_or(0, grown) as u64
    }
}

/// Bytes per pixel of growing a hole: squared distances, and the weights of the soft edge.
const GROWTH_BYTES: u64 = 8 + 4;

/// The hole to fill: the grown mask with a soft edge.
#[derive(Clone, Debug)]
pub struct Hole {
    mask: Mask,
    seam: Option<Seam>,
}

/// Weights of the fill between 0 and 1.
#[derive(Clone, Debug)]
struct Seam {
    window: Rect,
    /// `[window.height, window.width]`, 0 to 1.
    weights: Vec<f32>,
}

impl Hole {
    /// The hole of a mask.
    ///
    /// # Errors
    /// [`Error::NoKnownPixels`] if the grown hole covers the whole image.
    pub fn new(mask: &Mask, options: &HoleOptions) -> Result<Self> {
        let expand = options.growth();
        let grown = mask.expanded(expand);
        if grown.count() == grown.hole().len() {
            let (width, height) = (mask.width(), mask.height());
            let known = mask.hole().len() - mask.count();
            return Err(Error::NoKnownPixels { width, height, known, growth: expand });
        }
        let seam = mask.bounds().filter(|_| options.feather > 0).map(|bounds| {
            let window = bounds.grown(expand as usize, mask.width(), mask.height());
            // From full weight at the inner end of the soft edge to 0 one pixel beyond its outer end.
            let (edge, feather) = (f64::from(expand) + 1.0, f64::from(options.feather) + 1.0);
            let weight = |distance: f64| ((edge - distance.sqrt()) / feather).clamp(0.0, 1.0);
            let smooth = |t: f64| (t * t * (3.0 - 2.0 * t)) as f32;
            let weights = mask.squared_distances(window).into_iter().map(|d| smooth(weight(d))).collect();
            Seam { window, weights }
        });
        Ok(Self { mask: grown, seam })
    }

    /// The pixels to fill.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Weight of the fill at a pixel: 0 outside the hole, 1 inside it, in between on the soft edge.
    pub fn weight(&self, x: usize, y: usize) -> f32 {
        match &self.seam {
            _ if !self.mask.is_hole(x, y) => 0.0,
            Some(Seam { window, weights }) => weights[(y - window.y) * window.width + x - window.x],
            None => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot() -> Mask {
        Mask::new(21, 1, (0..21).map(|x| x == 10).collect())
    }

    #[test]
    fn the_seam_lies_in_the_grown_ring() {
        let hole = Hole::new(&dot(), &HoleOptions { expand: 6, feather: 3 }).unwrap();
        let weights: Vec<f32> = (0..21).map(|x| hole.weight(x, 0)).collect();
        assert_eq!(weights[..4], [0.0; 4], "known pixels beyond the ring stay");
        assert_eq!(weights[7..14], [1.0; 7], "the inner ring and the hole are filled");
        assert!(weights[4..7].iter().all(|&w| w > 0.0 && w < 1.0), "{weights:?}");
        assert!(weights[4] < weights[5] && weights[5] < weights[6]);
    }

    #[test]
    fn feather_alone_grows_the_hole() {
        let hole = Hole::new(&dot(), &HoleOptions { expand: 0, feather: 2 }).unwrap();
        assert_eq!(hole.mask().count(), 5);
        assert_eq!(hole.weight(10, 0), 1.0);
    }

    #[test]
    fn growing_takes_memory() {
        let mask = Mask::new(100, 10, (0..1000).map(|i| i == 505).collect());
        assert_eq!(HoleOptions::default().growth_bytes(&mask), 1000);
        assert_eq!(HoleOptions { expand: 2, feather: 0 }.growth_bytes(&mask), 1000 + 12 * 25);
    }

    #[test]
    fn a_hole_without_surroundings_is_refused() {
        let full = Mask::new(2, 2, vec![true; 4]);
        assert!(Hole::new(&full, &HoleOptions::default()).is_err());
        let error = Hole::new(&dot(), &HoleOptions { expand: 10, feather: 0 }).unwrap_err().to_string();
        assert!(error.contains("21 x 1") && error.contains("grown by 10"), "{error}");
        let empty = Mask::new(2, 2, vec![false; 4]);
        assert_eq!(Hole::new(&empty, &HoleOptions { expand: 3, feather: 3 }).unwrap().mask().count(), 0);
    }
}
