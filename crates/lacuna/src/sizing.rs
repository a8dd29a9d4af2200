//! Selection of a strategy by image size.

use crate::Strategy;

/// A strategy, possibly depending on the image's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// One strategy for all sizes.
    Always(Strategy),
    /// The whole image at once up to a size, and a strategy above it.
    Above {
        /// Longer side in pixels.
        side: usize,
        /// The strategy for larger images.
        strategy: Strategy,
    },
}

impl Default for Sizing {
    fn default() -> Self {
        Self::Always(Strategy::Auto)
    }
}

impl Sizing {
    /// The strategy for an image with this longer side in pixels.
    pub fn strategy(self, long_side: usize) -> Strategy {
        match self {
            Self::Always(strategy) => strategy,
            Self::Above { side, strategy } if long_side > side => strategy,
            Self::Above { .. } => Strategy::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_chooses_the_strategy() {
        let above = Sizing::Above { side: 800, strategy: Strategy::Crop };
        assert_eq!([above.strategy(800), above.strategy(801)], [Strategy::Full, Strategy::Crop]);
        assert_eq!(Sizing::default().strategy(5), Strategy::Auto);
    }
}
