//! Whole networks with weights that look trained.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::borrow::Cow;
use std::collections::HashMap;

use lacuna_cpu::Isa;
use lacuna_cpu::engine::Engine;
use lacuna_network::{Architecture, Delta, Family, Layers, Shape};
use testkit::pictures;

/// How much larger than PyTorch's first weights those of these networks are, so that predictions are not flat.
const GAIN: f32 = 2.0;

pub fn network(family: Family, width: usize, blocks: usize) -> Architecture {
    family.network(Shape { channels_in: 4, width, blocks, control: false, delta: Delta::None })
}

pub fn with_control(family: Family, width: usize, blocks: usize) -> Architecture {
    family.network(Shape { channels_in: 3, width, blocks, control: true, delta: Delta::None })
}

/// Values of every tensor: statistics that are not 0 and 1, and control that is not zero.
pub fn weights(layers: &Layers) -> HashMap<String, Vec<f32>> {
    let values = |(index, (name, shape)): (usize, (String, Vec<usize>))| {
        let inputs: usize = shape.iter().skip(1).product();
        let value = |noise: f32| match shape.len() {
            4 => GAIN * noise / (inputs as f32).sqrt(),
            _ if name.ends_with(".weight") || name.ends_with(".running_var") => 1.0 + 0.3 * noise,
            _ => 0.1 * noise,
        };
        let noise = pictures::noise(index as u64, shape.iter().product());
        let values = noise.into_iter().map(value).collect();
        (name, values)
    };
    layers.tensors().into_iter().enumerate().map(values).collect()
}

pub fn compile(layers: &Layers, isa: Isa) -> lacuna_cpu::Result<Engine> {
    let weights = weights(layers);
    Engine::compile(layers, isa, |name| weights.get(name).map(|values| Cow::Borrowed(values.as_slice())))
}

pub fn engine(network: &Architecture, isa: Isa) -> Engine {
    compile(&network.layers(), isa).unwrap()
}

/// An image of noise: no function of the C library is in it.
pub fn image(width: usize, height: usize) -> Vec<f32> {
    pictures::noise(9, 3 * width * height).into_iter().map(|value| 0.5 + 0.5 * value).collect()
}
