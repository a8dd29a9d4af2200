//! The denoiser: a U-Net that predicts the velocity of a flow, or the noise of a diffusion, in a latent space.
//!
//! [`lacuna_network::Denoiser`] has the definition and its sources.

mod control;
mod encoder;
mod residual;
mod spectral_mix;
#[cfg(test)]
mod tests;
mod time;

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};
use lacuna_network::{Denoiser as Config, UpLevel as UpShape};
use rand_pcg::Pcg64;

use crate::block::enlarge::enlarge;
use crate::block::{Conv2d, Conv2dConfig, GroupNorm, Init};
use crate::error::{Error, Result};

pub use control::{ControlNet, Steering};
pub use encoder::{DenoiserEncoder, DownLevel, Encoded, MiddleBlock};
pub use residual::ResidualBlock;
pub use spectral_mix::SpectralMix;
pub use time::TimeLayers;

/// A network that predicts from a noisy latent, a time and what is known of the image.
#[derive(Module, Debug)]
pub struct Denoiser {
    /// From the inputs to the middle.
    pub encoder: DenoiserEncoder,
    up: Vec<UpLevel>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
    #[module(skip)]
    config: Config,
}

/// A level on the way up.
#[derive(Module, Debug)]
pub struct UpLevel {
    upsample: Conv2d,
    blocks: Vec<ResidualBlock>,
}

/// What a denoiser knows of the images.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The latent of the masked image, or the refined latent of a generator: `[batch, latent, height, width]`.
    pub masked: Tensor<4>,
    /// The fraction of hole pixels in each cell: `[batch, 1, height, width]` in `[0, 1]`.
    pub fraction: Tensor<4>,
    /// The latent of a deterministic fill, if the network has it as input: `[batch, latent, height, width]`.
    pub mean: Option<Tensor<4>>,
}

impl Condition {
    /// The latent of a deterministic fill: the mean, or what stands for it.
    pub fn fill(&self) -> &Tensor<4> {
        self.mean.as_ref().unwrap_or(&self.masked)
    }
}

/// All stages of a prediction.
#[derive(Clone, Debug)]
pub struct Denoised {
    /// What the encoder found, steered by a ControlNet branch.
    pub encoded: Encoded,
    /// The output of each level on the way up, in the order of computation.
    pub up: Vec<Tensor<4>>,
    /// The prediction, `[batch, latent, height, width]`.
    pub predicted: Tensor<4>,
}

impl Denoiser {
    /// A network that predicts zero, with PyTorch's default initialisation elsewhere, drawn from `rng`. To train, pass an autodiff
    /// device.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such network.
    pub fn new(config: &Config, rng: Pcg64, device: &Device) -> Result<Self> {
        Self::build(config, &mut Init::drawn(rng, device))
    }

    /// A network whose parameters have shapes but no values, to be loaded.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such network.
    pub fn unset(config: &Config, device: &Device) -> Result<Self> {
        Self::build(config, &mut Init::unset(device))
    }

    fn build(config: &Config, init: &mut Init) -> Result<Self> {
        config.check().map_err(|problem| Error::Config(problem.to_string()))?;
        let layers = config.layers();
        Ok(Self {
            encoder: DenoiserEncoder::new(&layers.encoder, init),
            up: layers.up.iter().map(|level| UpLevel::new(level, init)).collect(),
            norm_out: GroupNorm::new(&layers.norm_out, init),
            conv_out: Conv2dConfig::of(&layers.conv_out).init_zero(init),
            config: config.clone(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The prediction for the noisy latent `x`.
    ///
    /// # Shapes
    /// - `x` and the result: `[batch, latent, height, width]`
    /// - `times`: one for each image, in `[0, 1]`: 1 is noise
    ///
    /// # Errors
    /// [`Error::Shape`] if inputs do not fit together or a side is too small.
    pub fn forward(&self, x: Tensor<4>, times: &[f64], condition: &Condition) -> Result<Tensor<4>> {
        Ok(self.stages(x, times, condition, None)?.predicted)
    }

    /// The prediction, steered by a ControlNet branch.
    ///
    /// # Shapes
    /// As [`Denoiser::forward`].
    ///
    /// # Errors
    /// As [`Denoiser::forward`].
    pub fn forward_steered(
        &self,
        x: Tensor<4>,
        times: &[f64],
        condition: &Condition,
        steering: Steering,
    ) -> Result<Tensor<4>> {
        Ok(self.stages(x, times, condition, Some(steering))?.predicted)
    }

    /// All stages of the prediction.
    ///
    /// # Shapes
    /// As [`Denoiser::forward`].
    ///
    /// # Errors
    /// As [`Denoiser::forward`].
    pub fn stages(
        &self,
        x: Tensor<4>,
        times: &[f64],
        condition: &Condition,
        steering: Option<Steering>,
    ) -> Result<Denoised> {
        let inputs = self.inputs(x, times, condition)?;
        let encoded = self.encoder.forward(inputs, times, None);
        let encoded = match steering {
            Some(steering) => steering.add_to(encoded),
            None => encoded,
        };
        let mut up = Vec::with_capacity(self.up.len());
        let mut x = encoded.middle.clone();
        for (level, skip) in self.up.iter().zip(&encoded.skips).rev() {
            x = level.forward(x, skip.clone(), encoded.time.clone());
            up.push(x.clone());
        }
        let predicted = self.conv_out.forward(silu(self.norm_out.forward(x)));
        Ok(Denoised { encoded, up, predicted })
    }

    /// The inputs as one map: noisy latent, latent of the masked image, fraction of hole pixels, fill.
    ///
    /// # Shapes
    /// The result: `[batch, channels, height, width]`.
    ///
    /// # Errors
    /// As [`Denoiser::forward`].
    pub fn inputs(&self, x: Tensor<4>, times: &[f64], condition: &Condition) -> Result<Tensor<4>> {
        let Condition { masked, fraction, mean } = condition;
        let [batch, _, height, width] = x.dims();
        let smallest = self.config.smallest_side();
        if height < smallest || width < smallest {
            return Err(Error::Shape(format!(
                "a latent of {height} x {width} cells: this denoiser needs at least {smallest} x {smallest}"
            )));
        }
        if times.len() != batch {
            return Err(Error::Shape(format!("{} times for a batch of {batch}", times.len())));
        }
        if mean.is_some() != self.config.mean {
            let [given, expected] =
                [mean.is_some(), self.config.mean].map(|there| if there { "a fill" } else { "no fill" });
            return Err(Error::Shape(format!("{given} as input of a denoiser that expects {expected}")));
        }
        let latent = [batch, self.config.latent, height, width];
        let named = [("noisy latent", &x, latent), ("latent of the masked image", masked, latent)]
            .into_iter()
            .chain([("fraction of hole pixels", fraction, [batch, 1, height, width])])
            .chain(mean.as_ref().map(|mean| ("latent of the fill", mean, latent)));
        let mut inputs = Vec::with_capacity(4);
        for (name, input, expected) in named {
            if input.dims() != expected {
                return Err(Error::Shape(format!("{name}: expected {expected:?}, got {:?}", input.dims())));
            }
            inputs.push(input.clone());
        }
        Ok(Tensor::cat(inputs, 1))
    }

    /// The first block of a level on the way up.
    #[cfg(test)]
    fn up_block(&self, level: usize) -> &ResidualBlock {
        &self.up[level].blocks[0]
    }
}

impl UpLevel {
    fn new(shape: &UpShape, init: &mut Init) -> Self {
        Self {
            upsample: Conv2dConfig::of(&shape.upsample).init(init),
            blocks: shape.blocks.iter().map(|block| ResidualBlock::new(block, init)).collect(),
        }
    }

    fn forward(&self, x: Tensor<4>, skip: Tensor<4>, time: Tensor<2>) -> Tensor<4> {
        let [_, _, height, width] = skip.dims();
        let enlarged = self.upsample.forward(enlarge(x, height, width));
        let joined = Tensor::cat(vec![enlarged, skip], 1);
        self.blocks.iter().fold(joined, |x, block| block.forward(x, time.clone()))
    }
}
