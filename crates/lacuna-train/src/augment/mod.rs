//! Augmentation of photos: LaMa's, which the thesis uses too.
//!
//! Differs from LaMa in: photos smaller than the crop are enlarged instead of padded; the geometric steps are one map,
//! so each pixel of the crop is sampled once (sharper and faster than three resamplings); a photo is scaled down before
//! if the map shrinks it.

mod affine;
mod clahe;
mod colour;
mod optical;
mod perspective;
mod resize;
mod warp;

use image::RgbImage;
use image::imageops;
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

pub use resize::centre;

use affine::Affine;
use colour::Colours;
use resize::{at_least, scaled, square};
use warp::Map;

/// A set of augmentations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// LaMa's for Places: perspective, scale 0.7 to 1.3, rotation up to 40°, lens distortion, colours. For photos
    /// larger than the crop.
    Distortions,
    /// The same with scale 0.5 to 1.
    #[serde(rename = "distortions-scale05-1")]
    DistortionsScale05To1,
    /// The same with scale 0.3 to 1.2.
    #[serde(rename = "distortions-scale03-12")]
    DistortionsScale03To12,
    /// The same with scale 0.3 to 0.7.
    #[serde(rename = "distortions-scale03-07")]
    DistortionsScale03To07,
    /// Less perspective, scale 0.8 to 1.8, rotation up to 20°, no lens distortion.
    DistortionsLight,
    /// Scale 0.8 to 1.2 and colours.
    Default,
    /// Ours, for photos about as large as the crop: a crop of at least 60 % of the area, half the colour changes, no
    /// warps.
    Light,
    /// Crop and colours.
    NonSpace,
    /// A crop.
    None,
}

/// Probability of perspective, affine map, lens distortion, flip, and each colour change.
const OFTEN: f64 = 0.5;
/// Largest standard deviation of perspective's corner offsets, as a fraction of the side.
const PERSPECTIVE: f64 = 0.06;
const PERSPECTIVE_LIGHT: f64 = 0.02;
/// Below this scale the photo is resized first, as the map would skip pixels.
const SHRINKS: f64 = 0.75;
/// Smallest crop of [`Augment::Light`], as a fraction of the photo's largest square.
const LIGHT_AREA: f64 = 0.6;
/// Largest scale change of [`Augment::Default`].
const SCALE: f64 = 0.2;

/// Ranges of the geometric steps.
struct Ranges {
    perspective: f64,
    scale: [f64; 2],
    affine: f64,
    rotate: f64,
    shear: f64,
    optical: bool,
}

const DISTORTIONS: Ranges = Ranges {
    perspective: PERSPECTIVE,
    scale: [0.7, 1.3],
    affine: OFTEN,
    rotate: 40.0,
    shear: 0.1,
    optical: true,
};

impl Augment {
    fn ranges(self) -> Option<Ranges> {
        match self {
            Self::Distortions => Some(DISTORTIONS),
            Self::DistortionsScale05To1 => Some(Ranges { scale: [0.5, 1.0], affine: 1.0, ..DISTORTIONS }),
            Self::DistortionsScale03To12 => Some(Ranges { scale: [0.3, 1.2], affine: 1.0, ..DISTORTIONS }),
            Self::DistortionsScale03To07 => Some(Ranges { scale: [0.3, 0.7], affine: 1.0, ..DISTORTIONS }),
            Self::DistortionsLight => Some(Ranges {
                perspective: PERSPECTIVE_LIGHT,
                scale: [0.8, 1.8],
                affine: OFTEN,
                rotate: 20.0,
                shear: 0.03,
                optical: false,
            }),
            Self::Default | Self::Light | Self::NonSpace | Self::None => None,
        }
    }

    /// A crop of `side` x `side` pixels. The same photo, side and state of `rng` give the same crop.
    pub fn apply(self, photo: &RgbImage, side: u32, rng: &mut Pcg64) -> RgbImage {
        let mut crop = match self.ranges() {
            Some(ranges) => distort(&at_least(photo, side), side, &ranges, rng),
            None if self == Self::Light => light_crop(photo, side, rng),
            None if self == Self::Default => {
                let scale =
                    if rng.random_bool(OFTEN) { rng.random_range(1.0 - SCALE..1.0 + SCALE) } else { 1.0 };
                random_crop(&at_least(&scaled(photo, scale), side), side, rng)
            }
            None => random_crop(&at_least(photo, side), side, rng),
        };
        if self == Self::None {
            return crop;
        }
        if self != Self::NonSpace && rng.random_bool(OFTEN) {
            imageops::flip_horizontal_in_place(&mut crop);
        }
        let colours = if self == Self::Light { Colours::HALF } else { Colours::FULL };
        if self != Self::Light && rng.random_bool(OFTEN) {
            clahe::apply(&mut crop, rng.random_range(1.0..4.0));
        }
        colours.apply(&mut crop, OFTEN, rng);
        crop
    }
}

fn random_crop(photo: &RgbImage, side: u32, rng: &mut Pcg64) -> RgbImage {
    let (left, top) =
        (rng.random_range(0..=photo.width() - side), rng.random_range(0..=photo.height() - side));
    imageops::crop_imm(photo, left, top, side, side).to_image()
}

/// A random square of at least [`LIGHT_AREA`] of the largest one, resized.
fn light_crop(photo: &RgbImage, side: u32, rng: &mut Pcg64) -> RgbImage {
    let largest = f64::from(photo.width().min(photo.height()));
    let own = (largest * rng.random_range(LIGHT_AREA..1.0f64).sqrt()).round().max(1.0);
    let left = rng.random::<f64>() * (f64::from(photo.width()) - own);
    let top = rng.random::<f64>() * (f64::from(photo.height()) - own);
    square(photo, [left, top], own, side)
}

fn distort(photo: &RgbImage, side: u32, ranges: &Ranges, rng: &mut Pcg64) -> RgbImage {
    let perspective = rng.random_bool(OFTEN).then(|| perspective::draw(ranges.perspective, rng));
    let affine =
        rng.random_bool(ranges.affine).then(|| Affine::draw(ranges.scale, ranges.rotate, ranges.shear, rng));
    let lens = (ranges.optical && rng.random_bool(OFTEN)).then(|| optical::draw(rng));
    let (width, height) = photo.dimensions();
    let corner = [rng.random_range(0..=width - side), rng.random_range(0..=height - side)];

    let shrink = affine.as_ref().map_or(1.0, Affine::larger_scale);
    let source = if shrink < SHRINKS { scaled(photo, shrink) } else { photo.clone() };
    let map = Map { size: [width, height], corner, lens, affine, perspective };
    map.sample(&source, side)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use rand::SeedableRng;

    pub const ALL: [Augment; 9] = [
        Augment::Distortions,
        Augment::DistortionsScale05To1,
        Augment::DistortionsScale03To12,
        Augment::DistortionsScale03To07,
        Augment::DistortionsLight,
        Augment::Default,
        Augment::Light,
        Augment::NonSpace,
        Augment::None,
    ];

    fn photo(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 5) as u8, (y * 3) as u8, ((x / 7 + y / 9) % 2 * 200) as u8])
        })
    }

    #[test]
    fn crops_have_their_size_whatever_the_photo() {
        for augment in ALL {
            for (width, height) in [(1, 1), (1, 50), (31, 33), (200, 3), (64, 64), (97, 130)] {
                for seed in 0..4 {
                    let crop = augment.apply(&photo(width, height), 32, &mut Pcg64::seed_from_u64(seed));
                    assert_eq!(crop.dimensions(), (32, 32), "{augment:?} of {width} x {height}");
                }
            }
        }
    }

    #[test]
    fn the_seed_decides() {
        for augment in ALL {
            let photo = photo(80, 60);
            let crop = |seed| augment.apply(&photo, 40, &mut Pcg64::seed_from_u64(seed));
            assert_eq!(crop(1), crop(1), "{augment:?}");
            assert!((2..9).any(|seed| crop(seed) != crop(1)), "{augment:?}");
        }
    }

    #[test]
    fn none_takes_a_part_as_it_is() {
        let photo = photo(50, 40);
        let crop = Augment::None.apply(&photo, 16, &mut Pcg64::seed_from_u64(3));
        let places = (0..=34).flat_map(|left| (0..=24).map(move |top| (left, top)));
        let found =
            places.filter(|&(left, top)| imageops::crop_imm(&photo, left, top, 16, 16).to_image() == crop);
        assert_eq!(found.count(), 1);
    }

    #[test]
    fn a_flat_photo_keeps_no_seam() {
        // Warps mirror the photo at its border: a uniform photo stays uniform.
        let flat = RgbImage::from_pixel(70, 50, Rgb([90, 120, 40]));
        for seed in 0..20 {
            let crop = Augment::DistortionsScale03To12.apply(&flat, 32, &mut Pcg64::seed_from_u64(seed));
            assert!(crop.pixels().all(|pixel| pixel == crop.get_pixel(0, 0)), "seed {seed}");
        }
    }

    #[test]
    fn names_are_those_of_run_files() {
        let names = ALL.map(|augment| serde_json::to_value(augment).unwrap().as_str().unwrap().to_owned());
        assert_eq!(
            names,
            [
                "distortions",
                "distortions-scale05-1",
                "distortions-scale03-12",
                "distortions-scale03-07",
                "distortions-light",
                "default",
                "light",
                "non-space",
                "none"
            ]
        );
    }
}
