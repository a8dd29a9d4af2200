//! A fast Fourier convolution with normalisation and ReLU on each part.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{BatchNorm, Ffc, FfcConfig, Init};
use crate::net::Features;

/// LaMa's `FFC_BN_ACT`.
#[derive(Module, Debug)]
pub struct FfcNormAct {
    ffc: Ffc,
    norm_local: BatchNorm,
    norm_global: Option<BatchNorm>,
}

impl FfcNormAct {
    /// PyTorch's default values.
    pub fn new(config: &FfcConfig, init: &mut Init) -> Self {
        let channels = config.channels_out;
        Self {
            ffc: config.init(init),
            norm_local: BatchNorm::new(channels.local, init),
            norm_global: (channels.global > 0).then(|| BatchNorm::new(channels.global, init)),
        }
    }

    /// Convolves, normalises and rectifies both parts.
    ///
    /// # Shapes
    /// As [`Ffc::forward`]; all values of the result are at least 0.
    pub fn forward(&self, x: Features) -> Features {
        self.then(x, BatchNorm::forward_relu)
    }

    /// Convolves and normalises both parts.
    ///
    /// # Shapes
    /// As [`Ffc::forward`].
    pub fn forward_linear(&self, x: Features) -> Features {
        self.then(x, BatchNorm::forward)
    }

    fn then(&self, x: Features, norm: impl Fn(&BatchNorm, Tensor<4>) -> Tensor<4>) -> Features {
        let y = self.ffc.forward(x);
        let global = self.norm_global.as_ref().zip(y.global).map(|(own, global)| norm(own, global));
        Features { local: norm(&self.norm_local, y.local), global }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Padding;
    use crate::net::Split;
    use crate::testing::{assert_block_gradient, random, seeded, values};

    const GRADIENT_TOLERANCE: f64 = 1e-4;
    const BOTH: Split = Split { local: 2, global: 2 };

    fn block() -> FfcNormAct {
        let padding = Padding::Reflect(1);
        let config = FfcConfig { channels_in: BOTH, channels_out: BOTH, kernel: 3, stride: 1, padding };
        FfcNormAct::new(&config, &mut seeded(1))
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
