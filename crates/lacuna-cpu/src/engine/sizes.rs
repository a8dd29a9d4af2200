//! Rows and columns of the levels of an image, and which of them others need.

use std::ops::Range;

use lacuna_network::geometry::{LEVELS, MULTIPLE};

/// Sizes of the levels of an image.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Columns of the image.
    pub width: usize,
    /// Rows of the image.
    pub height: usize,
}

impl Sizes {
    /// Columns of a level.
    pub fn columns(self, level: usize) -> usize {
        self.width >> level
    }

    /// Rows of a level.
    pub fn rows(self, level: usize) -> usize {
        self.height >> level
    }

    /// Rows of every level that the encoder needs for `latent` rows of the latent.
    pub fn encoder_rows(self, latent: Range<usize>) -> [Range<usize>; LEVELS + 1] {
        let mut rows: [Range<usize>; LEVELS + 1] = std::array::from_fn(|_| latent.clone());
        for level in (0..LEVELS).rev() {
            rows[level] = rows_below(&rows[level + 1], self.rows(level));
        }
        rows
    }

    /// Rows of every level that the decoder needs for `latent` rows of the latent's size.
    pub fn decoder_rows(self, latent: Range<usize>) -> [Range<usize>; LEVELS] {
        decoder_extent(latent.start * MULTIPLE..latent.end * MULTIPLE, self.height)
    }

    /// Columns of every level that the decoder needs for `columns` of the image.
    pub fn decoder_columns(self, columns: Range<usize>) -> [Range<usize>; LEVELS] {
        decoder_extent(columns, self.width)
    }
}

/// Rows (or columns) of every level that the decoder needs for those of an image of `length`.
fn decoder_extent(image: Range<usize>, length: usize) -> [Range<usize>; LEVELS] {
    let mut extent = rows_around(&image, length);
    std::array::from_fn(|level| {
        if level > 0 {
            extent = rows_above(&extent, length >> level);
        }
        extent.clone()
    })
}

/// Rows of a level that a 3x3 convolution of stride 2 needs for `outputs`.
fn rows_below(outputs: &Range<usize>, height: usize) -> Range<usize> {
    (2 * outputs.start).saturating_sub(1)..height.min(2 * outputs.end)
}

/// Rows (or columns) of a level that a transposed convolution needs for `outputs`.
fn rows_above(outputs: &Range<usize>, height: usize) -> Range<usize> {
    outputs.start / 2..height.min(outputs.end / 2 + 1)
}

/// Rows (or columns) that the 7x7 convolution of the RGB head needs for `outputs`.
fn rows_around(outputs: &Range<usize>, height: usize) -> Range<usize> {
    outputs.start.saturating_sub(3)..height.min(outputs.end + 3)
}

/// The strips of `rows` rows.
pub(crate) fn strips(rows: usize, strip: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    (0..rows).step_by(strip).map(move |start| start..rows.min(start + strip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_by_hand() {
        let sizes = Sizes { width: 64, height: 80 };
        assert_eq!(sizes.encoder_rows(0..1), [0..8, 0..4, 0..2, 0..1]);
        // A tap row above each first row: 3 → 5 → 9 → 17.
        assert_eq!(sizes.encoder_rows(3..4), [17..32, 9..16, 5..8, 3..4]);
        assert_eq!(sizes.decoder_rows(0..1), [0..11, 0..6, 0..4]);
        assert_eq!(sizes.decoder_rows(9..10), [69..80, 34..40, 17..20]);
        assert_eq!(sizes.decoder_columns(60..64), [57..64, 28..32, 14..16]);
        assert_eq!(strips(5, 2).collect::<Vec<_>>(), [0..2, 2..4, 4..5]);
    }
}
