//! The decoder: from a latent back to pixels. Both families share it.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use lacuna::checkpoint::NetworkConfig;

use super::{Features, LEVELS};
use crate::block::{BatchNorm, Conv2d, Conv2dConfig, ConvTranspose2d, Init, Padding};

/// Three layers that double the sides and halve the channels, then a 7x7 convolution to colours.
#[derive(Module, Debug)]
pub struct Decoder {
    up: Vec<Up>,
    out: Conv2d,
}

#[derive(Module, Debug)]
struct Up {
    conv: ConvTranspose2d,
    norm: BatchNorm,
}

impl Up {
    fn new(channels_in: usize, init: &mut Init) -> Self {
        let channels_out = channels_in / 2;
        Self {
            conv: ConvTranspose2d::new(channels_in, channels_out, init),
            norm: BatchNorm::new(channels_out, init),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward_relu(self.conv.forward(x))
    }
}

impl Decoder {
    /// PyTorch's default values.
    pub fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        let width = config.width;
        let out = Conv2dConfig {
            channels_in: width,
            channels_out: 3,
            kernel: 7,
            stride: 1,
            padding: Padding::Reflect(3),
            bias: true,
        };
        Self {
            up: (0..LEVELS).map(|level| Up::new((8 * width) >> level, init)).collect(),
            out: out.init(init),
        }
    }

    /// Decodes a latent.
    ///
    /// # Shapes
    /// `latent`: parts `[batch, channels, height, width]`; the result: `[batch, 3, 8 height, 8 width]` in
    /// `[0, 1]`.
    pub fn forward(&self, latent: Features) -> Tensor<4> {
        let x = self.up.iter().fold(latent.concat(), |x, up| up.forward(x));
        sigmoid(self.out.forward(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Split;
    use crate::testing::{random, seeded, values};
    use lacuna::checkpoint::{Delta, Family};

    #[test]
    fn colours_at_eight_times_the_size() {
        for family in [Family::Fourier, Family::Regular] {
            let config = NetworkConfig {
                family,
                channels_in: 3,
                width: 2,
                blocks: 1,
                control: false,
                delta: Delta::None,
            };
            let decoder = Decoder::new(&config, &mut seeded(1));
            for [batch, height, width] in [[1, 2, 3], [2, 1, 5]] {
                let latent = Features::split(random([batch, 16, height, width], 1), Split::latent(family, 2));
                let predicted = decoder.forward(latent);
                assert_eq!(predicted.dims(), [batch, 3, 8 * height, 8 * width]);
                assert!(values(predicted).iter().all(|&value| value > 0.0 && value < 1.0));
            }
        }
    }
}
