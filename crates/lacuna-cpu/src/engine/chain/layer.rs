//! One layer of a chain, with its norm folded into its weights.

use lacuna_network::{Activation, Border, ChannelWise, LEAKY_SLOPE, Layer, Operation, Pieces};
use rayon::prelude::*;

use crate::Isa;
use crate::engine::dense;
use crate::engine::source::{Source, Weights};
use crate::error::{Error, Result};
use crate::kernels::conv::{self, ConvShape, Padding};

/// A layer with its weights.
#[derive(Debug)]
pub(super) struct ChainLayer {
    kernel: Kernel,
    weights: Vec<f32>,
    /// For each channel; of [`Kernel::ChannelWise`] for each value.
    offsets: Vec<f32>,
    activation: Activation,
}

/// What computes a layer.
#[derive(Debug)]
enum Kernel {
    /// A convolution.
    Convolution(ConvShape),
    /// The input gradient of a convolution of this shape.
    Transposed(ConvShape),
    /// A convolution whose output is a single pixel.
    ToPixel,
    /// A transposed convolution whose input is a single pixel, and its outputs are `.0` pixels for each channel.
    FromPixel(usize),
    /// A full connection of this many places within each channel.
    ChannelWise(usize),
}

impl ChainLayer {
    /// Packs a layer whose input has sides of `side` pixels.
    ///
    /// # Errors
    /// [`Error::Operation`] if there is no kernel for it, [`Error::Structure`] if the map is too small, and those of
    /// missing tensors.
    pub fn compile<'w, W: Weights<'w>>(layer: &Layer, side: usize, source: &Source<W>) -> Result<Self> {
        let form = layer.form;
        let refused = || Error::Operation { layer: layer.path.clone(), operation: form.to_string() };
        let structure = |problem: String| Error::Structure { layer: layer.path.clone(), problem };
        if form.operation == Operation::Convolution && side + 2 * form.padding() < form.kernel {
            return Err(structure(format!("a kernel of {} on a map of {side}", form.kernel)));
        }
        let (inputs, outputs) = (layer.inputs.total(), layer.outputs.total());
        let padding = match (form.border, form.padding()) {
            (Border::None, _) | (_, 0) => Padding::None,
            (Border::Zero, by) => Padding::Zero(by),
            (Border::Reflect, _) => return Err(refused()),
        };
        let shape = |channels_in, channels_out, side| ConvShape {
            batch: 1,
            channels_in,
            channels_out,
            height: side,
            width: side,
            kernel: form.kernel,
            stride: form.stride,
            padding,
        };
        let to = form.side(side);
        let kernel = match form.operation {
            Operation::Convolution if to == 1 && side == form.kernel => Kernel::ToPixel,
            Operation::Convolution => Kernel::Convolution(shape(inputs, outputs, side)),
            Operation::Transposed if side == 1 && to == form.kernel => Kernel::FromPixel(to * to),
            Operation::Transposed => {
                let shape = shape(outputs, inputs, to);
                if shape.rows() != side {
                    return Err(refused());
                }
                Kernel::Transposed(shape)
            }
            Operation::ChannelWise if form.norm || form.kernel != side => return Err(refused()),
            Operation::ChannelWise => Kernel::ChannelWise(side * side),
            Operation::FastFourier => return Err(refused()),
        };
        let (weights, offsets) = match layer.pieces() {
            Pieces::ChannelWise(pieces) => channel_wise(&pieces, source)?,
            Pieces::Plain(_) => {
                let folded = source.folded(layer)?;
                let taps = form.kernel * form.kernel;
                let is_transposed = form.operation == Operation::Transposed;
                let (outer, inner) = if is_transposed { (inputs, outputs) } else { (outputs, inputs) };
                let mut weights = Vec::with_capacity(outer * inner * taps);
                for (first, second) in
                    (0..outer).flat_map(|first| (0..inner).map(move |second| (first, second)))
                {
                    let (output, input) = if is_transposed { (second, first) } else { (first, second) };
                    weights.extend((0..taps).map(|tap| folded.weight(output, input, tap)));
                }
                (weights, (0..outputs).map(|output| folded.offset(output)).collect())
            }
            Pieces::FastFourier(_) => return Err(refused()),
        };
        Ok(Self { kernel, weights, offsets, activation: form.activation })
    }

    /// Bytes of the weights.
    pub fn weight_bytes(&self) -> usize {
        (self.weights.len() + self.offsets.len()) * size_of::<f32>()
    }

    /// The layer's output, `[channels, rows, columns]`.
    pub fn run(&self, isa: Isa, x: &[f32]) -> Vec<f32> {
        let Self { weights, offsets, .. } = self;
        let mut y = match &self.kernel {
            Kernel::Convolution(shape) => conv::forward(isa, shape, x, weights, Some(offsets)),
            Kernel::Transposed(shape) => conv::transposed(isa, shape, x, weights, offsets),
            Kernel::ToPixel => added(dense::rows(x, weights), offsets, 1),
            Kernel::FromPixel(pixels) => added(dense::columns(x, weights), offsets, *pixels),
            Kernel::ChannelWise(places) => {
                let maps = x.par_chunks_exact(*places).zip(weights.par_chunks_exact(places * places));
                let y = maps.flat_map_iter(|(map, weights)| {
                    weights.chunks_exact(*places).map(|row| dense::dot(map, row))
                });
                added(y.collect(), offsets, 1)
            }
        };
        y.iter_mut().for_each(|value| *value = activated(*value, self.activation));
        y
    }
}

/// Weights and offsets of a channel-wise full connection.
fn channel_wise<'w, W: Weights<'w>>(
    ChannelWise { path, channels, places }: &ChannelWise,
    source: &Source<W>,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let weights = source.tensor(&format!("{path}.weight"), channels * places * places)?;
    Ok((weights.into_owned(), source.tensor(&format!("{path}.bias"), channels * places)?.into_owned()))
}

/// `y` with an offset for each `pixels` values.
fn added(mut y: Vec<f32>, offsets: &[f32], pixels: usize) -> Vec<f32> {
    for (values, offset) in y.chunks_exact_mut(pixels).zip(offsets) {
        values.iter_mut().for_each(|value| *value += offset);
    }
    y
}

fn activated(value: f32, activation: Activation) -> f32 {
    match activation {
        Activation::Identity => value,
        Activation::Relu => value.max(0.0),
        Activation::LeakyRelu if value < 0.0 => LEAKY_SLOPE * value,
        Activation::LeakyRelu => value,
        Activation::Sigmoid => 1.0 / (1.0 + libm::expf(-value)),
        Activation::Tanh => libm::tanhf(value),
    }
}
