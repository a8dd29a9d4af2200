//! The encoder: from pixels to the latent at an eighth of the resolution.

use burn::module::Module;
use burn::tensor::Tensor;
use lacuna::checkpoint::{Family, NetworkConfig};

use super::{Features, LEVELS, Split};
use crate::block::{Activation, Conv2dConfig, ConvNormAct, FfcConfig, FfcNormAct, Init, Padding};

/// A 7x7 layer at full resolution, then three that halve the sides and double the channels.
#[derive(Module, Debug)]
pub struct Encoder {
    stem: EncoderLayer,
    down: Vec<EncoderLayer>,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "four of them live in a network of megabytes")]
enum EncoderLayer {
    Fourier(FfcNormAct),
    Regular(ConvNormAct),
}

struct LayerConfig {
    family: Family,
    channels_in: usize,
    channels_out: Split,
    kernel: usize,
    stride: usize,
}

impl LayerConfig {
    fn init(&self, init: &mut Init) -> EncoderLayer {
        let Self { family, channels_in, channels_out, kernel, stride } = *self;
        // LaMa reflects everywhere; pix2pixHD reflects around the 7x7 layer and pads the others with zeros.
        let padding = match (family, stride) {
            (Family::Fourier, _) | (Family::Regular, 1) => Padding::Reflect(kernel / 2),
            (Family::Regular, _) => Padding::Zero(kernel / 2),
        };
        match family {
            Family::Fourier => {
                let channels_in = Split::local(channels_in);
                let config = FfcConfig { channels_in, channels_out, kernel, stride, padding };
                EncoderLayer::Fourier(FfcNormAct::new(&config, init))
            }
            Family::Regular => {
                let channels_out = channels_out.total();
                let config = Conv2dConfig { channels_in, channels_out, kernel, stride, padding, bias: true };
                EncoderLayer::Regular(ConvNormAct::new(&config, Activation::Relu, init))
            }
        }
    }
}

impl EncoderLayer {
    fn forward(&self, x: Features) -> Features {
        match self {
            Self::Fourier(layer) => layer.forward(x),
            Self::Regular(layer) => Features { local: layer.forward(x.local), global: None },
        }
    }
}

impl Encoder {
    /// PyTorch's default values.
    pub fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        let NetworkConfig { family, width, .. } = *config;
        let stem = LayerConfig {
            family,
            channels_in: config.channels_in,
            channels_out: Split::local(width),
            kernel: 7,
            stride: 1,
        };
        let down = |level: usize| LayerConfig {
            family,
            channels_in: width << level,
            channels_out: if level + 1 == LEVELS {
                Split::latent(family, width)
            } else {
                Split::local(width << (level + 1))
            },
            kernel: 3,
            stride: 2,
        };
        Self { stem: stem.init(init), down: (0..LEVELS).map(|level| down(level).init(init)).collect() }
    }

    /// Encodes `x`, adding `added` (from mask control) behind each level.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - `added`: for level `i`: `[batch, 2^i width, height / 2^i, width / 2^i]`, sides rounded up
    /// - the result: parts `[batch, channels, height / 8, width / 8]`, sides rounded up
    pub fn forward(&self, x: Tensor<4>, added: Option<[Tensor<4>; LEVELS + 1]>) -> Features {
        self.levels(x, added).last().expect("an encoder has levels")
    }

    /// What comes out behind each level, one after the other; the last is what [`Encoder::forward`] returns.
    ///
    /// # Shapes
    /// As [`Encoder::forward`]; level `i` has sides `height / 2^i`, `width / 2^i`, rounded up.
    pub fn levels(
        &self,
        x: Tensor<4>,
        added: Option<[Tensor<4>; LEVELS + 1]>,
    ) -> impl Iterator<Item = Features> {
        let mut added = added.into_iter().flatten();
        let layers = std::iter::once(&self.stem).chain(&self.down);
        layers.scan(Features { local: x, global: None }, move |x, layer| {
            let mut out = layer.forward(x.clone());
            if let Some(added) = added.next() {
                let channels = out.channels();
                out = out + Features::split(added, channels);
            }
            *x = out.clone();
            Some(out)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, seeded};
    use lacuna::checkpoint::Delta;

    #[test]
    fn sides_are_an_eighth_rounded_up() {
        struct Case {
            height: usize,
            width: usize,
            expected: [usize; 2],
        }
        for family in [Family::Fourier, Family::Regular] {
            let config = NetworkConfig {
                family,
                channels_in: 3,
                width: 2,
                blocks: 1,
                control: false,
                delta: Delta::None,
            };
            let encoder = Encoder::new(&config, &mut seeded(1));
            for Case { height, width, expected } in [
                Case { height: 9, width: 16, expected: [2, 2] },
                Case { height: 17, width: 24, expected: [3, 3] },
                Case { height: 250, width: 9, expected: [32, 2] },
            ] {
                let latent = encoder.forward(random([2, 3, height, width], 1), None);
                assert_eq!(latent.channels(), Split::latent(family, 2));
                let [batch, _, rows, columns] = latent.local.dims();
                assert_eq!((batch, [rows, columns]), (2, expected), "{family:?} {height} x {width}");
            }
        }
    }
}
