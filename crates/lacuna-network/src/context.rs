//! The configuration of a context encoder (Pathak et al. 2016, <https://arxiv.org/abs/1604.07379>).
//!
//! A network of fixed size: it sees a small square image whose hole has one colour, and has no mask as input. Sizes and
//! channels are those of the published program, which differs from the paper (AlexNet up to pool5, 227 pixels).
//! Differs from both in: [`Middle::ChannelWise`] on these sizes is ours; the paper has that layer after AlexNet.

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, WIDTH_LIMIT};

/// Sides of the square image, in pixels. 32 is for tests.
pub const CONTEXT_SIDES: [usize; 3] = [32, 64, 128];

/// Side of the encoder's last map, in pixels.
pub const MIDDLE_SIDE: usize = 4;

/// Most channels of a bottleneck; the published network has 4,000.
pub const BOTTLENECK_LIMIT: usize = 16_384;

/// Pixels of the central square that were visible, on each side: published value.
pub const OVERLAP: usize = 4;

/// The colour that stands for the hole, red, green and blue in `[0, 1]`: the mean colour of ImageNet, with channels in
/// the published (odd) order.
pub const FILL: [f32; 3] = [117.0 / 255.0, 104.0 / 255.0, 123.0 / 255.0];

/// The options of a context encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextEncoder {
    /// Side of the square image that it sees, in pixels: one of [`CONTEXT_SIDES`].
    pub side: usize,
    /// Where holes are.
    pub hole: ContextHole,
    /// Channels after the first convolution; the last has eight times as many (four times at a side of 32).
    pub width: usize,
    /// How distant places of the encoder's last map reach each other.
    pub middle: Middle,
}

/// Where holes are, and with it what the network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextHole {
    /// In the centre: the network predicts the central square of half the side.
    Centre {
        /// Pixels on each side of that square that are visible and predicted all the same.
        overlap: usize,
    },
    /// Anywhere: the network predicts the whole image.
    Region,
}

/// How distant places of the encoder's last map reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Middle {
    /// A full connection to this many channels of a single pixel, and one back.
    Bottleneck {
        /// Channels of the pixel.
        channels: usize,
    },
    /// A full connection within each channel, then a 1x1 convolution that mixes channels.
    ChannelWise,
}

impl ContextEncoder {
    /// Checks the options.
    ///
    /// # Errors
    /// The value that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=WIDTH_LIMIT).contains(&self.width) {
            return Err(ConfigError::Width(self.width));
        }
        if !CONTEXT_SIDES.contains(&self.side) || !CONTEXT_SIDES.contains(&self.answer_side()) {
            return Err(ConfigError::ContextSide { side: self.side, answer: self.answer_side() });
        }
        if let ContextHole::Centre { overlap } = self.hole
            && 2 * overlap >= self.answer_side()
        {
            return Err(ConfigError::Overlap { overlap, answer: self.answer_side() });
        }
        match self.middle {
            Middle::Bottleneck { channels } if !(1..=BOTTLENECK_LIMIT).contains(&channels) => {
                Err(ConfigError::Bottleneck(channels))
            }
            Middle::Bottleneck { .. } | Middle::ChannelWise => Ok(()),
        }
    }

    /// Side of the square image that it predicts, in pixels.
    pub fn answer_side(&self) -> usize {
        match self.hole {
            ContextHole::Centre { .. } => self.side / 2,
            ContextHole::Region => self.side,
        }
    }

    /// Rows (and columns) before the predicted square, in pixels.
    pub fn answer_offset(&self) -> usize {
        (self.side - self.answer_side()) / 2
    }

    /// The longest hole that it can fill, in pixels: a side of the square in which the hole lies.
    pub fn longest_hole(&self) -> usize {
        match self.hole {
            ContextHole::Centre { overlap } => self.answer_side() - 2 * overlap,
            ContextHole::Region => self.side / 2,
        }
    }

    /// A short name, such as `context-region-128-w32-channelwise`.
    pub fn label(&self) -> String {
        let hole = match self.hole {
            ContextHole::Centre { .. } => "centre",
            ContextHole::Region => "region",
        };
        let middle = match self.middle {
            Middle::Bottleneck { channels } => format!("m{channels}"),
            Middle::ChannelWise => "channelwise".into(),
        };
        format!("context-{hole}-{}-w{}-{middle}", self.side, self.width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRE: ContextEncoder = ContextEncoder {
        side: 128,
        hole: ContextHole::Centre { overlap: OVERLAP },
        width: 64,
        middle: Middle::Bottleneck { channels: 4000 },
    };

    #[test]
    fn the_published_sizes() {
        assert_eq!(CENTRE.check(), Ok(()));
        assert_eq!((CENTRE.answer_side(), CENTRE.answer_offset(), CENTRE.longest_hole()), (64, 32, 56));
        assert_eq!(CENTRE.label(), "context-centre-128-w64-m4000");
        let region = ContextEncoder { hole: ContextHole::Region, middle: Middle::ChannelWise, ..CENTRE };
        assert_eq!((region.answer_side(), region.answer_offset(), region.longest_hole()), (128, 0, 64));
        assert_eq!(region.label(), "context-region-128-w64-channelwise");
    }

    #[test]
    fn networks_that_do_not_exist_are_refused_with_their_values() {
        let region = |side| ContextEncoder { side, hole: ContextHole::Region, ..CENTRE };
        let overlap = |overlap| ContextEncoder { hole: ContextHole::Centre { overlap }, ..CENTRE };
        let bottleneck = |channels| ContextEncoder { middle: Middle::Bottleneck { channels }, ..CENTRE };
        for (network, words) in [
            (region(96), "a side of 96 pixels with a prediction of 96, both must be one of 32, 64, 128"),
            (ContextEncoder { side: 32, ..CENTRE }, "a side of 32 pixels with a prediction of 16"),
            (overlap(32), "an overlap of 32 pixels on each side of a prediction of 64"),
            (bottleneck(0), "a bottleneck of 0 channels"),
            (bottleneck(20_000), "a bottleneck of 20000 channels, possible are 1 to 16384"),
            (ContextEncoder { width: 0, ..CENTRE }, "a width of 0"),
        ] {
            let error = network.check().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(region(32).check(), Ok(()));
    }
}
