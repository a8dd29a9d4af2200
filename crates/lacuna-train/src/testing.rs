//! Helpers for the tests of this crate.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::flow::Statistics;
use lacuna_nets::block::Init;
use lacuna_nets::net::denoiser::Condition;
use lacuna_nets::weights::{self, NamedWeight, Weight};
use lacuna_nets::{Denoiser, Generator};
use lacuna_network::{Architecture, ContextEncoder, ContextHole, Delta, Family, Middle, Shape};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use testkit::fixtures::{Fixture, Fixtures};
use testkit::pictures::noise;

use crate::config::{ControlConfig, FlowConfig};
use crate::data::Batch;
use crate::flow::run::FlowRun;
use crate::flow::{FlowLearner, FrozenGenerator, LatentMaker, Path, mean_start};
use crate::net::{Discriminator, Kind};

/// The device of tests.
pub fn device() -> Device {
    Device::flex().autodiff()
}

/// A random number generator.
pub fn rng(seed: u64) -> Pcg64 {
    Pcg64::seed_from_u64(seed)
}

/// A tensor without autodiff.
pub fn tensor<const D: usize>(shape: [usize; D], values: Vec<f32>) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// A tensor of uniform noise in `[-1, 1)`, with autodiff.
pub fn random<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    Tensor::from_inner(tensor(shape, noise(seed, shape.iter().product())))
}

/// A fixture as a tensor with autodiff.
pub fn from_fixture<const D: usize>(fixture: &Fixture) -> Tensor<D> {
    let shape = fixture.shape.clone().try_into().expect("the fixture's rank");
    Tensor::from_inner(tensor(shape, fixture.values.clone()))
}

/// The values of a tensor, row-major.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("float32")
}

/// A Fourier network of width 2 with one block.
pub fn small_config(channels_in: usize, control: bool) -> Architecture {
    Family::Fourier.network(Shape { channels_in, width: 2, blocks: 1, control, delta: Delta::None })
}

/// A generator of [`small_config`].
pub fn small_generator(channels_in: usize, control: bool, device: &Device) -> Generator {
    Generator::new(&small_config(channels_in, control), rng(1), device).expect("a network that exists")
}

/// The values of a module's tensor called `name`.
pub fn values_of<M: Module>(module: &M, name: &str) -> Vec<f32> {
    let mut all = weights::read(module).expect("readable").into_iter();
    let NamedWeight { weight, .. } = all.find(|named| named.name == name).expect("a tensor of that name");
    weight.values
}

/// The discriminator of the fixture, to train.
pub fn from_reference(numbers: &Fixtures) -> Discriminator {
    let discriminator = Discriminator::new(Kind::Pixels { width: 4 }, &mut Init::drawn(rng(1), &device()));
    weights::load(discriminator, |name| {
        let found = numbers.find(&reference_name("discriminator.", name))?;
        Some(Weight { shape: found.shape.clone(), values: found.values.clone() })
    })
    .expect("a complete fixture")
}

/// The discriminator of a context encoder's fixture (width 4), of predictions of `side` pixels, in eval mode.
pub fn context_discriminator(numbers: &Fixtures, prefix: &str, side: usize) -> Discriminator {
    let network = ContextEncoder {
        side,
        hole: ContextHole::Region,
        width: 4,
        middle: Middle::Bottleneck { channels: 16 },
    };
    let kind = Kind::Context { network, width: 4 };
    let discriminator = Discriminator::new(kind, &mut Init::drawn(rng(1), &Device::flex()));
    let loaded = weights::load(discriminator, |name| {
        let found = numbers.find(&context_discriminator_name(prefix, name))?;
        Some(Weight { shape: found.shape.clone(), values: found.values.clone() })
    });
    // Frozen norms stay in eval mode, whatever the device of their input.
    loaded.expect("a complete fixture").freeze().train()
}

/// PyTorch's name of a parameter of that discriminator: convolution, norm and activation are numbered in one sequence, in
/// which the first layer has no norm.
pub fn context_discriminator_name(prefix: &str, name: &str) -> String {
    let [_, layer, kind, tensor] = name.split('.').collect::<Vec<_>>()[..] else { panic!("{name}") };
    let first = (3 * layer.parse::<usize>().expect("a number")).saturating_sub(1);
    format!("{prefix}model.{}.{tensor}", first + usize::from(kind == "norm"))
}

/// PyTorch's name of a parameter.
pub fn reference_name(prefix: &str, name: &str) -> String {
    let [_, layer, kind, tensor] = name.split('.').collect::<Vec<_>>()[..] else { panic!("{name}") };
    format!("{prefix}model{layer}.{}.{tensor}", if kind == "conv" { 0 } else { 1 })
}

/// The denoiser of the fixtures, to train.
pub fn reference_denoiser() -> Denoiser {
    let weights = testkit::fixtures::load("diffusion/denoiser.safetensors");
    let denoiser = Denoiser::unset(&testkit::denoiser::config(), &device()).expect("a network that exists");
    weights::load(denoiser, |name| fixture_weight(&weights, &testkit::denoiser::reference_name(name)))
        .expect("a complete fixture")
}

/// The batch of the fixtures: its path, which starts at a fill with noise, its free cells, and what a denoiser knows.
pub fn reference_batch() -> (Path, Tensor<4>, Condition) {
    let stages = testkit::fixtures::load("diffusion/stages.safetensors");
    let get = |name: &str| from_fixture::<4>(stages.get(&format!("batch.{name}")));
    let mean = get("mean");
    let start = mean_start(mean.clone(), 0.5, get("noise"));
    let times = stages.get("batch.s").values.iter().map(|&time| f64::from(time)).collect();
    let condition = Condition { masked: get("condition"), fraction: get("share"), mean: Some(mean) };
    (Path { data: get("z"), start, times }, get("free"), condition)
}

/// The tensor of a fixture, if there is one of this name.
pub fn fixture_weight(numbers: &Fixtures, name: &str) -> Option<Weight> {
    let found = numbers.find(name)?;
    Some(Weight { shape: found.shape.clone(), values: found.values.clone() })
}

/// Latents of the network of `control/weights.safetensors` (32 channels), with made-up statistics.
pub fn small_maker() -> LatentMaker {
    let network = testkit::fixtures::path("control/weights.safetensors");
    let generator = FrozenGenerator::open(Some(&network), &device()).expect("a generator");
    let channels = generator.channels();
    let statistics = Statistics { mean: vec![0.1; channels], deviation: vec![0.5; channels] };
    LatentMaker::new(generator, statistics, 1)
}

/// Two crops of 32 pixels, whose hole is a box in the middle.
pub fn small_batch() -> Batch {
    const SIDE: usize = 32;
    let photo = testkit::pictures::picture(SIDE, SIDE);
    let other: Vec<f32> = photo.iter().map(|value| 1.0 - value).collect();
    let is_hole = |at: usize| (9..17).contains(&(at % SIDE)) && (12..20).contains(&(at / SIDE));
    let mask: Vec<f32> = (0..SIDE * SIDE).map(|at| if is_hole(at) { 1.0 } else { 0.0 }).collect();
    Batch {
        side: SIDE,
        images: [photo, other].concat(),
        masks: [mask.clone(), mask].concat(),
        names: vec!["a".into(), "b".into()],
    }
}

/// A denoiser's run on [`small_maker`], with changes of its run file.
pub fn small_flow(changes: &[&str]) -> FlowLearner {
    let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
    let config = FlowConfig::parse(crate::config::FLOW_SMALL, &changes).expect("a run file");
    FlowLearner::new(&config, small_maker(), &device()).expect("a learner")
}

/// A branch's run that steers the denoiser of `flow`, with changes of its run file; its folder holds the flow file.
pub fn small_control(flow: &FlowLearner, folder: &std::path::Path, changes: &[&str]) -> FlowLearner {
    let path = folder.join("flow.safetensors");
    flow.export(&path).expect("a flow file");
    let mut changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
    changes.push(format!("control.flow={}", path.display()));
    changes
        .push(format!("start.network={}", testkit::fixtures::path("control/weights.safetensors").display()));
    let config = ControlConfig::parse(crate::config::CONTROL_SMALL, &changes).expect("a run file");
    let run = FlowRun::branch(&config).expect("a flow without a branch");
    let generator = run.generator(&device()).expect("the flow's generator");
    let photos = folder.join("photos");
    testkit::pictures::write_noise_photos(&photos, 1, 32);
    let source = crate::data::Source::Folder { path: photos };
    let photos = std::sync::Arc::new(crate::data::Photos::open(&[source]).expect("photos"));
    run.learner(generator, None, photos, &device()).expect("a learner")
}
