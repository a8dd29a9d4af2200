//! A network's tensors by name, with BatchNorm folded into the preceding convolution.

use std::borrow::Cow;

use lacuna_network::geometry::EPSILON;
use lacuna_network::{Bias, Domain, FastFourier, Kernel, Layer, Norm, Pieces, Plain};

use crate::error::{Error, Result};

/// Returns a tensor's values by name, row-major; `None` if there is no such tensor.
pub(crate) trait Weights<'w>: Fn(&str) -> Option<Cow<'w, [f32]>> {}

impl<'w, F: Fn(&str) -> Option<Cow<'w, [f32]>>> Weights<'w> for F {}

/// Finds the tensors of layers.
pub(crate) struct Source<W>(W);

/// A norm in eval mode: `scale * x + offset` for each channel.
#[derive(Debug)]
pub(crate) struct Affine {
    /// Factors.
    pub scale: Vec<f32>,
    /// Summands.
    pub offset: Vec<f32>,
}

/// The weights of a plain convolution.
#[derive(Debug)]
pub(crate) struct Values<'w> {
    values: Cow<'w, [f32]>,
    /// Channels of the second dimension.
    inner: usize,
    taps: usize,
    /// Whether inputs come first, as in transposed convolutions.
    transposed: bool,
}

/// A convolution into which its norm and bias are folded: `weight * x + offset`.
#[derive(Debug)]
pub(crate) struct Folded<'w> {
    kernels: Kernels<'w>,
    affine: Affine,
}

#[derive(Debug)]
enum Kernels<'w> {
    Plain(Values<'w>),
    /// Local channels come first. Missing global parts are never requested, and neither are weights from global to
    /// global channels, which go through the spectrum.
    FastFourier {
        /// Local channels of the input …
        inputs: usize,
        /// … and of the output.
        outputs: usize,
        local_to_local: Values<'w>,
        local_to_global: Option<Values<'w>>,
        global_to_local: Option<Values<'w>>,
    },
}

impl Values<'_> {
    fn into_owned(self) -> Values<'static> {
        Values { values: Cow::Owned(self.values.into_owned()), ..self }
    }

    /// The weight from an input channel to an output channel at a tap.
    #[inline]
    pub fn at(&self, output: usize, input: usize, tap: usize) -> f32 {
        let (outer, inner) = if self.transposed { (input, output) } else { (output, input) };
        self.values[(outer * self.inner + inner) * self.taps + tap]
    }
}

impl Folded<'_> {
    /// The weight from an input channel to an output channel at a tap.
    #[inline]
    pub fn weight(&self, output: usize, input: usize, tap: usize) -> f32 {
        self.affine.scale[output] * self.kernels.at(output, input, tap)
    }

    /// The same weight without the norm that is folded into it.
    #[inline]
    pub fn unfolded(&self, output: usize, input: usize, tap: usize) -> f32 {
        self.kernels.at(output, input, tap)
    }

    /// The same weights as values of their own, independent of where they come from.
    pub fn into_owned(self) -> Folded<'static> {
        Folded { kernels: self.kernels.into_owned(), affine: self.affine }
    }

    /// Number of values.
    pub fn values(&self) -> usize {
        self.kernels.values() + self.affine.scale.len() + self.affine.offset.len()
    }

    /// The offset of an output channel.
    pub fn offset(&self, output: usize) -> f32 {
        self.affine.offset[output]
    }
}

impl Kernels<'_> {
    fn into_owned(self) -> Kernels<'static> {
        match self {
            Self::Plain(values) => Kernels::Plain(values.into_owned()),
            Self::FastFourier { inputs, outputs, local_to_local, local_to_global, global_to_local } => {
                Kernels::FastFourier {
                    inputs,
                    outputs,
                    local_to_local: local_to_local.into_owned(),
                    local_to_global: local_to_global.map(Values::into_owned),
                    global_to_local: global_to_local.map(Values::into_owned),
                }
            }
        }
    }

    fn values(&self) -> usize {
        match self {
            Self::Plain(values) => values.values.len(),
            Self::FastFourier { local_to_local, local_to_global, global_to_local, .. } => {
                let all = [Some(local_to_local), local_to_global.as_ref(), global_to_local.as_ref()];
                all.into_iter().flatten().map(|values| values.values.len()).sum()
            }
        }
    }

    fn at(&self, output: usize, input: usize, tap: usize) -> f32 {
        match self {
            Self::Plain(values) => values.at(output, input, tap),
            Self::FastFourier { inputs, outputs, local_to_local, local_to_global, global_to_local } => {
                match (output.checked_sub(*outputs), input.checked_sub(*inputs)) {
                    (None, None) => local_to_local.at(output, input, tap),
                    (Some(output), None) => part(local_to_global).at(output, input, tap),
                    (None, Some(input)) => part(global_to_local).at(output, input, tap),
                    (Some(_), Some(_)) => unreachable!("global channels meet in the spectrum alone"),
                }
            }
        }
    }
}

fn part<'a, 'w>(values: &'a Option<Values<'w>>) -> &'a Values<'w> {
    values.as_ref().expect("channels that exist have kernels")
}

impl<'w, W: Weights<'w>> Source<W> {
    /// A source of the tensors in `weights`.
    pub fn new(weights: W) -> Self {
        Self(weights)
    }

    /// The values of a tensor.
    pub fn tensor(&self, name: &str, length: usize) -> Result<Cow<'w, [f32]>> {
        let values = (self.0)(name).ok_or_else(|| Error::MissingTensor(name.to_owned()))?;
        if values.len() == length {
            Ok(values)
        } else {
            Err(Error::TensorSize { name: name.to_owned(), expected: length, found: values.len() })
        }
    }

    /// The weights of a plain convolution.
    pub fn kernel(&self, kernel: &Kernel) -> Result<Values<'w>> {
        let values = self.tensor(&format!("{}.weight", kernel.path), kernel.weights())?;
        let [_, inner, rows, columns] = kernel.shape();
        let transposed = kernel.domain == Domain::Transposed;
        Ok(Values { values, inner, taps: rows * columns, transposed })
    }

    /// A norm.
    pub fn norm(&self, norm: &Norm) -> Result<Affine> {
        let part = |part: &str| self.tensor(&format!("{}.{part}", norm.path), norm.channels);
        let (weight, bias, mean, var) =
            (part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?);
        let scale: Vec<f64> = weight
            .iter()
            .zip(var.iter())
            .map(|(&weight, &var)| f64::from(weight) / (f64::from(var) + EPSILON).sqrt())
            .collect();
        let offset = bias.iter().zip(mean.iter()).zip(&scale);
        let offset = offset.map(|((&bias, &mean), scale)| (f64::from(bias) - f64::from(mean) * scale) as f32);
        Ok(Affine { offset: offset.collect(), scale: scale.iter().map(|&scale| scale as f32).collect() })
    }

    /// A plain convolution with the following norm folded in.
    pub fn normed(&self, kernel: &Kernel, norm: &Norm) -> Result<Folded<'w>> {
        Ok(Folded { kernels: Kernels::Plain(self.kernel(kernel)?), affine: self.norm(norm)? })
    }

    /// A layer's spatial convolutions with everything that follows them folded in.
    pub fn folded(&self, layer: &Layer) -> Result<Folded<'w>> {
        match layer.pieces() {
            Pieces::Plain(plain) => self.plain(&plain),
            Pieces::FastFourier(pieces) => self.fast_fourier(layer, &pieces),
            Pieces::ChannelWise(_) => {
                Err(Error::Operation { layer: layer.path.clone(), operation: layer.form.to_string() })
            }
        }
    }

    fn plain(&self, Plain { kernel, bias, norm }: &Plain) -> Result<Folded<'w>> {
        let mut affine = match norm {
            Some(norm) => self.norm(norm)?,
            None => Affine { scale: vec![1.0; kernel.outputs], offset: vec![0.0; kernel.outputs] },
        };
        if let Some(Bias { path, channels }) = bias {
            let bias = self.tensor(&format!("{path}.bias"), *channels)?;
            for ((offset, scale), bias) in affine.offset.iter_mut().zip(&affine.scale).zip(bias.iter()) {
                *offset += scale * bias;
            }
        }
        Ok(Folded { kernels: Kernels::Plain(self.kernel(kernel)?), affine })
    }

    fn fast_fourier(&self, layer: &Layer, pieces: &FastFourier) -> Result<Folded<'w>> {
        let optional =
            |kernel: &Option<Kernel>| kernel.as_ref().map(|kernel| self.kernel(kernel)).transpose();
        let mut affine = self.norm(&pieces.norm_local)?;
        if let Some(norm) = &pieces.norm_global {
            let global = self.norm(norm)?;
            affine.scale.extend(global.scale);
            affine.offset.extend(global.offset);
        }
        let kernels = Kernels::FastFourier {
            inputs: layer.inputs.local,
            outputs: layer.outputs.local,
            local_to_local: self.kernel(&pieces.local_to_local)?,
            local_to_global: optional(&pieces.local_to_global)?,
            global_to_local: optional(&pieces.global_to_local)?,
        };
        Ok(Folded { kernels, affine })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_network::{Form, Split};

    fn source<'w>() -> Source<impl Weights<'w>> {
        Source::new(|name: &str| {
            let value = match name {
                "c.norm.weight" => 4.0,
                "c.norm.bias" => 1.0,
                "c.norm.running_mean" => 3.0,
                "c.norm.running_var" => 4.0 - EPSILON as f32,
                "c.conv.weight" => 5.0,
                "c.conv.bias" => 10.0,
                _ => return None,
            };
            Some(Cow::Owned(vec![value]))
        })
    }

    #[test]
    fn a_norm_by_hand() {
        let norm = source().norm(&Norm { path: "c.norm".into(), channels: 1 }).unwrap();
        assert_eq!((norm.scale[0], norm.offset[0]), (2.0, -5.0));
        let form = Form { bias: true, norm: true, ..Form::POINTWISE };
        let one = Split::local(1);
        let layer = Layer { path: "c".into(), inputs: one, outputs: one, level: 0, form };
        let folded = source().folded(&layer).unwrap();
        assert_eq!((folded.weight(0, 0, 0), folded.offset(0)), (10.0, 15.0));
    }

    #[test]
    fn missing_tensors_and_wrong_sizes_are_errors() {
        let problem = |path: &str, channels: usize| {
            source().norm(&Norm { path: path.into(), channels }).err().unwrap().to_string()
        };
        assert_eq!(problem("m", 1), "the network's tensor m.weight is missing");
        assert_eq!(problem("c.norm", 2), "the network's tensor c.norm.weight has 1 values, expected 2");
    }
}
