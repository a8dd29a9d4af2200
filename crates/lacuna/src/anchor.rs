//! Places in photos of all sizes, for masks of watermarks.

use crate::Mask;
use crate::words::{display_name, words};

/// A place in a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The top left corner.
    TopLeft,
    /// The middle of the top edge.
    Top,
    /// The top right corner.
    TopRight,
    /// The middle of the left edge.
    Left,
    /// The middle.
    Center,
    /// The middle of the right edge.
    Right,
    /// The bottom left corner.
    BottomLeft,
    /// The middle of the bottom edge.
    Bottom,
    /// The bottom right corner.
    BottomRight,
}

words! {
    Anchor, "anchor",
    TopLeft = "top-left": "The top left corner",
    Top = "top": "The middle of the top edge",
    TopRight = "top-right": "The top right corner",
    Left = "left": "The middle of the left edge",
    Center = "center": "The middle of the photo",
    Right = "right": "The middle of the right edge",
    BottomLeft = "bottom-left": "The bottom left corner",
    Bottom = "bottom": "The middle of the bottom edge",
    BottomRight = "bottom-right": "The bottom right corner",
}
display_name!(Anchor);

/// The size of a mask at an anchor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnchorScale {
    /// Unchanged, pixel for pixel.
    #[default]
    None,
    /// Scaled to the largest size that fits into the photo.
    Fit,
    /// Scaled to the photo's width.
    Width,
    /// Scaled to the photo's height.
    Height,
}

words! {
    AnchorScale, "anchor scale",
    None = "none": "Pixel for pixel, whatever the photo's size",
    Fit = "fit": "Scaled to the largest size that fits into the photo",
    Width = "width": "Scaled to the photo's width",
    Height = "height": "Scaled to the photo's height",
}
display_name!(AnchorScale);

impl AnchorScale {
    /// The size of a mask in a photo. All sizes are (width, height) in pixels.
    pub(crate) fn size(self, mask: (usize, usize), photo: (usize, usize)) -> (usize, usize) {
        let by_width = (photo.0 as f64) / (mask.0 as f64);
        let by_height = (photo.1 as f64) / (mask.1 as f64);
        let factor = match self {
            Self::None => return mask,
            Self::Fit => by_width.min(by_height),
            Self::Width => by_width,
            Self::Height => by_height,
        };
        let scaled = |side: usize| ((side as f64 * factor).round() as usize).max(1);
        (scaled(mask.0), scaled(mask.1))
    }
}

impl Anchor {
    /// A mask of a photo's size with `mask` at this place. Parts outside the photo are cut off.
    pub(crate) fn placed(self, mask: &Mask, (width, height): (usize, usize)) -> Mask {
        let x = offset(width, mask.width(), self.column());
        let y = offset(height, mask.height(), self.row());
        let is_hole = |index: usize| {
            let inside = |position: usize, start: isize, end: usize| {
                usize::try_from(position as isize - start).ok().filter(|&at| at < end)
            };
            let (column, row) =
                (inside(index % width, x, mask.width()), inside(index / width, y, mask.height()));
            matches!((column, row), (Some(column), Some(row)) if mask.is_hole(column, row))
        };
        Mask::new(width, height, (0..width * height).map(is_hole).collect())
    }

    /// Half widths of the photo from its left edge to the anchor: 0, 1 or 2.
    fn column(self) -> usize {
        match self {
            Self::TopLeft | Self::Left | Self::BottomLeft => 0,
            Self::Top | Self::Center | Self::Bottom => 1,
            Self::TopRight | Self::Right | Self::BottomRight => 2,
        }
    }

    /// Half heights of the photo from its top edge to the anchor: 0, 1 or 2.
    fn row(self) -> usize {
        match self {
            Self::TopLeft | Self::Top | Self::TopRight => 0,
            Self::Left | Self::Center | Self::Right => 1,
            Self::BottomLeft | Self::Bottom | Self::BottomRight => 2,
        }
    }
}

/// The first pixel of a mask along one side of a photo; negative if the mask is longer than the photo.
fn offset(photo: usize, mask: usize, halves: usize) -> isize {
    (photo as isize - mask as isize) * halves as isize / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::tests::mask;

    #[test]
    fn masks_are_put_at_their_anchors() {
        let logo = mask(&["#."]);
        for (anchor, expected) in [
            (Anchor::TopLeft, (0, 0)),
            (Anchor::Top, (2, 0)),
            (Anchor::TopRight, (5, 0)),
            (Anchor::Left, (0, 2)),
            (Anchor::Center, (2, 2)),
            (Anchor::Right, (5, 2)),
            (Anchor::BottomLeft, (0, 4)),
            (Anchor::Bottom, (2, 4)),
            (Anchor::BottomRight, (5, 4)),
        ] {
            let placed = anchor.placed(&logo, (7, 5));
            let bounds = placed.bounds().unwrap();
            assert_eq!((placed.width(), placed.height()), (7, 5), "{anchor}");
            assert_eq!(
                (bounds.x, bounds.y, bounds.width, bounds.height),
                (expected.0, expected.1, 1, 1),
                "{anchor}"
            );
        }
    }

    #[test]
    fn parts_outside_the_photo_are_cut_off() {
        assert_eq!(Anchor::Right.placed(&mask(&["#.#"]), (2, 1)), mask(&[".#"]));
        assert_eq!(Anchor::TopLeft.placed(&mask(&["#.#"]), (2, 1)), mask(&["#."]));
    }

    #[test]
    fn masks_are_scaled_to_the_photos_sides() {
        for (scale, expected) in [
            (AnchorScale::None, (2, 1)),
            (AnchorScale::Width, (7, 4)),
            (AnchorScale::Height, (10, 5)),
            (AnchorScale::Fit, (7, 4)),
        ] {
            assert_eq!(scale.size((2, 1), (7, 5)), expected, "{scale}");
        }
        assert_eq!(AnchorScale::Width.size((1000, 1), (10, 10)), (10, 1), "no side vanishes");
    }
}
