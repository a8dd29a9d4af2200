//! The layers that the engine supports; others are refused by name before anything is packed.

use lacuna_network::geometry::{IMAGE_CHANNELS, LEVELS, MASKED_CHANNELS};
use lacuna_network::{Activation, Border, Control, Form, Layer, Layers, Operation};

use crate::error::{Error, Result};

/// A 3x3 convolution with reflected border, norm and ReLU.
const CONVOLUTION: Form = Form {
    operation: Operation::Convolution,
    kernel: 3,
    stride: 1,
    border: Border::Reflect,
    bias: true,
    norm: true,
    activation: Activation::Relu,
};

/// A layer's position in the network, which decides on its kernels.
#[derive(Clone, Copy)]
enum Place {
    /// From the image to level 0.
    Stem,
    /// To the next level of an encoder.
    Down,
    /// From the mask to level 0 of the mask encoder.
    MaskStem,
    /// From the mask encoder to the summands of the image encoder.
    Zero,
    /// Half of a residual block.
    Half,
    /// To the level above.
    Up,
    /// To the image.
    Head,
}

impl Place {
    /// Whether the kernels for this position support this form.
    fn computes(self, form: Form) -> bool {
        let (plain, relu, identity) = (CONVOLUTION, Activation::Relu, Activation::Identity);
        let borders = [Border::Zero, Border::Reflect];
        let mut forms: Vec<Form> = match self {
            Self::Stem => vec![Form { kernel: 7, ..plain }],
            Self::Down => borders.map(|border| Form { stride: 2, border, ..plain }).into(),
            Self::MaskStem => vec![Form { kernel: 1, border: Border::Zero, ..plain }],
            Self::Zero => vec![Form::POINTWISE],
            Self::Half => borders
                .into_iter()
                .flat_map(|border| [relu, identity].map(|activation| Form { border, activation, ..plain }))
                .collect(),
            Self::Up => {
                vec![Form { operation: Operation::Transposed, stride: 2, border: Border::Zero, ..plain }]
            }
            Self::Head => vec![Form { kernel: 7, norm: false, activation: Activation::Sigmoid, ..plain }],
        };
        if let Self::Stem | Self::Down | Self::Half = self {
            let fourier = |form: &Form| Form { operation: Operation::FastFourier, ..*form };
            forms.extend(forms.iter().map(fourier).collect::<Vec<_>>());
        }
        // Plain convolutions fold their bias into the norm, or into what they add before the activation; it may be
        // absent.
        let bias = match (self, form.operation) {
            (Self::Zero, _) | (_, Operation::FastFourier) => false,
            _ => form.bias,
        };
        forms.iter().any(|known| Form { bias, ..*known } == form)
    }
}

/// Checks that the engine has kernels for all layers, and that these fit together.
///
/// # Errors
/// [`Error::Operation`] with the first unsupported layer; [`Error::Structure`] if layers do not fit together.
pub(super) fn check(layers: &Layers) -> Result<()> {
    let Layers { encoder, refiner, decoder, head, control, .. } = layers;
    levels("the encoder", encoder.len(), LEVELS + 1)?;
    levels("the decoder", decoder.len(), LEVELS)?;
    levels("the middle", layers.middle.len(), 0)?;
    operation(&encoder[0], Place::Stem)?;
    encoder[1..].iter().try_for_each(|layer| operation(layer, Place::Down))?;
    refiner.iter().flatten().try_for_each(|layer| operation(layer, Place::Half))?;
    decoder.iter().try_for_each(|layer| operation(layer, Place::Up))?;
    operation(head, Place::Head)?;
    control.iter().try_for_each(|control| check_control(control, encoder))?;

    let path: Vec<&Layer> =
        encoder.iter().chain(refiner.iter().flatten()).chain(decoder).chain([head]).collect();
    path.windows(2)
        .try_for_each(|pair| channels(pair[1], pair[0].outputs.total(), pair[1].inputs.total()))?;
    let latent = encoder[LEVELS].outputs;
    let mut halves = refiner.iter().flatten();
    if let Some(half) = halves.find(|half| (half.inputs, half.outputs) != (latent, latent)) {
        return Err(structure(half, format!("a residual block keeps the latent's channels, {latent:?}")));
    }
    if !matches!(encoder[0].inputs.total(), IMAGE_CHANNELS | MASKED_CHANNELS) {
        return channels(&encoder[0], IMAGE_CHANNELS, encoder[0].inputs.total());
    }
    channels(head, IMAGE_CHANNELS, head.outputs.total())
}

fn check_control(control: &Control, image: &[Layer]) -> Result<()> {
    levels("the mask encoder", control.encoder.len(), LEVELS + 1)?;
    levels("mask control", control.zero.len(), LEVELS + 1)?;
    operation(&control.encoder[0], Place::MaskStem)?;
    control.encoder[1..].iter().try_for_each(|layer| operation(layer, Place::Down))?;
    control.zero.iter().try_for_each(|layer| operation(layer, Place::Zero))?;
    channels(&control.encoder[0], 1, control.encoder[0].inputs.total())?;
    for (level, (mask, zero)) in control.encoder.iter().zip(&control.zero).enumerate() {
        if level > 0 {
            channels(mask, control.encoder[level - 1].outputs.total(), mask.inputs.total())?;
        }
        channels(zero, mask.outputs.total(), zero.inputs.total())?;
        channels(zero, image[level].outputs.total(), zero.outputs.total())?;
    }
    Ok(())
}

fn operation(layer: &Layer, place: Place) -> Result<()> {
    // Only residual blocks, which are not strided, have kernels for the spectral path.
    let global = !matches!(place, Place::Half)
        && layer.inputs.global > 0
        && layer.form.operation == Operation::FastFourier;
    if place.computes(layer.form) && !global {
        return Ok(());
    }
    Err(Error::Operation { layer: layer.path.clone(), operation: layer.form.to_string() })
}

fn levels(part: &'static str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let problem = format!("{found} layers, the CPU engine takes {expected}");
    Err(Error::Structure { layer: part.to_owned(), problem })
}

fn channels(layer: &Layer, expected: usize, found: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(structure(layer, format!("{found} channels where {expected} meet them")))
}

fn structure(layer: &Layer, problem: String) -> Error {
    Error::Structure { layer: layer.path.clone(), problem }
}
