//! A ControlNet branch: steers a denoiser by a hint in pixels.
//!
//! [`lacuna_network::ControlNet`] has the definition and its sources.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use lacuna_network::{ControlLayers, ControlNet as Config};
use rand_pcg::Pcg64;

use super::{Condition, Denoiser, DenoiserEncoder, Encoded};
use crate::block::{Conv2d, Conv2dConfig, Init};
use crate::error::{Error, Result};
use crate::weights;

/// A trained copy of a denoiser's encoder, the encoder of hints, and zero convolutions.
#[derive(Module, Debug)]
pub struct ControlNet {
    encoder: DenoiserEncoder,
    hint: Vec<Conv2d>,
    zero: Vec<Conv2d>,
    #[module(skip)]
    config: Config,
}

/// What a branch adds to a denoiser.
#[derive(Clone, Debug)]
pub struct Steering {
    /// To each skip connection.
    pub skips: Vec<Tensor<4>>,
    /// To the middle.
    pub middle: Tensor<4>,
}

impl Steering {
    /// The same with another strength: 0 adds zeros, 1 is what the branch computed.
    pub fn scaled(self, strength: f64) -> Self {
        Self {
            skips: self.skips.into_iter().map(|skip| skip.mul_scalar(strength)).collect(),
            middle: self.middle.mul_scalar(strength),
        }
    }

    /// The sums.
    pub(super) fn add_to(self, encoded: Encoded) -> Encoded {
        assert_eq!(encoded.skips.len(), self.skips.len(), "skip connections of denoiser and branch");
        let skips = encoded.skips.into_iter().zip(self.skips);
        Encoded {
            skips: skips.map(|(skip, added)| skip + added).collect(),
            middle: encoded.middle + self.middle,
            ..encoded
        }
    }
}

impl ControlNet {
    /// A branch without effect, whose copy is the denoiser's encoder. The hint's encoder is drawn from `rng`. To train, the denoiser
    /// must be on an autodiff device.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such branch of this denoiser.
    pub fn new(config: &Config, denoiser: &Denoiser, rng: Pcg64) -> Result<Self> {
        config.check().map_err(|problem| Error::Config(problem.to_string()))?;
        if &config.denoiser != denoiser.config() {
            let [branch, network] =
                [&config.denoiser, denoiser.config()].map(lacuna_network::Denoiser::label);
            return Err(Error::Config(format!("a branch of {branch} cannot steer {network}")));
        }
        let ControlLayers { encoder, hint, zero } = config.layers();
        let values = weights::read(&denoiser.encoder)?;
        let device = denoiser.encoder.device();
        // Not a clone, whose tensors would be the denoiser's own to the gradients.
        let copy = weights::load(DenoiserEncoder::new(&encoder, &mut Init::unset(&device)), |name| {
            values.iter().find(|named| named.name == name).map(|named| named.weight.clone())
        })?;
        let init = &mut Init::drawn(rng, &device);
        let last = hint.len() - 1;
        let hint = hint.iter().enumerate().map(|(index, layer)| match Conv2dConfig::of(layer) {
            conv if index == last => conv.init_zero(init),
            conv => conv.init(init),
        });
        Ok(Self {
            encoder: copy,
            hint: hint.collect(),
            zero: zero.iter().map(|layer| Conv2dConfig::of(layer).init_zero(init)).collect(),
            config: config.clone(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The encoded hint, which serves all steps of a fill.
    ///
    /// # Shapes
    /// `hint`: `[batch, channels, 8 height, 8 width]` in `[0, 1]`; the result: `[batch, width of the network, height, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the hint has other channels.
    pub fn encode_hint(&self, hint: Tensor<4>) -> Result<Tensor<4>> {
        let [_, channels, _, _] = hint.dims();
        if channels != self.config.hint {
            return Err(Error::Shape(format!(
                "a hint of {channels} channels, expected {}",
                self.config.hint
            )));
        }
        let (last, inner) = self.hint.split_last().expect("the encoder of hints has layers");
        Ok(last.forward(inner.iter().fold(hint, |x, layer| silu(layer.forward(x)))))
    }

    /// What the branch adds to `denoiser` for the noisy latent `x`.
    ///
    /// # Shapes
    /// As [`Denoiser::forward`]; `hint`: what [`ControlNet::encode_hint`] returned.
    ///
    /// # Errors
    /// As [`Denoiser::forward`]; [`Error::Shape`] if the hint has other sides than `x`.
    pub fn forward(
        &self,
        denoiser: &Denoiser,
        x: Tensor<4>,
        times: &[f64],
        condition: &Condition,
        hint: Tensor<4>,
    ) -> Result<Steering> {
        let [batch, _, height, width] = x.dims();
        let [hints, _, rows, columns] = hint.dims();
        if [hints, rows, columns] != [batch, height, width] {
            return Err(Error::Shape(format!(
                "{hints} encoded hints of {rows} x {columns} cells for {batch} latents of {height} x {width}"
            )));
        }
        let inputs = denoiser.inputs(x, times, condition)?;
        let Encoded { skips, middle, .. } = self.encoder.forward(inputs, times, Some(hint));
        let (last, zero) = self.zero.split_last().expect("one zero convolution is the middle's");
        let skips = zero.iter().zip(skips).map(|(zero, skip)| zero.forward(skip)).collect();
        Ok(Steering { skips, middle: last.forward(middle) })
    }
}
