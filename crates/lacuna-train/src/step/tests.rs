//! Training steps against PyTorch, and properties that hold for every kind of run.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use lacuna::checkpoint::{Checkpoint, NamedTensor, Storage, save};
use lacuna_nets::weights::{self, NamedWeight, Weight, is_statistic};
use lacuna_nets::{Generator, Network};
use safetensors::tensor::{Dtype, TensorView, serialize};
use tempfile::TempDir;
use testkit::fixtures::{self, Fixtures};
use testkit::{assert_close, worst_difference};

use super::*;
use crate::config::{Loss, Noise, RunConfig};
use crate::data::Batch;
use crate::loss::{Needs, Term};
use crate::testing::{device, from_fixture};

mod sampled;

const LOSS_TOLERANCE: f32 = 1e-5;
/// Difference of two correct implementations after three steps.
const TOLERANCE: f32 = 1e-4;
/// A bias before a norm in train mode has gradient 0. Adam takes full steps along its rounding noise: at most three of
/// one implementation in one direction, and three of the other in the opposite direction.
const IDLE_BIAS_TOLERANCE: f32 = 6e-3;

/// Whether `name` is a bias before a norm, or the running mean after such a bias.
fn follows_noise(name: &str) -> bool {
    let layer = name.starts_with("decoder.up.") || name.starts_with("control.encoder.");
    layer && (name.ends_with(".conv.bias") || name.ends_with(".norm.running_mean"))
}

/// Writes the network whose published names follow `prefix` as one of our weights files.
fn network(numbers: &Fixtures, prefix: &str, path: &Path) -> Generator {
    let tensors: HashMap<&str, (&[usize], &[u8])> = numbers
        .names()
        .filter_map(|name| Some((name.strip_prefix(prefix)?, numbers.get(name))))
        .map(|(name, fixture)| (name, (fixture.shape.as_slice(), bytemuck::cast_slice(&fixture.values))))
        .collect();
    let views = tensors
        .iter()
        .map(|(name, (shape, bytes))| (name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    std::fs::write(path, serialize(views, None).unwrap()).unwrap();
    Generator::from_checkpoint(&Checkpoint::open(path).unwrap(), &Device::flex()).unwrap()
}

fn write(generator: &Network, path: &Path) {
    let tensors = generator.weights().unwrap().into_iter().map(|named| NamedTensor {
        name: named.name,
        shape: named.weight.shape,
        values: named.weight.values.into(),
    });
    save(path, generator.config(), "test", tensors, Storage::F32).unwrap();
}

/// A run file for tests: width 4, one block, one batch of two per step.
fn config(task: &str, conditioning: &str, rest: &str) -> RunConfig {
    config_of("fourier", task, conditioning, rest)
}

fn config_of(family: &str, task: &str, conditioning: &str, rest: &str) -> RunConfig {
    let text = format!(
        r#"
        task = "{task}"
        seed = 1
        network = {{ family = "{family}", width = 4, blocks = 1, conditioning = "{conditioning}" }}
        data = {{ train = [{{ kind = "folder", path = "none" }}], side = 32, augment = "none", masks = "train-256" }}
        optimizer = {{ learning_rate = 1e-3, clip = 1.0 }}
        run = {{ steps = 3, batch = 2 }}
        {rest}
        "#
    );
    RunConfig::parse(&text, &[]).unwrap()
}

struct Run {
    folder: TempDir,
}

impl Run {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new autoencoder's file, for the start of a run file.
    fn autoencoder(&self, seed: u64) -> PathBuf {
        let mut config = config("autoencoder", "none", "loss.pixel_mse = { weight = 1.0 }");
        config.seed = seed;
        let path = self.path("autoencoder.safetensors");
        write(&Learner::new(config, &[device()]).unwrap().parts.generator, &path);
        path
    }
}

fn pictures(numbers: &Fixtures, step: usize) -> Pictures {
    let [image, mask] = ["image", "mask"].map(|kind| from_fixture(numbers.get(&format!("{kind}_{step}"))));
    Pictures { image, mask }
}

fn random_batch(seed: u64) -> Batch {
    let images = testkit::pictures::noise(seed, 2 * 3 * 32 * 32).into_iter().map(f32::abs).collect();
    let masks =
        testkit::pictures::noise(seed + 1, 2 * 32 * 32).into_iter().map(|value| f32::from(value > 0.5));
    Batch { side: 32, images, masks: masks.collect(), names: vec!["a".into(), "b".into()] }
}

/// Trains from the fixture's start on its batches; compares losses and final weights.
fn assert_steps(name: &str, task: &str, conditioning: &str, loss: &str) {
    let numbers = fixtures::load(&format!("training/{name}.safetensors"));
    let run = Run::new();
    let start = network(&numbers, "start.", &run.path("raw.safetensors"));
    write(&start.clone().into(), &run.path("start.safetensors"));
    let mut rest = format!("{loss}\nstart.network = {:?}\n", run.path("start.safetensors"));
    if conditioning == "control" {
        let mut plain = start.clone();
        plain.control = None;
        let shape = start.config().with(|shape| shape.control = false);
        let all: BTreeMap<_, _> =
            plain.weights().unwrap().into_iter().map(|named| (named.name, named.weight)).collect();
        let autoencoder = Generator::load(&shape, |name| all.get(name).cloned(), &Device::flex()).unwrap();
        write(&autoencoder.into(), &run.path("autoencoder.safetensors"));
        rest += &format!(
            "start.autoencoder = {:?}\nstart.freeze = [\"encoder\", \"decoder\"]\n",
            run.path("autoencoder.safetensors")
        );
    }
    let mut learner = Learner::new(config(task, conditioning, &rest), &[device()]).unwrap();
    for (step, expected) in numbers.get("losses").values.iter().enumerate() {
        let report = learner.step_on(&[pictures(&numbers, step)], &[]).unwrap();
        assert_close(&[report.terms[0].1], &[*expected], LOSS_TOLERANCE);
    }
    let end = network(&numbers, "end.", &run.path("raw.safetensors"));
    let expected: HashMap<String, Weight> =
        end.weights().unwrap().into_iter().map(|NamedWeight { name, weight }| (name, weight)).collect();
    for NamedWeight { name, weight } in learner.parts.generator.weights().unwrap() {
        let worst = worst_difference(&weight.values, &expected[&name].values).expect("numbers").size();
        let allowed = if follows_noise(&name) { IDLE_BIAS_TOLERANCE } else { TOLERANCE };
        assert!(worst <= allowed, "{name} is off by {worst:e}, allowed {allowed:e}");
    }
}

#[test]
fn the_autoencoders_steps_are_pytorchs() {
    assert_steps("autoencoder", "autoencoder", "none", "loss.pixel_mse = { weight = 1.0 }");
}

#[test]
fn the_pixel_baselines_steps_are_pytorchs() {
    assert_steps("pixel_baseline", "inpainting", "alpha", "loss.pixel_l1 = { known = 1.0, hole = 1.0 }");
}

#[test]
fn the_latent_control_steps_are_pytorchs() {
    assert_steps("latent_control", "inpainting", "control", "loss.latent_l1 = { weight = 1.0 }");
}

fn named(generator: &Network) -> BTreeMap<String, Vec<f32>> {
    generator.weights().unwrap().into_iter().map(|named| (named.name, named.weight.values)).collect()
}

/// Names of tensors in which two networks differ.
fn changed(before: &Network, after: &Network) -> Vec<String> {
    let after = named(after);
    named(before).into_iter().filter(|(name, values)| after[name] != *values).map(|(name, _)| name).collect()
}

#[test]
fn frozen_parts_stay_and_latent_losses_never_decode() {
    let run = Run::new();
    let autoencoder = run.autoencoder(7);
    for conditioning in ["alpha", "control", "latent-add"] {
        let rest = format!(
            "loss.latent_l1 = {{ weight = 1.0 }}\nstart = {{ autoencoder = {autoencoder:?}, freeze = [\"encoder\", \"decoder\"] }}"
        );
        let mut learner = Learner::new(config("inpainting", conditioning, &rest), &[device()]).unwrap();
        // A decoder that ran would turn everything into NaN.
        let mut broken = learner.parts.generator.generator().unwrap().clone();
        let shapes = weights::shapes(&broken.decoder);
        broken.decoder = weights::load(broken.decoder, |name| {
            let found = shapes.iter().find(|named| named.name == name)?.clone();
            Some(Weight { values: vec![f32::NAN; found.shape.iter().product()], shape: found.shape })
        })
        .unwrap();
        learner.parts.generator = broken.into();
        let before = learner.parts.generator.clone();
        for step in 0..2 {
            learner.step(&[random_batch(step)]).unwrap();
        }
        let changed = changed(&before, &learner.parts.generator);
        let changed: Vec<&String> = changed.iter().filter(|name| !name.starts_with("decoder.")).collect();
        assert!(changed.iter().any(|name| name.starts_with("refiner.blocks.0.second")), "{changed:?}");
        let encoder: Vec<&&String> = changed.iter().filter(|name| name.starts_with("encoder.")).collect();
        match conditioning {
            "alpha" => assert_eq!(encoder, [&"encoder.stem.ffc.local_to_local.weight"]),
            _ => assert_eq!(encoder.len(), 0, "{encoder:?}"),
        }
        let zero = changed.iter().filter(|name| name.starts_with("control.zero.")).count();
        assert_eq!(
            zero,
            match conditioning {
                "alpha" => 0,
                "control" => 4,
                _ => 1,
            },
            "{changed:?}"
        );
        for (name, values) in named(&learner.parts.generator) {
            let decoder = name.starts_with("decoder.");
            assert_eq!(values.iter().all(|value| value.is_finite()), !decoder, "{name}");
        }
    }
}

const FULL: &str = r#"
    [loss]
    pixel_l1 = { known = 10.0, hole = 0.0 }
    latent_l1 = { weight = 0.001, region = { reach = 1, outside = 0.1 } }
    adversarial = { weight = 10.0, r1 = 0.001, width = 4, learning_rate = 1e-4 }
    feature_matching_mse = { weight = 100.0 }
    latent_adversarial = { weight = 0.1, r1 = 0.001, learning_rate = 1e-4 }
"#;

fn full(run: &Run, more: &str) -> RunConfig {
    let start = format!("start = {{ autoencoder = {:?} }}", run.autoencoder(7));
    config("inpainting", "control", &format!("{start}\n{more}\n{FULL}"))
}

#[test]
fn all_terms_at_once_go_down() {
    let run = Run::new();
    let mut learner = Learner::new(full(&run, ""), &[device()]).unwrap();
    let batch = [random_batch(1)];
    let first = learner.step(&batch).unwrap();
    let mut last = first.clone();
    for _ in 0..15 {
        last = learner.step(&batch).unwrap();
    }
    let names: Vec<&str> = first.terms.iter().map(|(term, _)| term.name()).collect();
    let expected = [
        "pixel_l1",
        "adversarial",
        "feature_matching_mse",
        "latent_adversarial",
        "latent_l1",
        "discriminator_r1",
        "discriminator_real",
        "discriminator_fake",
        "latent_discriminator_r1",
        "latent_discriminator_real",
        "latent_discriminator_fake",
    ];
    assert_eq!(names, expected);
    assert!(last.terms[0].1 < first.terms[0].1, "{first:?} {last:?}");
    let discriminators = |report: &StepReport| report.terms[6].1 + report.terms[7].1;
    assert!(discriminators(&last) < discriminators(&first), "{first:?} {last:?}");
}

/// All keys of the table `loss`; `VGG` stands for a weights file.
const ALL_TERMS: &str = r#"
    pixel_l1 = { known = 10.0, hole = 1.0 }
    pixel_mse = { weight = 1.0 }
    latent_l1 = { weight = 1.0 }
    vgg16 = { weights = VGG }
    perceptual_mse = { weight = 1.0 }
    style_l1 = { weight = 1.0 }
    adversarial = { weight = 1.0, r1 = 0.001, width = 4, learning_rate = 1e-4 }
    feature_matching_mse = { weight = 1.0 }
    latent_adversarial = { weight = 1.0, r1 = 0.001, learning_rate = 1e-4 }
    best_of_l1 = { weight = 1.0 }
    spread_l1 = { weight = 1.0, wanted = 0.05 }
    mode_seeking_l1 = { weight = 1.0 }
"#;

/// Keys that a term needs beside its own.
fn prerequisite(term: Term) -> &'static str {
    match term {
        Term::PerceptualMse | Term::StyleL1 => "vgg16",
        Term::FeatureMatchingMse => "adversarial",
        _ => "",
    }
}

#[test]
fn every_term_alone_is_computed_and_moves_the_network() {
    let run = Run::new();
    let vgg = run.path("vgg.safetensors");
    let weights = crate::net::vgg::tests::noisy_weights();
    let views = weights.iter().map(|(name, weight)| {
        let bytes = bytemuck::cast_slice(&weight.values);
        (name, TensorView::new(Dtype::F32, weight.shape.clone(), bytes).unwrap())
    });
    std::fs::write(&vgg, serialize(views, None).unwrap()).unwrap();
    let keys = ALL_TERMS.replace("VGG", &format!("{vgg:?}"));
    let start = format!("start = {{ autoencoder = {:?} }}", run.autoencoder(7));
    let sampled = sampled_start(&run);
    let parse = |family: &str, loss: &str| {
        let start = if family == "sampled" { &sampled } else { &start };
        config_of(family, "inpainting", "control", &format!("{start}\n[loss]\n{loss}"))
    };
    // One answer gives all terms but those of several answers.
    let all: Loss = toml::from_str(&keys).unwrap();
    // Without `..`: a new key does not compile until it stands here.
    let Loss {
        pixel_l1: Some(_),
        pixel_mse: Some(_),
        latent_l1: Some(_),
        vgg16: Some(_),
        perceptual_mse: Some(_),
        style_l1: Some(_),
        adversarial: Some(_),
        feature_matching_mse: Some(_),
        latent_adversarial: Some(_),
        // Of context encoders alone; see `context_tests.rs`.
        context: None,
        best_of_l1: Some(_),
        spread_l1: Some(_),
        mode_seeking_l1: Some(_),
    } = all
    else {
        panic!("ALL_TERMS lacks a key: {all:?}");
    };
    for (term, needs) in all.terms() {
        let family = if needs == Needs::Answers { "sampled" } else { "fourier" };
        let is_wanted = |line: &&str| {
            let key = line.split(" =").next().unwrap().trim();
            key == term.name() || (!key.is_empty() && key == prerequisite(term))
        };
        let alone: Vec<&str> = keys.lines().filter(is_wanted).collect();
        let mut learner = Learner::new(parse(family, &alone.join("\n")), &[device()]).unwrap();
        let before = learner.parts.generator.clone();
        let report = learner.step(&[random_batch(1)]).unwrap();
        let value = report.terms.iter().find(|(found, _)| *found == term);
        assert!(value.is_some_and(|(_, value)| value.is_finite()), "{term}: {report:?}");
        assert!(report.gradient_norm > 0.0, "{term}: {report:?}");
        assert!(!changed(&before, &learner.parts.generator).is_empty(), "{term}");
    }
}

/// The start of a run of the sampled family: from a sampled network whose answers differ, so that all terms have gradients.
fn sampled_start(run: &Run) -> String {
    let (path, plain) = (run.path("sampled.safetensors"), run.path("plain.safetensors"));
    let config = config("inpainting", "control", "loss.pixel_mse = { weight = 1.0 }");
    write(&Learner::new(config, &[device()]).unwrap().parts.generator, &plain);
    let start = |path: &Path| {
        format!("start = {{ network = {path:?} }}\nsampling = {{ answers = 2, mapping_rate = 0.1 }}")
    };
    let rest = format!("{}\nloss.best_of_l1 = {{ weight = 1.0 }}", start(&plain));
    let config = config_of("sampled", "inpainting", "control", &rest);
    let generator = Learner::new(config, &[device()]).unwrap().parts.generator;
    let moved = weights::load(generator.valid(), |name| {
        let all = generator.weights().unwrap();
        let mut weight = all.into_iter().find(|named| named.name == name)?.weight;
        if name.starts_with("styles.") || name.starts_with("noise.") {
            let count = weight.values.len();
            weight.values = testkit::pictures::noise(3, count).into_iter().map(|noise| 0.1 * noise).collect();
        }
        Some(weight)
    });
    write(&moved.unwrap(), &path);
    start(&path)
}

#[test]
fn a_divergence_names_step_term_and_photos() {
    let mut config = config("inpainting", "alpha", "loss.pixel_l1 = { known = 1.0, hole = 1.0 }");
    config.optimizer.clip = None;
    let mut learner = Learner::new(config, &[device()]).unwrap();
    let mut bad = random_batch(1);
    bad.images[5] = f32::NAN;
    let error = learner.step(&[bad]).unwrap_err().to_string();
    assert_eq!(error, "step 1: pixel_l1 is NaN; the batch was a, b");
}

#[test]
fn two_batches_average_their_gradients() {
    let run = Run::new();
    let (one, two) = (random_batch(1), random_batch(2));
    let mut learner = Learner::new(full(&run, ""), &[device()]).unwrap();
    learner.step(&[one.clone(), two.clone()]).unwrap();
    // Two devices, which happen to be the same: the same gradients, but every batch starts from the initial statistics.
    let mut parallel = Learner::new(full(&run, ""), &[device(), device()]).unwrap();
    parallel.step(&[one, two]).unwrap();
    for (name, values) in named(&parallel.parts.generator) {
        let expected = &named(&learner.parts.generator)[&name];
        if is_statistic(&name) {
            assert!(values.iter().all(|value| value.is_finite()), "{name}");
        } else if !follows_noise(&name) {
            assert_close(&values, expected, TOLERANCE);
        }
    }
    // Averaged statistics: start + 0.1 (mean of both - start).
    let mean = "encoder.stem.norm_local.running_mean";
    let alone = |seed| {
        let mut learner = Learner::new(full(&run, ""), &[device()]).unwrap();
        learner.step(&[random_batch(seed)]).unwrap();
        named(&learner.parts.generator)[mean].clone()
    };
    let expected: Vec<f32> = alone(1).iter().zip(alone(2)).map(|(one, two)| 0.5 * (one + two)).collect();
    assert_close(&named(&parallel.parts.generator)[mean], &expected, 1e-6);
}

#[test]
fn runs_with_one_seed_start_with_one_refiner() {
    let run = Run::new();
    let start =
        format!("start = {{ autoencoder = {:?} }}\nloss.latent_l1 = {{ weight = 1.0 }}", run.autoencoder(7));
    let refiner = |conditioning| {
        let generator =
            Learner::new(config("inpainting", conditioning, &start), &[device()]).unwrap().parts.generator;
        let all = named(&generator).into_iter();
        all.filter(|(name, _)| {
            !name.starts_with("control") && name != "encoder.stem.ffc.local_to_local.weight"
        })
        .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(refiner("alpha"), refiner("control"));
}

#[test]
fn a_restored_learner_goes_on_bit_for_bit() {
    let run = Run::new();
    let make = || Learner::new(full(&run, "ema = { on = true, decay = 0.9 }"), &[device()]).unwrap();
    let mut learner = make();
    for step in 0..2 {
        learner.step(&[random_batch(step)]).unwrap();
    }
    let path = run.path("checkpoint.safetensors");
    let position = crate::data::Position { epoch: 3, batch: 4 };
    let best = Some(crate::checkpoint::Best { step: 1, value: 0.5 });
    let progress = crate::checkpoint::Progress { position, best, seconds: 1.5 };
    crate::checkpoint::save(&path, &learner, progress).unwrap();
    let saved = crate::checkpoint::open(&path).unwrap();
    assert_eq!((saved.progress(), saved.state.step), (progress, 2));
    let mut restored = make();
    saved.restore(&mut restored).unwrap();
    for step in 2..4 {
        let one = learner.step(&[random_batch(step)]).unwrap();
        assert_eq!(restored.step(&[random_batch(step)]).unwrap(), one);
    }
    assert_eq!(named(&restored.parts.generator), named(&learner.parts.generator));
    assert_eq!(named(&restored.averaged()), named(&learner.averaged()));

    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() - 5;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = crate::checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.contains("SHA-256"), "{error}");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(crate::checkpoint::open(&path).is_err());
}

#[test]
fn an_autoencoder_of_another_width_is_refused() {
    let run = Run::new();
    let start =
        format!("start = {{ autoencoder = {:?} }}\nloss.latent_l1 = {{ weight = 1.0 }}", run.autoencoder(7));
    let mut config = config("inpainting", "control", &start);
    config.network.generator_mut().unwrap().width = 2;
    let error = Learner::new(config, &[device()]).unwrap_err().to_string();
    assert!(error.contains("width 2") && error.contains("width 4"), "{error}");
}
