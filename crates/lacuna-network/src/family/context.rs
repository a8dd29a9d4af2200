//! The context encoder and its discriminator (Pathak et al. 2016, <https://arxiv.org/abs/1604.07379>), as published:
//! 4x4 convolutions of stride 2, BatchNorm everywhere but in the first and the last layer, LeakyReLU on the way down
//! and in the discriminator, ReLU on the way up.
//!
//! Differs from it in: convolutions have no bias. The published program has, and sets all to zero before every
//! evaluation.

use crate::context::{ContextEncoder, MIDDLE_SIDE, Middle};
use crate::geometry::IMAGE_CHANNELS;
use crate::{Activation, Border, Form, Layer, Layers, Operation, Split};

/// Halves the sides.
const DOWN: Form = Form {
    operation: Operation::Convolution,
    kernel: 4,
    stride: 2,
    border: Border::Zero,
    bias: false,
    norm: true,
    activation: Activation::LeakyRelu,
};

/// Doubles the sides.
const UP: Form = Form { operation: Operation::Transposed, activation: Activation::Relu, ..DOWN };

/// From the encoder's last map to a single pixel.
const TO_PIXEL: Form = Form { stride: 1, border: Border::None, ..DOWN };

/// From a single pixel to the decoder's first map.
const FROM_PIXEL: Form = Form { stride: 1, border: Border::None, ..UP };

/// A full connection within each channel of the encoder's last map.
const WITHIN_CHANNELS: Form = Form {
    operation: Operation::ChannelWise,
    kernel: MIDDLE_SIDE,
    stride: 1,
    border: Border::None,
    bias: true,
    norm: false,
    activation: Activation::Identity,
};

/// Mixes channels after [`WITHIN_CHANNELS`].
const MIX: Form = Form { kernel: 1, stride: 1, border: Border::None, bias: true, ..DOWN };

/// Channels of the maps from half of `side` down to [`MIDDLE_SIDE`], as multiples of the width.
fn multiples(side: usize) -> &'static [usize] {
    match side {
        128 => &[1, 1, 2, 4, 8],
        64 => &[1, 2, 4, 8],
        _ => &[1, 2, 4],
    }
}

/// Collects layers that follow each other.
struct Chain {
    part: &'static str,
    channels: usize,
    level: usize,
    layers: Vec<Layer>,
}

impl Chain {
    /// A chain whose first layer reads `channels` channels at `level`; its layers are fields of `part`.
    fn new(part: &'static str, channels: usize, level: usize) -> Self {
        Self { part, channels, level, layers: Vec::new() }
    }

    /// Adds a layer whose output is at `level`. A convolution is always the field `conv` of its layer.
    fn add(&mut self, outputs: usize, level: usize, form: Form) {
        let field = format!("{}.{}", self.part, self.layers.len());
        self.layers.push(Layer {
            path: if form.norm { field } else { format!("{field}.conv") },
            inputs: Split::local(self.channels),
            outputs: Split::local(outputs),
            level,
            form,
        });
        (self.channels, self.level) = (outputs, level);
    }

    /// Halves the sides until they are [`MIDDLE_SIDE`].
    fn down(&mut self, side: usize, width: usize) {
        for (index, multiple) in multiples(side).iter().enumerate() {
            self.add(multiple * width, self.level + 1, Form { norm: index > 0, ..DOWN });
        }
    }
}

pub(super) fn layers(network: &ContextEncoder) -> Layers {
    let ContextEncoder { side, width, middle, .. } = *network;
    let answer = network.answer_side();
    let mut encoder = Chain::new("encoder", IMAGE_CHANNELS, 0);
    encoder.down(side, width);
    let (latent, level) = (encoder.channels, encoder.level);

    let (middle, mut decoder, up) = decoder_start(middle, latent, level, answer, width);
    for multiple in up {
        let level = decoder.level - 1;
        decoder.add(multiple * width, level, UP);
    }
    let level = decoder.level - 1;
    decoder.add(IMAGE_CHANNELS, level, Form { norm: false, activation: Activation::Tanh, ..UP });
    let head = decoder.layers.pop().expect("a layer was added");
    Layers {
        encoder: encoder.layers,
        middle,
        refiner: Vec::new(),
        adds_latent: false,
        decoder: decoder.layers,
        head,
        control: None,
        modulation: None,
    }
}

/// The middle, the decoder as far as its first map of [`MIDDLE_SIDE`] pixels, and the multiples of the maps that follow.
fn decoder_start(
    middle: Middle,
    latent: usize,
    level: usize,
    answer: usize,
    width: usize,
) -> (Vec<Layer>, Chain, impl Iterator<Item = usize>) {
    let mut up = multiples(answer).iter().rev().copied();
    let first = up.next().expect("a decoder has maps");
    let layer = |path: &str, outputs: usize, level: usize, form: Form| Layer {
        path: path.into(),
        inputs: Split::local(latent),
        outputs: Split::local(outputs),
        level,
        form,
    };
    match middle {
        Middle::Bottleneck { channels } => {
            let pixel = level + MIDDLE_SIDE.ilog2() as usize;
            let mut decoder = Chain::new("decoder", channels, pixel);
            decoder.add(first * width, level, FROM_PIXEL);
            (vec![layer("middle", channels, pixel, TO_PIXEL)], decoder, up)
        }
        Middle::ChannelWise => {
            let within = layer("middle.within", latent, level, WITHIN_CHANNELS);
            let mix = layer("middle.mix", latent, level, MIX);
            (vec![within, mix], Chain::new("decoder", latent, level), up)
        }
    }
}

impl ContextEncoder {
    /// The layers of the discriminator that separates predictions from ground truth. The last gives one logit.
    pub fn discriminator(&self, width: usize) -> Vec<Layer> {
        let mut chain = Chain::new("layers", IMAGE_CHANNELS, 0);
        chain.down(self.answer_side(), width);
        let level = chain.level + MIDDLE_SIDE.ilog2() as usize;
        chain.add(1, level, Form { norm: false, activation: Activation::Identity, ..TO_PIXEL });
        chain.layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{ContextHole, OVERLAP};
    use crate::{Architecture, Cost, is_parameter};

    fn network(side: usize, hole: ContextHole, width: usize, middle: Middle) -> ContextEncoder {
        ContextEncoder { side, hole, width, middle }
    }

    fn parameters<'a>(layers: impl Iterator<Item = &'a Layer>) -> usize {
        let tensors = layers.flat_map(Layer::tensors).filter(|(name, _)| is_parameter(name));
        tensors.map(|(_, sides)| sides.iter().product::<usize>()).sum()
    }

    /// Counts of PyTorch's modules (`expected.json` of `oracle/make_system_fixtures.py`).
    #[test]
    fn parameters_are_those_of_the_published_networks() {
        let centre = ContextHole::Centre { overlap: OVERLAP };
        let bottleneck = |channels| Middle::Bottleneck { channels };
        for (network, expected) in [
            (network(128, centre, 64, bottleneck(4000)), 71_124_544),
            (network(128, ContextHole::Region, 64, bottleneck(4000)), 71_190_208),
            (network(64, ContextHole::Region, 64, bottleneck(4000)), 71_058_880),
            (network(128, ContextHole::Region, 32, Middle::ChannelWise), 1_549_504),
            (network(128, ContextHole::Region, 64, Middle::ChannelWise), 6_048_128),
            (network(128, ContextHole::Region, 16, bottleneck(256)), 1_403_872),
            (network(128, ContextHole::Region, 32, bottleneck(1000)), 9_608_080),
        ] {
            let layers = Architecture::ContextEncoder(network).layers();
            assert_eq!(parameters(layers.iter()), expected, "{}", network.label());
        }
        for (hole, expected) in [(centre, 2_765_568), (ContextHole::Region, 2_831_232)] {
            let network = network(128, hole, 64, bottleneck(4000));
            assert_eq!(parameters(network.discriminator(64).iter()), expected);
        }
    }

    /// Every layer takes what the one before gives, and the sides are those of the maps.
    #[test]
    fn channels_and_sides_fit_together() {
        for side in [64, 128] {
            for hole in [ContextHole::Region, ContextHole::Centre { overlap: 2 }] {
                for middle in [Middle::Bottleneck { channels: 5 }, Middle::ChannelWise] {
                    let network = network(side, hole, 2, middle);
                    let layers = Architecture::ContextEncoder(network).layers();
                    let (mut length, mut channels) = (side, 3);
                    for layer in layers.iter() {
                        assert_eq!(layer.inputs.total(), channels, "{}", layer.path);
                        length = layer.form.side(length);
                        assert_eq!(length, side >> layer.level, "{}", layer.path);
                        channels = layer.outputs.total();
                    }
                    assert_eq!((length, channels), (network.answer_side(), 3));
                    let mut length = network.answer_side();
                    network.discriminator(2).iter().for_each(|layer| length = layer.form.side(length));
                    assert_eq!(length, 1);
                }
            }
        }
    }

    /// Reference specification C.8: 97 million multiplications and additions at 128 pixels.
    #[test]
    fn the_small_network_costs_a_hundred_million_products() {
        let small = network(128, ContextHole::Region, 32, Middle::ChannelWise);
        let cost = Cost::of(&Architecture::ContextEncoder(small).layers(), 128, 128);
        assert!((190e6..200e6).contains(&cost.operations), "{:e}", cost.operations);
        // The first map has half of the image's sides.
        assert_eq!(cost.largest, f64::from(32 * 64 * 64));
    }
}
