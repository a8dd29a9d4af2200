//! Refinement: the latent of one picture is optimised while it is filled.
//!
//! After Kulshreshtha, Pugh and Jiddi 2022, "Feature Refinement to Improve High Resolution Image Inpainting"
//! (<https://arxiv.org/abs/2206.13644>). The weights stay as they are. Adam moves the latent between encoder and residual
//! blocks so that the prediction agrees with the known pixels, and (with [`Pyramid`]) its halved copy with the fill of a
//! smaller copy. Differs from it in: known pixels alone are enough, at one level, which is the default; the pass of least
//! loss is kept, and passes stop when the loss stops falling; pictures are never scaled down, since a backward pass takes
//! little more memory than a forward pass ([`lacuna_cpu::engine::Backward`]); a term without pixels is left out.
//!
//! [`LatentNetwork`] is the seam to what runs the network: the CPU engine, or Burn in `lacuna-nets`.

mod adam;
mod engine;
mod fit;
mod latent;
mod loss;
mod pyramid;

use crate::{Mask, Planes, Predictor, Result, Sides, Watch};
pub use engine::EngineLatents;
pub use latent::{Latent, LatentMemory, LatentNetwork, LatentPart, LatentTime, Proceed};

use fit::{Early, Stop, fit};
use loss::{Coarser, Target};
use pyramid::{Halving, eroded, levels};

/// Forward passes of the published program.
pub const DEFAULT_PASSES: u16 = 15;

/// Most forward passes: far beyond those after which the published loss is constant.
pub const MOST_PASSES: u16 = 200;

/// Shortest side of the coarsest level: that of the smallest pictures that networks take.
pub const SMALLEST_SIDE: usize = lacuna_network::geometry::SMALLEST_SIDE;

/// See [`Predictor::version`].
const REFINEMENT_VERSION: u32 = 1;

/// How a latent is refined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refinement {
    /// Forward passes at most, 1 to [`MOST_PASSES`]; one update less.
    pub passes: u16,
    /// Levels below the picture's own size; none by default.
    pub pyramid: Option<Pyramid>,
}

/// Levels below the picture's own size, each half as large, whose fills are targets for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pyramid {
    /// The shorter side of the coarsest level is about this many pixels: 0.71 to 1.42 times.
    pub side: usize,
    /// Most levels.
    pub levels: usize,
    /// The hole at the coarser level shrinks by an ellipse of this many pixels, an odd number.
    pub erosion: usize,
}

impl Default for Refinement {
    fn default() -> Self {
        Self { passes: DEFAULT_PASSES, pyramid: None }
    }
}

impl Refinement {
    /// At most `passes`, from a pyramid down to a shorter side of about `side` pixels, if one is given.
    pub fn new(passes: u16, side: Option<u32>) -> Self {
        Self { passes, pyramid: side.map(|side| Pyramid::new(side as usize)) }
    }
}

impl Pyramid {
    /// The published values for a network that fills pictures of `side` pixels well.
    pub fn new(side: usize) -> Self {
        Self { side, levels: 3, erosion: 15 }
    }
}

/// A network whose latent is refined for each picture.
#[derive(Debug)]
pub struct Refined {
    network: Box<dyn LatentNetwork>,
    refinement: Refinement,
}

/// A level of the pyramid.
struct Level {
    /// The picture and its hole, without padding.
    image: Planes,
    mask: Mask,
}

impl Refined {
    /// Refines what `network` predicts.
    pub fn new(network: impl LatentNetwork + 'static, refinement: Refinement) -> Self {
        Self { network: Box::new(network), refinement }
    }

    /// The number of levels for a picture.
    fn levels(&self, width: usize, height: usize) -> usize {
        let pyramid = self.refinement.pyramid;
        pyramid.map_or(1, |pyramid| levels(width, height, pyramid.side, pyramid.levels))
    }

    /// Predicts a picture of any size.
    fn refine(&self, image: &Planes, mask: &Mask, watch: &Watch) -> Result<Planes> {
        let count = self.levels(image.width(), image.height());
        let mut coarse: Vec<Level> = Vec::new();
        for _ in 1..count {
            let (image, mask) = coarse.last().map_or((image, mask), |level| (&level.image, &level.mask));
            let halving = Halving::new(image.width(), image.height());
            let next = Level { image: halving.picture(image), mask: halving.hole(mask) };
            coarse.push(next);
        }
        // Each level takes four times as long as the next coarser one.
        let end = |level: usize| if level < count { 0.25f32.powi(level as i32) } else { 0.0 };
        let mut fill = None;
        for (level, Level { image, mask }) in coarse.into_iter().enumerate().rev() {
            let level = level + 1;
            let predicted =
                self.level(&image, &mask, fill, &watch.part(end(level + 1), end(level)), count)?;
            fill = Some(composed(predicted, &image, &mask));
        }
        self.level(image, mask, fill, &watch.part(end(1), 1.0), count)
    }

    /// Predicts one level, given the fill of the coarser one. The coarsest of several is not refined.
    fn level(
        &self,
        image: &Planes,
        mask: &Mask,
        fill: Option<Planes>,
        watch: &Watch,
        count: usize,
    ) -> Result<Planes> {
        let size = (image.width(), image.height());
        let (padded, hole) = (reflected(image), reflected_mask(mask));
        let is_target = fill.is_none() && count > 1;
        let passes = if is_target { 1 } else { usize::from(self.refinement.passes) };
        let erosion = self.refinement.pyramid.map_or(1, |pyramid| pyramid.erosion);
        let coarser = fill.and_then(|fill| {
            let halving = Halving::new(size.0, size.1);
            let core = eroded(&halving.core(mask), erosion);
            (core.count() > 0).then_some(Coarser { halving, size, fill, core })
        });
        let target = Target { image: &padded, mask: &hole, coarser: coarser.as_ref() };
        let proceed = |fraction: f32| watch.part(0.0, ENCODE_PART).reached(fraction).is_ok();
        let mut latent = self.network.encode(&padded, &hole, &proceed)?;
        let stop = Stop { passes, early: Early::Stop };
        let fitted = fit(latent.as_mut(), target, stop, &watch.part(ENCODE_PART, 1.0))?;
        Ok(cropped(Planes::new(padded.width(), padded.height(), fitted.predicted), size))
    }

    /// Peak memory in bytes of a fill, besides weights and the frame's own planes.
    fn working_bytes(&self, width: usize, height: usize, memory: LatentMemory) -> u64 {
        let float = size_of::<f32>() as u64;
        let pixels = (width * height) as u64;
        // Means of gradients and squares; the image and mask, padded; the best prediction and the gradient of the last.
        let moments = 2 * memory.latent_values as u64 * float;
        let planes = pixels * (3 * 3 * float + 1);
        // A prediction without padding, halved; the fill and its gradient, cropped; levels below.
        let low = self.refinement.pyramid.map_or(0, |_| pixels * 6 * float);
        memory.bytes + moments + planes + low
    }
}

/// The part of a level's time that its encoder takes, as progress reports it.
const ENCODE_PART: f32 = 0.02;

/// A picture padded at the right and bottom to what networks take, by reflection without repeating the border.
fn reflected(image: &Planes) -> Planes {
    let (width, height) = (image.width(), image.height());
    let (columns, rows) = (padded_places(width), padded_places(height));
    let planes = (0..3).flat_map(|channel| {
        let plane = image.plane(channel);
        let columns = &columns;
        rows.iter().flat_map(move |&y| columns.iter().map(move |&x| plane[y * width + x]))
    });
    let values = planes.collect();
    Planes::new(columns.len(), rows.len(), values)
}

/// A mask padded as [`reflected`].
fn reflected_mask(mask: &Mask) -> Mask {
    let (columns, rows) = (padded_places(mask.width()), padded_places(mask.height()));
    let hole = rows.iter().flat_map(|&y| columns.iter().map(move |&x| mask.is_hole(x, y)));
    Mask::new(columns.len(), rows.len(), hole.collect())
}

/// For each place of a padded axis the place that it repeats.
fn padded_places(length: usize) -> Vec<usize> {
    (0..Sides::NETWORK.padded(length) as isize).map(|place| pyramid::reflected(place, length)).collect()
}

/// The picture without its padding.
fn cropped(planes: Planes, (width, height): (usize, usize)) -> Planes {
    if (planes.width(), planes.height()) == (width, height) {
        return planes;
    }
    let rows = (0..3).flat_map(|channel| planes.plane(channel).chunks_exact(planes.width()).take(height));
    let values = rows.flat_map(|row| row[..width].iter().copied()).collect();
    Planes::new(width, height, values)
}

/// The picture with the prediction in its hole.
fn composed(mut predicted: Planes, image: &Planes, mask: &Mask) -> Planes {
    let hole = mask.hole().iter().cycle();
    let known = predicted.values_mut().iter_mut().zip(image.values()).zip(hole).filter(|(_, hole)| !**hole);
    known.for_each(|((value, known), _)| *value = *known);
    predicted
}

impl Predictor for Refined {
    fn name(&self) -> String {
        let Refinement { passes, pyramid } = self.refinement;
        let levels =
            pyramid.map_or("known pixels".into(), |pyramid| format!("pyramid to {} pixels", pyramid.side));
        format!("{}, refined: {passes} passes, {levels}", self.network.predictor().name())
    }

    fn version(&self) -> String {
        format!("{REFINEMENT_VERSION} (network {})", self.network.predictor().version())
    }

    fn uses_seed(&self) -> bool {
        false
    }

    fn predict_watched(&self, image: &Planes, mask: &Mask, _: u64, watch: &Watch) -> Result<Planes> {
        self.check_frame(image, mask)?;
        if mask.count() == 0 {
            return Ok(image.clone());
        }
        self.refine(image, mask, watch)
    }

    fn sides(&self) -> Sides {
        self.network.predictor().sides()
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        // Frames have sizes that the network accepts.
        self.network
            .memory(width, height)
            .map_or(u64::MAX, |memory| self.working_bytes(width, height, memory))
    }

    fn resident_bytes(&self) -> u64 {
        self.network.predictor().resident_bytes() + self.network.resident_bytes()
    }

    fn release(&self) {
        self.network.predictor().release();
    }

    fn forecast_seconds(&self, width: usize, height: usize, _hole_pixels: usize) -> f64 {
        let Ok(time) = self.network.time(width, height) else { return f64::INFINITY };
        let passes = f64::from(self.refinement.passes);
        let finest = time.encode + time.forward * passes + time.backward * (passes - 1.0);
        // Each level below takes a quarter.
        (1..self.levels(width, height)).fold(finest, |sum, level| sum + finest * 0.25f64.powi(level as i32))
    }
}

#[cfg(test)]
mod tests;
