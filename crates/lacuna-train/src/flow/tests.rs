//! Draws and paths, training of a ControlNet branch against the reference, and a flow that is trained and sampled.

use super::*;
use crate::loss::velocity::{KnownCells, mse};
use crate::optim::{Adam, Gradients};
use crate::testing::{
    device, fixture_weight, from_fixture, random, reference_batch, reference_denoiser, rng, tensor, values,
    values_of,
};
use lacuna_diffusion::flow::FlowGrid;
use lacuna_diffusion::{Error, FlowSampler, KnownRegion, KnownWay, MapShape, Start};
use lacuna_nets::net::denoiser::{Condition, Steering};
use lacuna_nets::weights::{replace, set_learning};
use lacuna_nets::{ControlNet, Denoiser};
use testkit::denoiser::{control_config, reference_name};
use testkit::{assert_close, fixtures, worst_difference};

#[test]
fn stratified_times_lie_in_intervals_of_their_own() {
    let mut rng = rng(1);
    for batch in [1, 4, 7] {
        for (image, time) in Times::Stratified.draw(batch, &mut rng).into_iter().enumerate() {
            let interval = image as f64 / batch as f64..(image + 1) as f64 / batch as f64;
            assert!(interval.contains(&time), "{time} of image {image} of {batch}");
        }
    }
}

#[test]
fn logit_normal_times_are_normal_before_the_sigmoid() {
    const COUNT: usize = 10_000;
    let times = Times::LogitNormal.draw(COUNT, &mut rng(1));
    assert!(times.iter().all(|time| (0.0..1.0).contains(time)));
    let logits = || times.iter().map(|time| (time / (1.0 - time)).ln());
    let (mean, square) = (logits().sum::<f64>(), logits().map(|logit| logit * logit).sum::<f64>());
    // Five standard errors of the first and the second moment.
    assert!((mean / COUNT as f64).abs() < 5.0 / (COUNT as f64).sqrt());
    assert!((square / COUNT as f64 - 1.0).abs() < 5.0 * (2.0 / COUNT as f64).sqrt());
}

#[test]
fn a_path_by_hand() {
    let data = tensor([2, 1, 1, 1], vec![1.0, -2.0]);
    let mean = tensor([2, 1, 1, 1], vec![3.0, 0.0]);
    let noise = tensor([2, 1, 1, 1], vec![2.0, 4.0]);
    let start = mean_start(mean, 0.5, noise);
    let path = Path { data, start, times: vec![0.25, 1.0] };
    assert_close(&values(path.noisy()), &[1.0 + 0.25 * 3.0, 2.0], 1e-6);
    assert_close(&values(path.velocity()), &[3.0, 4.0], 1e-6);
}

/// Two steps of Adam on a ControlNet branch: only zero convolutions move in the first, the hint's encoder in the second.
#[test]
fn a_branch_trains_as_the_reference() {
    /// Of the largest entry.
    const GRADIENT_TOLERANCE: f32 = 1e-4;
    const TOLERANCE: f32 = 2e-5;
    let numbers = fixtures::load("diffusion/control.safetensors");
    let (path, free, condition) = reference_batch();
    let denoiser = set_learning(reference_denoiser(), |_| false);
    let control = ControlNet::new(&control_config(), &denoiser, rng(1)).unwrap();
    // The file has the last layer as it is after both steps; it starts at zero.
    let is_inner = |name: &str| name.starts_with("hint.") && !name.starts_with("hint.7.");
    let source = |name: &str| {
        is_inner(name).then(|| fixture_weight(&numbers, &format!("start.{}", reference_name(name)))).flatten()
    };
    let mut control = replace(control, source).unwrap();
    let hint = || from_fixture::<4>(numbers.get("hint"));
    let noise = || from_fixture::<4>(fixtures::load("diffusion/stages.safetensors").get("batch.noise"));
    let steer = |control: &ControlNet, x: Tensor<4>| -> Steering {
        let hint = control.encode_hint(hint()).unwrap();
        control.forward(&denoiser, x, &path.times, &condition, hint).unwrap()
    };
    let velocity = |control: &ControlNet, x: Tensor<4>, strength: f64| {
        let steering = steer(control, x.clone()).scaled(strength);
        denoiser.forward_steered(x, &path.times, &condition, steering)
    };
    let mut adam = Adam::default();
    for step in [1, 2] {
        let loss = mse(&path, &free, KnownCells::Clean, |x| velocity(&control, x, 1.0)).unwrap();
        let get = |name: &str| &numbers.get(&format!("step_{step}.{name}")).values;
        assert_close(&values(loss.clone()), get("loss"), TOLERANCE);
        let gradients = Gradients::of(&control, &loss.backward());
        let named = |name: &str| values(gradients.get(name).unwrap().clone());
        for name in gradients.names() {
            let moves = named(name).iter().any(|&entry| entry != 0.0);
            match (step, name.starts_with("zero.")) {
                (_, true) => assert!(moves, "{name} in step {step}"),
                (1, false) => assert!(!moves, "{name} in the first step"),
                (_, false) => {}
            }
        }
        let compared =
            ["zero.0.weight", "zero.0.bias", "zero.1.weight", "zero.1.bias", "hint.7.weight", "hint.7.bias"];
        for name in compared {
            let expected = get(&format!("grad.{}", reference_name(name)));
            let largest = expected.iter().fold(0.0f32, |largest, entry| largest.max(entry.abs()));
            let worst = worst_difference(&named(name), expected).unwrap().size();
            assert!(
                worst <= GRADIENT_TOLERANCE * largest,
                "{name} in step {step}: {worst:e}, largest {largest:e}"
            );
        }
        assert!(step == 1 || named("hint.7.bias").iter().any(|&entry| entry != 0.0));
        control = adam.step(control, &gradients, 1e-2);
        if step == 2 {
            for name in compared {
                assert_close(&values_of(&control, name), get(&reference_name(name)), TOLERANCE);
            }
        }
        for (strength, name) in [(1.0, "velocity"), (0.5, "velocity_half_strength")] {
            let found = velocity(&control, noise(), strength).unwrap();
            assert_close(&values(found), get(name), TOLERANCE);
        }
    }
}

/// The whole chain: a small network learns two latents by heart from their fills, and the sampler then generates them.
#[test]
fn a_trained_flow_generates_what_it_learned() {
    const STEPS: usize = 400;
    let shape = MapShape { batch: 2, channels: 4, height: 8, width: 8 };
    let latent = |seed| random::<4>([2, 4, 8, 8], seed);
    let free: Vec<bool> = (0..128).map(|cell| (2..6).contains(&(cell / 8 % 8))).collect();
    let generated = Tensor::from_inner(tensor(
        [2, 1, 8, 8],
        free.iter().map(|&free| f32::from(u8::from(free))).collect::<Vec<f32>>(),
    ));
    let data = latent(1);
    // Of the data, a fill has the known cells and half of what is missing.
    let fill = data.clone() * generated.clone().mul_scalar(-0.5).add_scalar(1.0);
    let condition = Condition { masked: fill.clone(), fraction: generated.clone(), mean: None };
    let config = lacuna_network::Denoiser { mean: false, ..testkit::denoiser::config() };
    let mut denoiser = Denoiser::new(&config, rng(1), &device()).unwrap();
    let (mut adam, mut rng) = (Adam::default(), rng(2));
    let mut first = None;
    let mut last = 0.0;
    for step in 0..STEPS {
        // Uniform in [-1, 1).
        let start = mean_start(condition.fill().clone(), 0.5, latent(100 + step as u64));
        let path = Path { data: data.clone(), start, times: Times::Stratified.draw(2, &mut rng) };
        let predict = |x| denoiser.forward(x, &path.times, &condition);
        let loss = mse(&path, &generated, KnownCells::Clean, predict).unwrap();
        last = values(loss.clone())[0];
        first.get_or_insert(last);
        let gradients = Gradients::of(&denoiser, &loss.backward());
        denoiser = adam.step(denoiser, &gradients, 5e-3);
    }
    let first = first.unwrap();
    assert!(last < 0.3 * first, "velocity loss {first} at the start, {last} at the end");

    let [data, fill] = [data, fill].map(values);
    let region = KnownRegion::new(shape, &data, &free).unwrap();
    let sampler = FlowSampler { grid: FlowGrid::new(8, 1.0).unwrap(), way: KnownWay::Clean };
    let predict = |x: &[f32], time: f64| {
        let x = Tensor::from_inner(tensor([2, 4, 8, 8], x.to_vec()));
        Ok::<_, Error>(values(denoiser.forward(x, &[time; 2], &condition).unwrap()))
    };
    let start = Start::Mean { mean: &fill, deviation: 0.5 };
    let x = sampler.sample(start, &region, |_| values(latent(7)), predict).unwrap();
    let error = |row: &[f32]| row.iter().zip(&data).map(|(x, data)| (x - data).powi(2)).sum::<f32>();
    assert!(
        error(&x) < 0.3 * error(&fill),
        "error {} of the sample, {} of the fill",
        error(&x),
        error(&fill)
    );
}
