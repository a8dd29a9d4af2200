//! Hints: what a person wants in the hole, for predictors with a ControlNet branch.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::frame::Frame;
use crate::words::Word;
use crate::{Mask, Picture, Planes};

/// What a hint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HintKind {
    /// Lines.
    Lines,
    /// A picture.
    Guide,
}

impl Word for HintKind {
    const KIND: &'static str = "hint";
    const ALL: &'static [Self] = &[Self::Lines, Self::Guide];

    fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Guide => "guide",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Lines => "Lines to continue through the hole: a mask of them",
            Self::Guide => "Colours and shapes in the hole: a picture as large as the photo",
        }
    }
}

impl fmt::Display for HintKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A hint, as large as the photo. Only what lies in the hole counts.
#[derive(Clone, Debug)]
pub enum Hint {
    /// Lines: true on a line.
    Lines(Mask),
    /// A picture.
    Guide(Box<Picture>),
}

impl Hint {
    /// The part in a frame.
    pub(crate) fn cut(&self, frame: &Frame) -> FrameHint {
        match self {
            Self::Lines(lines) => FrameHint::Lines(frame.cut_mask(lines)),
            Self::Guide(picture) => FrameHint::Guide(frame.cut_whole(picture)),
        }
    }

    /// Bytes of its pixels.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.hole().len() as u64,
            Self::Guide(picture) => picture.pixel_bytes(),
        }
    }
}

/// A hint in a frame, as large as that.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameHint {
    /// Lines: true on a line.
    Lines(Mask),
    /// A picture.
    Guide(Planes),
}

impl FrameHint {
    /// Its kind.
    pub fn kind(&self) -> HintKind {
        match self {
            Self::Lines(_) => HintKind::Lines,
            Self::Guide(_) => HintKind::Guide,
        }
    }

    /// Whether any of it lies in the hole. A picture always does.
    pub fn is_in(&self, mask: &Mask) -> bool {
        match self {
            Self::Guide(_) => true,
            Self::Lines(lines) => {
                // Another size is refused later, with both sizes.
                lines.hole().len() != mask.hole().len()
                    || lines.hole().iter().zip(mask.hole()).any(|(line, hole)| *line && *hole)
            }
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Lines(lines) => (lines.width(), lines.height()),
            Self::Guide(planes) => (planes.width(), planes.height()),
        }
    }
}

/// How much a hint counts: 1 as the branch was trained, 0 not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HintStrength(f32);

/// The greatest strength. Branches are trained with 1; far beyond, predictions are no pictures.
const MOST: f32 = 2.0;

impl HintStrength {
    /// A strength from 0 to 2.
    ///
    /// # Errors
    /// With the value and the bounds.
    pub fn new(strength: f32) -> Result<Self, String> {
        if (0.0..=MOST).contains(&strength) {
            Ok(Self(strength))
        } else {
            Err(format!("a strength of {strength}, possible are 0 to {MOST}"))
        }
    }

    /// The factor.
    pub fn get(self) -> f32 {
        self.0
    }
}

impl Default for HintStrength {
    fn default() -> Self {
        Self(1.0)
    }
}

impl std::str::FromStr for HintStrength {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("expected a number from 0 to {MOST}")).and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_have_bounds() {
        for (text, expected) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("2", 2.0)] {
            assert_eq!(text.parse::<HintStrength>().unwrap().get(), expected);
        }
        for text in ["-0.1", "2.1", "NaN", "inf", "much", ""] {
            let problem = text.parse::<HintStrength>().unwrap_err();
            assert!(problem.contains("0 to 2"), "{text}: {problem}");
        }
        assert_eq!(HintStrength::default().get(), 1.0);
    }
}
