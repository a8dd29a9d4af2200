//! The context encoder (Pathak et al. 2016, <https://arxiv.org/abs/1604.07379>).
//!
//! `answer = decoder(middle(encoder(erased)))`, in `[-1, 1]` as published; `erased` is the image with one colour in the
//! hole. Images outside this folder are in `[0, 1]`.

mod initial;
#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::checkpoint::Checkpoint;
use lacuna_network::context::FILL;
use lacuna_network::geometry::IMAGE_CHANNELS;
use lacuna_network::{Architecture, ContextEncoder as Config, Layer, Layers};
use rand_pcg::Pcg64;

use crate::block::{ChannelWise, Init, Stage};
use crate::error::{Error, Result};
use crate::weights::{self, Weight};

pub use initial::initial_weights;

/// A network that fills square images of one size.
#[derive(Module, Debug)]
pub struct ContextEncoder {
    encoder: Vec<Stage>,
    middle: MiddleBlock,
    decoder: Vec<Stage>,
    #[module(skip)]
    config: Architecture,
}

/// How distant places of the encoder's last map reach each other.
#[derive(Module, Debug)]
pub enum MiddleBlock {
    /// A single pixel of many channels.
    Bottleneck(Stage),
    /// A full connection within each channel, then a 1x1 convolution.
    ChannelWise(ChannelWiseMiddle),
}

/// A full connection within each channel, then a 1x1 convolution.
#[derive(Module, Debug)]
pub struct ChannelWiseMiddle {
    within: ChannelWise,
    mix: Stage,
}

impl ContextEncoder {
    /// A network with the published initialisation: convolutions from `N(0, 0.02)`, norms from `N(1, 0.02)`, offsets 0,
    /// matrices of the channel-wise layer from `N(0, 1/side)`. To train, pass an autodiff device.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such network.
    pub fn new(config: &Config, rng: Pcg64, device: &Device) -> Result<Self> {
        let network = Self::unset(config, device)?;
        let mut initial = initial_weights(network.config.layers().iter(), rng);
        weights::load(network, |name| initial.remove(name))
    }

    /// A network whose parameters have shapes but no values.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such network.
    pub(crate) fn unset(config: &Config, device: &Device) -> Result<Self> {
        config.check().map_err(|problem| Error::Config(problem.to_string()))?;
        let config = Architecture::ContextEncoder(*config);
        let init = &mut Init::unset(device);
        let Layers { encoder, middle, decoder, head, .. } = config.layers();
        let stages = |layers: &[Layer], init: &mut Init| -> Result<Vec<Stage>> {
            layers.iter().map(|layer| Stage::new(layer, init)).collect()
        };
        let middle = match middle.as_slice() {
            [within, mix] => MiddleBlock::ChannelWise(ChannelWiseMiddle {
                within: ChannelWise::new(within.inputs.total(), within.form.kernel.pow(2), init),
                mix: Stage::new(mix, init)?,
            }),
            [bottleneck] => MiddleBlock::Bottleneck(Stage::new(bottleneck, init)?),
            other => {
                return Err(Error::Config(format!("a context encoder with {} middle layers", other.len())));
            }
        };
        Ok(Self {
            encoder: stages(&encoder, init)?,
            middle,
            decoder: stages(&[decoder, vec![head]].concat(), init)?,
            config,
        })
    }

    /// The network of a weights file.
    ///
    /// # Errors
    /// [`Error::Config`] if the file has another network.
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config().context_encoder().ok_or_else(|| {
            Error::Config(format!("expected a context encoder, found {}", checkpoint.config().label()))
        })?;
        let source = |name: &str| checkpoint.tensor(name).map(|(shape, values)| Weight { shape, values });
        weights::load(Self::unset(config, device)?, source)
    }

    /// The configuration, as weights files have it.
    pub fn config(&self) -> &Architecture {
        &self.config
    }

    /// The options of the network.
    pub fn options(&self) -> &Config {
        self.config.context_encoder().expect("it was built from them")
    }

    /// The answer to an erased image.
    ///
    /// # Shapes
    /// - `erased`: `[batch, 3, side, side]` in `[-1, 1]`, the hole in [`FILL`]
    /// - the result: `[batch, 3, answer side, answer side]` in `[-1, 1]`
    ///
    /// # Errors
    /// [`Error::Shape`] for another side, and in training for a batch of one: norms over a single pixel need more.
    pub fn forward(&self, erased: Tensor<4>) -> Result<Tensor<4>> {
        let side = self.options().side;
        let found = erased.dims();
        if found[1..] != [IMAGE_CHANNELS, side, side] {
            return Err(Error::Shape(format!(
                "{} takes images [batch, {IMAGE_CHANNELS}, {side}, {side}], got {found:?}",
                self.config.label()
            )));
        }
        if found[0] < 2 && erased.device().is_autodiff() {
            return Err(Error::Shape(format!(
                "{} trains on batches of at least 2 images, got {}: BatchNorm over a single pixel has no variance",
                self.config.label(),
                found[0]
            )));
        }
        Ok(self.stages(erased).pop().expect("a network has layers"))
    }

    /// The outputs of all layers of encoder, middle and decoder; the last is the answer.
    fn stages(&self, erased: Tensor<4>) -> Vec<Tensor<4>> {
        let mut outputs: Vec<Tensor<4>> = Vec::new();
        let mut x = erased;
        for stage in &self.encoder {
            x = stage.forward(x);
            outputs.push(x.clone());
        }
        x = match &self.middle {
            MiddleBlock::Bottleneck(stage) => stage.forward(x),
            MiddleBlock::ChannelWise(middle) => middle.mix.forward(middle.within.forward(x)),
        };
        outputs.push(x.clone());
        for stage in &self.decoder {
            x = stage.forward(x);
            outputs.push(x.clone());
        }
        outputs
    }

    /// The image with its hole filled.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, side, side]` in `[0, 1]`; what it holds inside the hole is ignored
    /// - `mask`: `[batch, 1, side, side]`, 1 = hole; pixels of the hole that the network does not predict get [`FILL`]
    /// - the result: as `image`
    ///
    /// # Errors
    /// As [`ContextEncoder::forward`].
    pub fn fill(&self, image: Tensor<4>, mask: Tensor<4>) -> Result<Tensor<4>> {
        let erased = erase(signed(image.clone()), mask.clone());
        let answer = self.forward(erased.clone())?;
        let (at, length) = (self.options().answer_offset(), self.options().answer_side());
        let [batch, ..] = answer.dims();
        let predicted =
            erased.slice_assign([0..batch, 0..IMAGE_CHANNELS, at..at + length, at..at + length], answer);
        let predicted = unsigned(predicted).clamp(0.0, 1.0);
        let known = mask.clone().neg().add_scalar(1.0);
        Ok(predicted * mask + image * known)
    }

    /// The part of an image that the network predicts.
    ///
    /// # Shapes
    /// `image`: `[batch, channels, side, side]`; the result: `[batch, channels, answer side, answer side]`.
    pub fn answer_part(&self, image: Tensor<4>) -> Tensor<4> {
        let (at, length) = (self.options().answer_offset(), self.options().answer_side());
        image.narrow(2, at, length).narrow(3, at, length)
    }
}

/// Values in `[-1, 1]`, of those in `[0, 1]`.
pub fn signed(image: Tensor<4>) -> Tensor<4> {
    image.mul_scalar(2.0).sub_scalar(1.0)
}

/// Values in `[0, 1]`, of those in `[-1, 1]`.
pub fn unsigned(image: Tensor<4>) -> Tensor<4> {
    image.add_scalar(1.0).mul_scalar(0.5)
}

/// The image with [`FILL`] in its hole.
///
/// # Shapes
/// - `image` and the result: `[batch, 3, height, width]` in `[-1, 1]`
/// - `mask`: `[batch or 1, 1, height, width]`, 1 = hole
pub fn erase(image: Tensor<4>, mask: Tensor<4>) -> Tensor<4> {
    let fill = TensorData::new(FILL.map(|value| 2.0 * value - 1.0).to_vec(), [1, IMAGE_CHANNELS, 1, 1]);
    let fill = Tensor::<4>::from_data(fill, &image.device());
    let known = mask.clone().neg().add_scalar(1.0);
    image * known + fill * mask
}
