//! The discriminator: separates filled images from real ones, patch by patch.
//!
//! The PatchGAN of pix2pixHD (Wang et al. 2018, <https://arxiv.org/abs/1711.11585>) as in LaMa: convolutions with
//! kernel 4 and LeakyReLU 0.2, BatchNorm in all but the first and the last.
//! Differs from it in: [`Kind::Latent`] is ours, a smaller one for latents instead of pixels; [`Kind::Context`] is that of
//! context encoders.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use lacuna_nets::block::{BatchNorm, Conv2d, Conv2dConfig, Init};
use lacuna_nets::ops::Padding;
use lacuna_network::{ContextEncoder, Layer as LayerData};

/// Slope of LeakyReLU below zero.
const SLOPE: f64 = 0.2;
/// pix2pixHD's largest channel count.
const WIDEST: usize = 512;

/// The input of a discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Images: four layers of stride 2, one of stride 1, and the logits. `width` is 64 in LaMa.
    Pixels {
        /// Channels of the first layer.
        width: usize,
    },
    /// Predictions of a context encoder: 4x4 convolutions of stride 2 down to one logit, without offsets (Pathak et al.
    /// 2016). BatchNorm in all but the first and the last.
    Context {
        /// The network.
        network: ContextEncoder,
        /// Channels of the first layer. 64 as published.
        width: usize,
    },
    /// Latents, `channels` wide: two layers with kernel 3 that keep the sides.
    Latent {
        /// Channels of a latent.
        channels: usize,
    },
}

/// A chain of convolutions.
#[derive(Module, Debug)]
pub struct Discriminator {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    conv: Conv2d,
    norm: Option<BatchNorm>,
    #[module(skip)]
    last: bool,
}

fn context_layers(layers: &[LayerData], init: &mut Init) -> Vec<Layer> {
    let layer = |(index, layer): (usize, &LayerData)| Layer {
        conv: Conv2dConfig::of(layer).init(init),
        norm: if layer.form.norm { Some(BatchNorm::new(layer.outputs.total(), init)) } else { None },
        last: index + 1 == layers.len(),
    };
    layers.iter().enumerate().map(layer).collect()
}

/// The output of a discriminator.
#[derive(Clone, Debug)]
pub struct DiscriminatorOutput {
    /// Above zero: real. `[batch, 1, rows, columns]`.
    pub logits: Tensor<4>,
    /// Outputs of the hidden layers, for feature matching.
    pub maps: Vec<Tensor<4>>,
}

/// The output of a discriminator, and the directional derivative of its logits.
#[derive(Clone, Debug)]
pub struct TangentOutput {
    /// The output.
    pub output: DiscriminatorOutput,
    /// The derivative of the logits, in the same shape.
    pub tangent: Tensor<4>,
}

impl Discriminator {
    /// A discriminator with PyTorch's default initialisation.
    pub fn new(kind: Kind, init: &mut Init) -> Self {
        let mut layer = |channels_in, channels_out, kernel, stride, norm, last| {
            let padding = Padding::Zero(kernel / 2);
            let config = Conv2dConfig { channels_in, channels_out, kernel, stride, padding, bias: true };
            Layer {
                conv: config.init(init),
                norm: if norm { Some(BatchNorm::new(channels_out, init)) } else { None },
                last,
            }
        };
        let layers = match kind {
            Kind::Pixels { width } => {
                let channels = [1, 2, 4, 8, 16].map(|times| (times * width).min(WIDEST));
                vec![
                    layer(3, channels[0], 4, 2, false, false),
                    layer(channels[0], channels[1], 4, 2, true, false),
                    layer(channels[1], channels[2], 4, 2, true, false),
                    layer(channels[2], channels[3], 4, 2, true, false),
                    layer(channels[3], channels[4], 4, 1, true, false),
                    layer(channels[4], 1, 4, 1, false, true),
                ]
            }
            Kind::Context { network, width } => {
                return Self { layers: context_layers(&network.discriminator(width), init) };
            }
            Kind::Latent { channels } => vec![
                layer(channels, channels, 3, 1, false, false),
                layer(channels, 2 * channels, 3, 1, true, false),
                layer(2 * channels, 1, 1, 1, false, true),
            ],
        };
        Self { layers }
    }

    /// Runs the discriminator.
    ///
    /// # Shapes
    /// `x`: `[batch, channels, height, width]`; images in `[0, 1]`.
    pub fn forward(&self, x: Tensor<4>) -> DiscriminatorOutput {
        let mut maps = Vec::with_capacity(self.layers.len());
        let mut x = x;
        for layer in &self.layers {
            x = layer.forward(x);
            maps.push(x.clone());
        }
        maps.pop();
        DiscriminatorOutput { logits: x, maps }
    }

    /// Runs the discriminator, and its derivative along the direction `tangent` of `x`.
    ///
    /// # Shapes
    /// `x` and `tangent`: `[batch, channels, height, width]`.
    pub fn forward_tangent(&self, x: Tensor<4>, tangent: Tensor<4>) -> TangentOutput {
        let mut maps = Vec::with_capacity(self.layers.len());
        let (mut x, mut tangent) = (x, tangent);
        for layer in &self.layers {
            [x, tangent] = layer.forward_tangent(x, tangent);
            maps.push(x.clone());
        }
        maps.pop();
        TangentOutput { output: DiscriminatorOutput { logits: x, maps }, tangent }
    }
}

impl Layer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward(x);
        let x = match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        if self.last { x } else { leaky_relu(x, SLOPE) }
    }

    fn forward_tangent(&self, x: Tensor<4>, tangent: Tensor<4>) -> [Tensor<4>; 2] {
        let (x, tangent) = (self.conv.forward(x), self.conv.forward_tangent(tangent));
        let [x, tangent] = match &self.norm {
            Some(norm) => norm.forward_tangent(x, tangent),
            None => [x, tangent],
        };
        if self.last {
            return [x, tangent];
        }
        // The slope has no gradient of its own: it is constant on either side of the kink.
        let slope = x.clone().detach().greater_elem(0.0).float().mul_scalar(1.0 - SLOPE).add_scalar(SLOPE);
        [leaky_relu(x, SLOPE), tangent * slope]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, from_reference, random, rng, values};
    use burn::tensor::Device;
    use testkit::{assert_close, fixtures};

    #[test]
    fn parameters_and_sizes_are_lamas() {
        let discriminator =
            Discriminator::new(Kind::Pixels { width: 64 }, &mut Init::drawn(rng(1), &Device::flex()));
        assert_eq!(discriminator.num_params() - 2 * (128 + 256 + 512 + 512), 6_962_369);
        let small = Discriminator::new(Kind::Pixels { width: 2 }, &mut Init::drawn(rng(1), &Device::flex()));
        let DiscriminatorOutput { logits, maps } = small.forward(random([1, 3, 256, 256], 1).inner());
        assert_eq!(logits.dims(), [1, 1, 19, 19]);
        let sides: Vec<usize> = maps.iter().map(|map| map.dims()[2]).collect();
        assert_eq!(sides, [129, 65, 33, 17, 18]);
    }

    #[test]
    fn a_judge_of_latents_keeps_the_sides() {
        let latents =
            Discriminator::new(Kind::Latent { channels: 16 }, &mut Init::drawn(rng(1), &Device::flex()));
        assert_eq!(latents.forward(random([2, 16, 5, 7], 1).inner()).logits.dims(), [2, 1, 5, 7]);
    }

    #[test]
    fn logits_and_maps_equal_the_reference() {
        let numbers = fixtures::load("adversarial.safetensors");
        let discriminator = from_reference(&numbers).valid();
        for picture in ["real", "fake"] {
            let output = discriminator.forward(from_fixture::<4>(numbers.get(picture)).inner());
            let expected = &numbers.get(&format!("{picture}_logits")).values;
            assert_close(&values(output.logits), expected, 2e-5);
            if picture == "real" {
                for (index, map) in output.maps.into_iter().enumerate() {
                    assert_close(&values(map), &numbers.get(&format!("real_map_{index}")).values, 2e-5);
                }
            }
        }
    }
}
