//! Trajectories of all samplers with the denoiser of the reference.

use super::*;
use lacuna_diffusion::flow::FlowGrid;
use lacuna_diffusion::{
    Betas, DiscreteSampler, Draw, FlowSampler, Jumps, KnownNoise, KnownRegion, KnownWay, Levels, MapShape,
    Method, NoiseSchedule, Prediction, RePaint, Spacing, Start, Variance, When,
};

const SHAPE: MapShape = MapShape { batch: 2, channels: 4, height: 8, width: 10 };

/// Of the largest value of a step: float32 and float64 differ by 4e-7 of it.
const RELATIVE: f32 = 4e-6;

/// Everything that the reference's runs share.
struct Scene {
    denoiser: Denoiser,
    condition: Condition,
    data: Vec<f32>,
    mean: Vec<f32>,
    start: Vec<f32>,
    free: Vec<bool>,
    numbers: Fixtures,
}

impl Scene {
    fn new() -> Self {
        let stages = fixtures::load("diffusion/stages.safetensors");
        let row = |name: &str| stages.get(&format!("batch.{name}")).values.clone();
        Self {
            denoiser: reference(),
            condition: condition(&stages),
            data: row("z"),
            mean: row("mean"),
            start: row("noise"),
            free: row("free").iter().map(|&free| free > 0.0).collect(),
            numbers: fixtures::load("diffusion/sampler.safetensors"),
        }
    }

    fn region(&self) -> KnownRegion<'_> {
        KnownRegion::new(SHAPE, &self.data, &self.free).unwrap()
    }

    fn predict(&self, x: &[f32], time: f64) -> std::result::Result<Vec<f32>, lacuna_diffusion::Error> {
        let MapShape { batch, channels, height, width } = SHAPE;
        let x = crate::testing::tensor([batch, channels, height, width], x.to_vec());
        Ok(values(self.denoiser.forward(x, &[time; 2], &self.condition).unwrap()))
    }

    /// The `index`th of the reference's noises.
    fn noise(&self, index: usize) -> Vec<f32> {
        self.numbers.get(&format!("noise_{index}")).values.clone()
    }

    /// The noise of steps in their order.
    fn draw(&self, draw: Draw) -> Vec<f32> {
        match draw {
            Draw::Start => self.start.clone(),
            Draw::Step(step) => self.noise(step as usize),
            Draw::Known(_) => panic!("these samplers keep the noise of the start"),
        }
    }

    /// The values before the first step and after each.
    fn follow(&self, sampler: &DiscreteSampler, region: &KnownRegion) -> Vec<Vec<f32>> {
        let mut seen = Vec::new();
        sampler
            .watched(
                region,
                |draw| self.draw(draw),
                |x, time| self.predict(x, time),
                |x| seen.push(x.to_vec()),
            )
            .unwrap();
        seen
    }

    #[track_caller]
    fn assert_values(&self, name: &str, found: &[f32]) {
        let expected = &self.numbers.get(name).values;
        let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
        let worst = worst_difference(found, expected).unwrap().size();
        assert!(worst <= RELATIVE * largest, "{name}: off by {worst:e}, largest value {largest}");
    }

    #[track_caller]
    fn assert_trajectory(&self, name: &str, seen: &[Vec<f32>]) {
        assert_eq!(seen.len(), 5, "{name}");
        for (step, x) in seen.iter().enumerate() {
            self.assert_values(&format!("{name}.{step}"), x);
        }
        for (index, (end, data)) in seen[4].iter().zip(&self.data).enumerate() {
            let cell = index / 320 * 80 + index % 80;
            assert!(self.free[cell] || end == data, "{name}: known value {index} is {end}, expected {data}");
        }
    }
}

fn levels() -> Levels {
    let schedule = NoiseSchedule::new(Betas::STABLE_DIFFUSION, 1000).unwrap();
    Levels::new(&schedule, &Spacing::Trailing, 4).unwrap()
}

fn sampler(method: Method, way: KnownWay) -> DiscreteSampler {
    DiscreteSampler {
        levels: levels(),
        method,
        way,
        prediction: Prediction::Epsilon,
        variance: Variance::Posterior,
        bound: None,
    }
}

#[test]
fn flows_follow_the_reference() {
    let scene = Scene::new();
    let replaced = KnownWay::Replace { when: When::After, noise: KnownNoise::Start };
    for (name, shift, way) in [("flow_mean_clean", 1.0, KnownWay::Clean), ("flow_mean_noised", 3.0, replaced)]
    {
        let sampler = FlowSampler { grid: FlowGrid::new(4, shift).unwrap(), way };
        let start = Start::Mean { mean: &scene.mean, deviation: 0.5 };
        let mut seen = Vec::new();
        sampler
            .watched(
                start,
                &scene.region(),
                |draw| scene.draw(draw),
                |x, time| scene.predict(x, time),
                |x| seen.push(x.to_vec()),
            )
            .unwrap();
        scene.assert_trajectory(name, &seen);
    }
}

#[test]
fn glide_follows_the_reference() {
    let scene = Scene::new();
    let replaced = KnownWay::Replace { when: When::Before, noise: KnownNoise::Start };
    let deterministic = Method::Ddim { eta: 0.0 };
    for (name, sampler) in [
        ("glide_project", sampler(deterministic, KnownWay::Project)),
        ("glide_replace", sampler(deterministic, replaced)),
        (
            "glide_eta_1",
            DiscreteSampler {
                prediction: Prediction::V,
                ..sampler(Method::Ddim { eta: 1.0 }, KnownWay::Project)
            },
        ),
        // With eta 1 DDIM's step is ancestral.
        (
            "glide_eta_1",
            DiscreteSampler { prediction: Prediction::V, ..sampler(Method::Ddpm, KnownWay::Project) },
        ),
    ] {
        scene.assert_trajectory(name, &scene.follow(&sampler, &scene.region()));
    }
}

#[test]
fn dpm_solver_follows_the_reference() {
    let scene = Scene::new();
    let seen = scene.follow(&sampler(Method::DpmSolver, KnownWay::Project), &KnownRegion::none(SHAPE));
    for (step, x) in seen.iter().enumerate().skip(1) {
        scene.assert_values(&format!("dpmpp.{step}"), x);
    }
    assert_eq!(seen.len(), 5);
}

#[test]
fn repaint_ends_as_the_reference() {
    let scene = Scene::new();
    let jumps = Jumps { length: 1, count: 2 };
    // The reference takes noises in order: for the known region and the step on the way down, one on the way up.
    let mut next = 0;
    let order = jumps.order(4).unwrap();
    let indices: Vec<usize> = order
        .windows(2)
        .map(|pair| {
            let first = next;
            next += if pair[1] < pair[0] { 2 } else { 1 };
            first
        })
        .collect();
    assert_eq!(next, 17);
    let is_backward = |visit: usize| order[visit + 1] < order[visit];
    let noise = |draw: Draw| match draw {
        Draw::Start => scene.start.clone(),
        Draw::Known(visit) => scene.noise(indices[visit as usize]),
        Draw::Step(visit) => scene.noise(indices[visit as usize] + usize::from(is_backward(visit as usize))),
    };
    let sampler = RePaint { levels: levels(), jumps, variance: Variance::Posterior, bound: None };
    let x = sampler.sample(&scene.region(), noise, |x, time| scene.predict(x, time)).unwrap();
    scene.assert_values("repaint_4_1_2.end", &x);
}
