//! Brightness, contrast, hue, saturation and value, as in albumentations 0.5.2.

use image::{Rgb, RgbImage};
use rand::RngExt;
use rand_pcg::Pcg64;

/// Ranges of the changes, in both directions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Colours {
    /// Fractions.
    brightness: f64,
    contrast: f64,
    /// In OpenCV's units of two degrees.
    hue: f64,
    /// Of 255.
    saturation: f64,
    value: f64,
}

impl Colours {
    /// Albumentations' defaults, which LaMa uses.
    pub const FULL: Self = Self { brightness: 0.2, contrast: 0.2, hue: 5.0, saturation: 30.0, value: 5.0 };
    /// Half of them.
    pub const HALF: Self = Self { brightness: 0.1, contrast: 0.1, hue: 2.5, saturation: 15.0, value: 2.5 };

    /// Changes brightness and contrast, then hue, saturation and value, each pair with this probability.
    pub fn apply(self, picture: &mut RgbImage, probability: f64, rng: &mut Pcg64) {
        if rng.random_bool(probability) {
            let contrast = 1.0 + rng.random_range(-self.contrast..self.contrast);
            let brightness = rng.random_range(-self.brightness..self.brightness);
            stretch(picture, contrast, brightness);
        }
        if rng.random_bool(probability) {
            let hue = 2.0 * rng.random_range(-self.hue..self.hue);
            let saturation = rng.random_range(-self.saturation..self.saturation) / 255.0;
            let value = rng.random_range(-self.value..self.value) / 255.0;
            shift(picture, [hue as f32, saturation as f32, value as f32]);
        }
    }
}

/// `contrast · colour + brightness`, for colours in `[0, 1]`.
fn stretch(picture: &mut RgbImage, contrast: f64, brightness: f64) {
    let table: [u8; 256] = std::array::from_fn(|colour| {
        (contrast * colour as f64 + 255.0 * brightness).clamp(0.0, 255.0).round() as u8
    });
    for colour in picture.iter_mut() {
        *colour = table[usize::from(*colour)];
    }
}

/// Adds to hue (degrees), saturation and value (`[0, 1]`).
fn shift(picture: &mut RgbImage, [hue, saturation, value]: [f32; 3]) {
    for pixel in picture.pixels_mut() {
        let [h, s, v] = to_hsv(pixel.0);
        pixel.0 = to_rgb([h + hue, (s + saturation).clamp(0.0, 1.0), (v + value).clamp(0.0, 1.0)]).0;
    }
}

/// Hue in degrees, saturation and value in `[0, 1]`.
fn to_hsv(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|colour| f32::from(colour) / 255.0);
    let value = r.max(g).max(b);
    let chroma = value - r.min(g).min(b);
    if chroma == 0.0 {
        return [0.0, 0.0, value];
    }
    let sixth = if value == r {
        (g - b) / chroma
    } else if value == g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    [60.0 * sixth, chroma / value, value]
}

fn to_rgb([hue, saturation, value]: [f32; 3]) -> Rgb<u8> {
    let sixth = (hue / 60.0).rem_euclid(6.0);
    Rgb([5.0, 3.0, 1.0].map(|offset: f32| {
        let place = (offset + sixth) % 6.0;
        let fraction = place.min(4.0 - place).clamp(0.0, 1.0);
        (255.0 * value * (1.0 - saturation * fraction)).round() as u8
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_and_contrast_by_hand() {
        let mut picture = RgbImage::from_pixel(1, 1, Rgb([100, 250, 0]));
        stretch(&mut picture, 1.1, -0.1);
        assert_eq!(picture.get_pixel(0, 0).0, [85, 250, 0]);
    }

    #[test]
    fn there_and_back() {
        for rgb in [[0, 0, 0], [255, 255, 255], [255, 0, 0], [12, 200, 90], [3, 4, 250], [200, 10, 199]] {
            assert_eq!(to_rgb(to_hsv(rgb)).0, rgb);
        }
        assert_eq!(to_hsv([0, 255, 0]), [120.0, 1.0, 1.0]);
    }

    #[test]
    fn hues_go_round() {
        let mut picture = RgbImage::from_pixel(1, 1, Rgb([255, 0, 0]));
        shift(&mut picture, [-120.0, 0.0, 0.0]);
        assert_eq!(picture.get_pixel(0, 0).0, [0, 0, 255]);
        shift(&mut picture, [480.0, -1.0, 0.0]);
        assert_eq!(picture.get_pixel(0, 0).0, [255, 255, 255]);
    }
}
