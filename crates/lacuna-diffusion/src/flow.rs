//! Sampling by flow matching (Lipman et al. 2023, <https://arxiv.org/abs/2210.02747>; rectified flow, Liu et al. 2023,
//! <https://arxiv.org/abs/2209.03003>): Euler steps along a straight path from a start to the data.
//!
//! `x = (1 - s) data + s start`; the network predicts the velocity `start - data`. Published flows often run the other way, from
//! time 0 to 1. The start is noise, or a deterministic fill with some noise on it (PMRF, Ohayon et al. 2025,
//! <https://arxiv.org/abs/2410.00418>).

use crate::known::Mix;
use crate::{Draw, Error, KnownNoise, KnownRegion, KnownWay, Result, When};

/// The times of a flow's steps, from 1 to 0.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowGrid(Vec<f64>);

impl FlowGrid {
    /// Times of `steps` steps: `a s / (1 + (a - 1) s)` with the shift `a` and `s` in equal steps. A shift above 1 makes more of the
    /// steps where there is much noise.
    ///
    /// # Errors
    /// [`Error::Range`] if there are no steps, or the shift is not positive.
    pub fn new(steps: usize, shift: f64) -> Result<Self> {
        if steps == 0 {
            return Err(Error::range("steps of a flow", steps, "1 and more"));
        }
        if !(shift > 0.0 && shift.is_finite()) {
            return Err(Error::range("shift of a flow", shift, "values above 0"));
        }
        let time = |left: usize| {
            let s = left as f64 / steps as f64;
            shift * s / (1.0 + (shift - 1.0) * s)
        };
        Ok(Self((0..=steps).rev().map(time).collect()))
    }

    /// The times: one more than steps, the first 1, the last 0.
    pub fn times(&self) -> &[f64] {
        &self.0
    }
}

/// The shift for a map of `cells` cells and a network that was trained on maps of `trained_cells`: the root of their ratio, between 1
/// and `most`, so that noise hides large structures of large maps as long (Esser et al. 2024, <https://arxiv.org/abs/2403.03206>,
/// equation 23).
pub fn resolution_shift(cells: usize, trained_cells: usize, most: f64) -> f64 {
    (cells as f64 / trained_cells as f64).sqrt().max(1.0).min(most)
}

/// Where a flow starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start<'a> {
    /// Standard normal noise.
    Noise,
    /// A deterministic fill with noise.
    Mean {
        /// The fill, `[batch, channels, height, width]`.
        mean: &'a [f32],
        /// Standard deviation of the noise.
        deviation: f32,
    },
}

impl Start<'_> {
    /// The start for this noise.
    fn of(self, noise: Vec<f32>) -> Vec<f32> {
        match self {
            Self::Noise => noise,
            Self::Mean { mean, deviation } => {
                mean.iter().zip(noise).map(|(mean, noise)| mean + deviation * noise).collect()
            }
        }
    }

    fn check(self, region: &KnownRegion) -> Result<()> {
        match self {
            Self::Noise => Ok(()),
            Self::Mean { deviation, .. } if !(deviation >= 0.0 && deviation.is_finite()) => {
                Err(Error::range("deviation of a flow's start", deviation, "values from 0"))
            }
            Self::Mean { mean, .. } => region.shape().check("the fill that a flow starts from", mean),
        }
    }
}

/// Euler's method.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSampler {
    /// The times of its steps.
    pub grid: FlowGrid,
    /// How the known region is kept.
    pub way: KnownWay,
}

impl FlowSampler {
    /// Generates the free cells. Known cells end as the known data, bit for bit.
    ///
    /// `noise` returns standard normal values for each use, `predict` the velocity of values at a time in `[0, 1]`.
    ///
    /// # Shapes
    /// All rows: `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// [`Error`] for rows of another length; the error of `predict`, which ends sampling.
    pub fn sample<E: From<Error>>(
        &self,
        start: Start,
        region: &KnownRegion,
        noise: impl FnMut(Draw) -> Vec<f32>,
        predict: impl FnMut(&[f32], f64) -> Result<Vec<f32>, E>,
    ) -> Result<Vec<f32>, E> {
        self.watched(start, region, noise, predict, |_| ())
    }

    /// As [`FlowSampler::sample`]; `seen` is called with the values before the first step and after each.
    ///
    /// # Errors
    /// As [`FlowSampler::sample`].
    pub fn watched<E: From<Error>>(
        &self,
        start: Start,
        region: &KnownRegion,
        mut noise: impl FnMut(Draw) -> Vec<f32>,
        mut predict: impl FnMut(&[f32], f64) -> Result<Vec<f32>, E>,
        mut seen: impl FnMut(&[f32]),
    ) -> Result<Vec<f32>, E> {
        start.check(region)?;
        let mut draw = |draw| -> Result<Vec<f32>> {
            let noise = noise(draw);
            region.shape().check("noise", &noise)?;
            Ok(start.of(noise))
        };
        let first = draw(Draw::Start)?;
        let mut x = first.clone();
        // Known values at a time, if they are replaced `now`.
        let mut replace = |x: &mut [f32], time: f64, now: When, step: u32| -> Result<()> {
            let KnownWay::Replace { when, noise } = self.way else { return Ok(()) };
            if when == now {
                let mix = Mix { data: (1.0 - time) as f32, noise: time as f32 };
                match noise {
                    KnownNoise::Start => region.set_noised(x, mix, &first),
                    KnownNoise::Fresh => region.set_noised(x, mix, &draw(Draw::Known(step))?),
                }
            }
            Ok(())
        };
        if self.way == KnownWay::Clean {
            region.set_clean(&mut x);
        }
        seen(&x);
        let times = self.grid.times();
        let last = times.len() - 2;
        for (step, pair) in times.windows(2).enumerate() {
            let [time, next] = [pair[0], pair[1]];
            replace(&mut x, time, When::Before, step as u32)?;
            let mut velocity = predict(&x, time)?;
            region.shape().check("the velocity predicted", &velocity)?;
            if self.way == KnownWay::Project {
                // The velocity towards the known data: x - s velocity is the data predicted.
                region.set(&mut velocity, |index, data| (x[index] - data) / time as f32);
            }
            let change = (next - time) as f32;
            x.iter_mut().zip(velocity).for_each(|(x, velocity)| *x += change * velocity);
            if step == last || self.way == KnownWay::Clean {
                region.set_clean(&mut x);
            } else {
                replace(&mut x, next, When::After, step as u32)?;
            }
            seen(&x);
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MapShape;
    use testkit::{assert_close, fixtures};

    const SHAPE: MapShape = MapShape { batch: 1, channels: 2, height: 1, width: 2 };

    fn rounded(values: &[f64]) -> Vec<f32> {
        values.iter().map(|&value| value as f32).collect()
    }

    #[test]
    fn times_and_shifts_are_those_of_the_reference() {
        let numbers = fixtures::load("diffusion/schedules.safetensors");
        for (steps, shift) in [(4, 1.0), (8, 1.0), (8, 2.0), (8, 3.0)] {
            let grid = FlowGrid::new(steps, shift).unwrap();
            let expected = &numbers.get(&format!("flow.steps_{steps}_shift_{shift}")).values;
            assert_close(&rounded(grid.times()), expected, 1e-6);
            assert_eq!((grid.times()[0], grid.times()[steps]), (1.0, 0.0));
        }
        for row in numbers.get("flow.resolution_shift").values.chunks_exact(3) {
            let shift = resolution_shift(row[0] as usize, row[1] as usize, 3.0);
            assert_close(&[shift as f32], &row[2..], 1e-6);
        }
    }

    #[test]
    fn grids_that_cannot_be_are_refused() {
        let error = FlowGrid::new(0, 1.0).unwrap_err().to_string();
        assert_eq!(error, "steps of a flow: 0, possible are 1 and more");
        for shift in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = FlowGrid::new(4, shift).unwrap_err().to_string();
            assert!(error.contains(&shift.to_string()), "{error}");
        }
    }

    fn sampler(way: KnownWay) -> FlowSampler {
        FlowSampler { grid: FlowGrid::new(4, 2.0).unwrap(), way }
    }

    fn all_ways() -> Vec<KnownWay> {
        let replaced = [When::Before, When::After].into_iter().flat_map(|when| {
            [KnownNoise::Start, KnownNoise::Fresh].map(|noise| KnownWay::Replace { when, noise })
        });
        replaced.chain([KnownWay::Project, KnownWay::Clean]).collect()
    }

    /// With the true velocity every way ends at the data, and shows the network known values on the path or clean.
    #[test]
    fn a_straight_path_ends_at_the_data_in_every_way() {
        let (data, noise) = ([1.0, -2.0, 3.0, 0.5], [0.25, 4.0, -1.0, 2.0]);
        let free = [true, false];
        let region = KnownRegion::new(SHAPE, &data, &free).unwrap();
        for way in all_ways() {
            let mut calls = 0;
            let predict = |x: &[f32], time: f64| -> Result<Vec<f32>> {
                calls += 1;
                for known in [1, 3] {
                    let expected = match way {
                        KnownWay::Clean => data[known],
                        _ => (1.0 - time as f32) * data[known] + time as f32 * noise[known],
                    };
                    assert_close(&x[known..=known], &[expected], 1e-6);
                }
                Ok(data.iter().zip(noise).map(|(data, noise)| noise - data).collect())
            };
            let x = sampler(way).sample(Start::Noise, &region, |_| noise.to_vec(), predict).unwrap();
            assert_close(&x, &data, 1e-6);
            assert_eq!((x[1], x[3], calls), (data[1], data[3], 4), "{way:?}");
        }
    }

    /// Whatever the network says about known cells, they follow the path to the known data, or are clean.
    #[test]
    fn wrong_velocities_do_not_reach_known_cells() {
        let data = [1.0, -2.0, 3.0, 0.5];
        let mean = [0.5; 4];
        let region = KnownRegion::new(SHAPE, &data, &[true, false]).unwrap();
        let start = Start::Mean { mean: &mean, deviation: 0.5 };
        for way in all_ways() {
            let mut known = Vec::new();
            let predict = |x: &[f32], time: f64| -> Result<Vec<f32>> {
                known.push((time as f32, x[1]));
                Ok(vec![100.0; 4])
            };
            let x = sampler(way).sample(start, &region, |_| vec![1.0; 4], predict).unwrap();
            assert_eq!((x[1], x[3]), (data[1], data[3]), "{way:?}");
            for (time, found) in known {
                // The start is 0.5 + 0.5 · 1.
                let expected = if way == KnownWay::Clean { data[1] } else { (1.0 - time) * data[1] + time };
                assert_close(&[found], &[expected], 1e-5);
            }
        }
    }

    #[test]
    fn fresh_noise_is_drawn_for_each_step() {
        let way = KnownWay::Replace { when: When::Before, noise: KnownNoise::Fresh };
        let region = KnownRegion::new(SHAPE, &[0.0; 4], &[false; 2]).unwrap();
        let mut drawn = Vec::new();
        let noise = |draw| {
            drawn.push(draw);
            vec![0.0; 4]
        };
        sampler(way).sample(Start::Noise, &region, noise, |x, _| Ok::<_, Error>(x.to_vec())).unwrap();
        assert_eq!(drawn, [Draw::Start, Draw::Known(0), Draw::Known(1), Draw::Known(2), Draw::Known(3)]);
    }

    #[test]
    fn rows_of_another_length_are_refused() {
        let region = KnownRegion::none(SHAPE);
        let run = |start: Start, noise: usize, velocity: usize| {
            let predict = |_: &[f32], _| Ok::<_, Error>(vec![0.0; velocity]);
            sampler(KnownWay::Clean)
                .sample(start, &region, |_| vec![0.0; noise], predict)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(run(Start::Noise, 3, 4), "noise with 3 values, expected are 4");
        assert_eq!(run(Start::Noise, 4, 8), "the velocity predicted with 8 values, expected are 4");
        let short = Start::Mean { mean: &[0.0], deviation: 0.5 };
        assert_eq!(run(short, 4, 4), "the fill that a flow starts from with 1 values, expected are 4");
        let negative = Start::Mean { mean: &[0.0; 4], deviation: -0.5 };
        assert!(run(negative, 4, 4).contains("-0.5"));
    }

    #[test]
    fn an_error_of_the_network_ends_sampling() {
        #[derive(Debug, PartialEq)]
        enum Failure {
            Network(u32),
            Sampler,
        }
        impl From<Error> for Failure {
            fn from(_: Error) -> Self {
                Self::Sampler
            }
        }
        let mut calls = 0;
        let predict = |x: &[f32], _| {
            calls += 1;
            if calls == 3 { Err(Failure::Network(7)) } else { Ok(x.to_vec()) }
        };
        let region = KnownRegion::none(SHAPE);
        let failed = sampler(KnownWay::Clean).sample(Start::Noise, &region, |_| vec![1.0; 4], predict);
        assert_eq!((failed, calls), (Err(Failure::Network(7)), 3));
    }
}
