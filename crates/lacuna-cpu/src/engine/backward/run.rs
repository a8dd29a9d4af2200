//! Forward and backward passes from a latent that changes.

use lacuna_network::geometry::LEVELS;

use super::head::ImageGradient;
use super::pass::Pass;
use super::plan::LatentPlan;
use super::weights::Backward;
use crate::engine::fourier::Fourier;
use crate::engine::pace::Pace;
use crate::engine::profile::Profile;
use crate::engine::run::Run;
use crate::engine::stem::Picture;
use crate::engine::{Engine, Stage, Wanted, check_input};
use crate::error::{Error, Result};
use crate::simd::LANES;
use crate::tiles::arena::Arena;
use crate::tiles::channels::Layout;

/// An encoded image, whose latent can be changed between forward and backward passes.
#[derive(Debug)]
pub struct LatentRun<'a> {
    engine: &'a Engine,
    backward: &'a Backward,
    plan: LatentPlan,
    picture: Picture<'a>,
    fourier: Fourier,
    arena: Arena,
}

/// A block of sixteen channels: its latent and its gradient, value by value.
#[derive(Debug)]
pub struct LatentPart<'a> {
    /// Values of the latent. Lanes without a channel are zero.
    pub latent: &'a mut [f32],
    /// The gradient of the last backward pass.
    pub gradient: &'a [f32],
}

impl Engine {
    /// Encodes an image. `proceed` is called after every step with the fraction of this work that is done; the run is
    /// cancelled if it returns false.
    ///
    /// # Shapes
    /// - `image`: `[3, height, width]` in `[0, 1]`; what it holds inside the hole is ignored
    /// - `mask`: `[height, width]`, true in the hole
    ///
    /// # Errors
    /// As [`Engine::run_watched`].
    pub fn encode<'a>(
        &'a self,
        backward: &'a Backward,
        plan: LatentPlan,
        image: &'a [f32],
        mask: &'a [bool],
        proceed: &dyn Fn(f32) -> bool,
    ) -> Result<LatentRun<'a>> {
        let (width, height) = (plan.width(), plan.height());
        check_input(width, height, image, mask)?;
        if !plan.is_for(self) {
            return Err(Error::ForeignPlan);
        }
        let fourier = Fourier::new(self.isa(), height >> LEVELS, width >> LEVELS);
        // The memory of earlier runs is released first.
        let arena = self.arena(&plan.forward)?;
        let picture = Picture { image, mask, height, width };
        let mut run = LatentRun { engine: self, backward, plan, picture, fourier, arena };
        run.forward(&[Stage::Encode], proceed, |run| run.encode(picture))?;
        Ok(run)
    }
}

impl LatentRun<'_> {
    /// Predicts the image from the latent as it is.
    ///
    /// # Shapes
    /// Returns `[3, height, width]` in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::Stopped`] if `proceed`, see [`Engine::encode`], returned false.
    pub fn predict(&mut self, proceed: &dyn Fn(f32) -> bool) -> Result<Vec<f32>> {
        let picture = self.picture;
        self.forward(&[Stage::Refine, Stage::Decode], proceed, |run| {
            run.refine(None)?;
            run.decode(picture, Wanted::Everything)
        })
    }

    /// Computes the gradient of the latent from that of the last prediction.
    ///
    /// # Shapes
    /// - `predicted`: the result of [`Self::predict`]
    /// - `gradient`: `[3, height, width]`, the gradient of a loss with respect to it
    ///
    /// # Errors
    /// As [`Self::predict`]; [`Error::Input`] if a slice has another size.
    pub fn backward(
        &mut self,
        predicted: &[f32],
        gradient: &[f32],
        proceed: &dyn Fn(f32) -> bool,
    ) -> Result<()> {
        let Picture { height, width, .. } = self.picture;
        for (what, found) in [("prediction", predicted.len()), ("gradient", gradient.len())] {
            Error::check_length(what, 3 * height * width, found)?;
        }
        let plan = &self.plan.forward;
        let mut profile = Profile::from_environment();
        let mut pass = Pass {
            network: &self.engine.network,
            backward: self.backward,
            plan: &self.plan,
            fourier: &self.fourier,
            arena: self.arena.numbers(),
            profile: &mut profile,
            pace: Pace::of(plan, &[Stage::Refine, Stage::Decode], proceed),
        };
        let done = pass.run(ImageGradient { predicted, gradient, height, width });
        if let Some(table) = profile.table(plan) {
            eprintln!("backward pass\n{table}");
        }
        done
    }

    /// The latent and its gradient, in blocks of sixteen channels.
    pub fn parts(&mut self) -> impl Iterator<Item = LatentPart<'_>> {
        let (layout, places) = (self.layout(), &self.plan.forward.places);
        let buffers = [self.plan.forward.buffers.encoder[LEVELS].buffer, self.plan.buffers.latent];
        let [latent, gradient] = places.pick(self.arena.numbers(), buffers);
        let numbers = layout.pixels() * LANES;
        let parts = latent.chunks_exact_mut(layout.plane).zip(gradient.chunks_exact(layout.plane));
        parts.map(move |(latent, gradient)| LatentPart {
            latent: &mut latent[..numbers],
            gradient: &gradient[..numbers],
        })
    }

    /// The latent.
    ///
    /// # Shapes
    /// `[channels, height / 8, width / 8]`, local channels first.
    pub fn latent(&mut self) -> Vec<f32> {
        self.planes(|part, place| part.latent[place])
    }

    /// The gradient of the last backward pass, as [`Self::latent`].
    pub fn gradient(&mut self) -> Vec<f32> {
        self.planes(|part, place| part.gradient[place])
    }

    /// Replaces the latent.
    ///
    /// # Shapes
    /// As [`Self::latent`].
    ///
    /// # Panics
    /// If it has another size.
    pub fn set_latent(&mut self, planes: &[f32]) {
        assert_eq!(planes.len(), self.plan.latent_values(), "values of the latent");
        let (channels, pixels) = (self.engine.network.levels[LEVELS].clone(), self.layout().pixels());
        for (block, part) in self.parts().enumerate() {
            for (lane, channel) in channels.of(block).enumerate() {
                let values = part.latent[lane..].iter_mut().step_by(LANES);
                values.zip(&planes[channel * pixels..][..pixels]).for_each(|(to, &value)| *to = value);
            }
        }
    }

    fn planes(&mut self, value: impl Fn(&LatentPart<'_>, usize) -> f32) -> Vec<f32> {
        let (channels, pixels) = (self.engine.network.levels[LEVELS].clone(), self.layout().pixels());
        let mut planes = vec![0.0; channels.total() * pixels];
        for (block, part) in self.parts().enumerate() {
            for (lane, channel) in channels.of(block).enumerate() {
                for (pixel, to) in planes[channel * pixels..][..pixels].iter_mut().enumerate() {
                    *to = value(&part, pixel * LANES + lane);
                }
            }
        }
        planes
    }

    fn layout(&self) -> Layout {
        let (rows, columns) = (self.picture.height >> LEVELS, self.picture.width >> LEVELS);
        Layout::new(self.engine.network.levels[LEVELS].blocks(), rows, columns)
    }

    fn forward<T>(
        &mut self,
        stages: &[Stage],
        proceed: &dyn Fn(f32) -> bool,
        work: impl FnOnce(&mut Run<'_>) -> Result<T>,
    ) -> Result<T> {
        let plan = &self.plan.forward;
        let mut profile = Profile::from_environment();
        let pace = Pace::of(plan, stages, proceed);
        let network = &self.engine.network;
        let arena = self.arena.numbers();
        let done = work(&mut Run { network, plan, arena, profile: &mut profile, pace });
        if let Some(table) = profile.table(plan) {
            eprintln!("{table}");
        }
        done
    }
}
