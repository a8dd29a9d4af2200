//! A fast Fourier convolution with normalisation and activation of each part.

use burn::module::Module;
use lacuna_network::Activation;

use super::{BatchNorm, Ffc, FfcConfig, Init};
use crate::Features;

/// LaMa's `FFC_BN_ACT`.
#[derive(Module, Debug)]
pub struct FfcNormAct {
    pub(super) ffc: Ffc,
    pub(super) norm_local: BatchNorm,
    pub(super) norm_global: Option<BatchNorm>,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl FfcNormAct {
    /// With PyTorch's default initialisation.
    pub fn new(config: &FfcConfig, activation: Activation, init: &mut Init) -> Self {
        let channels = config.channels_out;
        Self {
            ffc: config.init(init),
            norm_local: BatchNorm::new(channels.local, init),
            norm_global: (channels.global > 0).then(|| BatchNorm::new(channels.global, init)),
            activation,
        }
    }

    /// Convolves, normalises and activates both parts.
    ///
    /// # Shapes
    /// As [`Ffc::forward`].
    pub fn forward(&self, x: Features) -> Features {
        self.activated(self.ffc.forward(x))
    }

    /// Normalises and activates what was convolved.
    pub(super) fn activated(&self, y: Features) -> Features {
        let global = self.norm_global.as_ref().zip(y.global);
        Features {
            local: self.norm_local.forward_activated(y.local, self.activation),
            global: global.map(|(norm, global)| norm.forward_activated(global, self.activation)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Padding;
    use crate::testing::{assert_block_gradient, random, seeded, values};
    use burn::tensor::Tensor;
    use lacuna_network::Split;

    const GRADIENT_TOLERANCE: f64 = 1e-4;
    const BOTH: Split = Split { local: 2, global: 2 };

    fn block() -> FfcNormAct {
        let padding = Padding::Reflect(1);
        let config = FfcConfig { channels_in: BOTH, channels_out: BOTH, kernel: 3, stride: 1, padding };
        FfcNormAct::new(&config, Activation::Relu, &mut seeded(1))
    }

    #[test]
    fn the_result_is_not_negative() {
        for batch in [1, 2] {
            let y = block().forward(Features::split(random([batch, 4, 5, 3], 2), BOTH)).concat();
            assert_eq!(y.dims(), [batch, 4, 5, 3]);
            let y = values(y);
            assert!(y.iter().all(|&value| value >= 0.0) && y.iter().any(|&value| value > 0.0));
        }
    }

    #[test]
    fn it_has_the_right_gradient() {
        let forward = |block: &FfcNormAct, x: Tensor<4>| block.forward(Features::split(x, BOTH)).concat();
        assert_block_gradient(block(), forward, [1, 4, 3, 4], GRADIENT_TOLERANCE);
    }
}
