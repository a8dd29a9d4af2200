//! The pix2pixHD global generator (Wang et al. 2018, <https://arxiv.org/abs/1711.11585>), LaMa's "regular" baseline.
//!
//! Convolutions have a bias. They reflect where they keep the resolution, and pad with zeros where they halve it. A residual
//! block ends without ReLU.

use super::{INNER_KERNEL, OUTER_KERNEL, shared};
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
    let stem = Layer {
        path: shared::STEM.into(),
        inputs: Split::local(shape.channels_in),
        outputs: Split::local(shape.width),
        level: 0,
        form: Form { kernel: OUTER_KERNEL, ..FORM },
    };
    let down = (1..=LEVELS).map(|level| Layer {
        path: shared::down_path(level),
        inputs: Split::local(shape.width << (level - 1)),
        outputs: Split::local(shape.width << level),
        level,
        form: Form { stride: 2, border: Border::Zero, ..FORM },
    });
    let half = |path: String, activation: Activation| {
        let form = Form { activation, ..FORM };
        Layer { path, inputs: latent, outputs: latent, level: LEVELS, form }
    };
    let block = |index: usize| {
        let [first, second] = shared::half_paths(index);
        [half(first, Activation::Relu), half(second, Activation::Identity)]
    };
    Layers {
        encoder: std::iter::once(stem).chain(down).collect(),
        refiner: (0..shape.blocks).map(block).collect(),
        ..shared::layers(shape)
    }
}
