//! The layers of a denoiser.

use super::Denoiser;
use super::blocks::{GroupNorm, Part, ResidualBlock, SpectralMix, conv3, halving};
use crate::{Layer, Linear};

/// The layers of a denoiser. A layer's level counts from the latent's resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenoiserLayers {
    /// From the inputs to the middle.
    pub encoder: DenoiserEncoder,
    /// From the middle to the latent's resolution: the first of these is the last to run.
    pub up: Vec<UpLevel>,
    /// Before the last convolution, followed by SiLU.
    pub norm_out: GroupNorm,
    /// To the channels of the latent; zero in a new network.
    pub conv_out: Layer,
}

/// The half of a denoiser that a [`super::ControlNet`] copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenoiserEncoder {
    /// From time features to values for all blocks: two linear layers, the first with SiLU.
    pub time: [Linear; 2],
    /// From the concatenated inputs to the first level.
    pub conv_in: Layer,
    /// All levels but the last.
    pub down: Vec<DownLevel>,
    /// The last level.
    pub middle: Vec<MiddleBlock>,
}

/// A level on the way down. The output of its last block is also a skip connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownLevel {
    /// Blocks that keep the resolution.
    pub blocks: Vec<ResidualBlock>,
    /// Halves the resolution.
    pub downsample: Layer,
}

/// A level on the way up: the map is enlarged to the sides of the level's skip connection by repeating values, convolved, and
/// concatenated with that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpLevel {
    /// After enlarging.
    pub upsample: Layer,
    /// Blocks; the first reads the concatenation.
    pub blocks: Vec<ResidualBlock>,
}

/// A block of the middle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MiddleBlock {
    /// A residual block.
    Residual(ResidualBlock),
    /// A spectral mix.
    Mix(SpectralMix),
}

impl MiddleBlock {
    fn parts(&self) -> Box<dyn Iterator<Item = Part<'_>> + '_> {
        match self {
            Self::Residual(block) => Box::new(block.parts()),
            Self::Mix(block) => Box::new(block.parts()),
        }
    }
}

impl DenoiserEncoder {
    fn new(network: &Denoiser) -> Self {
        let Denoiser { width, ref levels, blocks, .. } = *network;
        let time = time_values(width);
        let widths: Vec<usize> = levels.iter().map(|multiple| multiple * width).collect();
        let linear = |layer: &str, inputs: usize| Linear {
            path: format!("encoder.time.{layer}"),
            inputs,
            outputs: time,
        };
        let down = |(level, pair): (usize, &[usize])| DownLevel {
            blocks: (0..blocks)
                .map(|block| {
                    let path = format!("encoder.down.{level}.blocks.{block}");
                    ResidualBlock::new(&path, [pair[0]; 2], time, level)
                })
                .collect(),
            downsample: halving(format!("encoder.down.{level}.downsample"), [pair[0], pair[1]], level + 1),
        };
        let bottom = levels.len() - 1;
        let last = widths[bottom];
        let middle = |index: usize| {
            let path = format!("encoder.middle.{index}");
            match index {
                1 | 3 => MiddleBlock::Mix(SpectralMix::new(&path, last, bottom)),
                _ => MiddleBlock::Residual(ResidualBlock::new(&path, [last; 2], time, bottom)),
            }
        };
        Self {
            time: [linear("first", width), linear("second", time)],
            conv_in: conv3("encoder.conv_in".into(), [network.channels_in(), widths[0]], 0),
            down: widths.windows(2).enumerate().map(down).collect(),
            middle: (0..5).map(middle).collect(),
        }
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let down = self.down.iter().flat_map(|level| {
            let blocks = level.blocks.iter().flat_map(ResidualBlock::parts);
            blocks.chain([Part::Layer(&level.downsample)])
        });
        let middle = self.middle.iter().flat_map(MiddleBlock::parts);
        let time = self.time.iter().map(Part::Linear);
        time.chain([Part::Layer(&self.conv_in)]).chain(down).chain(middle)
    }
}

/// Values of a time after the linear layers.
fn time_values(width: usize) -> usize {
    4 * width
}

impl Denoiser {
    /// The network's layers.
    pub fn layers(&self) -> DenoiserLayers {
        let widths: Vec<usize> = self.levels.iter().map(|multiple| multiple * self.width).collect();
        let time = time_values(self.width);
        let up = |(level, pair): (usize, &[usize])| {
            let [width, below] = [pair[0], pair[1]];
            let block = |block: usize| {
                let path = format!("up.{level}.blocks.{block}");
                ResidualBlock::new(&path, [if block == 0 { 2 * width } else { width }, width], time, level)
            };
            UpLevel {
                upsample: conv3(format!("up.{level}.upsample"), [below, width], level),
                blocks: (0..self.blocks).map(block).collect(),
            }
        };
        DenoiserLayers {
            encoder: DenoiserEncoder::new(self),
            up: widths.windows(2).enumerate().map(up).collect(),
            norm_out: GroupNorm::new("norm_out".into(), widths[0]),
            conv_out: conv3("conv_out".into(), [widths[0], self.latent], 0),
        }
    }
}

impl DenoiserLayers {
    /// Name and shape of every tensor, in the order of computation. Weights of convolutions are `[outputs, inputs, kernel, kernel]`,
    /// those of linear layers `[outputs, inputs]`.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        self.parts().flat_map(Part::tensors).collect()
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let up = self.up.iter().rev().flat_map(|level| {
            let blocks = level.blocks.iter().flat_map(ResidualBlock::parts);
            [Part::Layer(&level.upsample)].into_iter().chain(blocks)
        });
        self.encoder.parts().chain(up).chain([Part::Norm(&self.norm_out), Part::Layer(&self.conv_out)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::DenoiserSize;
    use super::*;

    fn count(tensors: &[(String, Vec<usize>)]) -> usize {
        tensors.iter().map(|(_, sides)| sides.iter().product::<usize>()).sum()
    }

    /// Counts of PyTorch's modules (reference specification of diffusion, 4.1).
    #[test]
    fn parameters_are_those_of_the_reference() {
        for (size, small_latent, refined_latent) in [
            (DenoiserSize::S, 5_239_952, 5_433_600),
            (DenoiserSize::M, 11_758_288, 12_048_704),
            (DenoiserSize::B, 15_137_040, 15_524_224),
        ] {
            for (latent, expected) in [(16, small_latent), (128, refined_latent)] {
                let tensors = size.denoiser(latent).layers().tensors();
                assert_eq!(count(&tensors), expected, "{size:?} with {latent} channels");
                assert_eq!(tensors.len(), 146);
            }
        }
        let tiny = Denoiser { latent: 4, width: 16, levels: vec![1, 2], blocks: 1, mean: true };
        let tensors = tiny.layers().tensors();
        assert_eq!((count(&tensors), tensors.len()), (106_116, 80));
        let distinct: std::collections::BTreeSet<_> = tensors.iter().map(|(name, _)| name).collect();
        assert_eq!(distinct.len(), tensors.len());
    }

    /// Every part takes the channels that the one before gives, at its resolution.
    #[test]
    fn channels_and_levels_fit_together() {
        let network = Denoiser { latent: 3, width: 16, levels: vec![1, 3, 2, 4], blocks: 2, mean: false };
        let DenoiserLayers { encoder, up, norm_out, conv_out } = network.layers();
        let block = |block: &ResidualBlock, inputs: usize, level: usize| {
            let outputs = block.conv1.outputs.total();
            assert_eq!((block.norm1.channels, block.conv1.inputs.total()), (inputs, inputs));
            assert_eq!(block.time.outputs, 2 * outputs);
            assert_eq!((block.norm2.channels, block.conv2.inputs.total()), (outputs, outputs));
            assert_eq!(block.skip.is_some(), inputs != outputs);
            let layers = [&block.conv1, &block.conv2].into_iter().chain(&block.skip);
            assert!(layers.into_iter().all(|layer| layer.level == level));
            outputs
        };
        assert_eq!(encoder.conv_in.inputs.total(), 7);
        let mut channels = encoder.conv_in.outputs.total();
        let mut skips = Vec::new();
        for (level, down) in encoder.down.iter().enumerate() {
            channels = down.blocks.iter().fold(channels, |channels, part| block(part, channels, level));
            skips.push(channels);
            assert_eq!((down.downsample.inputs.total(), down.downsample.level), (channels, level + 1));
            channels = down.downsample.outputs.total();
        }
        for part in &encoder.middle {
            match part {
                MiddleBlock::Residual(part) => assert_eq!(block(part, channels, 3), channels),
                MiddleBlock::Mix(mix) => {
                    assert_eq!((mix.norm.channels, mix.reduce.inputs.total()), (channels, channels));
                    assert_eq!(mix.fourier.inputs, 2 * mix.reduce.outputs.total());
                    assert_eq!((mix.expand.outputs.total(), mix.expand.level), (channels, 3));
                }
            }
        }
        for (level, part) in up.iter().enumerate().rev() {
            assert_eq!(part.upsample.inputs.total(), channels);
            let joined = part.upsample.outputs.total() + skips[level];
            channels = part.blocks.iter().fold(joined, |channels, part| block(part, channels, level));
        }
        assert_eq!((norm_out.channels, norm_out.groups()), (channels, 1));
        assert_eq!((conv_out.inputs.total(), conv_out.outputs.total(), channels), (16, 3, 16));
    }
}
