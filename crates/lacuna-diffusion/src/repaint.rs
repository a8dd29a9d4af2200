//! RePaint (Lugmayr et al. 2022, <https://arxiv.org/abs/2201.09865>): ancestral sampling that goes back to more noise again and
//! again, so that the generated region harmonises with the known one.
//!
//! Differs from it in: known cells end as the known data.

use serde::{Deserialize, Serialize};

use crate::ddpm::add_noise;
use crate::discrete::Step;
use crate::{
    DiscreteSampler, Draw, Error, KnownNoise, KnownRegion, KnownWay, Levels, Method, Prediction, Result,
    Transition, Variance, When,
};

/// RePaint's jumps back to more noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jumps {
    /// Levels of a jump, and levels between places to jump from.
    pub length: usize,
    /// How often the levels of a jump are passed; 1 is no jump.
    pub count: usize,
}

impl Jumps {
    /// Published values, for 250 levels.
    pub const PUBLISHED: Self = Self { length: 10, count: 10 };

    /// Levels in the order in which they are visited: from `steps`, which is noise, to 0, which is data. A level that is followed by
    /// a higher one is left by adding noise.
    ///
    /// Published code numbers levels from -1.
    ///
    /// # Errors
    /// [`Error::Range`] if a length or count is 0.
    pub fn order(self, steps: usize) -> Result<Vec<usize>> {
        let Self { length, count } = self;
        for (what, value) in [
            ("steps of RePaint", steps),
            ("length of RePaint's jumps", length),
            ("count of RePaint's jumps", count),
        ] {
            if value == 0 {
                return Err(Error::range(what, value, "1 and more"));
            }
        }
        // Level 1, and from there every `length`th as long as a jump stays below the start.
        let mut left: Vec<usize> = (1..=steps)
            .map(|level| {
                let jumps = (level - 1) % length == 0 && level - 1 + length < steps;
                if jumps { count - 1 } else { 0 }
            })
            .collect();
        let mut order = vec![steps];
        let mut level = steps;
        while level > 0 {
            if left[level - 1] > 0 {
                left[level - 1] -= 1;
                order.extend(level + 1..=level + length);
                level += length;
            }
            level -= 1;
            order.push(level);
        }
        Ok(order)
    }
}

/// RePaint's sampler, for networks that predict the noise and were trained without a known region.
#[derive(Clone, Debug, PartialEq)]
pub struct RePaint {
    /// The levels without jumps.
    pub levels: Levels,
    /// The jumps.
    pub jumps: Jumps,
    /// The variance of steps.
    pub variance: Variance,
    /// Limits the data predicted to `-bound..=bound`: 1 for images.
    pub bound: Option<f32>,
}

impl RePaint {
    /// Generates the free cells. Known cells end as the known data, bit for bit.
    ///
    /// # Shapes
    /// As [`DiscreteSampler::sample`].
    ///
    /// # Errors
    /// As [`DiscreteSampler::sample`]; [`Error::Range`] for jumps of no length.
    pub fn sample<E: From<Error>>(
        &self,
        region: &KnownRegion,
        noise: impl FnMut(Draw) -> Vec<f32>,
        predict: impl FnMut(&[f32], f64) -> Result<Vec<f32>, E>,
    ) -> Result<Vec<f32>, E> {
        let way = KnownWay::Replace { when: When::Before, noise: KnownNoise::Fresh };
        let sampler = DiscreteSampler {
            levels: self.levels.clone(),
            method: Method::Ddpm,
            way,
            prediction: Prediction::Epsilon,
            variance: self.variance,
            bound: self.bound,
        };
        let steps = self.levels.steps();
        let order = self.jumps.order(steps)?;
        let mut run = sampler.start(region, noise, predict)?;
        let mut x = run.start.clone();
        for (number, pair) in order.windows(2).enumerate() {
            let [now, next] = [pair[0], pair[1]];
            let number = number as u32;
            // The step from a level to the one with less noise.
            let step_from = |level: usize| steps - level;
            if next < now {
                let step = step_from(now);
                let (time, transition) = (self.levels.time(step), self.levels.transition(step));
                // As published, the very first step knows nothing.
                let way = (number > 0).then_some(way);
                x = sampler.step(x, Step { number, time, transition }, way, &mut None, &mut run)?;
            } else {
                let noise = run.draw(Draw::Step(number))?;
                forward(&mut x, &noise, self.levels.transition(step_from(next)));
            }
        }
        region.set_clean(&mut x);
        Ok(x)
    }
}

/// Adds the noise that leads back from the end of a step to its beginning: `sqrt(1 - beta) x + sqrt(beta) noise`.
fn forward(x: &mut [f32], noise: &[f32], transition: Transition) {
    let beta = transition.beta();
    let [signal, deviation] = [(1.0 - beta).sqrt() as f32, beta.sqrt() as f32];
    x.iter_mut().for_each(|x| *x *= signal);
    add_noise(x, noise, |_| deviation);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Betas, MapShape, Noise, NoiseSchedule, Spacing};
    use testkit::{assert_close, fixtures};

    #[test]
    fn orders_are_those_of_the_reference() {
        let numbers = fixtures::load("diffusion/schedules.safetensors");
        for (steps, length, count) in [(4, 1, 2), (8, 2, 2), (20, 2, 3)] {
            let order = Jumps { length, count }.order(steps).unwrap();
            // The reference numbers levels from -1, and does not list the start.
            let found: Vec<f32> = order.iter().map(|&level| level as f32 - 1.0).collect();
            let expected = &numbers.get(&format!("repaint.{steps}_{length}_{count}")).values;
            assert_eq!(found, *expected, "{steps} {length} {count}");
        }
    }

    #[test]
    fn the_published_jumps_take_2410_calls() {
        let order = Jumps::PUBLISHED.order(250).unwrap();
        let calls = order.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let forward = order.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert_eq!((calls, forward), (2410, 2160));
        let plain: Vec<usize> = (0..=250).rev().collect();
        assert_eq!(Jumps { length: 10, count: 1 }.order(250).unwrap(), plain);
    }

    #[test]
    fn jumps_of_no_length_are_refused() {
        for (jumps, words) in [
            (Jumps { length: 0, count: 1 }, "length of RePaint's jumps: 0"),
            (Jumps { length: 1, count: 0 }, "count of RePaint's jumps: 0"),
        ] {
            let error = jumps.order(4).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_forward_step_by_hand() {
        let mut x = [1.0, -2.0];
        forward(&mut x, &[0.5, 1.0], Transition { from: 0.36, to: 1.0 });
        assert_close(&x, &[0.6 + 0.4, -1.2 + 0.8], 1e-6);
    }

    /// For data of one value the network is exact: it ends there, and known cells at the known data.
    #[test]
    fn it_ends_at_the_data() {
        let schedule = NoiseSchedule::new(Betas::ADM, 1000).unwrap();
        let levels = Levels::new(&schedule, &Spacing::Sections(vec![20]), 20).unwrap();
        let jumps = Jumps { length: 4, count: 3 };
        let sampler =
            RePaint { levels: levels.clone(), jumps, variance: Variance::Posterior, bound: Some(1.0) };
        let shape = MapShape::one(1, 1, 4);
        let data = [0.5, -0.25, 0.75, 1.0];
        let region = KnownRegion::new(shape, &data, &[true, false, true, false]).unwrap();
        let mut calls = 0;
        let predict = |x: &[f32], time: f64| -> Result<Vec<f32>> {
            calls += 1;
            let index = (time * 1000.0).round() as usize;
            let bar = schedule.alpha_bars()[index];
            let noise = |x: &f32| (x - (bar.sqrt() * 0.5) as f32) / (1.0 - bar).sqrt() as f32;
            Ok(x.iter().map(noise).collect())
        };
        let noise = |draw| Noise::new(1).map(draw, shape, Default::default());
        let x = sampler.sample(&region, noise, predict).unwrap();
        assert_close(&x, &[0.5, data[1], 0.5, data[3]], 1e-5);
        assert_eq!((x[1], x[3]), (data[1], data[3]));
        // Jumps of 4 levels from levels 1, 5, 9 and 13, twice each.
        assert_eq!(calls, 20 + 4 * 4 * 2);
    }
}
