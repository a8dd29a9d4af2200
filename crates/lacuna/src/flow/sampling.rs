//! How a flow is sampled: steps, the way in which the known region is kept, RePaint's jumps.

use lacuna_diffusion::flow::{FlowGrid, FlowSampler, Start};
use lacuna_diffusion::{
    Betas, Draw, Jumps, KnownRegion, KnownWay, Levels, NoiseSchedule, RePaint, Spacing, Variance,
};
use serde::{Deserialize, Serialize};

use super::{CLIP, FlowStart};

/// How a flow is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Steps; with jumps, levels.
    pub steps: usize,
    /// How the known region is kept; RePaint has a way of its own.
    #[serde(default = "clean")]
    pub way: KnownWay,
    /// RePaint's jumps, for a flow that starts from noise.
    #[serde(default)]
    pub jumps: Option<Jumps>,
}

fn clean() -> KnownWay {
    KnownWay::Clean
}

/// What the denoiser predicts: the velocity of values at a time.
pub trait Velocity<E>: FnMut(&[f32], f64) -> Result<Vec<f32>, E> {}

impl<E, F: FnMut(&[f32], f64) -> Result<Vec<f32>, E>> Velocity<E> for F {}

impl Sampling {
    /// Euler steps with a clean known region: as flows are trained.
    pub fn steps(steps: usize) -> Self {
        Self { steps, way: KnownWay::Clean, jumps: None }
    }

    /// Evaluations of the denoiser.
    ///
    /// # Errors
    /// If there are no steps, or a jump has no length.
    pub fn evaluations(&self) -> lacuna_diffusion::Result<usize> {
        match self.jumps {
            None => Ok(FlowGrid::new(self.steps, 1.0)?.times().len() - 1),
            Some(jumps) => Ok(jumps.order(self.steps)?.windows(2).filter(|pair| pair[1] < pair[0]).count()),
        }
    }

    /// Checks that it is possible for a flow with this start.
    ///
    /// # Errors
    /// In words, what is not.
    pub fn check(&self, start: FlowStart) -> Result<(), String> {
        if self.jumps.is_some() && start != FlowStart::Noise {
            return Err("RePaint's jumps for a flow that starts from a fill: they go back to noise, which it has never seen".into());
        }
        self.evaluations().map(drop).map_err(|problem| problem.to_string())
    }

    /// Generates the free cells. `shift` makes more of the steps where there is much noise; RePaint's levels are those of the cosine
    /// schedule.
    ///
    /// # Shapes
    /// As [`FlowSampler::sample`].
    ///
    /// # Errors
    /// As [`FlowSampler::sample`].
    pub fn sample<E: From<lacuna_diffusion::Error>>(
        &self,
        (start, shift): (Start, f64),
        region: &KnownRegion,
        noise: impl FnMut(Draw) -> Vec<f32>,
        mut velocity: impl Velocity<E>,
    ) -> Result<Vec<f32>, E> {
        let Some(jumps) = self.jumps else {
            let sampler = FlowSampler { grid: FlowGrid::new(self.steps, shift)?, way: self.way };
            return sampler.sample(start, region, noise, velocity);
        };
        let schedule = NoiseSchedule::new(Betas::Cosine, self.steps)?;
        let levels = Levels::new(&schedule, &Spacing::Trailing, self.steps)?;
        let sampler = RePaint { levels, jumps, variance: Variance::Posterior, bound: Some(CLIP) };
        sampler.sample(region, noise, |x, time| {
            let level = (time * self.steps as f64).round() as usize;
            epsilon(x, schedule.alpha_bars()[level], &mut velocity)
        })
    }
}

/// The noise in `x = sqrt(alpha_bar) data + sqrt(1 - alpha_bar) noise`, from the velocity of a flow: scaled, `x` is on the flow's path
/// `(1 - s) data + s noise`, whose noise is `x + (1 - s) velocity`.
fn epsilon<E>(x: &[f32], alpha_bar: f64, mut velocity: impl Velocity<E>) -> Result<Vec<f32>, E> {
    let [signal, deviation] = [alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()];
    let time = deviation / (signal + deviation);
    let scale = (1.0 / (signal + deviation)) as f32;
    let on_path: Vec<f32> = x.iter().map(|x| scale * x).collect();
    let velocity = velocity(&on_path, time)?;
    let left = (1.0 - time) as f32;
    Ok(on_path.iter().zip(velocity).map(|(x, velocity)| x + left * velocity).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_diffusion::{Error, MapShape};
    use testkit::assert_close;

    #[test]
    fn the_noise_of_a_straight_path_is_found() {
        let (data, noise) = ([0.5f32, -2.0], [1.5f32, 0.25]);
        for alpha_bar in [0.01f64, 0.36, 0.99] {
            let [signal, deviation] = [alpha_bar.sqrt() as f32, (1.0 - alpha_bar).sqrt() as f32];
            let x: Vec<f32> =
                data.iter().zip(noise).map(|(data, noise)| signal * data + deviation * noise).collect();
            let velocity = |_: &[f32], _: f64| Ok::<_, Error>(vec![noise[0] - data[0], noise[1] - data[1]]);
            assert_close(&epsilon(&x, alpha_bar, velocity).unwrap(), &noise, 1e-5);
        }
    }

    /// With the true velocity, whatever the known region, RePaint ends at the data.
    #[test]
    fn repaint_with_the_true_velocity_ends_at_the_data() {
        let data = [0.5, -2.0, 1.0, 0.25];
        let shape = MapShape::one(2, 1, 2);
        let region = KnownRegion::new(shape, &data, &[true, false]).unwrap();
        let sampling = Sampling { jumps: Some(Jumps { length: 2, count: 3 }), ..Sampling::steps(10) };
        let mut calls = 0;
        let velocity = |x: &[f32], time: f64| {
            calls += 1;
            Ok::<_, Error>(x.iter().zip(data).map(|(x, data)| (x - data) / time as f32).collect())
        };
        let noise = |_| vec![1.0, -0.5, 0.25, 2.0];
        let x = sampling.sample((Start::Noise, 1.0), &region, noise, velocity).unwrap();
        assert_close(&x, &data, 1e-4);
        assert_eq!((sampling.evaluations().unwrap(), calls > 10), (calls, true));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mean = FlowStart::Mean { deviation: 0.5 };
        assert_eq!(Sampling::steps(4).check(mean), Ok(()));
        assert!(Sampling::steps(0).check(mean).unwrap_err().contains("steps of a flow: 0"));
        let jumps = |length| Sampling { jumps: Some(Jumps { length, count: 2 }), ..Sampling::steps(20) };
        assert_eq!(jumps(5).check(FlowStart::Noise), Ok(()));
        assert!(jumps(0).check(FlowStart::Noise).unwrap_err().contains("length of RePaint's jumps: 0"));
        assert!(jumps(5).check(mean).unwrap_err().contains("starts from a fill"));
    }
}
