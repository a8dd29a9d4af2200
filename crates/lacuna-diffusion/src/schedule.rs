//! Noise schedules: the amount of noise at each level that a network was trained on.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Levels for which the ends of [`Betas::Linear`] are given.
const USUAL_LEVELS: f64 = 1000.0;

/// The largest beta of [`Betas::Cosine`]; a beta of 1 would leave nothing of the data.
const LARGEST_COSINE_BETA: f64 = 0.999;

/// The offset of [`Betas::Cosine`], which keeps the first betas from vanishing.
const COSINE_OFFSET: f64 = 0.008;

/// The variances of the noise that each level adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Betas {
    /// In equal steps (Ho et al. 2020). The ends are those of 1000 levels; with another number of levels they are scaled by
    /// 1000 / levels.
    Linear {
        /// The first beta.
        first: f64,
        /// The last beta.
        last: f64,
    },
    /// Squares of equal steps. Latent diffusion's own code calls this schedule "linear" (Rombach et al. 2022,
    /// <https://arxiv.org/abs/2112.10752>).
    ScaledLinear {
        /// The first beta.
        first: f64,
        /// The last beta.
        last: f64,
    },
    /// `alpha_bar(k) = cos²((k / levels + 0.008) / 1.008 · π / 2)`, betas at most 0.999 (Nichol and Dhariwal 2021,
    /// <https://arxiv.org/abs/2102.09672>).
    Cosine,
}

impl Betas {
    /// Of ADM, RePaint and the upsampler of GLIDE.
    pub const ADM: Self = Self::Linear { first: 1e-4, last: 0.02 };

    /// Of Stable Diffusion.
    pub const STABLE_DIFFUSION: Self = Self::ScaledLinear { first: 0.00085, last: 0.012 };

    /// Of latent diffusion's inpainting network.
    pub const LDM_INPAINTING: Self = Self::ScaledLinear { first: 0.0015, last: 0.0205 };

    fn values(self, levels: usize) -> Vec<f64> {
        let between = |first: f64, last: f64, level: usize| {
            let steps = levels.saturating_sub(1).max(1) as f64;
            first + (last - first) * level as f64 / steps
        };
        let beta = |level: usize| match self {
            Self::Linear { first, last } => between(first, last, level) * USUAL_LEVELS / levels as f64,
            Self::ScaledLinear { first, last } => between(first.sqrt(), last.sqrt(), level).powi(2),
            Self::Cosine => {
                let alpha_bar = |level: usize| {
                    let part = level as f64 / levels as f64;
                    libm::cos((part + COSINE_OFFSET) / (1.0 + COSINE_OFFSET) * FRAC_PI_2).powi(2)
                };
                (1.0 - alpha_bar(level + 1) / alpha_bar(level)).min(LARGEST_COSINE_BETA)
            }
        };
        (0..levels).map(beta).collect()
    }
}

/// The fraction of the data's variance that is left at each level. Level 0 has the least noise.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseSchedule {
    alpha_bars: Vec<f64>,
}

impl NoiseSchedule {
    /// A schedule of this many levels.
    ///
    /// # Errors
    /// [`Error::Range`] if there are no levels, or a beta is not between 0 and 1.
    pub fn new(betas: Betas, levels: usize) -> Result<Self> {
        if levels == 0 {
            return Err(Error::range("levels of a noise schedule", levels, "1 and more"));
        }
        let mut alpha_bar = 1.0;
        let mut alpha_bars = Vec::with_capacity(levels);
        for beta in betas.values(levels) {
            // Only the last level may be pure noise.
            if !(beta > 0.0 && beta <= 1.0 && alpha_bar > 0.0) {
                return Err(Error::range("a beta of a noise schedule", beta, "values between 0 and 1"));
            }
            alpha_bar *= 1.0 - beta;
            alpha_bars.push(alpha_bar);
        }
        Ok(Self { alpha_bars })
    }

    /// Rescaled so that the last level is pure noise and the first is unchanged (Lin et al. 2024,
    /// <https://arxiv.org/abs/2305.08891>, algorithm 1). Without, a network is trained on a remainder of the data that is not there
    /// when sampling starts. A network of this schedule predicts v or x0.
    ///
    /// # Errors
    /// [`Error::Range`] if there is only one level, which would be first and last.
    pub fn with_zero_terminal(&self) -> Result<Self> {
        let [first, .., last] = self.alpha_bars[..] else {
            return Err(Error::range("levels of a schedule with zero terminal", 1, "2 and more"));
        };
        let (first, last) = (first.sqrt(), last.sqrt());
        let rescaled = |bar: &f64| ((bar.sqrt() - last) * first / (first - last)).powi(2);
        Ok(Self { alpha_bars: self.alpha_bars.iter().map(rescaled).collect() })
    }

    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.alpha_bars.len()
    }

    /// The fraction of the data's variance at each level.
    pub fn alpha_bars(&self) -> &[f64] {
        &self.alpha_bars
    }

    /// The variance that each level adds: `1 - alpha_bar / alpha_bar of the level before`.
    pub fn betas(&self) -> impl Iterator<Item = f64> {
        let before = [1.0].into_iter().chain(self.alpha_bars.iter().copied());
        self.alpha_bars.iter().zip(before).map(|(bar, before)| 1.0 - bar / before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{assert_close, fixtures};

    /// Reference values in float32 of `fixtures/diffusion/schedules.safetensors`.
    const TOLERANCE: f32 = 1e-6;

    const NAMED: [(&str, Betas); 4] = [
        ("linear_1e-4_2e-2", Betas::ADM),
        ("scaled_linear_sd", Betas::STABLE_DIFFUSION),
        ("scaled_linear_ldm_inpainting", Betas::LDM_INPAINTING),
        ("cosine", Betas::Cosine),
    ];

    fn rounded(values: impl IntoIterator<Item = f64>) -> Vec<f32> {
        values.into_iter().map(|value| value as f32).collect()
    }

    #[test]
    fn tables_are_those_of_the_reference() {
        let numbers = fixtures::load("diffusion/schedules.safetensors");
        for (name, betas) in NAMED {
            let schedule = NoiseSchedule::new(betas, 1000).unwrap();
            assert_close(&rounded(schedule.betas()), &numbers.get(&format!("beta.{name}")).values, TOLERANCE);
            let bars = rounded(schedule.alpha_bars().iter().copied());
            assert_close(&bars, &numbers.get(&format!("alpha_bar.{name}")).values, TOLERANCE);
        }
    }

    #[test]
    fn a_zero_terminal_is_pure_noise_and_keeps_the_first_level() {
        let plain = NoiseSchedule::new(Betas::STABLE_DIFFUSION, 1000).unwrap();
        let rescaled = plain.with_zero_terminal().unwrap();
        let bars = rescaled.alpha_bars();
        assert_eq!((bars[999], rescaled.levels()), (0.0, 1000));
        assert!((bars[0] - plain.alpha_bars()[0]).abs() < 1e-12);
        let numbers = fixtures::load("diffusion/schedules.safetensors");
        let expected = &numbers.get("alpha_bar.scaled_linear_sd_zero_terminal").values;
        assert_close(&rounded(bars.iter().copied()), expected, TOLERANCE);
        assert_eq!(rescaled.betas().last(), Some(1.0));
    }

    #[test]
    fn linear_betas_are_scaled_with_the_number_of_levels() {
        let schedule = NoiseSchedule::new(Betas::ADM, 250).unwrap();
        let betas: Vec<f64> = schedule.betas().collect();
        assert!((betas[0] - 4e-4).abs() < 1e-12 && (betas[249] - 0.08).abs() < 1e-12, "{betas:?}");
    }

    #[test]
    fn schedules_that_cannot_be_are_refused_with_their_values() {
        let error = |betas, levels| NoiseSchedule::new(betas, levels).unwrap_err().to_string();
        let none = error(Betas::Cosine, 0);
        assert_eq!(none, "levels of a noise schedule: 0, possible are 1 and more");
        // 100 · (1e-4 + 5 / 9 · 0.0199), at level 5 of 10.
        assert!(error(Betas::ADM, 10).contains("1.11555"), "{}", error(Betas::ADM, 10));
        let nothing = Betas::ScaledLinear { first: 0.0, last: 0.01 };
        assert_eq!(error(nothing, 9), "a beta of a noise schedule: 0, possible are values between 0 and 1");
        let negative = Betas::ScaledLinear { first: -0.1, last: 0.01 };
        assert!(error(negative, 9).contains("NaN"));
        let single = NoiseSchedule::new(Betas::Cosine, 1).unwrap().with_zero_terminal();
        assert!(single.unwrap_err().to_string().contains("1, possible are 2 and more"));
    }

    #[test]
    fn betas_come_back_from_a_file() {
        for (_, betas) in NAMED {
            let text = serde_json::to_string(&betas).unwrap();
            assert_eq!(serde_json::from_str::<Betas>(&text).unwrap(), betas);
        }
        assert_eq!(serde_json::to_string(&Betas::Cosine).unwrap(), r#""cosine""#);
    }
}
