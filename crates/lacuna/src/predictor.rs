//! The one seam between pictures and whatever invents the missing pixels.

use std::sync::Arc;

use lacuna_network::geometry;

use crate::hint::{FrameHint, HintKind, HintStrength};
use crate::refine::Refinement;
use crate::{Error, Mask, Planes, Rect, Result, Watch};

/// A hole to fill, and what to look at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The image; what it holds in the hole must not influence the result.
    pub image: &'a Planes,
    /// The hole, as large as the image.
    pub mask: &'a Mask,
    /// Pixels that must not be copied into the hole, as large as the image. They are known all the same.
    pub avoid: Option<&'a Mask>,
    /// What a person wants in the hole, and how much it counts. For predictors with [`Predictor::hint_kind`].
    pub hint: Option<(&'a FrameHint, HintStrength)>,
    /// The caller uses the fill within this window only: holes beyond it need not be filled.
    pub wanted: Rect,
    /// Seed of everything random.
    pub seed: u64,
}

impl<'a> Scene<'a> {
    /// An image whose whole hole is filled, from anywhere.
    pub fn new(image: &'a Planes, mask: &'a Mask, seed: u64) -> Self {
        let wanted = Rect::whole(image.width(), image.height());
        Self { image, mask, avoid: None, hint: None, wanted, seed }
    }
}

/// The sides of the frames that a predictor takes, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    /// Sides must be multiples of this.
    pub multiple: usize,
    /// Sides must be at least this long.
    pub smallest: usize,
    /// Longer frames come out badly or not at all; [`crate::Strategy::Auto`] scales them down.
    pub largest: usize,
}

impl Sides {
    /// Those of a network, on any engine.
    pub const NETWORK: Self = Self {
        multiple: geometry::MULTIPLE,
        smallest: geometry::SMALLEST_SIDE,
        largest: geometry::LARGEST_SIDE,
    };

    /// Sides of any length up to `largest`.
    pub const fn any(largest: usize) -> Self {
        Self { multiple: 1, smallest: 1, largest }
    }

    /// The shortest side that is possible and not shorter than `length`.
    pub fn padded(self, length: usize) -> usize {
        length.max(self.smallest).next_multiple_of(self.multiple)
    }

    /// Checks that a frame of this size is possible; the longest side is a matter of quality.
    ///
    /// # Errors
    /// What is wrong with the size.
    pub fn check(self, width: usize, height: usize) -> Result<(), String> {
        if [width, height].iter().all(|&side| self.padded(side) == side) {
            return Ok(());
        }
        let Self { multiple, smallest, .. } = self;
        Err(format!("sides must be multiples of {multiple} from {smallest} up, got {width} x {height}"))
    }
}

/// Something that predicts the pixels of a hole: PatchMatch, a network on some engine.
pub trait Predictor: Send + Sync {
    /// A short name for messages and reports, such as "patchmatch" or "fourier-w64-b18 (burn, cpu)".
    fn name(&self) -> String;

    /// The version of the algorithm. It changes whenever the same image, mask, seed and weights give other pixels, so
    /// that stored results are computed again.
    fn version(&self) -> String {
        "1".into()
    }

    /// Predicts the whole picture; the caller composites only hole pixels.
    ///
    /// `image` and `mask` have the same size, both sides are possible by [`Predictor::sides`]. What `image` holds inside the hole must not influence the result.
    /// The same `seed` gives the same bits whatever the number of threads.
    ///
    /// # Errors
    /// [`crate::Error::Predict`] if the prediction cannot be made.
    fn predict(&self, image: &Planes, mask: &Mask, seed: u64) -> Result<Planes> {
        self.predict_watched(image, mask, seed, &Watch::default())
    }

    /// [`Predictor::predict`], telling `watch` how far it is.
    ///
    /// # Errors
    /// As [`Predictor::predict`]; [`crate::Error::Stopped`] if `watch` says so.
    fn predict_watched(&self, image: &Planes, mask: &Mask, seed: u64, watch: &Watch) -> Result<Planes>;

    /// [`Predictor::predict_watched`] for a scene. By default the whole hole is filled, and [`Scene::avoid`] and
    /// [`Scene::hint`] do not count, which is right for a predictor that copies nothing and takes no hint.
    ///
    /// # Errors
    /// As [`Predictor::predict_watched`].
    fn predict_scene(&self, scene: &Scene<'_>, watch: &Watch) -> Result<Planes> {
        self.predict_watched(scene.image, scene.mask, scene.seed, watch)
    }

    /// The sides of the frames that it takes.
    fn sides(&self) -> Sides;

    /// Checks that image and mask have the same size, and one that [`Predictor::sides`] allows.
    ///
    /// # Errors
    /// [`crate::Error::Predict`] if not, with both sizes.
    fn check_frame(&self, image: &Planes, mask: &Mask) -> Result<()> {
        let (width, height) = (image.width(), image.height());
        let checked = if (mask.width(), mask.height()) == (width, height) {
            self.sides().check(width, height)
        } else {
            Err(format!("image of {width} x {height}, mask of {} x {}", mask.width(), mask.height()))
        };
        checked.map_err(|problem| Error::Predict { predictor: self.name(), problem })
    }

    /// The peak memory in bytes that a frame of this size is expected to need, beyond the picture, the
    /// frame's own planes ([`crate::frame::Frame::bytes`]) and [`Predictor::resident_bytes`].
    fn forecast_bytes(&self, width: usize, height: usize) -> u64;

    /// The bytes that it holds as long as it lives: weights.
    fn resident_bytes(&self) -> u64 {
        0
    }

    /// What fills specks and scratches in its place, if that is better or as good for less.
    fn for_thin_holes(&self) -> Option<&dyn Predictor> {
        None
    }

    /// Whether it samples latents, as the method flow does.
    fn is_flow(&self) -> bool {
        false
    }

    /// The kind of hint that steers it, if one does.
    fn hint_kind(&self) -> Option<HintKind> {
        None
    }

    /// Whether predictions depend on the seed.
    fn uses_seed(&self) -> bool {
        true
    }

    /// Whether several predictions may run at the same time, also within one pool of threads.
    fn runs_in_parallel(&self) -> bool {
        false
    }

    /// Whether [`Predictor::refined`] succeeds.
    fn can_refine(&self) -> bool {
        false
    }

    /// The same network with its latent refined for each picture.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] if it is no network.
    fn refined(self: Arc<Self>, _: Refinement) -> Result<Arc<dyn Predictor>> {
        Err(crate::Error::Argument(format!("{} cannot be refined: it is no network", self.name())))
    }

    /// Gives back what it keeps from one frame for the next.
    fn release(&self) {}

    /// The time in seconds that a frame of this size with this many hole pixels is expected to take here.
    fn forecast_seconds(&self, width: usize, height: usize, hole_pixels: usize) -> f64;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Predicts one colour everywhere.
    #[derive(Default)]
    pub(crate) struct Constant {
        pub multiple: usize,
        pub smallest: usize,
    }

    impl Predictor for Constant {
        fn name(&self) -> String {
            "constant".into()
        }

        fn predict_watched(&self, image: &Planes, _: &Mask, _: u64, watch: &Watch) -> Result<Planes> {
            watch.reached(0.0)?;
            let values = vec![0.5; image.values().len()];
            Ok(Planes::new(image.width(), image.height(), values))
        }

        fn sides(&self) -> Sides {
            Sides { multiple: self.multiple, smallest: self.smallest, largest: 2048 }
        }

        fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
            (width * height * 100) as u64
        }

        fn forecast_seconds(&self, _width: usize, _height: usize, _hole_pixels: usize) -> f64 {
            0.0
        }
    }
}
