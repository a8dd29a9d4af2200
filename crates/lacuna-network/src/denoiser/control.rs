//! A ControlNet branch: steers a denoiser by a hint in pixels (Zhang, Rao and Agrawala 2023, <https://arxiv.org/abs/2302.05543>).
//!
//! A trained copy of the denoiser's encoder reads the same inputs and an encoded hint. Its skip connections and its middle pass
//! through 1x1 convolutions that start at zero, and are added to those of the frozen denoiser. The hint's encoder is that of the
//! published program (the paper describes another), with other widths.

use serde::{Deserialize, Serialize};

use super::blocks::{Part, conv3, halving, pointwise};
use super::{DENOISER_WIDTH_LIMIT, Denoiser, DenoiserEncoder, DenoiserError, LATENT_LIMIT};
use crate::Layer;

/// Channels of a hint: the mask, and three that depend on its kind.
pub const HINT_CHANNELS: usize = 4;

/// Channels of the hint's encoder at the image's resolution, and after each halving.
pub const HINT_WIDTHS: [usize; 4] = [16, 32, 64, 96];

/// The options of a ControlNet branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlNet {
    /// The denoiser that it steers.
    pub denoiser: Denoiser,
    /// Channels of the hint.
    pub hint: usize,
    /// Channels of the hint's encoder at the image's resolution, and after each halving.
    pub hint_widths: [usize; 4],
}

/// The layers of a ControlNet branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlLayers {
    /// The copy.
    pub encoder: DenoiserEncoder,
    /// From the hint to what is added to the copy's first map: each but the last is followed by SiLU; the last starts at zero. Levels
    /// count from the image's resolution.
    pub hint: Vec<Layer>,
    /// For each skip connection, then the middle. They start at zero.
    pub zero: Vec<Layer>,
}

impl ControlNet {
    /// A branch for this denoiser, with the usual hint.
    pub fn new(denoiser: Denoiser) -> Self {
        Self { denoiser, hint: HINT_CHANNELS, hint_widths: HINT_WIDTHS }
    }

    /// Checks the options.
    ///
    /// # Errors
    /// The value that is out of range.
    pub fn check(&self) -> Result<(), DenoiserError> {
        self.denoiser.check()?;
        if !(1..=LATENT_LIMIT).contains(&self.hint) {
            return Err(DenoiserError::Hint(self.hint));
        }
        match self.hint_widths.iter().find(|width| !(1..=DENOISER_WIDTH_LIMIT).contains(*width)) {
            Some(&width) => Err(DenoiserError::HintWidth(width)),
            None => Ok(()),
        }
    }

    /// The branch's layers.
    pub fn layers(&self) -> ControlLayers {
        let encoder = self.denoiser.layers().encoder;
        let [a, b, c, d] = self.hint_widths;
        let first = encoder.conv_in.outputs.total();
        let path = |index: usize| format!("hint.{index}");
        let hint = vec![
            conv3(path(0), [self.hint, a], 0),
            conv3(path(1), [a, a], 0),
            halving(path(2), [a, b], 1),
            conv3(path(3), [b, b], 1),
            halving(path(4), [b, c], 2),
            conv3(path(5), [c, c], 2),
            halving(path(6), [c, d], 3),
            conv3(path(7), [d, first], 3),
        ];
        let skips = encoder.down.iter().map(|level| level.downsample.inputs.total());
        let middle = self.denoiser.levels.last().map(|multiple| multiple * self.denoiser.width);
        let zero = skips.chain(middle).enumerate();
        let zero = zero.map(|(level, channels)| pointwise(format!("zero.{level}"), [channels; 2], level));
        ControlLayers { zero: zero.collect(), hint, encoder }
    }
}

impl ControlLayers {
    /// Name and shape of every tensor; see [`super::DenoiserLayers::tensors`].
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let layers = self.hint.iter().chain(&self.zero).map(Part::Layer);
        self.encoder.parts().chain(layers).flat_map(Part::tensors).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::DenoiserSize;
    use super::*;

    /// Reference specification of diffusion, 3.2: millions of parameters of the branch, the hint's encoder and the zero
    /// convolutions, for a latent of 16 channels.
    #[test]
    fn parameters_are_those_of_the_reference() {
        let millions = |tensors: &[(String, Vec<usize>)], prefix: &str| {
            let counted = tensors.iter().filter(|(name, _)| name.starts_with(prefix));
            counted.map(|(_, sides)| sides.iter().product::<usize>()).sum::<usize>() as f64 / 1e6
        };
        let medium = ControlNet::new(DenoiserSize::M.denoiser(16)).layers().tensors();
        for (prefix, expected) in [("", 8.8), ("hint.", 0.21), ("zero.", 0.13)] {
            let found = millions(&medium, prefix);
            assert!(
                (found - expected).abs() < if expected > 1.0 { 0.05 } else { 0.005 },
                "{prefix}: {found}"
            );
        }
        let small = millions(&ControlNet::new(DenoiserSize::S.denoiser(16)).layers().tensors(), "");
        assert!((small - 4.0).abs() < 0.05, "{small}");
    }

    #[test]
    fn one_zero_convolution_for_each_skip_and_the_middle() {
        let denoiser = Denoiser { latent: 4, width: 16, levels: vec![1, 2], blocks: 1, mean: true };
        let ControlLayers { zero, hint, .. } = ControlNet::new(denoiser.clone()).layers();
        let channels: Vec<usize> = zero.iter().map(|layer| layer.outputs.total()).collect();
        assert_eq!(channels, [16, 32]);
        assert!(hint.windows(2).all(|pair| pair[0].outputs == pair[1].inputs));
        assert_eq!(hint.iter().filter(|layer| layer.form.stride == 2).count(), 3);
        let narrow = ControlNet { hint_widths: [4, 0, 8, 16], ..ControlNet::new(denoiser.clone()) };
        assert_eq!(narrow.check(), Err(DenoiserError::HintWidth(0)));
        let blind = ControlNet { hint: 0, ..ControlNet::new(denoiser) };
        assert_eq!(blind.check(), Err(DenoiserError::Hint(0)));
    }
}
