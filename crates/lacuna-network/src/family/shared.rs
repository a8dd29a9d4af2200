//! Common parts of the families: decoder, mask control and the paths of fields.

use super::{INNER_KERNEL, OUTER_KERNEL};
use crate::geometry::{IMAGE_CHANNELS, LEVELS};
use crate::{Activation, Border, Control, Delta, Form, Layer, Layers, Operation, Shape, Split};

/// A convolution that halves the resolution, padded with zeros.
const HALVING: Form = Form {
    operation: Operation::Convolution,
    kernel: INNER_KERNEL,
    stride: 2,
    border: Border::Zero,
    bias: true,
    norm: true,
    activation: Activation::Relu,
};

/// The encoder's layers; `down` is the form of those that halve the resolution. Only the last splits its output.
pub(super) fn encoder(shape: &Shape, stem: Form, down: Form, latent: Split) -> Vec<Layer> {
    let stem = Layer {
        path: "encoder.stem".into(),
        inputs: Split::local(shape.channels_in),
        outputs: Split::local(shape.width),
        level: 0,
        form: Form { kernel: OUTER_KERNEL, ..stem },
    };
    let down = (1..=LEVELS).map(|level| Layer {
        path: format!("encoder.down.{}", level - 1),
        inputs: Split::local(shape.width << (level - 1)),
        outputs: if level == LEVELS { latent } else { Split::local(shape.width << level) },
        level,
        form: down,
    });
    std::iter::once(stem).chain(down).collect()
}

/// Paths of the two halves of a residual block.
pub(super) fn half_paths(block: usize) -> [String; 2] {
    ["first", "second"].map(|half| format!("refiner.blocks.{block}.{half}"))
}

/// A network's decoder and control; the family adds encoder and refiner.
pub(super) fn layers(shape: &Shape) -> Layers {
    Layers {
        encoder: Vec::new(),
        middle: Vec::new(),
        refiner: Vec::new(),
        adds_latent: shape.delta == Delta::Literal,
        decoder: (0..LEVELS).map(|step| up(shape, step)).collect(),
        head: head(shape),
        control: shape.control.then(|| control(shape)),
        modulation: None,
    }
}

/// The layer that doubles the resolution for the `step`th time.
fn up(shape: &Shape, step: usize) -> Layer {
    let level = LEVELS - 1 - step;
    Layer {
        path: format!("decoder.up.{step}"),
        inputs: Split::local(shape.width << (level + 1)),
        outputs: Split::local(shape.width << level),
        level,
        form: Form { operation: Operation::Transposed, ..HALVING },
    }
}

/// The RGB head.
fn head(shape: &Shape) -> Layer {
    Layer {
        path: "decoder.out".into(),
        inputs: Split::local(shape.width),
        outputs: Split::local(IMAGE_CHANNELS),
        level: 0,
        form: Form {
            operation: Operation::Convolution,
            kernel: OUTER_KERNEL,
            stride: 1,
            border: Border::Reflect,
            bias: true,
            norm: false,
            activation: Activation::Sigmoid,
        },
    }
}

/// The mask encoder and its zero convolutions: "Image inpainting in latent space" (Babin 2024), section 4.1.1 and appendix
/// B.1.
fn control(shape: &Shape) -> Control {
    let encoder = |level: usize| {
        let outputs = shape.width << level;
        // The mask has one channel; the first layer only widens it.
        let (inputs, form) = match level {
            0 => (1, Form { kernel: 1, stride: 1, ..HALVING }),
            _ => (outputs / 2, HALVING),
        };
        let path = format!("control.encoder.{level}");
        Layer { path, inputs: Split::local(inputs), outputs: Split::local(outputs), level, form }
    };
    let zero = |level: usize| {
        let channels = Split::local(shape.width << level);
        let path = format!("control.zero.{level}");
        Layer { path, inputs: channels, outputs: channels, level, form: Form::POINTWISE }
    };
    Control { encoder: (0..=LEVELS).map(encoder).collect(), zero: (0..=LEVELS).map(zero).collect() }
}
