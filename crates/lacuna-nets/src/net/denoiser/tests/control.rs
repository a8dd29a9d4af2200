//! ControlNet branches.

use super::*;
use crate::testing::gradients_by_name;
use crate::weights::set_learning;
use testkit::denoiser::control_config;

/// The branch of the reference before its first step: copy of the denoiser's encoder, zero convolutions at zero.
fn branch(numbers: &Fixtures, denoiser: &Denoiser) -> ControlNet {
    let control = ControlNet::new(&control_config(), denoiser, rng(1)).unwrap();
    weights::replace(control, |name| {
        let found = numbers.find(&format!("start.{}", reference_name(name)))?;
        Some(weights::Weight { shape: found.shape.clone(), values: found.values.clone() })
    })
    .unwrap()
}

#[test]
fn a_new_branch_changes_no_bit() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let control_numbers = fixtures::load("diffusion/control.safetensors");
    let denoiser = reference();
    let control = branch(&control_numbers, &denoiser);
    let (times, condition) = (times(&numbers, "batch.s"), condition(&numbers));
    let x = tensor(&numbers, "batch.noise");
    let hint = control.encode_hint(tensor(&control_numbers, "hint")).unwrap();
    let steering = control.forward(&denoiser, x.clone(), &times, &condition, hint).unwrap();
    let steered = denoiser.forward_steered(x.clone(), &times, &condition, steering).unwrap();
    assert_fixture(&control_numbers, "velocity_at_zero", steered.clone());
    let plain = denoiser.forward(x, &times, &condition).unwrap();
    assert_eq!(values(steered), values(plain));
}

/// After training, strength 0 is no control, bit for bit.
#[test]
fn strength_zero_is_no_control() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let denoiser = reference();
    let (times, condition) = (times(&numbers, "batch.s"), condition(&numbers));
    let x = tensor(&numbers, "batch.noise");
    let steering = Steering { skips: vec![random([2, 16, 8, 10], 1)], middle: random([2, 32, 4, 5], 2) };
    let plain = values(denoiser.forward(x.clone(), &times, &condition).unwrap());
    let run = |strength: f64| {
        let steering = steering.clone().scaled(strength);
        values(denoiser.forward_steered(x.clone(), &times, &condition, steering).unwrap())
    };
    assert_eq!(run(0.0), plain);
    assert_ne!(run(0.5), plain);
}

/// The first gradients are those of the zero convolutions alone; the denoiser's own have none.
#[test]
fn gradients_reach_the_zero_convolutions_first() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let control_numbers = fixtures::load("diffusion/control.safetensors");
    let denoiser = reference().train();
    let control = branch(&control_numbers, &denoiser);
    let denoiser = set_learning(denoiser, |_| false);
    let (times, condition) = (times(&numbers, "batch.s"), condition(&numbers));
    let lift = |tensor: Tensor<4>| Tensor::<4>::from_inner(tensor);
    let condition = Condition {
        masked: lift(condition.masked),
        fraction: lift(condition.fraction),
        mean: condition.mean.map(lift),
    };
    let x = lift(tensor(&numbers, "batch.noise"));
    let hint = control.encode_hint(lift(tensor(&control_numbers, "hint"))).unwrap();
    let steering = control.forward(&denoiser, x.clone(), &times, &condition, hint).unwrap();
    let gradients =
        denoiser.forward_steered(x, &times, &condition, steering).unwrap().square().sum().backward();
    assert!(gradients_by_name(&denoiser, &gradients).is_empty());
    for named in gradients_by_name(&control, &gradients) {
        let moves = named.weight.values.iter().any(|&entry| entry != 0.0);
        assert_eq!(moves, named.name.starts_with("zero."), "{}", named.name);
    }
}

#[test]
fn branches_that_do_not_fit_are_refused() {
    let denoiser = reference();
    let other = Config { latent: 5, ..config() };
    let error = ControlNet::new(&ControlConfig::new(other), &denoiser, rng(1)).unwrap_err().to_string();
    assert!(error.contains("denoiser-c5") && error.contains("denoiser-c4"), "{error}");
    let control = ControlNet::new(&control_config(), &denoiser, rng(1)).unwrap();
    let error = control.encode_hint(random([1, 3, 64, 80], 1)).unwrap_err().to_string();
    assert_eq!(error, "a hint of 3 channels, expected 4");
    let (x, condition) = inputs(&config(), 1, 8, 10);
    let hint = control.encode_hint(random([1, 4, 64, 64], 1)).unwrap();
    let error = control.forward(&denoiser, x, &[0.5], &condition, hint).unwrap_err().to_string();
    assert_eq!(error, "1 encoded hints of 8 x 8 cells for 1 latents of 8 x 10");
}
