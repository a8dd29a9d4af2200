//! Packs the weights of a network's layers.

use std::sync::Arc;

use lacuna_network::geometry::{IMAGE_CHANNELS, LEVELS};
use lacuna_network::{Border, Control as ControlLayers, Layer, Layers, Split};

use super::{Control, Network, support};
use crate::Isa;
use crate::engine::conv::{Conv, Taps};
use crate::engine::head::RgbHead;
use crate::engine::modulation::Modulation;
use crate::engine::source::{Folded, Source, Weights};
use crate::engine::stem::Stem;
use crate::error::Result;
use crate::tiles::channels::Channels;

impl Network {
    /// Packs the weights that `weights` gives by name.
    ///
    /// # Errors
    /// If the kernels do not support a layer, or a tensor is missing or has another size.
    pub fn compile<'w>(layers: &Layers, isa: Isa, weights: impl Weights<'w>) -> Result<Self> {
        support::check(layers)?;
        Compiler { isa, source: Source::new(weights) }.network(layers)
    }
}

/// Packs layer by layer.
pub(super) struct Compiler<W> {
    pub isa: Isa,
    pub source: Source<W>,
}

impl<'w, W: Weights<'w>> Compiler<W> {
    fn network(&self, layers: &Layers) -> Result<Network> {
        let levels = levels_of(&layers.encoder);
        let control = layers.control.as_ref().map(|control| self.control(control, &levels)).transpose()?;
        let (control, added) = control.unzip();
        let latent = &levels[LEVELS];
        let half = |layer: &Layer| self.half(layer, latent);
        Ok(Network {
            stem: self.stem(&layers.encoder[0], &levels[0], added)?,
            down: try_array(|level| {
                self.conv(&layers.encoder[level + 1], (&levels[level], &levels[level + 1]))
            })?,
            control,
            refiner: layers
                .refiner
                .iter()
                .map(|[first, second]| Ok([half(first)?, half(second)?]))
                .collect::<Result<_>>()?,
            up: try_array(|step| {
                self.up(&layers.decoder[step], (&levels[LEVELS - step], &levels[LEVELS - step - 1]))
            })?,
            head: self.head(&layers.head, &levels[0])?,
            modulation: Modulation::compile(layers, latent, &self.source)?,
            layers: Arc::new(layers.clone()),
            isa: self.isa,
            levels,
        })
    }

    fn stem(&self, layer: &Layer, outputs: &Channels, added: Option<[Vec<f32>; 2]>) -> Result<Stem> {
        let folded = self.source.folded(layer)?;
        let bias = outputs.spread(|channel| folded.offset(channel));
        let channels = (layer.inputs.total(), outputs);
        Ok(Stem::new(self.isa, channels, bias, added, |output, input, tap| folded.weight(output, input, tap)))
    }

    /// A convolution with norm and ReLU.
    fn conv(&self, layer: &Layer, channels: (&Channels, &Channels)) -> Result<Conv> {
        let folded = self.source.folded(layer)?;
        let taps = Taps::square(layer.form.kernel, layer.form.stride, layer.form.border);
        Ok(self.rectified(channels, taps, &folded, |output, input, tap| folded.weight(output, input, tap)))
    }

    fn rectified(
        &self,
        channels: (&Channels, &Channels),
        taps: Taps,
        folded: &Folded<'w>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Conv {
        rectified(self.isa, channels, taps, folded, weight)
    }

    /// A 1x1 convolution with norm and ReLU.
    pub(super) fn pointwise_relu(&self, channels: (&Channels, &Channels), folded: &Folded<'w>) -> Conv {
        let weight = |output: usize, input: usize, tap: usize| folded.weight(output, input, tap);
        pointwise_rectified(self.isa, channels, folded, weight)
    }

    /// A 1x1 convolution alone.
    pub(super) fn pointwise(
        &self,
        (inputs, outputs): (&Channels, &Channels),
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Conv {
        let taps = Taps::square(1, 1, Border::Zero);
        Conv::new(self.isa, (inputs.clone(), outputs), taps, None, |output, input, _| weight(output, input))
    }

    /// Mask control, and the values that its first level adds outside and inside the hole.
    fn control(
        &self,
        layers: &ControlLayers,
        levels: &[Channels; LEVELS + 1],
    ) -> Result<(Control, [Vec<f32>; 2])> {
        let masks = levels_of(&layers.encoder);
        let (first, width) = (self.source.folded(&layers.encoder[0])?, masks[0].total());
        let values = [0.0, 1.0].map(|mask: f32| -> Vec<f32> {
            let value = |channel: usize| first.weight(channel, 0, 0) * mask + first.offset(channel);
            (0..width).map(|channel| value(channel).max(0.0)).collect()
        });
        let zero = self.source.folded(&layers.zero[0])?;
        let added = values.each_ref().map(|values| {
            let sum =
                |output: usize| (0..width).map(|input| zero.weight(output, input, 0) * values[input]).sum();
            levels[0].spread(sum)
        });
        let control = Control {
            stem: values.each_ref().map(|values| masks[0].spread(|channel| values[channel])),
            down: try_array(|level| {
                self.conv(&layers.encoder[level + 1], (&masks[level], &masks[level + 1]))
            })?,
            zero: try_array(|level| {
                let folded = self.source.folded(&layers.zero[level + 1])?;
                let channels = (&masks[level + 1], &levels[level + 1]);
                Ok(self.pointwise(channels, |output, input| folded.weight(output, input, 0)))
            })?,
            levels: masks,
        };
        Ok((control, added))
    }

    /// A transposed convolution of kernel 3, stride 2, padding 1 and output padding 1, as one convolution for each
    /// phase of the output: pixel `2 y` reads the kernel's middle row at `y`, pixel `2 y + 1` the last row at `y` and
    /// the first at `y + 1`.
    fn up(&self, layer: &Layer, channels: (&Channels, &Channels)) -> Result<[Conv; 4]> {
        /// Offsets in the input, and rows (or columns) of the kernel.
        const ALONG: [&[(isize, usize)]; 2] = [&[(0, 1)], &[(0, 2), (1, 0)]];
        let folded = self.source.folded(layer)?;
        Ok(std::array::from_fn(|phase| {
            let pairs: Vec<((isize, isize), usize)> = ALONG[phase / 2]
                .iter()
                .flat_map(|&(y, row)| {
                    ALONG[phase % 2].iter().map(move |&(x, column)| ((y, x), 3 * row + column))
                })
                .collect();
            let places = pairs.iter().map(|&(place, _)| place).collect();
            let taps = Taps { places, stride: 1, border: layer.form.border };
            self.rectified(channels, taps, &folded, |output, input, tap| {
                folded.weight(output, input, pairs[tap].1)
            })
        }))
    }

    fn head(&self, layer: &Layer, inputs: &Channels) -> Result<RgbHead> {
        let folded = self.source.folded(layer)?;
        let bias: [f32; IMAGE_CHANNELS] = std::array::from_fn(|channel| folded.offset(channel));
        Ok(RgbHead::new(self.isa, inputs, bias, |output, input, tap| folded.weight(output, input, tap)))
    }
}

/// A convolution with the offsets of `folded` and ReLU.
fn rectified(
    isa: Isa,
    (inputs, outputs): (&Channels, &Channels),
    taps: Taps,
    folded: &Folded<'_>,
    weight: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Conv {
    let bias = outputs.spread(|channel| folded.offset(channel));
    Conv::new(isa, (inputs.clone(), outputs), taps, Some(bias), weight)
}

/// A 1x1 convolution with the offsets of `folded` and ReLU.
pub(super) fn pointwise_rectified(
    isa: Isa,
    channels: (&Channels, &Channels),
    folded: &Folded<'_>,
    weight: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Conv {
    rectified(isa, channels, Taps::square(1, 1, Border::Zero), folded, weight)
}

/// Output channels of an encoder's layers.
fn levels_of(encoder: &[Layer]) -> [Channels; LEVELS + 1] {
    std::array::from_fn(|level| Channels::parts(Split::parts(encoder[level].outputs)))
}

/// [`std::array::from_fn`] for fallible items.
fn try_array<T, const N: usize>(item: impl FnMut(usize) -> Result<T>) -> Result<[T; N]> {
    let items: Vec<T> = (0..N).map(item).collect::<Result<_>>()?;
    Ok(items.try_into().unwrap_or_else(|_| unreachable!("as many as asked for")))
}
