//! What a network predicts, and the data and noise that follow from it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a network of a discrete schedule predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// The noise (Ho et al. 2020).
    Epsilon,
    /// `sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) data` (Salimans and Ho 2022, <https://arxiv.org/abs/2202.00512>).
    V,
    /// The data.
    X0,
}

/// The data and the noise that noisy values are taken for. `x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) epsilon`.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The data.
    pub x0: Vec<f32>,
    /// The noise.
    pub epsilon: Vec<f32>,
}

/// The factors of data and noise.
fn factors(alpha_bar: f64) -> [f32; 2] {
    [alpha_bar.sqrt() as f32, (1.0 - alpha_bar).sqrt() as f32]
}

impl Prediction {
    /// Data and noise of `x`, for what a network predicted.
    ///
    /// # Shapes
    /// `x`, `output` and both results are rows of the same length.
    pub fn estimate(self, x: &[f32], output: Vec<f32>, alpha_bar: f64) -> Estimate {
        let [signal, noise] = factors(alpha_bar);
        let each = |value: &dyn Fn(f32, f32) -> f32| {
            x.iter().zip(&output).map(|(&x, &output)| value(x, output)).collect()
        };
        match self {
            Self::Epsilon => {
                Estimate { x0: each(&|x, output| (x - noise * output) / signal), epsilon: output }
            }
            Self::V => Estimate {
                x0: each(&|x, output| signal * x - noise * output),
                epsilon: each(&|x, output| signal * output + noise * x),
            },
            Self::X0 => Estimate { epsilon: each(&|x, output| (x - signal * output) / noise), x0: output },
        }
    }

    /// Its name in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::V => "v",
            Self::X0 => "x0",
        }
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl Estimate {
    /// The estimate with this data and the noise that then remains of `x`.
    pub fn with_x0(x: &[f32], x0: Vec<f32>, alpha_bar: f64) -> Self {
        Prediction::X0.estimate(x, x0, alpha_bar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::assert_close;

    const DATA: [f32; 2] = [0.5, -2.0];
    const NOISE: [f32; 2] = [-1.0, 0.25];

    /// 0.36 of the variance is the data's: factors 0.6 and 0.8.
    const ALPHA_BAR: f64 = 0.36;

    #[test]
    fn every_kind_finds_data_and_noise() {
        let x: Vec<f32> = DATA.iter().zip(NOISE).map(|(data, noise)| 0.6 * data + 0.8 * noise).collect();
        let v = DATA.iter().zip(NOISE).map(|(data, noise)| 0.6 * noise - 0.8 * data).collect();
        for (kind, output) in
            [(Prediction::Epsilon, NOISE.to_vec()), (Prediction::V, v), (Prediction::X0, DATA.to_vec())]
        {
            let Estimate { x0, epsilon } = kind.estimate(&x, output, ALPHA_BAR);
            assert_close(&x0, &DATA, 1e-6);
            assert_close(&epsilon, &NOISE, 1e-6);
        }
        let Estimate { x0, epsilon } = Estimate::with_x0(&x, vec![0.0; 2], ALPHA_BAR);
        assert_eq!(x0, [0.0; 2]);
        assert_close(&epsilon, &[x[0] / 0.8, x[1] / 0.8], 1e-6);
    }

    #[test]
    fn v_of_pure_noise_is_the_negative_data() {
        let estimate = Prediction::V.estimate(&NOISE, vec![2.0, -3.0], 0.0);
        assert_eq!(estimate, Estimate { x0: vec![-2.0, 3.0], epsilon: NOISE.to_vec() });
    }

    #[test]
    fn names_are_those_of_files() {
        for kind in [Prediction::Epsilon, Prediction::V, Prediction::X0] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.to_string());
        }
    }
}
