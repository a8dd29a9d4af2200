//! Fixed mask sets: equal arguments give equal files on every machine.
//!
//! Follows LaMa's `gen_mask_dataset`. A photo is resized so that its shorter side is the set's side. Five masks are
//! drawn on the whole photo, each with a square crop around its hole. One is chosen among those that cover at most half
//! of their crop. Differs from it in: a seed for each image; masks without a hole are discarded; masks are drawn again
//! until one can be used; borders and halves are drawn on the crop.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Cursor;
use std::str::FromStr;

use image::imageops::{self, FilterType};
use image::{GrayImage, ImageFormat, RgbImage};
use lacuna::pairs::mask_name;
use lacuna::{Mask, Rect};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::generator::{MaskGenerator, Preset};

/// Masks drawn for a crop, of which one is chosen.
const VARIANTS: usize = 5;
/// Largest hole fraction of a crop.
const LARGEST_SHARE: f64 = 0.5;
/// Attempts before drawing fails; the rarest mask takes a few dozen.
const ATTEMPTS: usize = 1000;
/// Bounds of the hole fractions of [`Masks::ByArea`], from Liu et al. 2018 (<https://arxiv.org/abs/1804.07723>).
const AREAS: [f64; 7] = [0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6];

/// The kind of masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masks {
    /// A preset, with holes of up to half of the image.
    Preset(Preset),
    /// Six ranges of hole fraction in turn, from 1 to 10 % up to 50 to 60 %, so that all are equally frequent.
    ByArea,
}

/// A mask set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskSet {
    /// The kind of masks.
    pub masks: Masks,
    /// Side in pixels.
    pub side: usize,
    /// Sets of different seeds are independent.
    pub seed: u64,
}

/// A mask as a PNG file: 255 in the hole and 0 elsewhere.
pub fn png(mask: &Mask) -> Vec<u8> {
    let values = mask.hole().iter().map(|&hole| if hole { u8::MAX } else { 0 }).collect();
    let picture = GrayImage::from_raw(mask.width() as u32, mask.height() as u32, values)
        .expect("a value for each pixel");
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).expect("memory takes everything");
    bytes
}

/// SHA-256 of a set: over each file's name, a zero byte and the file's SHA-256, sorted by name.
pub fn hash(files: &BTreeMap<String, String>) -> String {
    let text: String = files.iter().map(|(name, sha256)| format!("{name}\0{sha256}")).collect();
    lacuna::hash::sha256(text.as_bytes())
}

/// Name of the mask with this number on a blank canvas, without the extension.
pub fn blank_name(number: u64) -> String {
    mask_name(&format!("{number:05}"), 0)
}

/// A square crop of a photo, and its mask.
#[derive(Clone, Debug)]
pub struct Crop {
    /// The crop of the photo.
    pub photo: RgbImage,
    /// Its hole.
    pub mask: Mask,
}

/// The published hash of a set, which tests compare with.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// The kind of masks, such as `thick-256`.
    pub name: &'static str,
    /// Number of images.
    pub count: usize,
    /// The seed.
    pub seed: u64,
    /// The set's [`hash`].
    pub sha256: &'static str,
}

/// The published sets, on blank canvases.
pub const PUBLISHED: [Published; 10] = [
    published("thin-256", "bfdc117af90be80a51d23da9b09505c3e531fe4b2f3cd5accd5187250e85748f"),
    published("medium-256", "40fad2223ed71c6a0e04e22480ffde2565af909e67f62e0390df0f4f51eb3c20"),
    published("thick-256", "e294051b6146283802b6680eba8f6a9c92913b9166aa9a8fdd698fd90c4895c5"),
    published("thin-512", "68a57b329a8b41ef27c5f1ffdb89f04e48f9760c6a7077753aae88c1c74e4054"),
    published("medium-512", "85cb6258df51ef6313292910b0125759a2fea9e89054bd580e970c592095db9f"),
    published("thick-512", "d05511e0860b3485ae73ff3af3a7fd3a4bc213e5d026053427a1a00e8c46c4b3"),
    published("box-256", "cd2812d334851d57747f7101ae3ec3e3c0c0b4367fe83842b7558a8509686c9f"),
    published("outpainting-256", "0726724267713f240b3dbd79783dd207ed9a112a2429713e8b2a23d7bfe11ce5"),
    published("half", "ca862b6d9bcf672fdb0f6425fc26b4441caf025a4adf4452a8ead0dbb93862c3"),
    published("by-area", "a4be708d5d9927ee30b0a56f0a13d8db25dbf314fa4333691a3b1819a3816cda"),
];

/// The published hash of a set of this name, count and seed, if there is one.
pub fn published_hash(name: &str, count: usize, seed: u64) -> Option<&'static str> {
    let same = |set: &&Published| set.name == name && set.count == count && set.seed == seed;
    PUBLISHED.iter().find(same).map(|set| set.sha256)
}

const fn published(name: &'static str, sha256: &'static str) -> Published {
    Published { name, count: 120, seed: 1, sha256 }
}

impl Masks {
    /// The side that these masks are meant for, in pixels.
    pub fn side(self) -> usize {
        match self {
            Self::Preset(preset) if preset.name().ends_with("512") => 512,
            _ => 256,
        }
    }

    fn generator(self) -> MaskGenerator {
        match self {
            Self::Preset(preset) => preset.generator(),
            Self::ByArea => Preset::Train256.generator(),
        }
    }

    /// Whether the mask with this number may have this hole fraction.
    fn allows(self, fraction: f64, number: u64) -> bool {
        match self {
            Self::Preset(_) => fraction > 0.0 && fraction <= LARGEST_SHARE,
            Self::ByArea => {
                let bin = (number % (AREAS.len() as u64 - 1)) as usize;
                fraction > AREAS[bin] && fraction <= AREAS[bin + 1]
            }
        }
    }

    /// Whether holes have a position that a crop can follow, instead of lying at borders.
    fn lie_somewhere(self) -> bool {
        !matches!(self, Self::Preset(Preset::Half | Preset::Outpainting256))
    }
}

impl fmt::Display for Masks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(preset) => preset.fmt(formatter),
            Self::ByArea => formatter.write_str("by-area"),
        }
    }
}

impl FromStr for Masks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "by-area" {
            return Ok(Self::ByArea);
        }
        text.parse().map(Self::Preset).map_err(|problem| format!("{problem}, by-area"))
    }
}

impl MaskSet {
    /// The mask with this number on a blank canvas; `None` if none could be drawn.
    pub fn blank(&self, number: u64) -> Option<Mask> {
        self.place([self.side; 2], number).map(|placed| placed.mask)
    }

    /// The crop with this number of a photo; `None` if no mask could be drawn.
    pub fn of_photo(&self, photo: &RgbImage, number: u64) -> Option<Crop> {
        let size = scaled([photo.width() as usize, photo.height() as usize], self.side);
        let Placed { mask, corner } = self.place(size, number)?;
        let [width, height] = size.map(|length| length as u32);
        // Cubic as in PIL, which LaMa uses.
        let scaled = imageops::resize(photo, width, height, FilterType::CatmullRom);
        let [x, y] = corner.map(|at| at as u32);
        let photo = imageops::crop_imm(&scaled, x, y, self.side as u32, self.side as u32).to_image();
        Some(Crop { photo, mask })
    }

    /// One of several usable masks, in a crop of a photo of this size.
    fn place(&self, size: [usize; 2], number: u64) -> Option<Placed> {
        let (mut rng, generator, side) = (self.rng(number), self.masks.generator(), self.side);
        let mut draw = || {
            if self.masks.lie_somewhere() {
                let hole = generator.draw(size[0], size[1], &mut rng);
                let corner = corner_of(&hole, side, &mut rng);
                let [x, y] = corner;
                return (
                    Placed { mask: hole.cut(Rect { x, y, width: side, height: side }), corner },
                    rng.random(),
                );
            }
            let corner = size.map(|length| rng.random_range(0..=length - side));
            (Placed { mask: generator.draw(side, side, &mut rng), corner }, rng.random())
        };
        for _ in 0..ATTEMPTS {
            let drawn: [(Placed, u64); VARIANTS] = std::array::from_fn(|_| draw());
            let usable = drawn.into_iter().filter(|(Placed { mask, .. }, _)| {
                self.masks.allows(mask.count() as f64 / mask.hole().len() as f64, number)
            });
            // A random draw decides among those.
            if let Some((placed, _)) = usable.min_by_key(|(_, lot)| *lot) {
                return Some(placed);
            }
        }
        None
    }

    /// Each image has its own generator, so that it does not depend on the images before it.
    fn rng(&self, number: u64) -> Pcg64 {
        // The golden ratio keeps sets of consecutive seeds apart.
        Pcg64::seed_from_u64(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(number))
    }
}

/// A mask, and the position of its crop in the photo.
struct Placed {
    mask: Mask,
    corner: [usize; 2],
}

/// The size at which the shorter side is `side`.
fn scaled(size: [usize; 2], side: usize) -> [usize; 2] {
    let shorter = size[0].min(size[1]).max(1);
    size.map(|length| ((length * side + shorter / 2) / shorter).max(side))
}

/// The position of a square crop that contains the whole hole if possible.
fn corner_of(hole: &Mask, side: usize, rng: &mut Pcg64) -> [usize; 2] {
    let Some(bounds) = hole.bounds() else { return [0; 2] };
    let mut along = |length: usize, end: usize| {
        if length == side {
            return 0;
        }
        let first = end.saturating_sub(side).min((length - side).saturating_sub(1));
        let last = end.min(length - side).max(first + 1);
        rng.random_range(first..last)
    };
    [along(hole.width(), bounds.right()), along(hole.height(), bounds.bottom())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    const SET: MaskSet = MaskSet { masks: Masks::Preset(Preset::Thick256), side: 64, seed: 3 };

    fn fraction(mask: &Mask) -> f64 {
        mask.count() as f64 / mask.hole().len() as f64
    }

    #[test]
    fn a_mask_depends_on_its_number_alone() {
        let forward: Vec<Mask> = (0..6).map(|number| SET.blank(number).unwrap()).collect();
        let parallel: Vec<Mask> =
            (0..6u32).into_par_iter().rev().map(|number| SET.blank(number.into()).unwrap()).collect();
        assert!(forward.iter().eq(parallel.iter().rev()));
        assert_ne!(forward[0], forward[1]);
        assert_ne!(MaskSet { seed: 4, ..SET }.blank(0).unwrap(), forward[0]);
    }

    #[test]
    fn holes_cover_at_most_half_and_by_area_what_their_bin_says() {
        for name in ["thin-256", "outpainting-256", "half"] {
            let masks: Masks = name.parse().unwrap();
            for number in 0..20 {
                let fraction = fraction(&MaskSet { masks, ..SET }.blank(number).unwrap());
                assert!(fraction > 0.0 && fraction <= 0.5, "{name}: {fraction}");
            }
        }
        let set = MaskSet { masks: Masks::ByArea, side: 256, seed: 1 };
        for number in 0..12 {
            let fraction = fraction(&set.blank(number).unwrap());
            let bin = (number % 6) as usize;
            assert!(fraction > AREAS[bin] && fraction <= AREAS[bin + 1], "{number}: {fraction}");
        }
        assert!("thicc".parse::<Masks>().unwrap_err().ends_with("half, by-area"));
    }

    #[test]
    fn crops_follow_the_hole() {
        let photo = RgbImage::from_fn(300, 100, |x, y| image::Rgb([(x / 2) as u8, y as u8, 7]));
        for name in ["box-256", "half", "thick-256"] {
            let set = MaskSet { masks: name.parse().unwrap(), side: 50, seed: 1 };
            let crops: Vec<Crop> = (0..8).map(|number| set.of_photo(&photo, number).unwrap()).collect();
            for crop in &crops {
                assert_eq!((crop.photo.width(), crop.photo.height()), (50, 50));
                assert_eq!((crop.mask.width(), crop.mask.height()), (50, 50));
                assert!(crop.mask.count() > 0);
            }
            let lefts: std::collections::BTreeSet<u8> =
                crops.iter().map(|crop| crop.photo.get_pixel(0, 0).0[0]).collect();
            assert!(lefts.len() > 3, "{name}: crops begin at {lefts:?}");
        }
        assert_eq!(scaled([300, 100], 50), [150, 50]);
        assert_eq!(scaled([33, 1000], 256), [256, 7758]);
    }

    #[test]
    fn a_crop_has_the_whole_hole_if_it_fits() {
        let hole = Mask::new(100, 20, (0..2000).map(|at| (70..80).contains(&(at % 100))).collect());
        for seed in 0..20 {
            let [x, y] = corner_of(&hole, 20, &mut Pcg64::seed_from_u64(seed));
            assert!(y == 0 && (60..80).contains(&x), "{x}");
        }
    }

    #[test]
    fn published_sets_are_what_this_program_makes() {
        for published in PUBLISHED {
            let masks: Masks = published.name.parse().unwrap();
            let set = MaskSet { masks, side: masks.side(), seed: published.seed };
            let file = |number: u32| {
                let mask = set.blank(number.into()).unwrap();
                (format!("{}.png", blank_name(number.into())), lacuna::hash::sha256(&png(&mask)))
            };
            let files = (0..published.count as u32).into_par_iter().map(file).collect();
            assert_eq!(hash(&files), published.sha256, "{}", published.name);
        }
    }
}
