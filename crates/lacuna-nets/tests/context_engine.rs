//! Context encoders in the engine against Burn: the same answers, and the same fills.

use std::borrow::Cow;
use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use lacuna::checkpoint::{Architecture, Checkpoint, NamedTensor, Storage, save};
use lacuna::{Guided, Mask, Planes, Predictor, network_predictor};
use lacuna_cpu::Isa;
use lacuna_cpu::engine::Chain;
use lacuna_nets::weights::{self, Weight};
use lacuna_nets::{ContextEncoder, Device, DeviceName};
use lacuna_network::{ContextEncoder as Options, ContextHole, Middle};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use testkit::assert_close;
use testkit::pictures::{noise, picture};

/// Two correct float32 implementations, of values in [-1, 1].
const TOLERANCE: f32 = 2e-5;

fn variants() -> Vec<Options> {
    let middles = [Middle::Bottleneck { channels: 19 }, Middle::ChannelWise];
    let holes = [ContextHole::Region, ContextHole::Centre { overlap: 4 }];
    let sides = [64, 128];
    let all = sides.into_iter().flat_map(|side| holes.map(|hole| (side, hole)));
    all.flat_map(|(side, hole)| middles.map(|middle| Options { side, hole, width: 3, middle })).collect()
}

/// A network whose weights and statistics resemble trained ones: activations neither vanish nor explode.
fn network(options: &Options) -> ContextEncoder {
    let fresh = ContextEncoder::new(options, Pcg64::seed_from_u64(5), &Device::flex()).unwrap();
    let all = weights::read(&fresh).unwrap();
    let changed: HashMap<String, Weight> = all
        .into_iter()
        .enumerate()
        .map(|(index, named)| {
            let mut weight = named.weight;
            let noise = noise(index as u64, weight.values.len());
            for (value, noise) in weight.values.iter_mut().zip(noise) {
                *value = match named.name.rsplit('.').next() {
                    Some("weight") => *value * 6.0 / if weight.shape.len() == 1 { 6.0 } else { 1.0 },
                    Some("running_var") => 1.0 + 0.6 * noise,
                    _ => 0.3 * noise,
                };
            }
            (named.name, weight)
        })
        .collect();
    weights::load(fresh, |name| changed.get(name).cloned()).unwrap()
}

#[test]
fn answers_are_those_of_burn() {
    for options in variants() {
        let network = network(&options);
        let all: HashMap<String, Vec<f32>> = weights::read(&network)
            .unwrap()
            .into_iter()
            .map(|named| (named.name, named.weight.values))
            .collect();
        let side = options.side;
        let erased = noise(7, 3 * side * side);
        let data = TensorData::new(erased.clone(), [1, 3, side, side]);
        let burn = network.forward(Tensor::from_data(data, &Device::flex())).unwrap();
        let burn = burn.into_data().try_into_vec::<f32>().unwrap();
        assert!(burn.iter().any(|value| value.abs() > 0.05), "{options:?}: the answer has vanished");
        for isa in Isa::available() {
            let layers = Architecture::ContextEncoder(options).layers();
            let source = |name: &str| all.get(name).map(|values| Cow::Borrowed(values.as_slice()));
            let chain = Chain::compile(&layers, side, isa, source).unwrap();
            let engine = chain.run(&erased, &|_| true).unwrap();
            assert_close(&engine, &burn, TOLERANCE);
        }
    }
}

/// From a weights file, alone and as a guide, on both engines.
#[test]
fn files_fill_holes_alike_on_both_engines() {
    let options = variants()[1];
    let network = network(&options);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("context.safetensors");
    let tensors = weights::read(&network.valid()).unwrap().into_iter().map(|named| NamedTensor {
        name: named.name,
        shape: named.weight.shape,
        values: named.weight.values.into(),
    });
    save(&path, network.config(), "test", tensors, Storage::F32).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.config(), network.config());
    let (width, height) = (150, 90);
    let image = Planes::new(width, height, picture(width, height));
    let hole = |at: usize| (60..100).contains(&(at % width)) && (20..70).contains(&(at / width));
    let mask = Mask::new(width, height, (0..width * height).map(hole).collect());
    let engine = network_predictor(&checkpoint).unwrap();
    let burn = lacuna_nets::network_predictor(&checkpoint, DeviceName::Cpu).unwrap();
    assert_eq!(burn.name(), format!("{} (burn, cpu)", options.label()));
    let [by_engine, by_burn] = [&engine, &burn].map(|predictor| predictor.predict(&image, &mask, 1).unwrap());
    assert_close(by_engine.values(), by_burn.values(), TOLERANCE);
    let (at, known) = (45 * width + 80, 45 * width + 10);
    assert_ne!(by_engine.plane(0)[at], image.plane(0)[at]);
    assert_eq!(by_engine.plane(0)[known], image.plane(0)[known]);
    assert!(engine.forecast_bytes(width, height) > 0 && engine.forecast_seconds(width, height, 1) > 0.0);
    let guided = Guided::new(engine, Default::default()).predict(&image, &mask, 1).unwrap();
    assert!(guided.values().iter().all(|value| (0.0..=1.0).contains(value)));
}
