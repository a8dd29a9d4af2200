//! LaMa's generator of fast Fourier convolutions (Suvorov et al. 2022, <https://arxiv.org/abs/2109.07161>).
//!
//! Convolutions reflect and have no bias. Three quarters of the latent's channels are global.

use super::{INNER_KERNEL, OUTER_KERNEL, shared};
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
        // Only the last layer splits its output.
        outputs: if level == LEVELS { latent } else { Split::local(shape.width << level) },
        level,
        form: Form { stride: 2, ..FORM },
    });
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
        encoder: std::iter::once(stem).chain(down).collect(),
        refiner: (0..shape.blocks).map(block).collect(),
        ..shared::layers(shape)
    }
}
