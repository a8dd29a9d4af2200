//! Sampling along a discrete schedule: ancestral, DDIM, DPM-Solver++(2M).

use serde::{Deserialize, Serialize};

use crate::dpm_solver::{self, History};
use crate::known::Mix;
use crate::{
    Draw, Error, Estimate, KnownNoise, KnownRegion, KnownWay, Levels, Prediction, Result, Transition, When,
};
use crate::{ddim, ddpm};

/// How a step is made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Ancestral sampling, see [`ddpm`].
    Ddpm,
    /// See [`ddim`].
    Ddim {
        /// Fraction of the deviation of ancestral sampling, 0 to 1.
        eta: f64,
    },
    /// DPM-Solver++(2M), see [`dpm_solver`].
    DpmSolver,
}

/// The variance of ancestral steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// That of the posterior.
    #[default]
    Posterior,
    /// The network predicts it: its output has twice the channels, the second half for the variance. Methods without an ancestral
    /// step ignore that half.
    Learned,
}

/// A sampler of a discrete schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscreteSampler {
    /// The levels that it visits.
    pub levels: Levels,
    /// How a step is made.
    pub method: Method,
    /// How the known region is kept.
    pub way: KnownWay,
    /// What the network predicts.
    pub prediction: Prediction,
    /// The variance of ancestral steps.
    pub variance: Variance,
    /// Limits the data predicted to `-bound..=bound`: 1 for images. Latents have no bounds.
    pub bound: Option<f32>,
}

/// One step of a sampler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Number of the step, which selects its noise.
    pub number: u32,
    pub time: f64,
    pub transition: Transition,
}

/// What all steps of a run use.
pub(crate) struct Run<'a, N, P> {
    pub region: &'a KnownRegion<'a>,
    pub start: Vec<f32>,
    pub noise: N,
    pub predict: P,
}

impl DiscreteSampler {
    /// Generates the free cells. Known cells end as the known data, bit for bit.
    ///
    /// `noise` returns standard normal values for each use. `predict` returns the network's output for values at a time in
    /// `[0, 1)`: the index of a level, divided by the schedule's number of levels.
    ///
    /// # Shapes
    /// All rows: `[batch, channels, height, width]`; with [`Variance::Learned`] outputs have twice the channels.
    ///
    /// # Errors
    /// [`Error`] for values out of range, a network that cannot start from pure noise, or rows of another length; the error of
    /// `predict`, which ends sampling.
    pub fn sample<E: From<Error>>(
        &self,
        region: &KnownRegion,
        noise: impl FnMut(Draw) -> Vec<f32>,
        predict: impl FnMut(&[f32], f64) -> Result<Vec<f32>, E>,
    ) -> Result<Vec<f32>, E> {
        self.watched(region, noise, predict, |_| ())
    }

    /// As [`DiscreteSampler::sample`]; `seen` is called with the values before the first step and after each.
    ///
    /// # Errors
    /// As [`DiscreteSampler::sample`].
    pub fn watched<E: From<Error>>(
        &self,
        region: &KnownRegion,
        noise: impl FnMut(Draw) -> Vec<f32>,
        predict: impl FnMut(&[f32], f64) -> Result<Vec<f32>, E>,
        mut seen: impl FnMut(&[f32]),
    ) -> Result<Vec<f32>, E> {
        let mut run = self.start(region, noise, predict)?;
        let mut x = run.start.clone();
        seen(&x);
        let mut history = None;
        for number in 0..self.levels.steps() {
            let (time, transition) = (self.levels.time(number), self.levels.transition(number));
            let step = Step { number: number as u32, time, transition };
            x = self.step(x, step, Some(self.way), &mut history, &mut run)?;
            if number + 1 == self.levels.steps() {
                region.set_clean(&mut x);
            }
            seen(&x);
        }
        Ok(x)
    }

    /// Checks the options and draws the start.
    pub(crate) fn start<'a, N: FnMut(Draw) -> Vec<f32>, P>(
        &self,
        region: &'a KnownRegion<'a>,
        mut noise: N,
        predict: P,
    ) -> Result<Run<'a, N, P>> {
        self.levels.check(self.prediction)?;
        if let Method::Ddim { eta } = self.method
            && !(0.0..=1.0).contains(&eta)
        {
            return Err(Error::range("eta of DDIM", eta, "0 to 1"));
        }
        if let Some(bound) = self.bound
            && (bound.is_nan() || bound <= 0.0)
        {
            return Err(Error::range("bound of the data", bound, "values above 0"));
        }
        let start = noise(Draw::Start);
        region.shape().check("noise", &start)?;
        Ok(Run { region, start, noise, predict })
    }

    /// The values after one step; `way` is `None` where the known region does not enter.
    pub(crate) fn step<
        E: From<Error>,
        N: FnMut(Draw) -> Vec<f32>,
        P: FnMut(&[f32], f64) -> Result<Vec<f32>, E>,
    >(
        &self,
        mut x: Vec<f32>,
        step: Step,
        way: Option<KnownWay>,
        history: &mut Option<History>,
        run: &mut Run<N, P>,
    ) -> Result<Vec<f32>, E> {
        let Step { number, time, transition } = step;
        run.replace(&mut x, transition.from, When::Before, way, number)?;
        if way == Some(KnownWay::Clean) {
            run.region.set_clean(&mut x);
        }
        let output = (run.predict)(&x, time)?;
        let (output, learned) = self.split(output, run.region)?;
        let mut estimate = self.prediction.estimate(&x, output, transition.from);
        self.limit(&x, &mut estimate, transition.from, way, run.region);
        let mut next = match self.method {
            Method::Ddpm => {
                let mut next = ddpm::mean(&x, &estimate.x0, transition);
                let variance = ddpm::variance(transition);
                if variance > 0.0 {
                    let noise = run.draw(Draw::Step(number))?;
                    match &learned {
                        None => ddpm::add_noise(&mut next, &noise, |_| variance.sqrt() as f32),
                        Some(outputs) => ddpm::add_noise(&mut next, &noise, |index| {
                            ddpm::learned_variance(outputs[index], transition).sqrt()
                        }),
                    }
                }
                next
            }
            Method::Ddim { eta } => {
                let mut next = ddim::mean(&estimate, eta, transition);
                let deviation = ddim::deviation(eta, transition) as f32;
                if deviation > 0.0 {
                    ddpm::add_noise(&mut next, &run.draw(Draw::Step(number))?, |_| deviation);
                }
                next
            }
            Method::DpmSolver => {
                let steps = self.levels.steps();
                let is_last = number as usize + 1 == steps;
                let used = history.take().filter(|_| !is_last || steps >= dpm_solver::FIRST_ORDER_END);
                let next = dpm_solver::step(&x, &estimate.x0, used.as_ref(), transition);
                *history = Some(History { x0: estimate.x0, alpha_bar: transition.from });
                next
            }
        };
        run.replace(&mut next, transition.to, When::After, way, number)?;
        Ok(next)
    }

    /// The output, and its half for the variance.
    fn split(&self, output: Vec<f32>, region: &KnownRegion) -> Result<(Vec<f32>, Option<Vec<f32>>)> {
        let shape = region.shape();
        let what = "the network's output";
        if self.variance == Variance::Posterior {
            shape.check(what, &output)?;
            return Ok((output, None));
        }
        Error::check_length(what, output.len(), 2 * shape.values())?;
        let one = shape.channels * shape.cells();
        let half = |half: usize| output.chunks_exact(one).skip(half).step_by(2).flatten().copied().collect();
        Ok((half(0), Some(half(1))))
    }

    /// Limits the data predicted and projects it on the known data. The noise is then what remains.
    fn limit(
        &self,
        x: &[f32],
        estimate: &mut Estimate,
        alpha_bar: f64,
        way: Option<KnownWay>,
        region: &KnownRegion,
    ) {
        if let Some(bound) = self.bound {
            estimate.x0.iter_mut().for_each(|x0| *x0 = x0.clamp(-bound, bound));
        }
        let projects = way == Some(KnownWay::Project);
        if projects {
            region.set_clean(&mut estimate.x0);
        }
        if projects || self.bound.is_some() {
            *estimate = Estimate::with_x0(x, std::mem::take(&mut estimate.x0), alpha_bar);
        }
    }
}

impl<N: FnMut(Draw) -> Vec<f32>, P> Run<'_, N, P> {
    /// The noise of one use.
    pub(crate) fn draw(&mut self, draw: Draw) -> Result<Vec<f32>> {
        let noise = (self.noise)(draw);
        self.region.shape().check("noise", &noise)?;
        Ok(noise)
    }

    /// Replaces known values by the known data at the noise of `alpha_bar`, if that is done `now`.
    fn replace(
        &mut self,
        x: &mut [f32],
        alpha_bar: f64,
        now: When,
        way: Option<KnownWay>,
        number: u32,
    ) -> Result<()> {
        let Some(KnownWay::Replace { when, noise }) = way else { return Ok(()) };
        if when != now {
            return Ok(());
        }
        let mix = Mix { data: alpha_bar.sqrt() as f32, noise: (1.0 - alpha_bar).sqrt() as f32 };
        let fresh = match noise {
            KnownNoise::Start => None,
            KnownNoise::Fresh => Some(self.draw(Draw::Known(number))?),
        };
        self.region.set_noised(x, mix, fresh.as_ref().unwrap_or(&self.start));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
