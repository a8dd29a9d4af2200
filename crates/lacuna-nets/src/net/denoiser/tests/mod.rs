//! The denoiser against the reference.

mod control;
mod engine;
mod sampling;

use super::*;
use crate::testing::{
    assert_block_gradient, assert_fixture, from_fixture, load_fixture, random, rng, seeded, values,
};
use crate::weights;
use lacuna_network::{ControlNet as ControlConfig, DenoiserSize};
use testkit::denoiser::{config, reference_name};
use testkit::fixtures::{self, Fixtures};
use testkit::{assert_close, worst_difference};

/// Reference values of `fixtures/diffusion`, where float32 and float64 differ by 3e-6.
const TOLERANCE: f32 = 1e-5;

/// Of a gradient's largest entry.
const GRADIENT_TOLERANCE: f32 = 1e-4;

/// Against finite differences.
const DIFFERENCE_TOLERANCE: f64 = 1e-4;

/// The denoiser of the reference.
fn reference() -> Denoiser {
    let denoiser = Denoiser::unset(&config(), &Device::flex()).unwrap();
    load_fixture(denoiser, &fixtures::load("diffusion/denoiser.safetensors"), reference_name)
}

fn tensor(numbers: &Fixtures, name: &str) -> Tensor<4> {
    from_fixture(numbers.get(name))
}

fn times(numbers: &Fixtures, name: &str) -> Vec<f64> {
    numbers.get(name).values.iter().map(|&time| f64::from(time)).collect()
}

/// The condition of the reference's batch.
fn condition(numbers: &Fixtures) -> Condition {
    Condition {
        masked: tensor(numbers, "batch.condition"),
        fraction: tensor(numbers, "batch.share"),
        mean: Some(tensor(numbers, "batch.mean")),
    }
}

#[track_caller]
fn assert_stages(numbers: &Fixtures, prefix: &str, stages: Denoised) {
    let Denoised { encoded, up, predicted } = stages;
    // A cosine of 850 radians, in float32 in the reference.
    assert_close(&values(encoded.time), &numbers.get(&format!("{prefix}.time")).values, 1e-4);
    assert_fixture(numbers, &format!("{prefix}.skip_0"), encoded.skips[0].clone());
    assert_fixture(numbers, &format!("{prefix}.middle"), encoded.middle);
    assert_fixture(numbers, &format!("{prefix}.up_0"), up[0].clone());
    assert_fixture(numbers, &format!("{prefix}.velocity"), predicted);
    assert_eq!((encoded.skips.len(), up.len()), (1, 1));
}

#[test]
fn every_stage_equals_the_reference_at_even_sides_and_batch_2() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let x = tensor(&numbers, "batch.noise");
    let stages = reference().stages(x, &times(&numbers, "batch.s"), &condition(&numbers), None).unwrap();
    assert_stages(&numbers, "even", stages);
}

#[test]
fn every_stage_equals_the_reference_at_odd_sides_and_batch_1() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let condition = Condition {
        masked: tensor(&numbers, "odd.condition"),
        fraction: tensor(&numbers, "odd.mask"),
        mean: Some(tensor(&numbers, "odd.mean")),
    };
    let x = tensor(&numbers, "odd.x");
    let stages = reference().stages(x, &times(&numbers, "odd.s"), &condition, None).unwrap();
    assert_stages(&numbers, "odd.stage", stages);
}

#[test]
fn features_of_times_are_those_of_the_reference() {
    let numbers = fixtures::load("diffusion/schedules.safetensors");
    let times = times(&numbers, "time.s");
    let found: Vec<f32> = times.iter().flat_map(|&time| lacuna_network::time_features(time, 16)).collect();
    // A cosine of 1000 radians, in float32 in the reference.
    assert_close(&found, &numbers.get("time.features_16").values, 1e-4);
}

/// The gradient of the sum of squares.
fn gradient_of_squares<const D: usize>(y: Tensor<4>, x: &Tensor<D>) -> Tensor<D> {
    let gradients = y.square().sum().backward();
    x.grad(&gradients).expect("a gradient")
}

#[track_caller]
fn assert_gradient(found: &[f32], expected: &[f32], name: &str) {
    let largest = expected.iter().fold(0.0f32, |largest, entry| largest.max(entry.abs()));
    let worst = worst_difference(found, expected).unwrap().size();
    assert!(worst <= GRADIENT_TOLERANCE * largest, "{name}: off by {worst:e}, largest entry {largest:e}");
}

#[test]
fn a_residual_block_and_its_gradients_equal_the_reference() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let network = reference().train();
    let block = network.up_block(0);
    let x = Tensor::<4>::from_inner(tensor(&numbers, "residual.x")).require_grad();
    let time = Tensor::<2>::from_inner(from_fixture(numbers.get("residual.time"))).require_grad();
    let y = block.forward(x.clone(), time.clone());
    assert_fixture(&numbers, "residual.y", y.clone().inner());
    let gradients = y.square().sum().backward();
    let by_x = values(x.grad(&gradients).unwrap());
    assert_gradient(&by_x, &numbers.get("residual.grad_x").values, "x");
    let by_time = values(time.grad(&gradients).unwrap());
    assert_gradient(&by_time, &numbers.get("residual.grad_time").values, "time");
}

#[test]
fn a_spectral_mix_and_its_gradient_equal_the_reference() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let network = reference().train();
    let MiddleBlock::Mix(mix) = network.encoder.middle(1) else { panic!("the second block mixes") };
    let x = Tensor::<4>::from_inner(tensor(&numbers, "mix.x")).require_grad();
    let y = mix.forward(x.clone());
    assert_fixture(&numbers, "mix.y", y.clone().inner());
    let by_x = values(gradient_of_squares(y, &x));
    assert_gradient(&by_x, &numbers.get("mix.grad_x").values, "x");
}

/// Values that are not zero where those of a new block are.
fn randomised<M: Module>(block: M) -> M {
    let shapes = weights::shapes(&block);
    let source = |name: &str| {
        let (seed, named) = shapes.iter().enumerate().find(|(_, named)| named.name == name)?;
        let values = values(random([named.shape.iter().product()], seed as u64).mul_scalar(0.5));
        Some(weights::Weight { shape: named.shape.clone(), values })
    };
    weights::load(block, source).unwrap()
}

#[test]
fn blocks_have_the_right_gradients() {
    // Narrower than a network can be.
    let layers = Config { latent: 1, width: 2, levels: vec![1, 2], blocks: 1, mean: false }.layers();
    let block = randomised(ResidualBlock::new(&layers.up[0].blocks[0], &mut seeded(1)));
    // The time is a part of the input, so that its gradient is checked as well.
    let forward = |block: &ResidualBlock, x: Tensor<4>| {
        let [batch, ..] = x.dims();
        let time = x.clone().narrow(3, 0, 1).reshape([batch, 8]);
        block.forward(x, time)
    };
    assert_block_gradient(block, forward, [2, 4, 2, 3], DIFFERENCE_TOLERANCE);
    let lacuna_network::MiddleBlock::Mix(mix) = &layers.encoder.middle[1] else { panic!("it mixes") };
    let mix = randomised(SpectralMix::new(mix, &mut seeded(1)));
    assert_block_gradient(mix, SpectralMix::forward, [2, 4, 3, 4], DIFFERENCE_TOLERANCE);
}

#[test]
fn names_and_shapes_are_those_of_weights_files() {
    let deep = Config { latent: 3, width: 32, levels: vec![1, 3, 2], blocks: 2, mean: false };
    for config in [config(), deep, DenoiserSize::S.denoiser(128)] {
        let denoiser = Denoiser::unset(&config, &Device::flex()).unwrap();
        let sorted = |mut tensors: Vec<(String, Vec<usize>)>| {
            tensors.sort();
            tensors
        };
        let found = |shapes: Vec<weights::NamedShape>| {
            sorted(shapes.into_iter().map(|named| (named.name, named.shape)).collect())
        };
        assert_eq!(found(weights::shapes(&denoiser)), sorted(config.layers().tensors()));
        if config == DenoiserSize::S.denoiser(128) {
            continue; // A branch copies its values.
        }
        let branch = ControlConfig::new(config.clone());
        let denoiser = Denoiser::new(&config, rng(1), &Device::flex()).unwrap();
        let control = ControlNet::new(&branch, &denoiser, rng(2)).unwrap();
        assert_eq!(found(weights::shapes(&control)), sorted(branch.layers().tensors()));
    }
}

fn inputs(config: &Config, batch: usize, height: usize, width: usize) -> (Tensor<4>, Condition) {
    let latent = |seed| random([batch, config.latent, height, width], seed);
    let fraction = random([batch, 1, height, width], 3).abs();
    (latent(1), Condition { masked: latent(2), fraction, mean: config.mean.then(|| latent(4)) })
}

#[test]
fn a_new_network_predicts_zero_at_any_size() {
    let config = Config { latent: 3, width: 16, levels: vec![1, 2, 3], blocks: 2, mean: false };
    let denoiser = Denoiser::new(&config, rng(1), &Device::flex()).unwrap();
    for (batch, height, width) in [(1, 5, 5), (2, 6, 9), (1, 16, 7)] {
        let (x, condition) = inputs(&config, batch, height, width);
        let predicted = denoiser.forward(x, &vec![0.5; batch], &condition).unwrap();
        assert_eq!(predicted.dims(), [batch, 3, height, width]);
        assert!(values(predicted).iter().all(|&value| value == 0.0));
    }
}

#[test]
fn images_of_a_batch_do_not_meet() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let (denoiser, times) = (reference(), times(&numbers, "batch.s"));
    let condition = condition(&numbers);
    let x = tensor(&numbers, "batch.noise");
    let both = values(denoiser.forward(x.clone(), &times, &condition).unwrap());
    let one = |image: usize| {
        let part = |tensor: &Tensor<4>| tensor.clone().narrow(0, image, 1);
        let condition = Condition {
            masked: part(&condition.masked),
            fraction: part(&condition.fraction),
            mean: condition.mean.as_ref().map(part),
        };
        values(denoiser.forward(part(&x), &times[image..=image], &condition).unwrap())
    };
    assert_close(&both, &[one(0), one(1)].concat(), TOLERANCE);
}

#[test]
fn inputs_that_do_not_fit_are_refused_with_both_values() {
    let config = Config { latent: 3, width: 16, levels: vec![1, 2, 3], blocks: 1, mean: false };
    let denoiser = Denoiser::new(&config, rng(1), &Device::flex()).unwrap();
    let error = |x: Tensor<4>, times: &[f64], condition: &Condition| {
        denoiser.forward(x, times, condition).unwrap_err().to_string()
    };
    let (x, condition) = inputs(&config, 1, 4, 8);
    assert_eq!(error(x, &[0.5], &condition), "a latent of 4 x 8 cells: this denoiser needs at least 5 x 5");
    let (x, condition) = inputs(&config, 1, 5, 8);
    assert_eq!(error(x.clone(), &[0.5, 0.5], &condition), "2 times for a batch of 1");
    let narrow = Condition { masked: random([1, 2, 5, 8], 1), ..condition.clone() };
    assert_eq!(
        error(x.clone(), &[0.5], &narrow),
        "latent of the masked image: expected [1, 3, 5, 8], got [1, 2, 5, 8]"
    );
    let filled = Condition { mean: Some(random([1, 3, 5, 8], 1)), ..condition };
    assert_eq!(error(x, &[0.5], &filled), "a fill as input of a denoiser that expects no fill");
    let wrong = Config { width: 24, ..config };
    let error = Denoiser::new(&wrong, rng(1), &Device::flex()).unwrap_err().to_string();
    assert_eq!(error, "no such network: a width of 24, possible are multiples of 16 up to 512");
}
