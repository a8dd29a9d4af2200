//! The levels of a schedule that a sampler visits.

use crate::{Error, NoiseSchedule, Prediction, Result, Spacing};

/// One level of a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Its index in the whole schedule, which the network is told, divided by the number of the schedule's levels.
    pub index: usize,
    /// The fraction of the data's variance that is left.
    pub alpha_bar: f64,
}

/// From one amount of noise to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// `alpha_bar` before the step.
    pub from: f64,
    /// `alpha_bar` after the step; 1 is data without noise.
    pub to: f64,
}

impl Transition {
    /// The variance of the noise that leads from `to` back to `from`: the beta of a schedule of the visited levels alone.
    pub fn beta(self) -> f64 {
        1.0 - self.from / self.to
    }
}

/// The levels that a sampler visits, the one with the most noise first.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    levels: Vec<Level>,
    schedule_levels: usize,
    end: f64,
}

impl Levels {
    /// `steps` levels of a schedule. The last step ends at data without noise.
    ///
    /// # Errors
    /// [`Error::Range`] if the schedule has no such steps.
    pub fn new(schedule: &NoiseSchedule, spacing: &Spacing, steps: usize) -> Result<Self> {
        let bars = schedule.alpha_bars();
        let level = |index: usize| Level { index, alpha_bar: bars[index] };
        let levels = spacing.indices(steps, bars.len())?.into_iter().map(level).collect();
        Ok(Self { levels, schedule_levels: bars.len(), end: 1.0 })
    }

    /// The same levels with a last step that ends at the noise of the schedule's first level, as in latent diffusion's own script.
    pub fn ending_at_first_level(self, schedule: &NoiseSchedule) -> Self {
        Self { end: schedule.alpha_bars()[0], ..self }
    }

    /// The levels, the one with the most noise first.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.levels.len()
    }

    /// The level that a step begins at, as the time of a network: in `[0, 1)`, 0 is the least noise.
    pub fn time(&self, step: usize) -> f64 {
        self.levels[step].index as f64 / self.schedule_levels as f64
    }

    /// What a step changes.
    pub fn transition(&self, step: usize) -> Transition {
        let to = self.levels.get(step + 1).map_or(self.end, |next| next.alpha_bar);
        Transition { from: self.levels[step].alpha_bar, to }
    }

    /// Checks that a network can be sampled from the first level on.
    pub(crate) fn check(&self, prediction: Prediction) -> Result<()> {
        match self.levels.iter().find(|level| level.alpha_bar == 0.0) {
            Some(&Level { index, .. }) if prediction == Prediction::Epsilon => {
                Err(Error::PureNoise { prediction, index })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Betas;

    fn schedule() -> NoiseSchedule {
        NoiseSchedule::new(Betas::STABLE_DIFFUSION, 1000).unwrap()
    }

    #[test]
    fn transitions_are_those_between_neighbours() {
        let schedule = schedule();
        let levels = Levels::new(&schedule, &Spacing::Trailing, 4).unwrap();
        let bars = schedule.alpha_bars();
        assert_eq!((levels.steps(), levels.time(1)), (4, 0.749));
        assert_eq!(levels.transition(0), Transition { from: bars[999], to: bars[749] });
        assert_eq!(levels.transition(3), Transition { from: bars[249], to: 1.0 });
        let levels = levels.ending_at_first_level(&schedule);
        assert_eq!(levels.transition(3), Transition { from: bars[249], to: bars[0] });
    }

    #[test]
    fn betas_of_neighbouring_levels_are_the_schedules() {
        let schedule = schedule();
        let levels = Levels::new(&schedule, &Spacing::Trailing, 1000).unwrap();
        let betas: Vec<f64> = schedule.betas().collect();
        for step in [0, 500, 999] {
            let difference = levels.transition(step).beta() - betas[999 - step];
            assert!(difference.abs() < 1e-12, "step {step}: {difference:e}");
        }
    }

    #[test]
    fn noise_cannot_be_predicted_from_noise_alone() {
        let rescaled = schedule().with_zero_terminal().unwrap();
        let levels = Levels::new(&rescaled, &Spacing::Trailing, 4).unwrap();
        let error = levels.check(Prediction::Epsilon).unwrap_err();
        assert_eq!(error, Error::PureNoise { prediction: Prediction::Epsilon, index: 999 });
        assert!(error.to_string().starts_with("epsilon at level 999"), "{error}");
        assert_eq!(levels.check(Prediction::V), Ok(()));
        // Leading steps do not visit the last level.
        let levels = Levels::new(&rescaled, &Spacing::LDM, 4).unwrap();
        assert_eq!(levels.check(Prediction::Epsilon), Ok(()));
    }
}
