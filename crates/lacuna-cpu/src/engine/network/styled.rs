//! Half of a residual block whose weights are scaled for each answer: `W' = d W s`.
//!
//! Norms are folded after it, as ever. The Fourier unit and the last convolution of the spectral path are not scaled.

use lacuna_network::{FastFourier, Layer, NORM_EPSILON, Pieces};

use super::compile;
use super::half::{blocks, convolution};
use crate::Isa;
use crate::engine::conv::Conv;
use crate::engine::source::{Folded, Source, Weights};
use crate::error::{Error, Result};
use crate::tiles::channels::Channels;
use crate::tiles::winograd::Winograd;

/// The weights that styles scale, as they were trained.
#[derive(Debug)]
pub(crate) struct StyledSource {
    spatial: Folded<'static>,
    reduce: Folded<'static>,
}

/// The scaled weights of an answer.
#[derive(Debug)]
pub(crate) struct StyledHalf {
    /// The spatial convolutions.
    pub convolve: Winograd,
    /// The first convolution of the spectral path.
    pub reduce: Conv,
}

/// Factors of a layer's outputs that restore the norms of their weights under a style.
struct Restored {
    /// Of the local, then of the global channels.
    spatial: Vec<f32>,
    /// Of the first convolution of the spectral path.
    reduce: Vec<f32>,
}

impl StyledSource {
    /// Reads the weights of a layer.
    ///
    /// # Errors
    /// [`Error::Operation`] if the layer is no fast Fourier convolution with a global part at both ends; if a tensor is missing
    /// or has another size.
    pub fn read<'w>(layer: &Layer, source: &Source<impl Weights<'w>>) -> Result<Self> {
        let pieces = layer.pieces();
        let Pieces::FastFourier(FastFourier { spectral: Some(spectral), .. }) = &pieces else {
            let operation = format!("modulated {}", layer.form);
            return Err(Error::Operation { layer: layer.path.clone(), operation });
        };
        Ok(Self {
            spatial: source.folded(layer)?.into_owned(),
            reduce: source.normed(&spectral.reduce, &spectral.reduce_norm)?.into_owned(),
        })
    }

    /// Number of values.
    pub fn values(&self) -> usize {
        self.spatial.values() + self.reduce.values()
    }

    fn restored(&self, layer: &Layer, style: &[f32]) -> Restored {
        let (local, globals) = style.split_at(layer.inputs.local);
        let taps = layer.form.kernel * layer.form.kernel;
        let spatial = |output: usize| {
            // What global outputs read of global inputs goes through the spectrum.
            let inputs = if output < layer.outputs.local { style } else { local };
            restored(inputs, taps, |input, tap| self.spatial.unfolded(output, input, tap))
        };
        let reduce =
            |output: usize| restored(globals, 1, |input, tap| self.reduce.unfolded(output, input, tap));
        Restored {
            spatial: (0..layer.outputs.total()).map(spatial).collect(),
            reduce: (0..layer.outputs.global / 2).map(reduce).collect(),
        }
    }

    /// The weights under a style, which has a factor for each input channel.
    pub fn pack(&self, isa: Isa, layer: &Layer, style: &[f32]) -> StyledHalf {
        let latent = Channels::parts(layer.outputs.parts());
        let factors = self.restored(layer, style);
        let spatial = |output: usize, input: usize, tap: usize| {
            factors.spatial[output] * style[input] * self.spatial.weight(output, input, tap)
        };
        let globals = &style[layer.inputs.local..];
        let reduce = |output: usize, input: usize, tap: usize| {
            factors.reduce[output] * globals[input] * self.reduce.weight(output, input, tap)
        };
        let channels = (&Channels::parts([globals.len()]), &Channels::parts([factors.reduce.len()]));
        StyledHalf {
            convolve: convolution(isa, &latent, layer.form.border, blocks(&latent, layer, true), spatial),
            reduce: compile::pointwise_rectified(isa, channels, &self.reduce, reduce),
        }
    }
}

/// The factor that restores the norm of an output's weights under a style: `sqrt(sum W² / sum (W s)²)`, over the style's inputs.
fn restored(style: &[f32], taps: usize, weight: impl Fn(usize, usize) -> f32) -> f32 {
    let (mut before, mut after) = (NORM_EPSILON, NORM_EPSILON);
    for (input, &style) in style.iter().enumerate() {
        let squares: f64 = (0..taps).map(|tap| f64::from(weight(input, tap)).powi(2)).sum();
        before += squares;
        after += squares * f64::from(style).powi(2);
    }
    (before / after).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_network::geometry::EPSILON;
    use lacuna_network::{Delta, Family, Shape};
    use testkit::fixtures;

    #[test]
    fn norms_are_restored_by_hand() {
        // Weights 3 and 4 of norm 5, scaled by 2 and 0: norm 6.
        let weight = |input: usize, _: usize| [3.0, 4.0][input];
        assert!((restored(&[2.0, 0.0], 1, weight) - 5.0 / 6.0).abs() < 1e-6);
        assert!((restored(&[2.0], 1, weight) - 0.5).abs() < 1e-6);
        // A style of ones, and an output without weights.
        assert_eq!(restored(&[1.0, 1.0], 9, weight), 1.0);
        assert_eq!(restored(&[7.0, 3.0], 9, |_, _| 0.0), 1.0);
    }

    /// Reference values of `oracle/make_system_fixtures.py`: the second half of the first block under the first answer's style.
    #[test]
    fn weights_are_those_of_the_reference() {
        const TOLERANCE: f32 = 1e-6;
        let base = fixtures::load("systems/base.safetensors");
        let numbers = fixtures::load("systems/sampled_io.safetensors");
        let shape = Shape { channels_in: 3, width: 8, blocks: 2, control: false, delta: Delta::None };
        let layer = Family::Sampled.network(shape).layers().refiner[0][1].clone();
        let parts = [
            ("ffc.local_to_local", "convl2l"),
            ("ffc.local_to_global", "convl2g"),
            ("ffc.global_to_local", "convg2l"),
            ("ffc.global_to_global.reduce", "convg2g.conv1.0"),
        ];
        // Norms are left out, to compare the weights alone.
        let source = Source::new(|name: &str| {
            let rest = name.strip_prefix(&format!("{}.", layer.path))?;
            if let Some((norm, part)) = rest.split_once("norm") {
                let channels = match norm {
                    "ffc.global_to_global.reduce_" => 24,
                    _ if part.starts_with("_local") => 16,
                    _ => 48,
                };
                let value = match part {
                    _ if part.ends_with("weight") => 1.0,
                    _ if part.ends_with("running_var") => 1.0 - EPSILON as f32,
                    _ => 0.0,
                };
                return Some(vec![value; channels].into());
            }
            let (_, theirs) = parts.iter().find(|(ours, _)| rest == format!("{ours}.weight"))?;
            Some(base.get(&format!("model.5.conv2.ffc.{theirs}.weight")).values.clone().into())
        });
        let weights = StyledSource::read(&layer, &source).unwrap();
        let style = &numbers.get("style_0_1").values[..64];
        let factors = weights.restored(&layer, style);
        for (name, [outputs, inputs], [first_output, first_input]) in
            [("convl2l", [16, 16], [0, 0]), ("convg2l", [16, 48], [0, 16]), ("convl2g", [48, 16], [16, 0])]
        {
            let expected = &numbers.get(&format!("folded_0_1.{name}")).values;
            for (index, expected) in expected.iter().enumerate() {
                let (output, input, tap) = (index / 9 / inputs, index / 9 % inputs, index % 9);
                assert!(output < outputs);
                let (output, input) = (first_output + output, first_input + input);
                let found =
                    factors.spatial[output] * style[input] * weights.spatial.weight(output, input, tap);
                assert!(
                    (found - expected).abs() <= TOLERANCE,
                    "{name} {index}: {found}, expected {expected}"
                );
            }
        }
        for (index, expected) in numbers.get("folded_0_1.conv1").values.iter().enumerate() {
            let (output, input) = (index / 48, index % 48);
            let found = factors.reduce[output] * style[16 + input] * weights.reduce.weight(output, input, 0);
            assert!((found - expected).abs() <= TOLERANCE, "conv1 {index}: {found}, expected {expected}");
        }
    }
}
