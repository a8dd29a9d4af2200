//! Resizing.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

/// The centre of a photo whose shorter side is scaled to `side`: `side` x `side` pixels.
pub fn centre(photo: &RgbImage, side: u32) -> RgbImage {
    let own = f64::from(photo.width().min(photo.height()));
    let corner = [photo.width(), photo.height()].map(|length| (f64::from(length) - own) / 2.0);
    square(photo, corner, own, side)
}

/// A square of a photo, `own` pixels wide, resized to `side`.
pub(super) fn square(photo: &RgbImage, [left, top]: [f64; 2], own: f64, side: u32) -> RgbImage {
    resize(photo, side, side, ResizeOptions::new().crop(left, top, own, own))
}

/// A photo scaled by `scale`, with sides of at least one pixel.
pub(super) fn scaled(photo: &RgbImage, scale: f64) -> RgbImage {
    let [width, height] =
        [photo.width(), photo.height()].map(|side| (f64::from(side) * scale).round().max(1.0) as u32);
    if (width, height) == photo.dimensions() {
        return photo.clone();
    }
    resize(photo, width, height, ResizeOptions::new())
}

/// A photo whose shorter side is at least `side`; smaller ones are enlarged.
pub(super) fn at_least(photo: &RgbImage, side: u32) -> RgbImage {
    let shorter = photo.width().min(photo.height());
    if shorter >= side {
        return photo.clone();
    }
    let scale = f64::from(side) / f64::from(shorter);
    let [width, height] =
        [photo.width(), photo.height()].map(|length| ((f64::from(length) * scale).round() as u32).max(side));
    resize(photo, width, height, ResizeOptions::new())
}

fn resize(photo: &RgbImage, width: u32, height: u32, options: ResizeOptions) -> RgbImage {
    let source = TypedImageRef::<U8x3>::from_buffer(photo.width(), photo.height(), photo.as_raw())
        .expect("a photo as large as it says");
    let mut target = TypedImage::<U8x3>::new(width, height);
    let options = options.resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize_typed(&source, &mut target, &options).expect("a part of the photo");
    RgbImage::from_raw(width, height, target.pixels().iter().flat_map(|pixel| pixel.0).collect())
        .expect("as many pixels as it says")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn the_middle_is_kept() {
        let photo =
            RgbImage::from_fn(60, 20, |x, _| if (20..40).contains(&x) { Rgb([255; 3]) } else { Rgb([0; 3]) });
        let centre = centre(&photo, 10);
        assert_eq!(centre.dimensions(), (10, 10));
        assert!(centre.pixels().all(|pixel| pixel.0[0] > 235));
    }

    #[test]
    fn only_small_photos_grow() {
        let photo = |width, height| RgbImage::from_pixel(width, height, Rgb([9, 8, 7]));
        assert_eq!(at_least(&photo(30, 10), 20), photo(60, 20));
        assert_eq!(at_least(&photo(30, 20), 20), photo(30, 20));
        assert_eq!(scaled(&photo(30, 20), 0.01), photo(1, 1));
    }
}
