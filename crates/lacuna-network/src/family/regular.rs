//! The pix2pixHD global generator (Wang et al. 2018, <https://arxiv.org/abs/1711.11585>), LaMa's "regular" baseline.
//!
//! Convolutions have a bias. They reflect where they keep the resolution, and pad with zeros where they halve it. A residual
//! block ends without ReLU.

use super::{INNER_KERNEL, shared};
use crate::geometry::LEVELS;
use crate::{Activation, Border, Form, Layer, Layers, Operation, Shape, Split};

const FORM: Form = Form {
    operation: Operation::Convolution,
    kernel: INNER_KERNEL,
    stride: 1,
    border: Border::Reflect,
    bias: true,
    norm: true,
    activation: Activation::Relu,
};

pub(super) fn layers(shape: &Shape) -> Layers {
    let latent = Split::local(shape.width << LEVELS);
    let half = |path: String, activation: Activation| {
        let form = Form { activation, ..FORM };
        Layer { path, inputs: latent, outputs: latent, level: LEVELS, form }
    };
    let block = |index: usize| {
        let [first, second] = shared::half_paths(index);
        [half(first, Activation::Relu), half(second, Activation::Identity)]
    };
    Layers {
        encoder: shared::encoder(shape, FORM, Form { stride: 2, border: Border::Zero, ..FORM }, latent),
        refiner: (0..shape.blocks).map(block).collect(),
        ..shared::layers(shape)
    }
}
