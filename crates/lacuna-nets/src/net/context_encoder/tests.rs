//! Against PyTorch, and what must hold for every context encoder.

use super::*;
use crate::testing::{from_fixture, load_fixture, random, rng, values};
use burn::module::Module;
use lacuna_network::{ContextHole, Middle};
use testkit::assert_close;
use testkit::fixtures::{self, Fixtures};

/// Reference values of `oracle/make_system_fixtures.py`.
const TOLERANCE: f32 = 1e-5;
/// Relative to the largest gradient.
const GRADIENT_TOLERANCE: f32 = 1e-4;

const REGION: Config =
    Config { side: 64, hole: ContextHole::Region, width: 4, middle: Middle::Bottleneck { channels: 16 } };
const CENTRE: Config = Config { hole: ContextHole::Centre { overlap: 2 }, ..REGION };

/// PyTorch's name of one of our tensors: convolution, norm and activation are numbered in one sequence, in which the
/// encoder's first stage has no norm.
fn published(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let (part, rest) = (parts[0], &parts[1..]);
    let (stage, rest) = match part {
        "middle" => (0, rest),
        _ => (rest[0].parse::<usize>().unwrap(), &rest[1..]),
    };
    let first = match part {
        "encoder" => (3 * stage).saturating_sub(1),
        _ => 3 * stage,
    };
    let number = first + usize::from(rest[0] == "norm");
    format!("network.{part}.{number}.{}", rest[1])
}

fn from_file(config: &Config, numbers: &Fixtures) -> ContextEncoder {
    load_fixture(ContextEncoder::unset(config, &Device::flex()).unwrap(), numbers, published)
}

#[test]
fn every_layer_and_the_composite_equal_the_reference() {
    for (file, config, names) in [
        (
            "region",
            REGION,
            "encoder_1 encoder_4 encoder_7 encoder_10 middle_2 decoder_2 decoder_5 decoder_8 decoder_11 decoder_13",
        ),
        (
            "centre",
            CENTRE,
            "encoder_1 encoder_4 encoder_7 encoder_10 middle_2 decoder_2 decoder_5 decoder_8 decoder_10",
        ),
    ] {
        let numbers = fixtures::load(&format!("context/{file}.safetensors"));
        let network = from_file(&config, &numbers);
        let [image, hole] = ["image", "hole"].map(|name| from_fixture::<4>(numbers.get(name)));
        let erased = erase(image.clone(), hole.clone());
        assert_close(&values(erased.clone()), &numbers.get("erased").values, TOLERANCE);
        let outputs = network.stages(erased);
        let names: Vec<&str> = names.split(' ').collect();
        assert_eq!(outputs.len(), names.len());
        for (output, name) in outputs.into_iter().zip(names) {
            let expected = numbers.get(name);
            assert_eq!(output.dims().to_vec(), expected.shape, "{name}");
            assert_close(&values(output), &expected.values, TOLERANCE);
        }
        let filled = network.fill(unsigned(image), hole).unwrap();
        assert_close(&values(signed(filled)), &numbers.get("pasted").values, 2.0 * TOLERANCE);
    }
}

#[test]
fn the_channel_wise_middle_equals_the_reference() {
    let numbers = fixtures::load("context/channel_wise.safetensors");
    let mut init = Init::unset(&Device::flex());
    let mix = crate::block::Conv2dConfig { bias: true, ..crate::block::Conv2dConfig::pointwise(6, 6) };
    #[derive(Module, Debug)]
    struct Layer {
        within: ChannelWise,
        mix: crate::block::Conv2d,
    }
    let layer = Layer { within: ChannelWise::new(6, 16, &mut init), mix: mix.init(&mut init) };
    let layer = load_fixture(layer, &numbers, |name| name.trim_start_matches("within.").to_owned());
    let x = from_fixture::<4>(numbers.get("x"));
    let layer = layer.train();
    let x = Tensor::from_inner(x).require_grad();
    let y = layer.mix.forward(layer.within.forward(x.clone()));
    assert_close(&values(y.clone()), &numbers.get("y").values, TOLERANCE);
    let gradients = y.square().sum().backward();
    let mut found = crate::testing::gradients_by_name(&layer, &gradients);
    for gradient in &mut found {
        let expected = &numbers.get(&format!("grad.{}", gradient.name.trim_start_matches("within."))).values;
        assert_close_to_largest(&gradient.weight.values, expected);
    }
    assert_eq!(found.len(), 4);
    assert_close_to_largest(&values(x.grad(&gradients).unwrap()), &numbers.get("grad_x").values);
}

#[track_caller]
fn assert_close_to_largest(found: &[f32], expected: &[f32]) {
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    assert_close(found, expected, GRADIENT_TOLERANCE * largest);
}

/// Weights files have the tensors that the layers list.
#[test]
fn tensors_are_those_of_the_layers() {
    for hole in [REGION.hole, CENTRE.hole] {
        for middle in [REGION.middle, Middle::ChannelWise] {
            let config = Architecture::ContextEncoder(Config { hole, middle, ..REGION });
            let found = weights::named_shapes(&config).unwrap().into_iter();
            let found: Vec<_> = found.map(|named| (named.name, named.shape)).collect();
            assert_eq!(found, config.layers().tensors());
        }
    }
    let none = Architecture::ContextEncoder(Config { side: 96, ..REGION });
    assert!(weights::named_shapes(&none).is_err());
    let error = crate::Generator::new(&Architecture::ContextEncoder(REGION), rng(1), &Device::flex());
    assert!(error.unwrap_err().to_string().contains("no encoder, refiner and decoder"));
}

/// The published colour of holes, to six digits.
#[test]
fn holes_get_the_published_colour_and_known_pixels_stay() {
    let image = random([1, 3, 1, 2], 1);
    let mask = crate::testing::tensor([1, 1, 1, 2], vec![1.0, 0.0]);
    let erased = values(erase(image.clone(), mask));
    let image = values(image);
    assert_close(&[erased[0], erased[2], erased[4]], &[-0.082_353, -0.184_314, -0.035_294], 1e-6);
    assert_eq!([erased[1], erased[3], erased[5]], [image[1], image[3], image[5]]);
}

#[test]
fn other_sides_and_single_images_in_training_are_refused() {
    let network = ContextEncoder::new(&REGION, rng(1), &Device::flex().autodiff()).unwrap();
    let input = |batch, side| Tensor::from_inner(random([batch, 3, side, side], 1));
    let error = |batch, side| network.forward(input(batch, side)).unwrap_err().to_string();
    assert!(error(2, 96).contains("takes images [batch, 3, 64, 64], got [2, 3, 96, 96]"), "{}", error(2, 96));
    assert!(error(1, 64).contains("at least 2 images, got 1"), "{}", error(1, 64));
    assert!(network.forward(input(2, 64)).is_ok());
    assert!(network.valid().forward(random([1, 3, 64, 64], 1)).is_ok());
}

#[test]
fn fresh_weights_have_the_published_distribution() {
    let config = Config { width: 16, middle: Middle::ChannelWise, ..REGION };
    let network = ContextEncoder::new(&config, rng(1), &Device::flex()).unwrap();
    let all = weights::read(&network).unwrap();
    let of = |name: &str| &all.iter().find(|named| named.name == name).unwrap().weight.values;
    let deviation = |name: &str, mean: f32| {
        let values = of(name);
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
    };
    // 65,536 and 32,768 values: deviations within 1 % with probability above 0.99.
    assert!((deviation("encoder.2.conv.weight", 0.0) / 0.02 - 1.0).abs() < 0.02);
    assert!((deviation("middle.within.weight", 0.0) / 0.25 - 1.0).abs() < 0.02);
    assert!((deviation("encoder.3.norm.weight", 1.0) / 0.02 - 1.0).abs() < 0.3);
    assert!(of("middle.mix.conv.bias").iter().all(|&value| value == 0.0));
    assert!(of("encoder.3.norm.running_var").iter().all(|&value| value == 1.0));
}

/// Batch 1 and 2 give the same, and both middles work for both kinds of holes.
#[test]
fn images_of_a_batch_do_not_meet() {
    for hole in [REGION.hole, CENTRE.hole] {
        for middle in [REGION.middle, Middle::ChannelWise] {
            let config = Config { hole, middle, ..REGION };
            let network = ContextEncoder::new(&config, rng(2), &Device::flex()).unwrap();
            let both = random([2, 3, 64, 64], 3);
            let answer = network.forward(both.clone()).unwrap();
            assert_eq!(answer.dims(), [2, 3, config.answer_side(), config.answer_side()]);
            let alone = |at| values(network.forward(both.clone().narrow(0, at, 1)).unwrap());
            assert_close(&values(answer), &[alone(0), alone(1)].concat(), TOLERANCE);
        }
    }
}
