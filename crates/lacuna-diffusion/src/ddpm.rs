//! One step of ancestral sampling: denoising diffusion probabilistic models (Ho et al. 2020, <https://arxiv.org/abs/2006.11239>,
//! equation 7; with learned variance Nichol and Dhariwal 2021, <https://arxiv.org/abs/2102.09672>, equation 15).

use crate::Transition;

/// The mean of the values after a step: `[sqrt(bar') beta x0 + (1 - bar') sqrt(1 - beta) x] / (1 - bar)`, where `bar` and `bar'` are
/// `alpha_bar` before and after the step.
///
/// # Shapes
/// `x`, `x0` and the result are rows of the same length.
pub fn mean(x: &[f32], x0: &[f32], transition: Transition) -> Vec<f32> {
    let Transition { from, to } = transition;
    let of_x0 = (to.sqrt() * transition.beta() / (1.0 - from)) as f32;
    let of_x = ((1.0 - to) * (from / to).sqrt() / (1.0 - from)) as f32;
    x.iter().zip(x0).map(|(x, x0)| of_x0 * x0 + of_x * x).collect()
}

/// The variance of the noise that a step adds: that of the posterior, `beta (1 - bar') / (1 - bar)`; 0 where a step ends without
/// noise.
pub fn variance(transition: Transition) -> f64 {
    transition.beta() * (1.0 - transition.to) / (1.0 - transition.from)
}

/// The variance that a network predicts between that of the posterior and beta: `exp(f log beta + (1 - f) log variance)` with
/// `f = (output + 1) / 2`.
///
/// The last step of a schedule, whose posterior has no variance, adds no noise; published code replaces that variance by the step
/// before it, which only the training loss sees.
pub fn learned_variance(output: f32, transition: Transition) -> f32 {
    let fraction = (f64::from(output) + 1.0) / 2.0;
    let [most, least] = [transition.beta(), variance(transition)].map(libm::log);
    libm::exp(fraction * most + (1.0 - fraction) * least) as f32
}

/// The values after a step: `mean + deviation · noise`, with a deviation for each value.
pub(crate) fn add_noise(mean: &mut [f32], noise: &[f32], deviation: impl Fn(usize) -> f32) {
    mean.iter_mut()
        .zip(noise)
        .enumerate()
        .for_each(|(index, (mean, noise))| *mean += deviation(index) * noise);
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::assert_close;

    /// From 0.36 to 0.64: beta is 1 - 0.5625.
    const STEP: Transition = Transition { from: 0.36, to: 0.64 };

    #[test]
    fn a_step_by_hand() {
        let (of_x0, of_x) = (0.8 * 0.4375 / 0.64, 0.36 * 0.75 / 0.64);
        assert_close(&mean(&[2.0], &[-1.0], STEP), &[2.0 * of_x - of_x0], 1e-6);
        assert!((variance(STEP) - 0.4375 * 0.36 / 0.64).abs() < 1e-12);
        let mut x = vec![1.0, 2.0];
        add_noise(&mut x, &[10.0, -1.0], |index| 0.5 * index as f32);
        assert_eq!(x, [1.0, 1.5]);
    }

    #[test]
    fn a_learned_variance_lies_between_its_ends() {
        let found = [-1.0, 0.0, 1.0].map(|output| learned_variance(output, STEP));
        let [least, most] = [variance(STEP), STEP.beta()];
        assert_close(&found, &[least as f32, (least * most).sqrt() as f32, most as f32], 1e-6);
    }

    #[test]
    fn the_last_step_ends_at_the_data() {
        let last = Transition { from: 0.9, to: 1.0 };
        assert_close(&mean(&[5.0], &[3.0], last), &[3.0], 1e-6);
        assert_eq!(variance(last), 0.0);
    }

    /// A step keeps the marginal distribution: data, noise and the added noise together have the variance of the next level.
    #[test]
    fn the_variance_of_the_next_level_results() {
        // x = 0.6 data + 0.8 noise with x0 = data: factors of data and noise after the step.
        let (of_x0, of_x) = (0.8 * 0.4375 / 0.64, 0.36 * 0.75 / 0.64);
        let (data, noise) = (of_x0 + 0.6 * of_x, 0.8 * of_x);
        assert!((data - 0.8f64).abs() < 1e-12);
        assert!((noise * noise + variance(STEP) - 0.36).abs() < 1e-12);
    }
}
