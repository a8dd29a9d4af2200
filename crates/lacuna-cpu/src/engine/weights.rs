//! A network's tensors by name, with BatchNorm folded into the convolution before it.

use std::borrow::Cow;

use crate::config::NetworkConfig;
use crate::error::{Error, Result};

/// Added to a variance: PyTorch's default, which all published weights were trained with.
const EPSILON: f64 = 1e-5;

/// Finds tensors by the names of Lacuna's checkpoints.
pub(crate) struct Weights<'w, F: Fn(&str) -> Option<Cow<'w, [f32]>>> {
    source: F,
    /// The network.
    pub config: NetworkConfig,
}

/// A norm in eval mode: `scale * x + offset` for each channel.
pub(crate) struct Affine {
    /// Factors.
    pub scale: Vec<f32>,
    /// Summands.
    pub offset: Vec<f32>,
}

/// Numbers `[outputs, inputs, taps]`, or `[inputs, outputs, taps]` of a transposed convolution.
pub(crate) struct Kernels<'w> {
    values: Cow<'w, [f32]>,
    inner: usize,
    taps: usize,
}

impl Kernels<'_> {
    /// The number for outer channel, inner channel and tap.
    #[inline]
    pub fn at(&self, outer: usize, inner: usize, tap: usize) -> f32 {
        self.values[(outer * self.inner + inner) * self.taps + tap]
    }
}

impl<'w, F: Fn(&str) -> Option<Cow<'w, [f32]>>> Weights<'w, F> {
    /// Tensors that `source` gives by name.
    pub fn new(config: &NetworkConfig, source: F) -> Self {
        Self { source, config: config.clone() }
    }

    fn tensor(&self, name: &str, length: usize) -> Result<Cow<'w, [f32]>> {
        let values = (self.source)(name).ok_or_else(|| Error::MissingTensor(name.to_owned()))?;
        if values.len() == length {
            Ok(values)
        } else {
            Err(Error::TensorSize { name: name.to_owned(), expected: length, found: values.len() })
        }
    }

    /// `name.weight`.
    pub fn kernels(&self, name: &str, outer: usize, inner: usize, taps: usize) -> Result<Kernels<'w>> {
        let values = self.tensor(&format!("{name}.weight"), outer * inner * taps)?;
        Ok(Kernels { values, inner, taps })
    }

    /// `name.bias`.
    pub fn bias(&self, name: &str, channels: usize) -> Result<Cow<'w, [f32]>> {
        self.tensor(&format!("{name}.bias"), channels)
    }

    /// The norm called `name`.
    pub fn norm(&self, name: &str, channels: usize) -> Result<Affine> {
        let part = |part: &str| self.tensor(&format!("{name}.{part}"), channels);
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

    /// The norm called `name` behind a convolution whose bias is `biased`'s.
    pub fn norm_after_bias(&self, name: &str, biased: &str, channels: usize) -> Result<Affine> {
        let mut norm = self.norm(name, channels)?;
        let bias = self.bias(biased, channels)?;
        for ((offset, scale), bias) in norm.offset.iter_mut().zip(&norm.scale).zip(bias.iter()) {
            *offset += scale * bias;
        }
        Ok(norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Delta, Family};

    #[test]
    fn a_norm_by_hand() {
        let config = NetworkConfig {
            family: Family::Fourier,
            channels_in: 3,
            width: 1,
            blocks: 1,
            control: false,
            delta: Delta::None,
        };
        let weights = Weights::new(&config, |name| {
            let value = match name {
                "n.weight" => 4.0,
                "n.bias" => 1.0,
                "n.running_mean" => 3.0,
                "n.running_var" => 4.0 - EPSILON as f32,
                "c.bias" => 10.0,
                _ => return None,
            };
            Some(Cow::Owned(vec![value]))
        });
        let norm = weights.norm("n", 1).unwrap();
        assert_eq!((norm.scale[0], norm.offset[0]), (2.0, -5.0));
        assert_eq!(weights.norm_after_bias("n", "c", 1).unwrap().offset, [15.0]);
        assert_eq!(
            weights.norm("m", 1).err().unwrap().to_string(),
            "the network's tensor m.weight is missing"
        );
        assert_eq!(
            weights.bias("n", 2).err().unwrap().to_string(),
            "the network's tensor n.bias has 1 numbers, expected 2"
        );
    }
}
