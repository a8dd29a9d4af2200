//! LaMa's generator of fast Fourier convolutions (Suvorov et al. 2022, <https://arxiv.org/abs/2109.07161>).
//!
//! Convolutions reflect and have no bias. Three quarters of the latent's channels are global.

use super::{INNER_KERNEL, shared};
use crate::geometry::LEVELS;
use crate::{Activation, Border, Delta, Form, Layer, Layers, Operation, Shape, Split};

const FORM: Form = Form {
    operation: Operation::FastFourier,
    kernel: INNER_KERNEL,
    stride: 1,
    border: Border::Reflect,
    bias: false,
    norm: true,
    activation: Activation::Relu,
};

pub(super) fn layers(shape: &Shape) -> Layers {
    let latent = Split::mostly_global(shape.width << LEVELS);
    let half = |path: String, is_last: bool| {
        let activation = match shape.delta {
            Delta::Signed if is_last => Activation::Identity,
            _ => Activation::Relu,
        };
        let form = Form { activation, ..FORM };
        Layer { path, inputs: latent, outputs: latent, level: LEVELS, form }
    };
    let block = |index: usize| {
        let [first, second] = shared::half_paths(index);
        [half(first, false), half(second, index + 1 == shape.blocks)]
    };
    Layers {
        encoder: shared::encoder(shape, FORM, Form { stride: 2, ..FORM }, latent),
        refiner: (0..shape.blocks).map(block).collect(),
        ..shared::layers(shape)
    }
}
