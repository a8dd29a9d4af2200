//! Training steps of context encoders against PyTorch, and what must hold for them.

use burn::tensor::Tensor;
use lacuna_nets::net::context_encoder::unsigned;
use lacuna_nets::weights::{self, Weight};
use lacuna_nets::{ContextEncoder, Network};
use testkit::fixtures::{self, Fixtures};
use testkit::{assert_close, worst_difference};

use super::*;
use crate::config::RunConfig;
use crate::data::Batch;
use crate::loss::Term;
use crate::testing::{context_discriminator_name, device, from_fixture};

/// Largest difference of two correct implementations after two rounds is 9e-6, in the full connection.
const TOLERANCE: f32 = 2e-5;

const BOTTLENECK: &str = r#"{ bottleneck = { channels = 16 } }"#;
const ADVERSARIAL: &str = "adversarial = { weight = 0.001, width = 4, learning_rate = 2e-4 }";

fn config(width: usize, middle: &str, loss: &str, batch: usize) -> RunConfig {
    let text = format!(
        r#"
        task = "inpainting"
        seed = 1
        network = {{ family = "context-encoder", side = 32, hole = "region", width = {width}, middle = {middle} }}
        data = {{ train = [{{ kind = "folder", path = "none" }}], side = 32, augment = "none", masks = {{ kind = "blob" }} }}
        optimizer = {{ learning_rate = 2e-3, betas = [0.5, 0.999] }}
        ema = {{ on = false }}
        run = {{ steps = 300, batch = {batch} }}
        {loss}
        "#
    );
    RunConfig::parse(&text, &[]).unwrap()
}

fn joint(rest: &str) -> String {
    format!("loss.context = {{ reconstruction = 0.999, known = 1.0, {rest} }}")
}

/// PyTorch's name of a tensor of the network: see `context_encoder.rs` of lacuna-nets.
fn published(prefix: &str, name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let (part, rest) = (parts[0], &parts[1..]);
    let (stage, rest) = match part {
        "middle" => (0, rest),
        _ => (rest[0].parse::<usize>().unwrap(), &rest[1..]),
    };
    let first = if part == "encoder" { (3 * stage).saturating_sub(1) } else { 3 * stage };
    format!("{prefix}network.{part}.{}.{}", first + usize::from(rest[0] == "norm"), rest[1])
}

fn fixture(numbers: &Fixtures, name: &str) -> Option<Weight> {
    let found = numbers.find(name)?;
    Some(Weight { shape: found.shape.clone(), values: found.values.clone() })
}

#[test]
fn two_rounds_are_pytorchs() {
    let numbers = fixtures::load("context/training.safetensors");
    let mut learner = Learner::new(config(4, BOTTLENECK, &joint(ADVERSARIAL), 6), &[device()]).unwrap();
    let Network::ContextEncoder(network) = learner.parts.generator.clone() else { panic!("another network") };
    let start: ContextEncoder =
        weights::load(network, |name| fixture(&numbers, &published("start.", name))).unwrap();
    learner.parts.generator = start.into();
    let adversary = learner.parts.pixels.as_mut().unwrap();
    adversary.network = weights::load(adversary.network.clone(), |name| {
        fixture(&numbers, &context_discriminator_name("start.discriminator.", name))
    })
    .unwrap();
    let image = unsigned(from_fixture::<4>(numbers.get("image")));
    for (round, expected) in numbers.get("losses").values.chunks(4).enumerate() {
        let mask: Tensor<4> = from_fixture::<4>(numbers.get(&format!("hole_{round}"))).repeat_dim(0, 6);
        let report = learner.step_on(&[Pictures { image: image.clone(), mask }], &[]).unwrap();
        let of = |wanted: Term| report.terms.iter().find(|(term, _)| *term == wanted).unwrap().1;
        let (squared, adversarial) = (of(Term::ContextMse), of(Term::Adversarial));
        let own = of(Term::DiscriminatorReal) + of(Term::DiscriminatorFake);
        let joint = 0.999 * squared + 0.001 * adversarial;
        assert_close(&[own, joint, squared, adversarial], expected, 1e-5);
    }
    let check = |name: &str, reference: &str, values: &[f32]| {
        let worst = worst_difference(values, &numbers.get(reference).values).unwrap().size();
        assert!(worst <= TOLERANCE, "{name} is off by {worst:e}");
    };
    for named in learner.parts.generator.weights().unwrap() {
        check(&named.name, &published("end.", &named.name), &named.weight.values);
    }
    for named in weights::read(&learner.parts.pixels.unwrap().network).unwrap() {
        let reference = context_discriminator_name("end.discriminator.", &named.name);
        check(&named.name, &reference, &named.weight.values);
    }
}

fn batch(count: usize, seed: u64) -> Batch {
    let images = (0..count).flat_map(|index| {
        // Smooth images that differ in colour and direction.
        let [red, green, blue] = [0.2, 0.5, 0.8].map(|shift| shift + 0.05 * index as f32);
        [red, green, blue].map(|value| {
            (0..32 * 32).map(move |at| {
                let (x, y) = ((at % 32) as f32 / 32.0, (at / 32) as f32 / 32.0);
                0.5 * (value + if index % 2 == 0 { x } else { y }) % 1.0
            })
        })
    });
    let masks = (0..count * 32 * 32).map(|at| {
        let (x, y) = (at % 32, at / 32 % 32);
        let start = 8 + (seed as usize % 4);
        f32::from((start..start + 12).contains(&x) && (start..start + 12).contains(&y))
    });
    Batch {
        side: 32,
        images: images.flatten().collect(),
        masks: masks.collect(),
        names: vec!["a".into(); count],
    }
}

/// Reference specification C.9, item 9.
#[test]
fn eight_images_are_learned_by_heart() {
    let mut learner = Learner::new(config(8, "\"channel-wise\"", &joint(""), 8), &[device()]).unwrap();
    assert!(learner.parts.pixels.is_none());
    let mut last = f32::INFINITY;
    for step in 0..300 {
        let report = learner.step(&[batch(8, step)]).unwrap();
        assert_eq!(report.terms.len(), 1);
        last = report.terms[0].1;
    }
    assert!(last < 0.01, "{last}");
}

#[test]
fn single_images_and_several_batches_are_refused() {
    let mut learner = Learner::new(config(2, BOTTLENECK, &joint(ADVERSARIAL), 2), &[device()]).unwrap();
    let error = learner.step(&[batch(1, 0)]).unwrap_err().to_string();
    assert!(error.contains("at least 2 images, got 1"), "{error}");
    let error = learner.step(&[batch(2, 0), batch(2, 1)]).unwrap_err().to_string();
    assert!(error.contains("one batch per step, got 2"), "{error}");
}

#[test]
fn a_restored_learner_goes_on_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let make = || {
        let mut config = config(2, "\"channel-wise\"", &joint(ADVERSARIAL), 4);
        config.ema.on = true;
        Learner::new(config, &[device()]).unwrap()
    };
    let mut learner = make();
    for step in 0..2 {
        learner.step(&[batch(4, step)]).unwrap();
    }
    let path = folder.path().join("checkpoint.safetensors");
    crate::checkpoint::save(&path, &learner, Default::default()).unwrap();
    let mut restored = make();
    crate::checkpoint::open(&path).unwrap().restore(&mut restored).unwrap();
    for step in 2..4 {
        let one = learner.step(&[batch(4, step)]).unwrap();
        assert_eq!(restored.step(&[batch(4, step)]).unwrap(), one);
    }
    let values = |learner: &Learner| learner.averaged().weights().unwrap();
    assert_eq!(values(&restored), values(&learner));
}
