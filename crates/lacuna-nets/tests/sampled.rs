//! Networks with several answers: the CPU engine compared with Burn, and what holds for their answers.

use std::path::PathBuf;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use lacuna::checkpoint::{Checkpoint, NamedTensor, Storage, save};
use lacuna::patchmatch::{PatchMatch, PatchMatchConfig};
use lacuna::{EnginePredictor, Guided, Mask, Planes, Predictor, Refinement};
use lacuna_nets::weights::{Weight, is_statistic, load};
use lacuna_nets::{DeviceName, Generator, NetworkPredictor};
use lacuna_network::{Delta, Family, Shape};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use testkit::{assert_close, fixtures, pictures};

/// On predictions in `[0, 1]`, through all layers.
const TOLERANCE: f32 = 2e-5;

/// Smallest difference of two answers that are not the same: well above what engine and Burn differ by. Of a latent of 2 x 2 places
/// answers differ by 8e-4.
const DIFFERENCE: f32 = 10.0 * TOLERANCE;

/// The sampled network of the reference as a weights file.
fn reference(folder: &tempfile::TempDir) -> PathBuf {
    let base = Checkpoint::open(fixtures::path("systems/base.safetensors")).unwrap();
    let plain = Generator::from_checkpoint(&base, &Device::flex()).unwrap();
    let config = Family::Sampled.network(base.config().shape().clone());
    let weights = fixtures::load("systems/sampled_weights.safetensors");
    let fresh = Generator::new(&config, Pcg64::seed_from_u64(1), &Device::flex()).unwrap();
    let mut generator = fresh.starting_from(&plain).unwrap();
    generator.modulation = generator.modulation.map(|modulation| {
        let found = |name: &str| weights.find(name).cloned();
        load(modulation, |name| found(name).map(|one| Weight { shape: one.shape, values: one.values }))
            .unwrap()
    });
    write(&generator, folder)
}

fn write(generator: &Generator, folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("sampled.safetensors");
    let tensors = generator.weights().unwrap().into_iter().map(|named| NamedTensor {
        name: named.name,
        shape: named.weight.shape,
        values: named.weight.values.into(),
    });
    save(&path, generator.config(), "test", tensors, Storage::F32).unwrap();
    path
}

/// A network with mask control and a signed delta, whose answers differ.
fn drawn(folder: &tempfile::TempDir, width: usize, delta: Delta) -> PathBuf {
    let shape = Shape { channels_in: 3, width, blocks: 3, control: true, delta };
    let config = Family::Sampled.network(shape);
    let generator = Generator::new(&config, Pcg64::seed_from_u64(2), &Device::flex()).unwrap();
    let mut seed = 0;
    let generator = load(generator.clone(), |name| {
        let named = generator.weights().unwrap().into_iter().find(|named| named.name == name)?;
        let mut weight = named.weight;
        seed += 1;
        let noise = pictures::noise(seed, weight.values.len());
        let strength = match name.split('.').next() {
            Some("styles") => Some(0.2),
            Some("control") if name.starts_with("control.zero") => Some(0.2),
            Some("noise") => Some(1.0),
            _ => None,
        };
        if let Some(strength) = strength.filter(|_| !is_statistic(name)) {
            weight.values = noise.into_iter().map(|noise| strength * noise).collect();
        }
        Some(weight)
    });
    write(&generator.unwrap(), folder)
}

fn engine(path: &PathBuf) -> EnginePredictor {
    EnginePredictor::new(&Checkpoint::open(path).unwrap()).unwrap()
}

fn burn(path: &PathBuf) -> NetworkPredictor {
    let checkpoint = Checkpoint::open(path).unwrap();
    let generator = Generator::from_checkpoint(&checkpoint, &Device::flex()).unwrap();
    NetworkPredictor::new(generator.valid(), DeviceName::Cpu).unwrap()
}

fn scene(width: usize, height: usize) -> (Planes, Mask) {
    let image = Planes::new(width, height, pictures::picture(width, height));
    (image, Mask::new(width, height, pictures::hole(width, height)))
}

/// The values inside the hole.
fn in_hole(predicted: &Planes, mask: &Mask) -> Vec<f32> {
    let pixels = predicted.values().iter().zip(mask.hole().iter().cycle());
    pixels.filter(|(_, hole)| **hole).map(|(value, _)| *value).collect()
}

fn distance(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn the_engine_gives_burns_answers() {
    let folder = tempfile::tempdir().unwrap();
    let networks: [&dyn Fn() -> PathBuf; 3] =
        [&|| reference(&folder), &|| drawn(&folder, 8, Delta::Signed), &|| drawn(&folder, 3, Delta::Literal)];
    for (number, network) in networks.iter().enumerate() {
        let path = network();
        let (engine, burn) = (engine(&path), burn(&path));
        for [width, height] in [[56, 48], [16, 16], [40, 24], [72, 104]] {
            let (image, mask) = scene(width, height);
            let answers = [0, 1, u64::MAX].map(|seed| {
                let [engine, burn] = [&engine as &dyn Predictor, &burn]
                    .map(|network| in_hole(&network.predict(&image, &mask, seed).unwrap(), &mask));
                let worst = distance(&engine, &burn);
                assert!(worst <= TOLERANCE, "network {number}, {width} x {height}, seed {seed}: {worst:e}");
                engine
            });
            assert!(distance(&answers[0], &answers[1]) > DIFFERENCE, "network {number}: answers are equal");
        }
    }
}

#[test]
fn an_answer_has_the_same_bits_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&reference(&folder));
    let (image, mask) = scene(104, 88);
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| engine.predict(&image, &mask, seed).unwrap())
    };
    for seed in [0, 5] {
        let expected = run(1, seed);
        for threads in [2, 8] {
            assert_eq!(run(threads, seed), expected, "seed {seed} on {threads} threads");
        }
    }
}

#[test]
fn it_cannot_be_refined() {
    let folder = tempfile::tempdir().unwrap();
    let path = reference(&folder);
    let (engine, burn) = (Arc::new(engine(&path)), Arc::new(burn(&path)));
    let refused = |error: lacuna::Error| assert!(error.to_string().contains("several answers"), "{error}");
    assert!(!engine.can_refine() && !burn.can_refine());
    refused(Arc::clone(&engine).refined(Refinement::new(3, None)).err().unwrap());
    refused(burn.refined(Refinement::new(3, None)).err().unwrap());
    assert!(engine.name().starts_with("sampled-w8-b2 (cpu"), "{}", engine.name());
}

#[test]
fn memory_of_an_answer_is_forecast() {
    let folder = tempfile::tempdir().unwrap();
    let sampled = engine(&reference(&folder));
    let plain = EnginePredictor::new(&Checkpoint::open(fixtures::path("systems/base.safetensors")).unwrap());
    let plain = plain.unwrap();
    assert!(sampled.forecast_bytes(64, 64) > plain.forecast_bytes(64, 64));
    assert!(sampled.resident_bytes() > plain.resident_bytes());
}

#[test]
fn it_guides_patchmatch() {
    let folder = tempfile::tempdir().unwrap();
    let patchmatch = PatchMatch::new(PatchMatchConfig::default());
    let guided = Guided::new(Arc::new(engine(&reference(&folder))), patchmatch);
    let (image, mask) = scene(96, 80);
    let [one, again, other] = [1, 1, 2].map(|seed| guided.predict(&image, &mask, seed).unwrap());
    assert_close(one.values(), again.values(), 0.0);
    assert!(distance(&in_hole(&one, &mask), &in_hole(&other, &mask)) > 0.0);
}
