//! The two halves of a run, for whoever changes the refined latent in between.

use lacuna_network::geometry::LEVELS;

use super::pace::Pace;
use super::profile::Profile;
use super::run::Run;
use super::stem::Picture;
use super::{Engine, Plan, Stage, Wanted, check_input};
use crate::error::{Error, Result};
use crate::tiles::map::Map;

impl Engine {
    /// The refined latent of an image. A network with several answers gives that of its mean code.
    ///
    /// `proceed` is called after every step with the fraction of this work that is done; the run is cancelled if it returns false.
    ///
    /// # Shapes
    /// - `input`: image and mask as in [`Engine::run`]
    /// - the result: `[channels, height / 8, width / 8]`
    ///
    /// # Errors
    /// As [`Engine::run_watched`].
    pub fn refined(
        &self,
        plan: &Plan,
        (image, mask): (&[f32], &[bool]),
        proceed: &dyn Fn(f32) -> bool,
    ) -> Result<Vec<f32>> {
        let picture = self.picture(plan, image, mask)?;
        self.stages(plan, &[Stage::Encode, Stage::Refine], proceed, |run| {
            run.encode_and_refine(picture, None)?;
            let layout = run.latent_layout();
            let [refined] = plan.places.pick(run.arena, [plan.buffers.decoder[LEVELS].buffer]);
            Ok(Map::whole(refined, layout).to_planes(&self.network.levels[LEVELS]))
        })
    }

    /// The image that a refined latent decodes to. Known pixels are those of `input` where no pixel is wanted.
    ///
    /// # Shapes
    /// - `refined`: `[channels, height / 8, width / 8]`
    /// - `input`: image and mask as in [`Engine::run`]
    /// - the result: `[3, height, width]` in `[0, 1]`
    ///
    /// # Errors
    /// As [`Engine::run_watched`]; [`Error::Input`] if the latent has another size.
    pub fn decoded(
        &self,
        plan: &Plan,
        refined: &[f32],
        (image, mask): (&[f32], &[bool]),
        wanted: Wanted,
        proceed: &dyn Fn(f32) -> bool,
    ) -> Result<Vec<f32>> {
        let picture = self.picture(plan, image, mask)?;
        let channels = &self.network.levels[LEVELS];
        let expected = channels.total() * (plan.width >> LEVELS) * (plan.height >> LEVELS);
        Error::check_length("refined latent", expected, refined.len())?;
        self.stages(plan, &[Stage::Decode], proceed, |run| {
            let layout = run.latent_layout();
            let [memory] = plan.places.pick(run.arena, [plan.buffers.decoder[LEVELS].buffer]);
            Map::whole(memory, layout).set_planes(channels, refined);
            run.decode(picture, wanted)
        })
    }

    fn picture<'a>(&self, plan: &Plan, image: &'a [f32], mask: &'a [bool]) -> Result<Picture<'a>> {
        let (width, height) = (plan.width, plan.height);
        check_input(width, height, image, mask)?;
        if plan.is_for(&self.network) {
            Ok(Picture { image, mask, height, width })
        } else {
            Err(Error::ForeignPlan)
        }
    }

    /// Runs some stages of a plan.
    pub(super) fn stages<T>(
        &self,
        plan: &Plan,
        stages: &[Stage],
        proceed: &dyn Fn(f32) -> bool,
        work: impl FnOnce(&mut Run<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut arena = self.arena(plan)?;
        let mut profile = Profile::from_environment();
        let pace = Pace::of(plan, stages, proceed);
        let mut run =
            Run { network: &self.network, plan, arena: arena.numbers(), profile: &mut profile, pace };
        let done = work(&mut run);
        if let Some(table) = profile.table(plan) {
            eprintln!("{table}");
        }
        self.kept.put_back(arena);
        done
    }
}
