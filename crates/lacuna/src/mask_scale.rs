//! Scaling masks.

use crate::Mask;

/// Scales a mask to a width and height. If a side shrinks, a pixel is hole if any pixel that it covers is. Otherwise, the mask
/// is interpolated bilinearly and thresholded at one half, which keeps edges smooth.
pub(crate) fn scaled(mask: &Mask, (width, height): (usize, usize)) -> Mask {
    let shrinks = width < mask.width() || height < mask.height();
    let (columns, rows) = (spans(mask.width(), width), spans(mask.height(), height));
    let mut hole = Vec::with_capacity(width * height);
    for row in &rows {
        hole.extend(columns.iter().map(|column| {
            if shrinks {
                return (row.first..=row.last)
                    .any(|y| (column.first..=column.last).any(|x| mask.is_hole(x, y)));
            }
            let weight = |x: usize, y: usize, weight: f32| if mask.is_hole(x, y) { weight } else { 0.0 };
            let sum = weight(column.near, row.near, (1.0 - column.far_part) * (1.0 - row.far_part))
                + weight(column.far, row.near, column.far_part * (1.0 - row.far_part))
                + weight(column.near, row.far, (1.0 - column.far_part) * row.far_part)
                + weight(column.far, row.far, column.far_part * row.far_part);
            sum >= 0.5
        }));
    }
    Mask::new(width, height, hole)
}

/// The source pixels of a scaled pixel along one side.
struct Span {
    /// The first pixel that it covers.
    first: usize,
    /// The last pixel that it covers.
    last: usize,
    /// The neighbours between whose centres its own centre lies.
    near: usize,
    far: usize,
    /// Weight of `far` in the interpolation, 0 to 1.
    far_part: f32,
}

/// The spans of all pixels of a side that is scaled from one length to another.
fn spans(from: usize, to: usize) -> Vec<Span> {
    let span = |position: usize| {
        let centre = ((2 * position + 1) * from) as f32 / (2 * to) as f32 - 0.5;
        let near = centre.max(0.0) as usize;
        Span {
            first: position * from / to,
            last: ((position + 1) * from).div_ceil(to) - 1,
            near,
            far: (near + 1).min(from - 1),
            far_part: (centre - near as f32).max(0.0),
        }
    };
    (0..to).map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::tests::mask;

    #[test]
    fn larger_masks_have_smooth_edges_and_smaller_ones_the_whole_hole() {
        assert_eq!(scaled(&mask(&["..", ".#"]), (4, 4)), mask(&["....", "....", "..##", "..##"]));
        assert_eq!(scaled(&mask(&["....", ".#..", "....", "...#"]), (2, 2)), mask(&["#.", ".#"]));
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let same = mask(&["#..", ".#."]);
        assert_eq!(scaled(&same, (3, 2)), same);
    }

    #[test]
    fn one_side_may_grow_while_the_other_shrinks() {
        assert_eq!(scaled(&mask(&["....", "...#"]), (2, 4)), mask(&["..", "..", ".#", ".#"]));
    }
}
