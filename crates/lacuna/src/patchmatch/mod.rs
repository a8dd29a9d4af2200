//! Filling holes without a network: PatchMatch completion.
//!
//! The picture is completed from coarse to fine. At the coarsest level an onion peel fills the hole layer by
//! layer (`peel.rs`); at every level rounds of search (`search.rs`: for each patch that touches the hole the most
//! similar known one) and vote (`vote.rs`: each missing pixel becomes the mean of what its patches' matches have
//! there) improve it (`descent.rs`); of a few such completions the one goes on that looks least strange where it meets the
//! rest (`curate.rs`); the last vote is sharp, and what remains as a seam at the rim is spread (`seam.rs`).
//!
//! - Barnes et al., "PatchMatch", SIGGRAPH 2009 (<https://doi.org/10.1145/1531326.1531330>): the search.
//! - Wexler et al., "Space-Time Completion of Video", TPAMI 2007 (<https://doi.org/10.1109/TPAMI.2007.60>): the
//!   rounds and the weights.
//! - Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL 2017
//!   (<https://doi.org/10.5201/ipol.2017.189>): the onion peel and the comparison of roughness.
//! - Zhang et al., "Inpainting at Modern Camera Resolution by Guided PatchMatch with Auto-Curation", ECCV 2022
//!   (<https://arxiv.org/abs/2208.03552>): the guide (`metric.rs`) and the choice among candidates.
//!
//! Only patches that are wholly known are copied. Where a picture has none, such as one with a few known pixels or
//! one narrower than a patch, its hole is filled smoothly by a membrane (`membrane.rs`).

mod areas;
mod complete;
mod curate;
mod descent;
mod field;
mod forecast;
mod level;
mod membrane;
mod metric;
mod patch_map;
mod peel;
mod roughness;
mod seam;
mod search;
mod vote;
mod weights;

use crate::method::{Build, Method};
use crate::predictor::Scene;
use crate::{Error, Mask, Planes, Predictor, Result, Sides, Watch};
use std::num::{NonZeroU16, NonZeroUsize};
use std::sync::Arc;

/// The largest side in pixels: matches keep their place in 16 bits.
const LARGEST_SIDE: usize = 1 << 16;

/// See [`Predictor::version`]: raised with every change of the pixels that PatchMatch fills in.
const PATCHMATCH_VERSION: u32 = 5;

/// The method, for the table in [`Method`].
pub(crate) const METHOD: Method = Method {
    name: "patchmatch",
    meaning: "Copies of matching patches of the photo, without a network",
    build: Build::Alone(|| Arc::new(PatchMatch::default())),
};

/// How hard PatchMatch tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchMatchConfig {
    /// Rounds of search and vote at full size.
    pub finest_rounds: NonZeroUsize,
    /// Additional rounds at each coarser level, counted up: the third level has this many twice.
    pub rounds_per_level: usize,
    /// Completions that are begun, each with other random numbers. Only that goes on to the finest levels which looks the
    /// most like the rest of the picture where it meets it.
    pub candidates: NonZeroUsize,
    /// How completions begin.
    pub peel: PeelConfig,
}

/// How hard the onion peel tries, with which a completion begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeelConfig {
    /// Pixels of depth that are filled at a time.
    pub thickness: NonZeroU16,
    /// Pairs of search passes, forward and backward, for each layer.
    pub pairs: NonZeroUsize,
}

impl Default for PeelConfig {
    /// Pixel by pixel.
    fn default() -> Self {
        Self { thickness: NonZeroU16::MIN, pairs: NonZeroUsize::MIN.saturating_add(1) }
    }
}

impl PeelConfig {
    /// In thick layers, for holes with many pixels near known ones.
    const QUICK: Self = Self { thickness: NonZeroU16::new(3).unwrap(), pairs: NonZeroUsize::MIN };
}

impl Default for PatchMatchConfig {
    /// Four rounds and one more a level: twice as many cost twice the time and gain less than 0.001 LPIPS (Alex)
    /// over 40 photos with holes of 5 to 30 %. Of one, three and six candidates the LPIPS (VGG) of 99 crops with thick
    /// holes is 0.1385, 0.1378 and 0.1375 with a guide; of one and three, 0.1407 and 0.1391 without.
    fn default() -> Self {
        let number = |number| NonZeroUsize::new(number).expect("not zero");
        Self {
            finest_rounds: number(4),
            rounds_per_level: 1,
            candidates: number(3),
            peel: PeelConfig::default(),
        }
    }
}

/// For specks and scratches, where all completions look alike and every pixel is near a known one: one completion, fewer
/// rounds, and an onion peel in thick layers. On a scan of 4.3 megapixels with 1000 specks and 7 scratches that takes 4.4 s of
/// processor time instead of 8.4, with an L1 of 12.68 instead of 12.73 and 98 % of the grain.
static THIN: PatchMatch = PatchMatch {
    config: PatchMatchConfig {
        finest_rounds: NonZeroUsize::new(3).unwrap(),
        rounds_per_level: 1,
        candidates: NonZeroUsize::MIN,
        peel: PeelConfig::QUICK,
    },
};

/// Fills holes with patches from elsewhere in the picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchMatch {
    config: PatchMatchConfig,
}

impl PatchMatch {
    /// A predictor that tries as hard as `config` says.
    pub fn new(config: PatchMatchConfig) -> Self {
        Self { config }
    }

    /// Completes the hole of a scene; known pixels are returned with the same bits. With a `guide`, an image of the same
    /// size that is whole but need not be right in detail, patches are also compared by what it shows.
    ///
    /// # Errors
    /// [`Error::Argument`] if sizes differ; [`Error::Predict`] if no pixel is known or a side has more than 65536
    /// pixels; [`Error::Stopped`] if `watch` says so.
    ///
    /// # Panics
    /// If `guide` or [`Scene::avoid`] is not as large as the image.
    pub fn complete(&self, scene: &Scene<'_>, guide: Option<&Planes>, watch: &Watch) -> Result<Planes> {
        let Scene { image, mask, avoid, .. } = *scene;
        let (width, height) = (image.width(), image.height());
        if (mask.width(), mask.height()) != (width, height) {
            let (mask_width, mask_height) = (mask.width(), mask.height());
            let message = format!("image is {width} x {height}, mask is {mask_width} x {mask_height}");
            return Err(Error::Argument(message));
        }
        if width.max(height) > LARGEST_SIDE {
            return Err(self.failure(format!("{width} x {height} pixels, at most {LARGEST_SIDE} a side")));
        }
        if mask.count() == width * height {
            return Err(self.failure(format!("the hole covers all {width} x {height} pixels")));
        }
        if let Some(guide) = guide {
            assert_eq!((guide.width(), guide.height()), (width, height), "size of the guide");
        }
        if let Some(avoid) = avoid {
            assert_eq!((avoid.width(), avoid.height()), (width, height), "size of what is avoided");
        }
        complete::complete(scene, guide, &self.config, watch)
    }

    fn failure(&self, problem: String) -> Error {
        Error::Predict { predictor: self.name(), problem }
    }
}

impl Predictor for PatchMatch {
    fn name(&self) -> String {
        "patchmatch".to_owned()
    }

    fn version(&self) -> String {
        PATCHMATCH_VERSION.to_string()
    }

    /// Completes the hole; known pixels are returned with the same bits.
    ///
    /// # Errors
    /// As [`PatchMatch::complete`].
    fn predict_watched(&self, image: &Planes, mask: &Mask, seed: u64, watch: &Watch) -> Result<Planes> {
        self.predict_scene(&Scene::new(image, mask, seed), watch)
    }

    /// Fills the wanted part of the hole, without copying from what is avoided.
    ///
    /// # Errors
    /// As [`PatchMatch::complete`].
    fn predict_scene(&self, scene: &Scene<'_>, watch: &Watch) -> Result<Planes> {
        self.complete(scene, None, watch)
    }

    fn sides(&self) -> Sides {
        Sides::any(LARGEST_SIDE)
    }

    fn for_thin_holes(&self) -> Option<&dyn Predictor> {
        Some(&THIN)
    }

    fn runs_in_parallel(&self) -> bool {
        true
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        forecast::bytes(width, height)
    }

    fn forecast_seconds(&self, width: usize, height: usize, hole_pixels: usize) -> f64 {
        forecast::seconds(&self.config, (width, height), hole_pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Planes of `colour(x, y)` with garbage in the hole, and the mask of `hole(x, y)`.
    fn picture(
        (width, height): (usize, usize),
        colour: impl Fn(usize, usize) -> [f32; 3],
        hole: impl Fn(usize, usize) -> bool,
    ) -> (Planes, Mask) {
        let places = || (0..width * height).map(|index| (index % width, index / width));
        let garbage = [f32::NAN, f32::INFINITY, -9.0];
        let pixel = |(x, y)| if hole(x, y) { garbage } else { colour(x, y) };
        let values = (0..3).flat_map(|channel| places().map(move |place| pixel(place)[channel])).collect();
        let mask = Mask::new(width, height, places().map(|(x, y)| hole(x, y)).collect());
        (Planes::new(width, height, values), mask)
    }

    /// The largest difference to `colour` inside the hole; known pixels must be bit-equal.
    fn largest_error(filled: &Planes, mask: &Mask, colour: impl Fn(usize, usize) -> [f32; 3]) -> f32 {
        let mut largest = 0.0f32;
        for y in 0..mask.height() {
            for x in 0..mask.width() {
                for (channel, expected) in colour(x, y).into_iter().enumerate() {
                    let value = filled.plane(channel)[y * mask.width() + x];
                    assert!((0.0..=1.0).contains(&value), "{value} at {x}, {y}");
                    if mask.is_hole(x, y) {
                        largest = largest.max((value - expected).abs());
                    } else {
                        assert_eq!(value.to_bits(), expected.to_bits(), "a known pixel at {x}, {y}");
                    }
                }
            }
        }
        largest
    }

    /// Something rough that does not repeat.
    fn noise(x: usize, y: usize) -> [f32; 3] {
        let bits = (x as u32).wrapping_mul(0x9e37_79b9) ^ (y as u32).wrapping_mul(0x85eb_ca6b);
        let bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
        [0, 8, 16].map(|shift| ((bits >> shift) & 0xff) as f32 / 255.0)
    }

    fn box_hole(x: usize, y: usize) -> bool {
        (40..75).contains(&x) && (30..70).contains(&y)
    }

    #[test]
    fn a_periodic_texture_is_continued() {
        let tiles = |x: usize, y: usize| noise(x % 12, y % 9);
        let (image, mask) = picture((120, 100), tiles, box_hole);
        let filled = PatchMatch::default().predict(&image, &mask, 1).unwrap();
        let error = largest_error(&filled, &mask, tiles);
        assert!(error < 0.004, "off by {error}");
    }

    #[test]
    fn who_watches_sees_it_grow_and_can_stop_it() {
        let (image, mask) = picture((120, 100), noise, box_hole);
        let watch = Watch::default();
        let watched = |watch: &Watch| PatchMatch::default().predict_watched(&image, &mask, 1, watch);
        watched(&watch).unwrap();
        assert_eq!(watch.done(), 1.0);
        let half = Watch::default();
        watched(&half.part(0.0, 0.5)).unwrap();
        assert_eq!(half.done(), 0.5);
        half.stop();
        assert!(matches!(watched(&half), Err(Error::Stopped)));
    }

    #[test]
    fn a_constant_stays_constant() {
        let colour = |_, _| [0.2, 0.5, 0.9];
        let (image, mask) = picture((90, 110), colour, box_hole);
        let filled = PatchMatch::default().predict(&image, &mask, 1).unwrap();
        assert!(largest_error(&filled, &mask, colour) < 1e-6);
    }

    #[test]
    fn a_gradient_is_continued_smoothly() {
        let ramp = |_, y: usize| [y as f32 / 100.0, 0.3, 1.0 - y as f32 / 100.0];
        let (image, mask) = picture((120, 100), ramp, box_hole);
        let filled = PatchMatch::default().predict(&image, &mask, 1).unwrap();
        let error = largest_error(&filled, &mask, ramp);
        assert!(error < 0.01, "off by {error}");
        for plane in 0..3 {
            let steps = filled.plane(plane).windows(2).map(|pair| (pair[1] - pair[0]).abs());
            // Rows end with a jump back to the start; all other steps are inside the picture.
            let step = steps.enumerate().filter(|(index, _)| index % 120 != 119).map(|(_, step)| step);
            let largest = step.fold(0.0, f32::max);
            assert!(largest < 0.004, "a step of {largest} along a row, the ramp's is 0");
        }
    }

    #[test]
    fn threads_and_garbage_change_nothing_and_seeds_do() {
        let (image, mask) = picture((120, 100), noise, box_hole);
        let fill = |image: &Planes, threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| PatchMatch::default().predict(image, &mask, seed)).unwrap()
        };
        let one = fill(&image, 1, 5);
        assert!(one == fill(&image, 2, 5) && one == fill(&image, 4, 5), "threads");
        let mut other = image.clone();
        for plane in 0..3 {
            for (value, &hole) in other.plane_mut(plane).iter_mut().zip(mask.hole()) {
                *value = if hole { 0.7 } else { *value };
            }
        }
        assert!(one == fill(&other, 3, 5), "the hole's content");
        assert!(one != fill(&image, 1, 6), "seeds");
    }

    #[test]
    fn one_of_the_candidates_is_chosen() {
        let (image, mask) = picture((120, 100), noise, box_hole);
        let fill = |candidates: usize, seed: u64| {
            let candidates = NonZeroUsize::new(candidates).unwrap();
            let config = PatchMatchConfig { candidates, ..PatchMatchConfig::default() };
            PatchMatch::new(config).predict(&image, &mask, seed).unwrap()
        };
        let alone: Vec<Planes> = (0..3).map(|number| fill(1, 5 + (number << 32))).collect();
        assert!(alone[0] != alone[1] && alone[1] != alone[2]);
        for count in 1..=3 {
            assert!(alone[..count].contains(&fill(count, 5)), "none of the {count} candidates");
        }
        let firsts = (0..8).filter(|&seed| fill(3, seed) == fill(1, seed)).count();
        assert!(firsts < 8, "never another than the first");
    }

    #[test]
    fn a_guide_decides_between_what_fits_alike() {
        // Red noise to the left, blue to the right, and a hole over the border, which could go on anywhere.
        let shade = |x, y| 0.5 + 0.5 * noise(x, y)[0];
        let colour = |x, y| if x < 80 { [shade(x, y), 0.0, 0.0] } else { [0.0, 0.0, shade(x, y)] };
        let hole = |x: usize, y: usize| (60..100).contains(&x) && (30..70).contains(&y);
        let (image, mask) = picture((160, 100), colour, hole);
        let share_of_red = |inside: [f32; 3]| {
            let colour = |x, y| if hole(x, y) { inside } else { colour(x, y) };
            let guide = picture((160, 100), colour, |_, _| false).0;
            let scene = Scene::new(&image, &mask, 1);
            let filled = PatchMatch::default().complete(&scene, Some(&guide), &Watch::default()).unwrap();
            let pixels = mask.hole().iter().zip(filled.plane(0)).filter(|(hole, _)| **hole);
            pixels.filter(|(_, red)| **red > 0.25).count() as f64 / mask.count() as f64
        };
        let (red, blue) = (share_of_red([0.75, 0.0, 0.0]), share_of_red([0.0, 0.0, 0.75]));
        assert!(red > 0.7 && blue < 0.3, "red: {red} with a red guide, {blue} with a blue one");
    }

    #[test]
    fn any_size_and_hole_is_filled() {
        struct Case {
            size: (usize, usize),
            hole: fn(usize, usize) -> bool,
        }
        let cases = [
            Case { size: (1, 1), hole: |_, _| false },
            Case { size: (2, 1), hole: |x, _| x == 0 },
            Case { size: (1, 50), hole: |_, y| y > 3 },
            Case { size: (6, 6), hole: |x, y| x == y },
            Case { size: (7, 7), hole: |x, y| (x, y) == (0, 0) },
            Case { size: (8, 7), hole: |x, _| x == 0 },
            Case { size: (14, 7), hole: |x, _| x >= 7 },
            Case { size: (200, 9), hole: |x, _| x > 20 },
            Case { size: (33, 57), hole: |x, y| x < 16 && y < 20 },
            Case { size: (33, 57), hole: |x, y| x > 16 || y > 30 },
            Case { size: (64, 64), hole: |x, y| (x, y) != (40, 13) },
            Case { size: (64, 64), hole: |x, y| !((50..57).contains(&x) && (3..10).contains(&y)) },
            Case { size: (64, 64), hole: |x, y| x % 8 == 0 || y % 8 == 0 },
            Case { size: (64, 64), hole: |x, y| x % 7 == 0 || y % 7 == 0 },
            Case { size: (97, 61), hole: |x, y| (x + y) % 31 < 9 },
        ];
        for (number, Case { size, hole }) in cases.into_iter().enumerate() {
            let (image, mask) = picture(size, noise, hole);
            let filled = PatchMatch::default()
                .predict(&image, &mask, 1)
                .unwrap_or_else(|error| panic!("case {number}: {error}"));
            // Known pixels keep their bits, and nothing is left of the garbage in the hole.
            largest_error(&filled, &mask, noise);
        }
    }

    #[test]
    fn without_a_source_patch_the_fill_is_smooth() {
        let ramp = |x: usize, y: usize| [x as f32 / 61.0, y as f32 / 61.0, 0.5];
        // Known lines 5 pixels apart leave no known patch.
        let (image, mask) = picture((61, 61), ramp, |x, y| x % 6 != 0 && y % 6 != 0);
        let filled = PatchMatch::default().predict(&image, &mask, 1).unwrap();
        let error = largest_error(&filled, &mask, ramp);
        assert!(error < 0.01, "off by {error}");
    }

    #[test]
    fn what_cannot_be_filled_is_refused() {
        let predictor = PatchMatch::default();
        let error = predictor.predict(&Planes::black(3, 2), &Mask::new(3, 2, vec![true; 6]), 1).unwrap_err();
        assert_eq!(error.to_string(), "patchmatch failed: the hole covers all 3 x 2 pixels");
        let error = predictor.predict(&Planes::black(3, 2), &Mask::new(2, 3, vec![true; 6]), 1).unwrap_err();
        assert_eq!(error.to_string(), "image is 3 x 2, mask is 2 x 3");
        let long = 1 << 17;
        let error = predictor.predict(&Planes::black(long, 1), &Mask::new(long, 1, vec![false; long]), 1);
        assert_eq!(
            error.unwrap_err().to_string(),
            "patchmatch failed: 131072 x 1 pixels, at most 65536 a side"
        );
    }
}
