//! The CPU engine against Burn.

use std::borrow::Cow;

use lacuna_cpu::Isa;
use lacuna_cpu::engine::{DenoiserEngine, Known};

use super::*;

/// Winograd's transforms cost a few bits.
const ENGINE_TOLERANCE: f32 = 2e-5;

/// Sides of latents of images from 40 to 512 pixels.
const SIDES: [[usize; 2]; 5] = [[5, 5], [7, 13], [16, 16], [33, 18], [64, 64]];

#[test]
fn the_engine_predicts_what_burn_predicts() {
    let config = DenoiserSize::S.denoiser(128);
    // A new network predicts zero: its last layers get values, too.
    let network = randomised(Denoiser::new(&config, rng(1), &Device::flex()).unwrap());
    let tensors: std::collections::HashMap<String, Vec<f32>> = weights::read(&network)
        .unwrap()
        .into_iter()
        .map(|named| {
            // Of the scale of trained weights: sums keep the size of their summands.
            let inputs: usize = named.weight.shape[1..].iter().product();
            let scale = 1.0 / (inputs as f32).sqrt();
            (named.name, named.weight.values.iter().map(|value| value * scale).collect())
        })
        .collect();
    let source = |name: &str| {
        let shape = weights::shapes(&network).into_iter().find(|named| named.name == name)?.shape;
        Some(weights::Weight { shape, values: tensors.get(name)?.clone() })
    };
    let network = weights::load(network.clone(), source).unwrap();
    let engine = DenoiserEngine::compile(&config, Isa::best(), |name| {
        tensors.get(name).map(|values| Cow::Borrowed(values.as_slice()))
    })
    .unwrap();
    for ([height, width], time) in SIDES.into_iter().zip([0.0, 0.3, 0.5, 0.9, 1.0]) {
        let latent = [1, 128, height, width];
        let [x, masked] = [1, 2].map(|seed| random(latent, seed));
        let fraction = random([1, 1, height, width], 3).abs();
        let known = [&masked, &fraction].map(|tensor| values(tensor.clone()));
        let condition = Condition { masked, fraction, mean: None };
        let expected = values(network.forward(x.clone(), &[time], &condition).unwrap());
        let plan = engine.plan(height, width, 2).unwrap();
        let mut run =
            plan.start(Known { masked: &known[0], fraction: &known[1], mean: None, steering: None }).unwrap();
        let found = run.predict(&values(x), time, &|_| true).unwrap();
        assert!(expected.iter().any(|value| value.abs() > 0.1), "nothing is predicted");
        assert_close(&found, &expected, ENGINE_TOLERANCE);
    }
}
