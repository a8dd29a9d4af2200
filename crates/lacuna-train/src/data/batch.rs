//! Training batches.

use serde::{Deserialize, Serialize};

/// Photos and masks.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Side of the square images in pixels.
    pub side: usize,
    /// `[batch, 3, side, side]` in `[0, 1]`.
    pub images: Vec<f32>,
    /// `[batch, 1, side, side]`, 1 = hole.
    pub masks: Vec<f32>,
    /// The photos' names.
    pub names: Vec<String>,
}

/// A position in the order of all batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Finished epochs.
    pub epoch: u64,
    /// Batches before this one in the epoch.
    pub batch: u64,
}

impl Position {
    /// The position after this one, with `batches` batches per epoch.
    pub fn next(self, batches: u64) -> Self {
        if self.batch + 1 < batches {
            Self { batch: self.batch + 1, ..self }
        } else {
            Self { epoch: self.epoch + 1, batch: 0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_batch_is_followed_by_the_next_round() {
        let next = |epoch, batch| {
            let Position { epoch, batch } = Position { epoch, batch }.next(3);
            [epoch, batch]
        };
        assert_eq!([next(0, 0), next(0, 1), next(0, 2), next(4, 2)], [[0, 1], [0, 2], [1, 0], [5, 0]]);
    }
}
