//! The engine's denoiser against the reference.

use std::collections::HashMap;

use lacuna_network::DenoiserSize;
use testkit::denoiser::{config, reference_name};
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

/// A denoiser with random weights of the scale of a trained one.
fn random(config: &Denoiser, isa: Isa) -> DenoiserEngine {
    let shapes: HashMap<String, Vec<usize>> = config.layers().tensors().into_iter().collect();
    let source = |name: &str| {
        let shape = shapes.get(name)?;
        let inputs: usize = shape[1..].iter().product();
        let scale = 1.0 / (inputs as f32).sqrt();
        let values = noise(name.len() as u64, shape.iter().product());
        Some(Cow::Owned(values.iter().map(|value| value * scale).collect()))
    };
    DenoiserEngine::compile(config, isa, source).unwrap()
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
            let mut run = plan.start(Known { masked, fraction, mean: Some(mean) }).unwrap();
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
                    let known = Known { masked: &masked, fraction: &fraction, mean: None };
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
        engine.plan(5, 5, 1).unwrap().start(Known { masked: &masked, fraction: &fraction, mean })
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
