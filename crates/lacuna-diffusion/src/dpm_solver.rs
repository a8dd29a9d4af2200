//! One step of DPM-Solver++(2M) (Lu et al. 2022, <https://arxiv.org/abs/2211.01095>, algorithm 2): second order from the data
//! predicted in two steps, without more calls of the network.

use crate::Transition;

/// With fewer steps than this the last is of first order, which is more stable: published value.
pub const FIRST_ORDER_END: usize = 15;

/// What a step keeps for the next.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The data predicted.
    pub x0: Vec<f32>,
    /// `alpha_bar` where it was predicted.
    pub alpha_bar: f64,
}

/// Half the logarithm of the ratio of signal to noise.
fn lambda(alpha_bar: f64) -> f64 {
    0.5 * libm::log(alpha_bar / (1.0 - alpha_bar))
}

/// The values after a step: `sigma' / sigma x - sqrt(bar') (exp(-h) - 1) D`, where `h` is the increase of lambda and
/// `D = x0 + (x0 - x0_before) h / (2 h_before)`. Without a history, and where a step ends without noise, `D` is `x0`: the step is that
/// of [`crate::ddim`].
///
/// # Shapes
/// All rows have the same length.
pub fn step(x: &[f32], x0: &[f32], history: Option<&History>, transition: Transition) -> Vec<f32> {
    let Transition { from, to } = transition;
    if to >= 1.0 {
        return x0.to_vec();
    }
    let h = lambda(to) - lambda(from);
    let of_x = ((1.0 - to) / (1.0 - from)).sqrt() as f32;
    let of_data = (-to.sqrt() * libm::expm1(-h)) as f32;
    match history {
        None => x.iter().zip(x0).map(|(x, x0)| of_x * x + of_data * x0).collect(),
        Some(before) => {
            let ratio = (0.5 * h / (lambda(from) - lambda(before.alpha_bar))) as f32;
            let values = x.iter().zip(x0).zip(&before.x0);
            values.map(|((x, x0), before)| of_x * x + of_data * (x0 + ratio * (x0 - before))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Estimate, ddim};
    use testkit::assert_close;

    const STEP: Transition = Transition { from: 0.36, to: 0.64 };

    #[test]
    fn the_first_step_is_ddims() {
        let x = [0.7, -1.5];
        let estimate = Estimate::with_x0(&x, vec![0.25, 2.0], STEP.from);
        let expected = ddim::mean(&estimate, 0.0, STEP);
        assert_close(&step(&x, &estimate.x0, None, STEP), &expected, 1e-6);
        // From pure noise, with and without a history.
        let from_noise = Transition { from: 0.0, ..STEP };
        let estimate = Estimate { x0: vec![0.25, 2.0], epsilon: x.to_vec() };
        let expected = ddim::mean(&estimate, 0.0, from_noise);
        assert_close(&step(&x, &estimate.x0, None, from_noise), &expected, 1e-6);
        let noise = History { x0: vec![9.0; 2], alpha_bar: 0.0 };
        assert_close(&step(&x, &estimate.x0, Some(&noise), STEP), &step(&x, &estimate.x0, None, STEP), 0.0);
    }

    #[test]
    fn the_last_step_ends_at_the_data() {
        let before = History { x0: vec![5.0], alpha_bar: 0.1 };
        assert_eq!(step(&[1.0], &[3.0], Some(&before), Transition { from: 0.9, to: 1.0 }), [3.0]);
    }

    #[test]
    fn the_second_step_by_hand() {
        // Ratios of signal to noise 1/4, 1, 4: each step doubles the ratio of amplitudes, so h = h_before and the factor is 1/2.
        let before = History { x0: vec![1.0], alpha_bar: 0.2 };
        let transition = Transition { from: 0.5, to: 0.8 };
        let data = 2.0 + 0.5 * (2.0 - 1.0);
        let expected = 0.4f32.sqrt() * 3.0 - 0.8f32.sqrt() * (0.5 - 1.0) * data;
        assert_close(&step(&[3.0], &[2.0], Some(&before), transition), &[expected], 1e-6);
    }
}
