//! The fast Fourier convolution.
//!
//! Chi, Jiang and Mu, "Fast Fourier Convolution", NeurIPS 2020; Suvorov et al. 2022,
//! <https://arxiv.org/abs/2109.07161>:
//! `local = l2l(local) + g2l(global)`, `global = l2g(local) + g2g(global)`, where `g2g` works on the spectrum.
//! Differs from LaMa's code in: no gating and no spectral stride, which no published model uses.

use burn::module::Module;
use lacuna_network::{Layer, Split};

use super::{Conv2d, Conv2dConfig, Init, Spectral};
use crate::Features;
use crate::ops::{Padding, padding};

/// The shape of an [`Ffc`]; both sides always have a local part.
#[derive(Clone, Copy, Debug)]
pub struct FfcConfig {
    /// Channels of the input.
    pub channels_in: Split,
    /// Channels of the output.
    pub channels_out: Split,
    /// Rows and columns of the kernels.
    pub kernel: usize,
    /// Input pixels between outputs; 1 if both sides have a global part.
    pub stride: usize,
    /// The border.
    pub padding: Padding,
}

impl FfcConfig {
    /// The convolution of a layer.
    pub fn of(layer: &Layer) -> Self {
        let Layer { inputs, outputs, form, .. } = layer;
        Self {
            channels_in: *inputs,
            channels_out: *outputs,
            kernel: form.kernel,
            stride: form.stride,
            padding: padding::of(form.border, form.kernel),
        }
    }

    /// The convolution with PyTorch's default initialisation.
    ///
    /// # Panics
    /// For a stride above 1 with a global path.
    pub fn init(&self, init: &mut Init) -> Ffc {
        let Self { channels_in, channels_out, kernel, stride, padding } = *self;
        assert!(stride == 1 || channels_in.global == 0, "the spectral path has no stride");
        let mut conv = |channels_in: usize, channels_out: usize| {
            let config = Conv2dConfig { channels_in, channels_out, kernel, stride, padding, bias: false };
            (channels_in > 0 && channels_out > 0).then(|| config.init(init))
        };
        let local_to_local =
            conv(channels_in.local, channels_out.local).expect("both sides have a local part");
        let local_to_global = conv(channels_in.local, channels_out.global);
        let global_to_local = conv(channels_in.global, channels_out.local);
        let global_to_global = (channels_in.global > 0 && channels_out.global > 0)
            .then(|| Spectral::new(channels_in.global, channels_out.global, init));
        Ffc { local_to_local, local_to_global, global_to_local, global_to_global }
    }
}

/// A convolution of a local and a global part that are mixed.
#[derive(Module, Debug)]
pub struct Ffc {
    pub(super) local_to_local: Conv2d,
    pub(super) local_to_global: Option<Conv2d>,
    pub(super) global_to_local: Option<Conv2d>,
    pub(super) global_to_global: Option<Spectral>,
}

impl Ffc {
    /// Convolves both parts.
    ///
    /// # Shapes
    /// `x`: parts `[batch, channels, height, width]`; the result: likewise, with the output's channels and,
    /// with stride 2, half the sides (rounded up).
    ///
    /// # Panics
    /// If `x` lacks a part for which the convolution has weights.
    pub fn forward(&self, x: Features) -> Features {
        let from_local = self.local_to_global.as_ref().map(|conv| conv.forward(x.local.clone()));
        let mut local = self.local_to_local.forward(x.local);
        if let Some(conv) = &self.global_to_local {
            let global = x.global.clone().expect("the input's global part");
            local = local + conv.forward(global);
        }
        let from_global = self
            .global_to_global
            .as_ref()
            .map(|path| path.forward(x.global.expect("the input's global part")));
        let global = match (from_local, from_global) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Features { local, global }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded};
    use burn::tensor::Tensor;

    const GRADIENT_TOLERANCE: f64 = 1e-4;

    fn config(channels_in: Split, channels_out: Split, stride: usize) -> FfcConfig {
        FfcConfig { channels_in, channels_out, kernel: 3, stride, padding: Padding::Reflect(1) }
    }

    #[test]
    fn a_part_appears_where_the_output_has_it() {
        let local = |channels| Split { local: channels, global: 0 };
        let both = Split { local: 2, global: 6 };
        for batch in [1, 2] {
            let x = Features { local: random([batch, 4, 7, 5], 1), global: None };
            let y = config(local(4), local(3), 2).init(&mut seeded(1)).forward(x.clone());
            assert_eq!(y.local.dims(), [batch, 3, 4, 3]);
            assert!(y.global.is_none());
            let y = config(local(4), both, 2).init(&mut seeded(1)).forward(x);
            assert_eq!(y.local.dims(), [batch, 2, 4, 3]);
            assert_eq!(y.global.as_ref().unwrap().dims(), [batch, 6, 4, 3]);
            let y = config(both, both, 1).init(&mut seeded(1)).forward(y);
            assert_eq!(y.local.dims(), [batch, 2, 4, 3]);
            assert_eq!(y.global.as_ref().unwrap().dims(), [batch, 6, 4, 3]);
            let y = config(both, local(3), 1).init(&mut seeded(1)).forward(y);
            assert_eq!(y.local.dims(), [batch, 3, 4, 3]);
            assert!(y.global.is_none());
        }
    }

    #[test]
    #[should_panic(expected = "no stride")]
    fn a_stride_on_the_spectral_path_is_refused() {
        let both = Split { local: 2, global: 6 };
        config(both, both, 2).init(&mut seeded(1));
    }

    #[test]
    fn it_has_the_right_gradient() {
        let both = Split { local: 2, global: 2 };
        let ffc = config(both, both, 1).init(&mut seeded(1));
        let forward = |ffc: &Ffc, x: Tensor<4>| ffc.forward(Features::split(x, both)).concat();
        assert_block_gradient(ffc, forward, [1, 4, 3, 4], GRADIENT_TOLERANCE);
    }
}
