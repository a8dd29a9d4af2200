//! Depth of pixels inside the hole.

use crate::mask::bounds;

/// Chessboard distance to the nearest known pixel, in pixels: 0 outside the hole, 1 at its edge; `u16::MAX` if nothing
/// is known.
///
/// # Shapes
/// `hole` and the result: `[height, width]`.
pub(crate) fn depths(width: usize, height: usize, hole: &[bool]) -> Vec<u16> {
    let mut depths: Vec<u16> = hole.iter().map(|&hole| if hole { u16::MAX } else { 0 }).collect();
    let Some(bounds) = bounds(width, hole) else { return depths };
    let (rows, columns) = (bounds.y..bounds.bottom(), bounds.x..bounds.right());
    for y in rows.clone() {
        for x in columns.clone() {
            let index = y * width + x;
            let mut nearest = depths[index];
            if x > 0 {
                nearest = nearest.min(depths[index - 1].saturating_add(1));
            }
            if y > 0 {
                let above = index - width;
                for &depth in &depths[above - x.min(1)..=above + (width - 1 - x).min(1)] {
                    nearest = nearest.min(depth.saturating_add(1));
                }
            }
            depths[index] = nearest;
        }
    }
    for y in rows.rev() {
        for x in columns.clone().rev() {
            let index = y * width + x;
            let mut nearest = depths[index];
            if x + 1 < width {
                nearest = nearest.min(depths[index + 1].saturating_add(1));
            }
            if y + 1 < height {
                let lower = index + width;
                for &depth in &depths[lower - x.min(1)..=lower + (width - 1 - x).min(1)] {
                    nearest = nearest.min(depth.saturating_add(1));
                }
            }
            depths[index] = nearest;
        }
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_as_deep_as_half_its_side() {
        let hole: Vec<bool> =
            (0..9 * 9).map(|i| (2..7).contains(&(i % 9)) && (2..7).contains(&(i / 9))).collect();
        let depths = depths(9, 9, &hole);
        assert_eq!(depths[2 * 9..3 * 9], [0, 0, 1, 1, 1, 1, 1, 0, 0]);
        assert_eq!(depths[4 * 9..5 * 9], [0, 0, 1, 2, 3, 2, 1, 0, 0]);
    }

    #[test]
    fn one_known_corner_measures_the_frame() {
        let hole: Vec<bool> = (0..12).map(|index| index != 11).collect();
        assert_eq!(depths(4, 3, &hole), [3, 2, 2, 2, 3, 2, 1, 1, 3, 2, 1, 0]);
        assert_eq!(depths(1, 3, &[false, true, true]), [0, 1, 2]);
        assert_eq!(depths(2, 1, &[true, true]), [u16::MAX; 2]);
    }
}
