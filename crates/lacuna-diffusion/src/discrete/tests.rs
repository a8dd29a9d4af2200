//! Samplers of discrete schedules with predictors that are exact formulas.

use super::*;
use crate::{Betas, FlowSampler, MapShape, Noise, NoiseSchedule, Spacing, Start};
use testkit::assert_close;

const SHAPE: MapShape = MapShape { batch: 2, channels: 1, height: 1, width: 3 };
const DATA: [f32; 6] = [1.0, -2.0, 3.0, 0.5, 0.25, -1.0];
const FREE: [bool; 6] = [true, false, true, false, true, true];

fn schedule() -> NoiseSchedule {
    NoiseSchedule::new(Betas::STABLE_DIFFUSION, 1000).unwrap()
}

fn sampler(method: Method, steps: usize) -> DiscreteSampler {
    DiscreteSampler {
        levels: Levels::new(&schedule(), &Spacing::Trailing, steps).unwrap(),
        method,
        way: KnownWay::Clean,
        prediction: Prediction::X0,
        variance: Variance::Posterior,
        bound: None,
    }
}

/// Noise of batches: each map has its own seed.
fn noise(shape: MapShape) -> impl FnMut(Draw) -> Vec<f32> {
    move |draw| {
        let map = |seed| Noise::new(seed).map(draw, shape, Default::default());
        (0..shape.batch as u64).flat_map(map).collect()
    }
}

const METHODS: [Method; 4] =
    [Method::Ddpm, Method::Ddim { eta: 0.0 }, Method::Ddim { eta: 0.5 }, Method::DpmSolver];

fn ways() -> Vec<KnownWay> {
    let replaced = [When::Before, When::After].into_iter().flat_map(|when| {
        [KnownNoise::Start, KnownNoise::Fresh].map(|noise| KnownWay::Replace { when, noise })
    });
    replaced.chain([KnownWay::Project, KnownWay::Clean]).collect()
}

/// A network that always predicts the same data leads there, and known cells end as the known data whatever it predicts for them.
#[test]
fn every_method_ends_at_the_data_in_every_way() {
    let region = KnownRegion::new(SHAPE, &DATA, &FREE).unwrap();
    for method in METHODS {
        for way in ways() {
            for steps in [1, 2, 20] {
                let sampler = DiscreteSampler { way, ..sampler(method, steps) };
                let mut calls = 0;
                let predict = |_: &[f32], time: f64| -> Result<Vec<f32>> {
                    assert_eq!(time, sampler.levels.time(calls));
                    calls += 1;
                    Ok(vec![7.0; 6])
                };
                let x = sampler.sample(&region, noise(SHAPE), predict).unwrap();
                let expected: Vec<f32> =
                    DATA.iter().zip(FREE).map(|(&data, free)| if free { 7.0 } else { data }).collect();
                assert_close(&x, &expected, 1e-4);
                assert!(x.iter().zip(DATA).zip(FREE).all(|((&x, data), free)| free || x == data), "{way:?}");
                assert_eq!(calls, steps);
            }
        }
    }
}

/// What the network sees of a known cell has the noise of its level, or none.
#[test]
fn known_cells_are_shown_at_the_noise_of_each_level() {
    let region = KnownRegion::new(SHAPE, &DATA, &FREE).unwrap();
    for way in ways() {
        let sampler = DiscreteSampler { way, ..sampler(Method::Ddim { eta: 0.0 }, 4) };
        let mut step = 0;
        let mut seen = Vec::new();
        let predict = |x: &[f32], _: f64| -> Result<Vec<f32>> {
            // What a known cell's value has beside its data, in deviations of the noise of this level.
            let bar = sampler.levels.transition(step).from;
            seen.push((f64::from(x[1]) - bar.sqrt() * f64::from(DATA[1])) / (1.0 - bar).sqrt());
            step += 1;
            Ok(vec![7.0; 6])
        };
        sampler.sample(&region, noise(SHAPE), predict).unwrap();
        let start = f64::from(noise(SHAPE)(Draw::Start)[1]);
        let known = |step: u32| f64::from(noise(SHAPE)(Draw::Known(step))[1]);
        let beside_data = |x: f64, step: usize| {
            let bar = sampler.levels.transition(step).from;
            (x - bar.sqrt() * f64::from(DATA[1])) / (1.0 - bar).sqrt()
        };
        // The start has no part of the data, though the first level has.
        let first = beside_data(start, 0);
        let expected: Vec<f64> = match way {
            KnownWay::Replace { when: When::Before, noise: KnownNoise::Start } => vec![start; 4],
            KnownWay::Replace { when: When::Before, noise: KnownNoise::Fresh } => (0..4).map(known).collect(),
            KnownWay::Replace { when: When::After, noise: KnownNoise::Start } => {
                vec![first, start, start, start]
            }
            // What is drawn after a step is seen by the next.
            KnownWay::Replace { when: When::After, noise: KnownNoise::Fresh } => {
                [first].into_iter().chain((0..3).map(known)).collect()
            }
            // The noise that remains beside the known data stays the same.
            KnownWay::Project => vec![first; 4],
            KnownWay::Clean => (0..4).map(|step| beside_data(f64::from(DATA[1]), step)).collect(),
        };
        assert_eq!(seen.len(), 4);
        for (found, expected) in seen.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{way:?}: {seen:?}, {expected:?}");
        }
    }
}

#[test]
fn a_bound_limits_the_data_predicted() {
    let region = KnownRegion::none(SHAPE);
    for method in METHODS {
        let sampler = DiscreteSampler { bound: Some(1.0), ..sampler(method, 5) };
        let x = sampler.sample(&region, noise(SHAPE), |_, _| Ok::<_, Error>(vec![-7.0; 6])).unwrap();
        assert_close(&x, &[-1.0; 6], 1e-5);
    }
}

/// A learned variance at its lower end is the posterior's, map by map of a batch.
#[test]
fn the_second_half_of_the_channels_is_the_variance() {
    let shape = MapShape { batch: 2, channels: 2, height: 1, width: 1 };
    let region = KnownRegion::none(shape);
    let posterior = sampler(Method::Ddpm, 4);
    let learned = DiscreteSampler { variance: Variance::Learned, ..posterior.clone() };
    let run = |upper: f32| {
        let predict = |x: &[f32], _| {
            let with_variance = |map: &[f32]| [map[0], map[1], -1.0, upper];
            Ok::<_, Error>(x.chunks_exact(2).flat_map(with_variance).collect())
        };
        learned.sample(&region, noise(shape), predict).unwrap()
    };
    let expected = posterior.sample(&region, noise(shape), |x, _| Ok::<_, Error>(x.to_vec())).unwrap();
    assert_close(&run(-1.0), &expected, 1e-5);
    let other = run(1.0);
    assert_close(&[other[0], other[2]], &[expected[0], expected[2]], 1e-5);
    assert!((other[1] - expected[1]).abs() > 1e-3 && (other[3] - expected[3]).abs() > 1e-3);
}

#[test]
fn values_out_of_range_are_refused() {
    let region = KnownRegion::none(SHAPE);
    let error = |sampler: DiscreteSampler, output: usize| {
        let predict = |_: &[f32], _| Ok::<_, Error>(vec![0.0; output]);
        sampler.sample(&region, noise(SHAPE), predict).unwrap_err().to_string()
    };
    let plain = sampler(Method::Ddpm, 4);
    assert_eq!(error(plain.clone(), 12), "the network's output with 12 values, expected are 6");
    let learned = DiscreteSampler { variance: Variance::Learned, ..plain.clone() };
    assert_eq!(error(learned, 6), "the network's output with 6 values, expected are 12");
    let eta = DiscreteSampler { method: Method::Ddim { eta: 1.5 }, ..plain.clone() };
    assert_eq!(error(eta, 6), "eta of DDIM: 1.5, possible are 0 to 1");
    let bound = DiscreteSampler { bound: Some(0.0), ..plain.clone() };
    assert_eq!(error(bound, 6), "bound of the data: 0, possible are values above 0");
    let rescaled = schedule().with_zero_terminal().unwrap();
    let levels = Levels::new(&rescaled, &Spacing::Trailing, 4).unwrap();
    let epsilon = DiscreteSampler { levels, prediction: Prediction::Epsilon, ..plain };
    assert!(error(epsilon, 6).starts_with("epsilon at level 999, which is pure noise"));
}

// Convergence on a Gaussian: data of variance 2, of which the best prediction is a factor of x.

const VARIANCE: f64 = 2.0;
const ONE: MapShape = MapShape { batch: 1, channels: 1, height: 1, width: 1 };

/// The error of a sampler from `x = 1`, against the exact solution of the probability flow.
fn error(method: Method, steps: usize) -> f64 {
    let schedule = NoiseSchedule::new(Betas::Cosine, 1000).unwrap();
    let levels = Levels::new(&schedule, &Spacing::Trailing, steps).unwrap();
    let sampler = DiscreteSampler { levels, prediction: Prediction::Epsilon, ..sampler(method, steps) };
    let mut step = 0;
    let predict = |x: &[f32], _| {
        let bar = sampler.levels.transition(step).from;
        step += 1;
        // E[noise | x] = sqrt(1 - bar) x / (variance of x)
        Ok::<_, Error>(vec![x[0] * ((1.0 - bar).sqrt() / (VARIANCE * bar + 1.0 - bar)) as f32])
    };
    let x = sampler.sample(&KnownRegion::none(ONE), |_| vec![1.0], predict).unwrap();
    let first = sampler.levels.transition(0).from;
    (f64::from(x[0]) - (VARIANCE / (VARIANCE * first + 1.0 - first)).sqrt()).abs()
}

fn flow_error(steps: usize) -> f64 {
    let sampler = FlowSampler { grid: crate::flow::FlowGrid::new(steps, 1.0).unwrap(), way: KnownWay::Clean };
    let predict = |x: &[f32], s: f64| {
        // E[noise - data | x], with x = (1 - s) data + s noise.
        let factor = (s - VARIANCE * (1.0 - s)) / (VARIANCE * (1.0 - s).powi(2) + s * s);
        Ok::<_, Error>(vec![x[0] * factor as f32])
    };
    let x = sampler.sample(Start::Noise, &KnownRegion::none(ONE), |_| vec![1.0], predict).unwrap();
    (f64::from(x[0]) - VARIANCE.sqrt()).abs()
}

#[test]
fn twice_the_steps_halve_the_error_of_first_order_methods() {
    for (what, error) in [
        ("ddim", &(|steps| error(Method::Ddim { eta: 0.0 }, steps)) as &dyn Fn(usize) -> f64),
        ("flow", &flow_error),
    ] {
        for steps in [16, 32] {
            let ratio = error(steps) / error(2 * steps);
            assert!((1.7..2.3).contains(&ratio), "{what}: {ratio} from {steps} steps");
        }
    }
}

#[test]
fn the_second_order_method_converges_faster() {
    for steps in [10, 20] {
        let ratio = error(Method::DpmSolver, steps) / error(Method::DpmSolver, 2 * steps);
        assert!(ratio > 3.0, "{ratio} from {steps} steps");
        assert!(error(Method::DpmSolver, steps) < error(Method::Ddim { eta: 0.0 }, steps));
    }
}

/// With the exact prediction ancestral sampling nearly keeps the variance of the data; what many steps take of it follows from their
/// formulas.
#[test]
fn ancestral_samples_have_the_datas_variance() {
    const STEPS: usize = 100;
    let shape = MapShape::one(1, 100, 200);
    let schedule = NoiseSchedule::new(Betas::ADM, 1000).unwrap();
    let levels = Levels::new(&schedule, &Spacing::Trailing, STEPS).unwrap();
    let sampler = DiscreteSampler { levels, prediction: Prediction::Epsilon, ..sampler(Method::Ddpm, STEPS) };
    let best_noise = |bar: f64| (1.0 - bar).sqrt() / (VARIANCE * bar + 1.0 - bar);
    let mut step = 0;
    let predict = |x: &[f32], _| {
        let factor = best_noise(sampler.levels.transition(step).from) as f32;
        step += 1;
        Ok::<_, Error>(x.iter().map(|x| factor * x).collect())
    };
    let x = sampler.sample(&KnownRegion::none(shape), noise(shape), predict).unwrap();
    let variance = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / shape.values() as f64;
    let expected = (0..STEPS).fold(1.0, |variance, step| {
        let transition = sampler.levels.transition(step);
        let Transition { from, to } = transition;
        // Ho et al. 2020, equation 11: the mean is a factor of x.
        let beta = 1.0 - from / to;
        let factor = (1.0 - beta / (1.0 - from).sqrt() * best_noise(from)) / (1.0 - beta).sqrt();
        factor * factor * variance + beta * (1.0 - to) / (1.0 - from)
    });
    assert!((expected / VARIANCE - 1.0).abs() < 0.1, "{expected}");
    // Five standard errors.
    let allowed = 5.0 * (2.0 / shape.values() as f64).sqrt();
    assert!((variance / expected - 1.0).abs() < allowed, "{variance}, expected {expected}");
}
