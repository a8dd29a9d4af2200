//! Learning rate schedules.

use serde::{Deserialize, Serialize};

/// A learning rate schedule. The default is constant, as in LaMa and the thesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Steps over which the rate grows linearly from 0.
    #[serde(default)]
    pub warm_up: u64,
    /// Schedule after the warm-up.
    #[serde(default)]
    pub decay: Decay,
}

/// Schedule after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Constant.
    #[default]
    Constant,
    /// Half a cosine down to 0 at the last step (Loshchilov and Hutter 2016, without restarts).
    Cosine,
    /// Constant, then linearly down to 0 over the last fifth of the steps.
    LinearEnd,
}

/// The fraction of the steps over which [`Decay::LinearEnd`] decays.
const END: f64 = 0.2;

impl Schedule {
    /// Factor of the learning rate in step `step` (from 0) of `steps`.
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        if step < self.warm_up {
            return (step + 1) as f64 / self.warm_up as f64;
        }
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine => {
                let length = steps.saturating_sub(self.warm_up).max(1) as f64;
                let done = ((step - self.warm_up) as f64 / length).min(1.0);
                0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Decay::LinearEnd => {
                let left = steps.saturating_sub(step) as f64;
                (left / (END * steps as f64)).min(1.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_by_hand() {
        struct Case {
            schedule: Schedule,
            step: u64,
            expected: f64,
        }
        let warm = Schedule { warm_up: 4, decay: Decay::Constant };
        let cosine = Schedule { warm_up: 4, decay: Decay::Cosine };
        let end = Schedule { warm_up: 2, decay: Decay::LinearEnd };
        for Case { schedule, step, expected } in [
            Case { schedule: Schedule::default(), step: 0, expected: 1.0 },
            Case { schedule: warm, step: 0, expected: 0.25 },
            Case { schedule: warm, step: 3, expected: 1.0 },
            Case { schedule: warm, step: 90, expected: 1.0 },
            Case { schedule: cosine, step: 4, expected: 1.0 },
            Case { schedule: cosine, step: 8, expected: 0.5 },
            Case { schedule: cosine, step: 12, expected: 0.0 },
            Case { schedule: cosine, step: 99, expected: 0.0 },
            Case { schedule: end, step: 0, expected: 0.5 },
            Case { schedule: end, step: 9, expected: 1.0 },
            Case { schedule: end, step: 10, expected: 2.0 / 2.4 },
            Case { schedule: end, step: 11, expected: 1.0 / 2.4 },
            Case { schedule: end, step: 12, expected: 0.0 },
        ] {
            let factor = schedule.factor(step, 12);
            assert!((factor - expected).abs() < 1e-12, "{schedule:?} at {step}: {factor}");
        }
    }
}
