//! The two halves of a run, for whoever changes the refined latent in between.

use lacuna_network::geometry::{IMAGE_CHANNELS, LEVELS};
use rayon::prelude::*;

use super::pace::Pace;
use super::profile::Profile;
use super::run::Run;
use super::stem::Picture;
use super::{Engine, Plan, Stage, Wanted, check_input};
use crate::error::{Error, Result};
use crate::tiles::arena::Arena;
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
            Ok(self.refined_planes(run))
        })
    }

    /// The refined latents of several images, as [`Engine::refined`] computes them one by one, bit for bit. Weights are transformed once for
    /// all: for small images that is most of the work. Needs the memory of a run for each image.
    ///
    /// # Shapes
    /// - `images`: `[batch, 3, height, width]` in `[0, 1]`; `masks`: `[batch, height, width]`
    /// - the result: `[batch, channels, height / 8, width / 8]`
    ///
    /// # Errors
    /// As [`Engine::refined`].
    pub fn refined_batch(&self, plan: &Plan, images: &[f32], masks: &[bool]) -> Result<Vec<f32>> {
        let pixels = plan.width * plan.height;
        let inputs = images.chunks(IMAGE_CHANNELS * pixels).zip(masks.chunks(pixels));
        let pictures: Vec<Picture<'_>> =
            inputs.map(|(image, mask)| self.picture(plan, image, mask)).collect::<Result<_>>()?;
        let expected = pictures.len() * pixels;
        for (what, expected, found) in
            [("images", IMAGE_CHANNELS * expected, images.len()), ("masks", expected, masks.len())]
        {
            Error::check_length(what, expected, found)?;
        }
        if self.is_sampled() {
            // Each image has styled weights of its own.
            let latents =
                pictures.iter().map(|picture| self.refined(plan, (picture.image, picture.mask), &|_| true));
            return Ok(latents.collect::<Result<Vec<_>>>()?.concat());
        }
        let mut arenas: Vec<Arena> = pictures.iter().map(|_| self.arena(plan)).collect::<Result<_>>()?;
        self.each(plan, &mut arenas, |run, index| run.encode(pictures[index]))?;
        let halves: Vec<_> = self.network.refiner.iter().flatten().collect();
        let most = halves.iter().map(|half| half.convolve.weight_numbers()).max().unwrap_or(0);
        let mut transformed = vec![0.0; most];
        let fourier = plan.fourier(self.isa());
        for (index, half) in halves.into_iter().enumerate() {
            let weights = &mut transformed[..half.convolve.weight_numbers()];
            half.convolve.transform_weights(weights);
            let weights = &*weights;
            self.each(plan, &mut arenas, |run, _| run.refine_half(index, None, &fourier, Some(weights)))?;
        }
        let latents = self.each(plan, &mut arenas, |run, _| {
            run.add_latent();
            Ok(self.refined_planes(run))
        })?;
        Ok(latents.concat())
    }

    /// What `work` makes of each run and its index. Each is one task: its own kernels find no idle thread.
    fn each<T: Send>(
        &self,
        plan: &Plan,
        arenas: &mut [Arena],
        work: impl Fn(&mut Run<'_>, usize) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let runs = arenas.par_iter_mut().enumerate().map(|(index, arena)| {
            let mut profile = Profile::default();
            let pace = Pace::of(plan, &[Stage::Encode, Stage::Refine], &|_| true);
            let arena = arena.numbers();
            work(&mut Run { network: &self.network, plan, arena, profile: &mut profile, pace }, index)
        });
        runs.collect()
    }

    /// The refined latent in a run's memory.
    fn refined_planes(&self, run: &mut Run<'_>) -> Vec<f32> {
        let layout = run.latent_layout();
        let [refined] = run.plan.places.pick(run.arena, [run.plan.buffers.decoder[LEVELS].buffer]);
        Map::whole(refined, layout).to_planes(&self.network.levels[LEVELS])
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::HashMap;

    use super::*;
    use crate::Isa;
    use crate::engine::PlanOptions;
    use lacuna_network::{Delta, Family, Shape};
    use testkit::pictures::noise;

    const SIDES: [usize; 2] = [40, 24];

    fn engine(family: Family, delta: Delta, isa: Isa) -> Engine {
        let shape = Shape { channels_in: 4, width: 4, blocks: 2, control: true, delta };
        let layers = family.network(shape).layers();
        let sizes: HashMap<String, Vec<usize>> = layers.tensors().into_iter().collect();
        Engine::compile(&layers, isa, |name| {
            let values = noise(name.len() as u64, sizes.get(name)?.iter().product());
            let is_variance = name.ends_with("running_var");
            Some(Cow::Owned(
                values.iter().map(|v| if is_variance { 1.0 + 0.5 * v } else { 0.3 * v }).collect(),
            ))
        })
        .unwrap()
    }

    fn inputs(batch: usize) -> (Vec<f32>, Vec<bool>) {
        let pixels = SIDES[0] * SIDES[1];
        let masks = (0..batch * pixels).map(|at| at % pixels % 7 < 3 && at % 5 != at / pixels).collect();
        (noise(1, 3 * batch * pixels).iter().map(|value| value.abs()).collect(), masks)
    }

    #[test]
    fn two_halves_are_a_run_and_a_batch_is_its_images() {
        for isa in Isa::available() {
            for (family, delta) in [
                (Family::Fourier, Delta::None),
                (Family::Fourier, Delta::Literal),
                (Family::Regular, Delta::None),
                (Family::Sampled, Delta::None),
            ] {
                let engine = engine(family, delta, isa);
                let plan = engine.plan(SIDES[0], SIDES[1], &PlanOptions::default()).unwrap();
                let (images, masks) = inputs(3);
                let pixels = SIDES[0] * SIDES[1];
                let all = engine.refined_batch(&plan, &images, &masks).unwrap();
                for index in 0..3 {
                    let input =
                        (&images[3 * index * pixels..][..3 * pixels], &masks[index * pixels..][..pixels]);
                    let refined = engine.refined(&plan, input, &|_| true).unwrap();
                    assert_eq!(refined, all[index * refined.len()..][..refined.len()], "{isa}, {family}");
                    let decoded =
                        engine.decoded(&plan, &refined, input, Wanted::Everything, &|_| true).unwrap();
                    assert_eq!(decoded, engine.run(&plan, input.0, input.1, Wanted::Everything).unwrap());
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_runs_can_be_cancelled() {
        let engine = engine(Family::Fourier, Delta::None, Isa::best());
        let plan = engine.plan(SIDES[0], SIDES[1], &PlanOptions::default()).unwrap();
        let (images, masks) = inputs(1);
        let input = (images.as_slice(), masks.as_slice());
        assert!(matches!(engine.refined(&plan, input, &|done| done < 0.5), Err(Error::Stopped)));
        let refined = engine.refined(&plan, input, &|_| true).unwrap();
        let cancelled = engine.decoded(&plan, &refined, input, Wanted::Hole, &|_| false);
        assert!(matches!(cancelled, Err(Error::Stopped)));
        let short =
            engine.decoded(&plan, &refined[1..], input, Wanted::Hole, &|_| true).unwrap_err().to_string();
        assert!(short.starts_with("refined latent has"), "{short}");
        for (images, masks) in
            [(&images[1..], &masks[..]), (&images[..], &masks[1..]), (&images[..0], &masks[..])]
        {
            assert!(matches!(engine.refined_batch(&plan, images, masks), Err(Error::Input { .. })));
        }
    }
}
