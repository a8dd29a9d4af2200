//! Adam on a latent, block by block (Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>).

use rayon::prelude::*;

use super::latent::LatentPart;

/// Decay of the mean of gradients …
const BETA_1: f32 = 0.9;
/// … and of their squares.
const BETA_2: f32 = 0.999;
/// Added to the root of the squares.
const EPSILON: f32 = 1e-8;

/// The state of the optimizer.
#[derive(Debug)]
pub struct Adam {
    rate: f32,
    step: i32,
    /// For each block the mean of its gradients and of their squares.
    moments: Vec<[Vec<f32>; 2]>,
}

impl Adam {
    /// A fresh state, with the published learning rate or another.
    pub fn new(rate: f32) -> Self {
        Self { rate, step: 0, moments: Vec::new() }
    }

    /// Moves the latent against its gradient.
    pub fn update(&mut self, parts: Vec<LatentPart<'_>>) {
        self.step += 1;
        let corrected = |beta: f32| 1.0 - f64::from(beta).powi(self.step);
        let rate = (f64::from(self.rate) / corrected(BETA_1)) as f32;
        let root = corrected(BETA_2).sqrt() as f32;
        if self.moments.is_empty() {
            self.moments = parts.iter().map(|part| [0, 1].map(|_| vec![0.0; part.latent.len()])).collect();
        }
        parts.into_par_iter().zip(&mut self.moments).for_each(|(part, [means, squares])| {
            let moments = means.iter_mut().zip(squares);
            for ((value, &gradient), (mean, square)) in part.latent.iter_mut().zip(part.gradient).zip(moments)
            {
                *mean += (1.0 - BETA_1) * (gradient - *mean);
                *square = BETA_2 * *square + (1.0 - BETA_2) * gradient * gradient;
                *value -= rate * *mean / (square.sqrt() / root + EPSILON);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_by_hand() {
        let mut adam = Adam::new(0.1);
        let mut latent = vec![1.0, 1.0, 1.0];
        let mut step = |latent: &mut [f32], gradient: &[f32]| {
            adam.update(vec![LatentPart { latent, gradient }]);
        };
        step(&mut latent, &[2.0, -0.5, 0.0]);
        // The first step is the learning rate against the sign.
        for (found, expected) in latent.iter().zip([0.9, 1.1, 1.0]) {
            assert!((found - expected).abs() < 1e-6, "{latent:?}");
        }
        step(&mut latent, &[-2.0, -0.5, 0.0]);
        // Mean (0.9 * 0.2 - 0.2) / 0.19 = -0.10526, root of the squares 2.
        assert!((latent[0] - (0.9 + 0.1 * 0.105_263 / 2.0)).abs() < 1e-6, "{latent:?}");
        assert!((latent[1] - 1.2).abs() < 1e-6 && latent[2] == 1.0, "{latent:?}");
    }
}
