//! Which cells of a latent a hole covers, and which are generated.

use crate::{Error, Result};

/// A hole in the cells of a latent.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// Rows of cells.
    pub height: usize,
    /// Columns of cells.
    pub width: usize,
    /// The fraction of hole pixels in each cell, `[height, width]` in `[0, 1]`.
    pub fraction: Vec<f32>,
    /// Whether a cell is generated: cells with any hole pixel, and their neighbours within the halo. `[height, width]`.
    pub free: Vec<bool>,
}

impl Cells {
    /// The cells of a mask, of `scale x scale` pixels each. Cells up to `halo` cells from a hole are generated as well, because an
    /// encoder takes the hole into their values.
    ///
    /// # Shapes
    /// `mask`: `[rows, width]`, true in the hole.
    ///
    /// # Errors
    /// [`Error`] if the mask is no rectangle of whole cells.
    pub fn of_mask(mask: &[bool], width: usize, scale: usize, halo: usize) -> Result<Self> {
        if scale == 0 {
            return Err(Error::range("pixels along a cell", scale, "1 and more"));
        }
        for (what, length) in [("width of a mask", width), ("height of a mask", check_rows(mask, width)?)] {
            if length % scale != 0 {
                return Err(Error::range(what, length, format_args!("multiples of {scale}")));
            }
        }
        let (rows, columns) = (mask.len() / width / scale, width / scale);
        let pixels = |cell: usize| {
            let (top, left) = (cell / columns * scale, cell % columns * scale);
            (top..top + scale).map(move |row| &mask[row * width + left..][..scale])
        };
        let count = |cell: usize| pixels(cell).flatten().filter(|&&is_hole| is_hole).count();
        let counts: Vec<usize> = (0..rows * columns).map(count).collect();
        let touched: Vec<bool> = counts.iter().map(|&count| count > 0).collect();
        Ok(Self {
            height: rows,
            width: columns,
            fraction: counts.iter().map(|&count| count as f32 / (scale * scale) as f32).collect(),
            free: grown(&touched, columns, halo),
        })
    }
}

/// Rows of a mask.
pub(crate) fn check_rows(mask: &[bool], width: usize) -> Result<usize> {
    if width == 0 || mask.is_empty() || !mask.len().is_multiple_of(width) {
        return Err(Error::range(
            "pixels of a mask",
            mask.len(),
            format_args!("multiples of its width, {width}"),
        ));
    }
    Ok(mask.len() / width)
}

/// The mask grown by `by` in each of the eight directions, as by a square brush.
///
/// # Shapes
/// `mask` and the result: `[rows, width]`.
///
/// # Panics
/// If the width is 0.
pub fn grown(mask: &[bool], width: usize, by: usize) -> Vec<bool> {
    let height = mask.len() / width;
    let near = |place: usize, length: usize| place.saturating_sub(by)..(place + by + 1).min(length);
    let along_rows: Vec<bool> = (0..mask.len())
        .map(|at| near(at % width, width).any(|column| mask[at / width * width + column]))
        .collect();
    (0..mask.len())
        .map(|at| near(at / width, height).any(|row| along_rows[row * width + at % width]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fixtures;

    #[test]
    fn cells_are_those_of_the_reference() {
        let numbers = fixtures::load("diffusion/masks.safetensors");
        let [height, width] = [64, 80];
        let maps = |name: &str, size: usize| {
            let values = &numbers.get(name).values;
            values.chunks_exact(size).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        let hole = |values: &[f32]| values.iter().map(|&value| value > 0.0).collect::<Vec<bool>>();
        for (index, mask) in maps("mask", height * width).iter().enumerate() {
            for halo in [0, 2] {
                let cells = Cells::of_mask(&hole(mask), width, 8, halo).unwrap();
                assert_eq!((cells.height, cells.width), (8, 10));
                assert_eq!(cells.fraction, maps("share", 80)[index]);
                assert_eq!(cells.free, hole(&maps(&format!("free_halo_{halo}"), 80)[index]), "halo {halo}");
            }
        }
    }

    #[test]
    fn a_corner_grows_within_the_mask() {
        let mut mask = [false; 12];
        mask[0] = true;
        let expected = [[true, true, false, false], [true, true, false, false], [false; 4]].concat();
        assert_eq!(grown(&mask, 4, 1), expected);
        assert_eq!(grown(&mask, 4, 0), mask);
    }

    #[test]
    fn masks_that_are_no_cells_are_refused_with_both_values() {
        for (pixels, width, scale, words) in [
            (63, 8, 8, "pixels of a mask: 63, possible are multiples of its width, 8"),
            (0, 8, 8, "pixels of a mask: 0"),
            (0, 0, 8, "multiples of its width, 0"),
            (72, 9, 8, "width of a mask: 9, possible are multiples of 8"),
            (72, 8, 8, "height of a mask: 9, possible are multiples of 8"),
            (64, 8, 0, "pixels along a cell: 0"),
        ] {
            let error = Cells::of_mask(&vec![false; pixels], width, scale, 1).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
