//! Bringing a mask to the size of the photo that it is for.

use image::DynamicImage;
use image::metadata::Orientation;

use crate::picture::inverse;
use crate::words::{display_name, words};
use crate::{Error, Mask, Picture, Rect, Result};

/// How a mask that is not as large as the photo is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskFit {
    /// Not at all: it must be as large as the photo.
    #[default]
    Exact,
    /// It shows the same view at another size: it is scaled, and turned by a quarter if its sides are swapped.
    Same,
    /// It shows what lies at this place of every photo.
    At(Anchor, AnchorScale),
}

/// The place in a photo where a mask is put.
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

/// How large a mask at an anchor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnchorScale {
    /// As large as it is.
    #[default]
    None,
    /// As large as fits into the photo.
    Fit,
    /// As wide as the photo.
    Width,
    /// As high as the photo.
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

/// A mask as it is in its file.
pub(crate) struct MaskFile<'a> {
    /// The mask, upright.
    pub mask: Mask,
    /// The file's name.
    pub name: &'a str,
    /// How the file's pixels were turned.
    pub orientation: Orientation,
}

impl MaskFile<'_> {
    /// The mask as large as the photo, and a sentence on what was done to it.
    ///
    /// # Errors
    /// [`Error::MaskSize`] if it must have the photo's size and has not; [`Error::MaskShape`] if it cannot show the same view.
    pub fn fitted(self, picture: &Picture, fit: MaskFit) -> Result<(Mask, Option<String>)> {
        let (from, to) = ((self.mask.width(), self.mask.height()), (picture.width(), picture.height()));
        let name = picture.name().to_owned();
        let sizes = format!("from {} x {} to {} x {}", from.0, from.1, to.0, to.1);
        match fit {
            _ if from == to => Ok((self.mask, None)),
            MaskFit::Exact => Err(Error::MaskSize { name, mask: from, image: to }),
            MaskFit::Same if is_similar(from, to) => {
                let note = format!("{}: scaled {sizes}", self.name);
                Ok((scaled(&self.mask, to), Some(note)))
            }
            MaskFit::Same if is_similar((from.1, from.0), to) => {
                let (turn, words) = self.turn(picture);
                let note = format!("{}: turned {words} and brought {sizes}", self.name);
                Ok((scaled(&turned(&self.mask, turn), to), Some(note)))
            }
            MaskFit::Same => Err(Error::MaskShape { name, mask: from, image: to }),
            MaskFit::At(anchor, scale) => {
                let size = scale.size(from, to);
                let mask = if size == from { self.mask } else { scaled(&self.mask, size) };
                let place = (offset(to.0, size.0, anchor.column()), offset(to.1, size.1, anchor.row()));
                let note = format!("{}: {} x {} pixels of it at {anchor}", self.name, size.0, size.1);
                Ok((placed(&mask, place, to), Some(note)))
            }
        }
    }

    /// How a mask whose sides are swapped is turned: as the photo is, if it was drawn on the photo's stored pixels; back to its
    /// own stored pixels, if the photo lost its orientation; else as phones that are held upright turn their photos.
    fn turn(&self, picture: &Picture) -> (Orientation, &'static str) {
        if swaps_sides(picture.orientation()) {
            (picture.orientation(), "as the photo's EXIF says")
        } else if swaps_sides(self.orientation) {
            (inverse(self.orientation), "back from what its EXIF says")
        } else {
            (Orientation::Rotate90, "clockwise by 90 degrees")
        }
    }
}

impl AnchorScale {
    /// The size of a mask on a photo; both (width, height).
    fn size(self, mask: (usize, usize), photo: (usize, usize)) -> (usize, usize) {
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
    /// Half the photo's sides to the left of the anchor.
    fn column(self) -> usize {
        match self {
            Self::TopLeft | Self::Left | Self::BottomLeft => 0,
            Self::Top | Self::Center | Self::Bottom => 1,
            Self::TopRight | Self::Right | Self::BottomRight => 2,
        }
    }

    /// Half the photo's sides above the anchor.
    fn row(self) -> usize {
        match self {
            Self::TopLeft | Self::Top | Self::TopRight => 0,
            Self::Left | Self::Center | Self::Right => 1,
            Self::BottomLeft | Self::Bottom | Self::BottomRight => 2,
        }
    }
}

/// Where a mask begins on a side of a photo; negative where it is longer.
fn offset(photo: usize, mask: usize, halves: usize) -> isize {
    (photo as isize - mask as isize) * halves as isize / 2
}

/// Whether one size is the other scaled: within the rounding of a pixel.
fn is_similar(one: (usize, usize), other: (usize, usize)) -> bool {
    let (a, b) = (one.0 * other.1, one.1 * other.0);
    a.abs_diff(b) <= one.0.max(one.1).max(other.0).max(other.1)
}

fn swaps_sides(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

fn turned(mask: &Mask, turn: Orientation) -> Mask {
    let mut pixels = DynamicImage::ImageLuma8(mask.grey(Rect::whole(mask.width(), mask.height())));
    pixels.apply_orientation(turn);
    let pixels = pixels.into_luma8();
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    Mask::new(width, height, pixels.into_raw().into_iter().map(|value| value > 0).collect())
}

/// Another size of a mask. Smaller, a pixel is hole if any part of it was; larger, if the mask is hole there to a half, so
/// that edges stay smooth.
fn scaled(mask: &Mask, (width, height): (usize, usize)) -> Mask {
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

/// What a scaled pixel is made of, along one side.
struct Span {
    /// The first and the last pixel that it covers.
    first: usize,
    last: usize,
    /// The two whose centres are nearest, and how much the second counts.
    near: usize,
    far: usize,
    far_part: f32,
}

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

/// A mask of a size that shows another at a place, as far as it reaches.
fn placed(mask: &Mask, (x, y): (isize, isize), (width, height): (usize, usize)) -> Mask {
    let is_hole = |index: usize| {
        let inside = |position: usize, start: isize, end: usize| {
            usize::try_from(position as isize - start).ok().filter(|&at| at < end)
        };
        let (column, row) = (inside(index % width, x, mask.width()), inside(index / width, y, mask.height()));
        matches!((column, row), (Some(column), Some(row)) if mask.is_hole(column, row))
    };
    Mask::new(width, height, (0..width * height).map(is_hole).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Format;
    use image::RgbImage;

    fn mask(rows: &[&str]) -> Mask {
        let hole = rows.iter().flat_map(|row| row.bytes().map(|byte| byte == b'#')).collect();
        Mask::new(rows[0].len(), rows.len(), hole)
    }

    fn photo(width: u32, height: u32) -> Picture {
        Picture::from_pixels("photo", DynamicImage::ImageRgb8(RgbImage::new(width, height)), Format::Png)
    }

    fn fitted(mask: Mask, photo: &Picture, fit: MaskFit) -> Result<(Mask, Option<String>)> {
        MaskFile { mask, name: "mask", orientation: Orientation::NoTransforms }.fitted(photo, fit)
    }

    #[test]
    fn sizes_must_agree_unless_asked_otherwise() {
        let error = fitted(mask(&["..", ".#"]), &photo(4, 4), MaskFit::Exact).unwrap_err();
        assert!(matches!(error, Error::MaskSize { mask: (2, 2), image: (4, 4), .. }));
        let error = fitted(mask(&["..", ".#"]), &photo(400, 100), MaskFit::Same).unwrap_err();
        assert!(matches!(&error, Error::MaskShape { mask: (2, 2), image: (400, 100), .. }));
        let text = error.to_string();
        assert!(text.contains("2 x 2") && text.contains("400 x 100"), "{text}");
        let same = mask(&["..", ".#"]);
        assert_eq!(fitted(same.clone(), &photo(2, 2), MaskFit::Same).unwrap(), (same, None));
    }

    #[test]
    fn a_larger_photo_gets_smooth_edges_and_a_smaller_one_the_whole_hole() {
        let (large, note) = fitted(mask(&["..", ".#"]), &photo(4, 4), MaskFit::Same).unwrap();
        assert_eq!(large, mask(&["....", "....", "..##", "..##"]));
        assert_eq!(note.unwrap(), "mask: scaled from 2 x 2 to 4 x 4");
        let (small, _) =
            fitted(mask(&["....", ".#..", "....", "...#"]), &photo(2, 2), MaskFit::Same).unwrap();
        assert_eq!(small, mask(&["#.", ".#"]));
        // Halved from an odd size: 5 x 3 is as near to 3 x 2 as whole pixels allow.
        assert!(fitted(mask(&[".....", "..#..", "....."]), &photo(3, 2), MaskFit::Same).is_ok());
    }

    #[test]
    fn swapped_sides_are_turned_as_the_photo_is() {
        let drawn = mask(&["#...", "...."]);
        let (turned, note) = fitted(drawn.clone(), &photo(2, 4), MaskFit::Same).unwrap();
        assert_eq!(turned, mask(&[".#", "..", "..", ".."]), "clockwise without a hint");
        assert!(note.unwrap().contains("clockwise"));
        // A mask whose own EXIF turned it, for a photo that is as the mask was stored.
        let file = MaskFile { mask: drawn, name: "mask", orientation: Orientation::Rotate90 };
        let (turn, words) = file.turn(&photo(2, 4));
        assert_eq!((turn, words), (Orientation::Rotate270, "back from what its EXIF says"));
    }

    #[test]
    fn anchors_put_the_mask_where_they_say() {
        let logo = || mask(&["#."]);
        let at = |anchor, scale| {
            let (mask, _) = fitted(logo(), &photo(7, 5), MaskFit::At(anchor, scale)).unwrap();
            let bounds = mask.bounds().unwrap();
            (bounds.x, bounds.y, bounds.width, bounds.height)
        };
        for (anchor, expected) in [
            (Anchor::TopLeft, (0, 0, 1, 1)),
            (Anchor::Top, (2, 0, 1, 1)),
            (Anchor::TopRight, (5, 0, 1, 1)),
            (Anchor::Left, (0, 2, 1, 1)),
            (Anchor::Center, (2, 2, 1, 1)),
            (Anchor::Right, (5, 2, 1, 1)),
            (Anchor::BottomLeft, (0, 4, 1, 1)),
            (Anchor::Bottom, (2, 4, 1, 1)),
            (Anchor::BottomRight, (5, 4, 1, 1)),
        ] {
            assert_eq!(at(anchor, AnchorScale::None), expected, "{anchor}");
        }
        // 7 wide and 4 high.
        assert_eq!(at(Anchor::BottomRight, AnchorScale::Fit), at(Anchor::BottomRight, AnchorScale::Width));
        assert_eq!(at(Anchor::BottomRight, AnchorScale::Width).1, 1);
        // 10 wide and 5 high: what is wider than the photo is cut off.
        assert_eq!(at(Anchor::TopLeft, AnchorScale::Height), (0, 0, 5, 5));
        let (cut, _) =
            fitted(mask(&["#.#"]), &photo(2, 1), MaskFit::At(Anchor::Right, AnchorScale::None)).unwrap();
        assert_eq!(cut, mask(&[".#"]));
    }
}
