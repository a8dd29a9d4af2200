//! Fitting masks to photos of another size.

use image::DynamicImage;
use image::metadata::Orientation;

use crate::anchor::{Anchor, AnchorScale};
use crate::mask_scale::scaled;
use crate::picture::inverse;
use crate::{Error, Mask, Picture, Rect, Result};

/// What happens to a mask whose size differs from the photo's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskFit {
    /// It is refused.
    #[default]
    Exact,
    /// It shows the whole photo at another size: it is scaled, and rotated by 90 degrees if width and height are swapped.
    Same,
    /// It is put at a place in the photo, such as a watermark's corner.
    At(Anchor, AnchorScale),
}

/// A mask file.
pub(crate) struct MaskFile<'a> {
    /// The mask, upright.
    pub mask: Mask,
    /// The file's name.
    pub name: &'a str,
    /// The EXIF orientation that was applied to the file's pixels.
    pub orientation: Orientation,
}

impl MaskFile<'_> {
    /// The mask at the photo's size, and a note if it was changed.
    ///
    /// # Errors
    /// [`Error::MaskSize`] if its size differs and `fit` is exact; [`Error::MaskShape`] if its aspect ratio differs.
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
                let note = format!("{}: rotated {words} and scaled {sizes}", self.name);
                Ok((scaled(&turned(&self.mask, turn), to), Some(note)))
            }
            MaskFit::Same => Err(Error::MaskShape { name, mask: from, image: to }),
            MaskFit::At(anchor, scale) => {
                let size = scale.size(from, to);
                let mask = if size == from { self.mask } else { scaled(&self.mask, size) };
                let note = format!("{}: {} x {} pixels of it at {anchor}", self.name, size.0, size.1);
                Ok((anchor.placed(&mask, to), Some(note)))
            }
        }
    }

    /// The rotation of a mask whose width and height are swapped. If the photo has an EXIF orientation, the mask was probably
    /// drawn on the stored pixels: rotate it as the photo. If only the mask has one, the photo probably lost its own: undo the
    /// mask's. Otherwise rotate clockwise, as phones that are held upright rotate their photos.
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

/// Whether two sizes have the same aspect ratio, within the rounding of one pixel.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::tests::mask;
    use crate::picture::Format;
    use image::RgbImage;

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
    fn masks_of_the_same_aspect_ratio_are_scaled() {
        let (large, note) = fitted(mask(&["..", ".#"]), &photo(4, 4), MaskFit::Same).unwrap();
        assert_eq!(large, mask(&["....", "....", "..##", "..##"]));
        assert_eq!(note.unwrap(), "mask: scaled from 2 x 2 to 4 x 4");
        // Halved from an odd size: 5 x 3 is as near to 3 x 2 as whole pixels allow.
        assert!(fitted(mask(&[".....", "..#..", "....."]), &photo(3, 2), MaskFit::Same).is_ok());
    }

    #[test]
    fn swapped_sides_are_turned_as_the_photo_is() {
        let drawn = mask(&["#...", "...."]);
        let (turned, note) = fitted(drawn.clone(), &photo(2, 4), MaskFit::Same).unwrap();
        assert_eq!(turned, mask(&[".#", "..", "..", ".."]), "clockwise without a hint");
        assert!(note.unwrap().contains("clockwise"));
        // A mask with an EXIF orientation for a photo without.
        let file = MaskFile { mask: drawn, name: "mask", orientation: Orientation::Rotate90 };
        let (turn, words) = file.turn(&photo(2, 4));
        assert_eq!((turn, words), (Orientation::Rotate270, "back from what its EXIF says"));
    }

    #[test]
    fn masks_at_an_anchor_are_scaled_and_placed() {
        let at = MaskFit::At(Anchor::BottomRight, AnchorScale::Width);
        let (placed, note) = fitted(mask(&["#."]), &photo(4, 3), at).unwrap();
        assert_eq!(placed, mask(&["....", "##..", "##.."]));
        assert_eq!(note.unwrap(), "mask: 4 x 2 pixels of it at bottom-right");
    }
}
