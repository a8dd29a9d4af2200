//! One step of denoising diffusion implicit models (Song, Meng and Ermon 2021, <https://arxiv.org/abs/2010.02502>, equation 12).

use crate::{Estimate, Transition};

/// The deviation of the noise that a step adds: `eta sqrt((1 - bar') / (1 - bar)) sqrt(1 - bar / bar')`. With `eta` 0 a step is
/// deterministic, with 1 it is that of [`crate::ddpm`].
pub fn deviation(eta: f64, transition: Transition) -> f64 {
    let Transition { from, to } = transition;
    eta * ((1.0 - to) / (1.0 - from)).sqrt() * transition.beta().sqrt()
}

/// The values after a step without the noise that it adds: `sqrt(bar') x0 + sqrt(1 - bar' - deviation²) epsilon`.
///
/// # Shapes
/// The result is a row of the estimate's length.
pub fn mean(estimate: &Estimate, eta: f64, transition: Transition) -> Vec<f32> {
    let of_x0 = transition.to.sqrt() as f32;
    // Rounding may take it below 0 where eta is 1 and a step ends without noise.
    let of_epsilon = (1.0 - transition.to - deviation(eta, transition).powi(2)).max(0.0).sqrt() as f32;
    let Estimate { x0, epsilon } = estimate;
    x0.iter().zip(epsilon).map(|(x0, epsilon)| of_x0 * x0 + of_epsilon * epsilon).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddpm;
    use testkit::assert_close;

    const STEP: Transition = Transition { from: 0.36, to: 0.64 };

    #[test]
    fn without_noise_both_factors_are_those_of_the_level() {
        let estimate = Estimate { x0: vec![1.0, -2.0], epsilon: vec![10.0, 0.5] };
        assert_close(&mean(&estimate, 0.0, STEP), &[0.8 + 6.0, -1.6 + 0.3], 1e-6);
        assert_eq!(deviation(0.0, STEP), 0.0);
        let last = Transition { from: 0.36, to: 1.0 };
        assert_close(&mean(&estimate, 1.0, last), &estimate.x0, 1e-6);
    }

    #[test]
    fn with_eta_1_a_step_is_ancestral() {
        let x = [0.7, -1.5];
        let estimate = Estimate::with_x0(&x, vec![0.25, 2.0], STEP.from);
        assert_close(&mean(&estimate, 1.0, STEP), &ddpm::mean(&x, &estimate.x0, STEP), 1e-6);
        assert!((deviation(1.0, STEP).powi(2) - ddpm::variance(STEP)).abs() < 1e-12);
    }
}
