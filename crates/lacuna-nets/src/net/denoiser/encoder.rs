//! The first half of a denoiser, from its inputs to the middle. A ControlNet branch has a copy of it.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lacuna_network::{DenoiserEncoder as Shape, DownLevel as DownShape, MiddleBlock as MiddleShape};

use super::{ResidualBlock, SpectralMix, TimeLayers};
use crate::block::{Conv2d, Conv2dConfig, Init};

/// Time, first convolution, levels on the way down, middle.
#[derive(Module, Debug)]
pub struct DenoiserEncoder {
    time: TimeLayers,
    conv_in: Conv2d,
    down: Vec<DownLevel>,
    middle: Vec<MiddleBlock>,
}

/// A level on the way down.
#[derive(Module, Debug)]
pub struct DownLevel {
    blocks: Vec<ResidualBlock>,
    downsample: Conv2d,
}

/// A block of the middle.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "five of them live in a network of megabytes")]
pub enum MiddleBlock {
    /// A residual block.
    Residual(ResidualBlock),
    /// A spectral mix.
    Mix(SpectralMix),
}

/// What the encoder found.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// Values of the times, `[batch, values]`.
    pub time: Tensor<2>,
    /// The skip connection of each level, the highest resolution first: `[batch, channels, height / 2^i, width / 2^i]`, sides
    /// rounded up.
    pub skips: Vec<Tensor<4>>,
    /// The middle's output, at half of the last skip connection's resolution.
    pub middle: Tensor<4>,
}

impl DenoiserEncoder {
    /// With PyTorch's default initialisation, and zeros where blocks end.
    pub fn new(shape: &Shape, init: &mut Init) -> Self {
        Self {
            time: TimeLayers::new(&shape.time, init),
            conv_in: Conv2dConfig::of(&shape.conv_in).init(init),
            down: shape.down.iter().map(|level| DownLevel::new(level, init)).collect(),
            middle: shape.middle.iter().map(|block| MiddleBlock::new(block, init)).collect(),
        }
    }

    /// Encodes the inputs; `added` is added to the first map.
    ///
    /// # Shapes
    /// - `inputs`: `[batch, channels, height, width]`
    /// - `times`: one for each image, in `[0, 1]`
    /// - `added`: `[batch, width of the network, height, width]`
    pub fn forward(&self, inputs: Tensor<4>, times: &[f64], added: Option<Tensor<4>>) -> Encoded {
        let time = self.time.forward(times, &inputs);
        let first = self.conv_in.forward(inputs);
        let mut x = match added {
            Some(added) => first + added,
            None => first,
        };
        let mut skips = Vec::with_capacity(self.down.len());
        for level in &self.down {
            x = level.blocks.iter().fold(x, |x, block| block.forward(x, time.clone()));
            skips.push(x.clone());
            x = level.downsample.forward(x);
        }
        let middle = self.middle.iter().fold(x, |x, block| match block {
            MiddleBlock::Residual(block) => block.forward(x, time.clone()),
            MiddleBlock::Mix(block) => block.forward(x),
        });
        Encoded { time, skips, middle }
    }

    /// The device of the parameters.
    pub(super) fn device(&self) -> Device {
        self.conv_in.weight.lazy_device()
    }

    /// The block of the middle with this index.
    #[cfg(test)]
    pub(super) fn middle(&self, index: usize) -> &MiddleBlock {
        &self.middle[index]
    }
}

impl DownLevel {
    fn new(shape: &DownShape, init: &mut Init) -> Self {
        Self {
            blocks: shape.blocks.iter().map(|block| ResidualBlock::new(block, init)).collect(),
            downsample: Conv2dConfig::of(&shape.downsample).init(init),
        }
    }
}

impl MiddleBlock {
    fn new(shape: &MiddleShape, init: &mut Init) -> Self {
        match shape {
            MiddleShape::Residual(block) => Self::Residual(ResidualBlock::new(block, init)),
            MiddleShape::Mix(block) => Self::Mix(SpectralMix::new(block, init)),
        }
    }
}
