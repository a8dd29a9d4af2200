//! The engine's denoiser against the reference.

use std::collections::HashMap;

use lacuna_network::{ControlNet, DenoiserSize};
use testkit::denoiser::{config, control_config, reference_name};
use testkit::fixtures::{self, Fixtures};
use testkit::pictures::noise;
use testkit::{assert_close, worst_difference};

use super::*;
use crate::error::Error;

/// Reference values of `fixtures/diffusion`, where float32 and float64 differ by 3e-6, and Winograd's transforms.
const TOLERANCE: f32 = 2e-5;

fn reference(isa: Isa) -> DenoiserEngine {
    let numbers = fixtures::load("diffusion/denoiser.safetensors");
    let source = |name: &str| Some(Cow::Owned(numbers.get(&reference_name(name)).values.clone()));
    DenoiserEngine::compile(&config(), isa, source).unwrap()
}

/// Random values of the scale of trained weights.
fn random_weights(tensors: Vec<(String, Vec<usize>)>) -> impl Fn(&str) -> Option<Cow<'static, [f32]>> {
    let shapes: HashMap<String, Vec<usize>> = tensors.into_iter().collect();
    move |name: &str| {
        let shape = shapes.get(name)?;
        let inputs: usize = shape[1..].iter().product();
        let scale = 1.0 / (inputs as f32).sqrt();
        let values = noise(name.len() as u64, shape.iter().product());
        Some(Cow::Owned(values.iter().map(|value| value * scale).collect()))
    }
}

fn random(config: &Denoiser, isa: Isa) -> DenoiserEngine {
    DenoiserEngine::compile(config, isa, random_weights(config.layers().tensors())).unwrap()
}

fn random_branch(config: &ControlNet, isa: Isa) -> ControlEngine {
    ControlEngine::compile(config, isa, random_weights(config.layers().tensors())).unwrap()
}

fn item<'a>(numbers: &'a Fixtures, name: &str, index: usize) -> &'a [f32] {
    let tensor = numbers.get(name);
    let length = tensor.values.len() / tensor.shape[0];
    &tensor.values[index * length..][..length]
}

#[test]
fn predictions_equal_the_reference() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    for isa in Isa::available() {
        let engine = reference(isa);
        let run = |names: [&str; 5], index: usize| {
            let [x, masked, fraction, mean, time] = names.map(|name| item(&numbers, name, index));
            let shape = &numbers.get(names[0]).shape;
            let plan = engine.plan(shape[2], shape[3], 2).unwrap();
            let mut run = plan.start(Known { masked, fraction, mean: Some(mean), steering: None }).unwrap();
            run.predict(x, f64::from(time[0]), &|_| true).unwrap()
        };
        for index in 0..2 {
            let names = ["batch.noise", "batch.condition", "batch.share", "batch.mean", "batch.s"];
            assert_close(&run(names, index), item(&numbers, "even.velocity", index), TOLERANCE);
        }
        let names = ["odd.x", "odd.condition", "odd.mask", "odd.mean", "odd.s"];
        assert_close(&run(names, 0), item(&numbers, "odd.stage.velocity", 0), TOLERANCE);
    }
}

/// One and several threads give the same bits, and a second prediction those of the first.
#[test]
fn a_run_gives_the_same_bits_again_and_on_any_number_of_threads() {
    let config = Denoiser { latent: 20, width: 32, levels: vec![1, 2, 3], blocks: 2, mean: false };
    for isa in Isa::available() {
        let engine = random(&config, isa);
        for [rows, columns] in [[5, 5], [9, 14], [17, 6]] {
            let cells = rows * columns;
            let (x, masked, fraction) = (noise(1, 20 * cells), noise(2, 20 * cells), noise(3, cells));
            let predict = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let plan = engine.plan(rows, columns, threads).unwrap();
                    let known = Known { masked: &masked, fraction: &fraction, mean: None, steering: None };
                    let mut run = plan.start(known).unwrap();
                    let first = run.predict(&x, 0.3, &|_| true).unwrap();
                    let other = run.predict(&x, 0.9, &|_| true).unwrap();
                    assert!(worst_difference(&first, &other).unwrap().size() > 1e-3, "the time is ignored");
                    assert_eq!(run.predict(&x, 0.3, &|_| true).unwrap(), first);
                    first
                })
            };
            assert_eq!(predict(1), predict(3), "{isa}, {rows} x {columns}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_both_values() {
    let engine = random(&DenoiserSize::S.denoiser(16), Isa::best());
    let error = engine.plan(4, 9, 1).unwrap_err().to_string();
    assert!(error.contains("4 x 9 cells") && error.contains("sides of 5"), "{error}");
    let start = |masked: usize, mean: Option<&[f32]>| {
        let (masked, fraction) = (vec![0.0; masked], [0.0; 25]);
        engine.plan(5, 5, 1).unwrap().start(Known {
            masked: &masked,
            fraction: &fraction,
            mean,
            steering: None,
        })
    };
    let error = start(399, None).unwrap_err().to_string();
    assert_eq!(error, "latent of the masked image has 399 values, the plan expects 400");
    let error = start(400, Some(&[0.0; 400])).unwrap_err().to_string();
    assert_eq!(error, "latent of the fill has 400 values, the plan expects 0");
    let mut run = start(400, None).unwrap();
    assert!(matches!(run.predict(&[0.0; 400], 0.5, &|done| done < 0.5), Err(Error::Stopped)));
    let missing = DenoiserEngine::compile(&config(), Isa::best(), |_| None).unwrap_err();
    assert!(matches!(missing, Error::MissingTensor(_)), "{missing}");
    let none = Denoiser { width: 24, ..config() };
    let error = DenoiserEngine::compile(&none, Isa::best(), |_| None).unwrap_err().to_string();
    assert!(error.contains("a width of 24"), "{error}");
}

/// The branch of the reference: before training it changes no bit; after a step the whole and half of its strength are the reference's.
#[test]
fn steered_predictions_equal_the_reference() {
    let numbers = fixtures::load("diffusion/stages.safetensors");
    let control_numbers = fixtures::load("diffusion/control.safetensors");
    let denoiser_numbers = fixtures::load("diffusion/denoiser.safetensors");
    for isa in Isa::available() {
        let engine = reference(isa);
        let branch = |rate: f32| {
            let source = |name: &str| {
                let reference = reference_name(name);
                // The first step of Adam moves the zero convolutions alone, each weight by the learning rate.
                if let Some(gradient) = control_numbers.find(&format!("step_1.grad.{reference}")) {
                    let moved = gradient.values.iter().map(|&entry| -rate * entry / (entry.abs() + 1e-8));
                    return Some(Cow::Owned(moved.collect()));
                }
                let found = control_numbers.find(&format!("start.{reference}"));
                Some(Cow::Owned(found.or_else(|| denoiser_numbers.find(&reference))?.values.clone()))
            };
            ControlEngine::compile(&control_config(), isa, source).unwrap()
        };
        let run = |control: Option<&ControlEngine>, strength: f32, index: usize| {
            let names = ["batch.noise", "batch.condition", "batch.share", "batch.mean", "batch.s"];
            let [x, masked, fraction, mean, time] = names.map(|name| item(&numbers, name, index));
            let sides = [8, 10];
            let hint = control.map(|control| {
                let hint = item(&control_numbers, "hint", index);
                control.encode_hint(hint, sides, 2, &|_| true).unwrap()
            });
            let plan = match control {
                Some(control) => engine.plan_steered(control, sides, 2).unwrap(),
                None => engine.plan(8, 10, 2).unwrap(),
            };
            let steering = hint.as_deref().map(|hint| Steering { hint, strength });
            let mut run = plan.start(Known { masked, fraction, mean: Some(mean), steering }).unwrap();
            run.predict(x, f64::from(time[0]), &|_| true).unwrap()
        };
        let [new, trained] = [0.0, 1e-2].map(branch);
        for index in 0..2 {
            let plain = run(None, 1.0, index);
            assert_eq!(run(Some(&new), 1.0, index), plain, "{isa}");
            assert_eq!(run(Some(&trained), 0.0, index), plain, "{isa}");
            for (strength, name) in [(1.0, "step_1.velocity"), (0.5, "step_1.velocity_half_strength")] {
                assert_close(
                    &run(Some(&trained), strength, index),
                    item(&control_numbers, name, index),
                    TOLERANCE,
                );
            }
        }
    }
}

#[test]
fn a_steered_run_gives_the_same_bits_on_any_number_of_threads() {
    let denoiser = Denoiser { latent: 20, width: 32, levels: vec![1, 2, 3], blocks: 2, mean: false };
    let config = ControlNet { hint_widths: [8, 16, 20, 40], ..ControlNet::new(denoiser.clone()) };
    let sides = [9, 14];
    let cells = sides[0] * sides[1];
    let (x, masked, fraction) = (noise(1, 20 * cells), noise(2, 20 * cells), noise(3, cells));
    let [one, other] =
        [4, 5].map(|seed| noise(seed, 4 * 64 * cells).iter().map(|value| 50.0 * value).collect::<Vec<_>>());
    for isa in Isa::available() {
        let (engine, control) = (random(&denoiser, isa), random_branch(&config, isa));
        let predict = |hint: &[f32], threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let hint = control.encode_hint(hint, sides, threads, &|_| true).unwrap();
                let steering = Some(Steering { hint: &hint, strength: 1.0 });
                let known = Known { masked: &masked, fraction: &fraction, mean: None, steering };
                let plan = engine.plan_steered(&control, sides, threads).unwrap();
                let mut run = plan.start(known).unwrap();
                let first = run.predict(&x, 0.3, &|_| true).unwrap();
                run.predict(&x, 0.9, &|_| true).unwrap();
                assert_eq!(run.predict(&x, 0.3, &|_| true).unwrap(), first);
                first
            })
        };
        let first = predict(&one, 1);
        assert_eq!(predict(&one, 3), first, "{isa}");
        let differs = worst_difference(&predict(&other, 2), &first).unwrap().size();
        assert!(differs > 1e-3, "the hint is ignored: {differs:e}");
    }
}

#[test]
fn branches_and_hints_that_do_not_fit_are_refused() {
    let denoiser = DenoiserSize::S.denoiser(16);
    let engine = random(&denoiser, Isa::best());
    let control = random_branch(&ControlNet::new(denoiser), Isa::best());
    let other = random_branch(&control_config(), Isa::best());
    let error = engine.plan_steered(&other, [5, 5], 1).unwrap_err().to_string();
    assert!(error.contains("denoiser-c4-w16") && error.contains("denoiser-c16-w64"), "{error}");
    let error = control.encode_hint(&[0.0; 4], [5, 5], 1, &|_| true).unwrap_err().to_string();
    assert_eq!(error, "hint has 4 values, the plan expects 6400");
    let stopped = control.encode_hint(&[0.0; 6400], [5, 5], 1, &|_| false);
    assert!(matches!(stopped, Err(Error::Stopped)));
    let (masked, fraction) = ([0.0; 400], [0.0; 25]);
    let known = |steering| Known { masked: &masked, fraction: &fraction, mean: None, steering };
    let plan = || engine.plan_steered(&control, [5, 5], 1).unwrap();
    let error = plan().start(known(None)).unwrap_err().to_string();
    assert_eq!(error, "encoded hint has 0 values, the plan expects 1600");
    let hint = [0.0; 1600];
    let steering = Some(Steering { hint: &hint, strength: 1.0 });
    assert!(plan().start(known(steering)).is_ok());
    let error = engine.plan(5, 5, 1).unwrap().start(known(steering)).unwrap_err().to_string();
    assert_eq!(error, "encoded hint has 1600 values, the plan expects 0");
    assert!(control.hint_bytes(5, 5, 1) > 2 * 16 * 40 * 40 * 4);
}
