//! The modulated refiner: for each answer the weights of its blocks are scaled and packed again, then run as those of a plain
//! network, with noise added to the input of each block.
//!
//! [`lacuna_network::Modulation`] has the definition. Sums are computed in float64, in an order that depends on sizes alone.

use lacuna_network::geometry::{LEVELS, MULTIPLE};
use lacuna_network::{CODE, CODE_EPSILON, Layers, Linear, MAPPING_SLOPE, Modulation as Tensors};

use super::network::{Network, StyledHalf, StyledSource};
use super::source::{Source, Weights};
use super::stem::Picture;
use crate::error::Result;
use crate::simd::LANES;
use crate::tiles::channels::{Channels, Layout};

/// What an answer differs from others in.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The random code.
    pub code: &'a [f32; CODE],
    /// For each refiner block, normal noise, `[height / 8, width / 8]`.
    pub maps: &'a [Vec<f32>],
    /// Truncation: codes keep this fraction of their distance from the mean code.
    pub psi: f64,
}

/// The tensors of a modulation, and the weights that it scales.
#[derive(Debug)]
pub(crate) struct Modulation {
    mapping: [Dense; 2],
    mean: Vec<f32>,
    styles: Vec<[Dense; 2]>,
    /// Strengths of the noise by lane, for each block.
    noise: Vec<Vec<f32>>,
    halves: Vec<[StyledSource; 2]>,
}

/// A linear layer.
#[derive(Debug)]
struct Dense {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The blocks of one answer.
pub(crate) struct Answer {
    /// Packed weights.
    pub halves: Vec<[StyledHalf; 2]>,
    /// For each block, noise limited to the hole, `[height / 8, width / 8]`; empty for none.
    noise: Vec<Vec<f32>>,
}

impl Modulation {
    /// Reads the tensors of `layers`, if they are modulated.
    ///
    /// # Errors
    /// If a tensor is missing or has another size.
    pub fn compile<'w>(
        layers: &Layers,
        latent: &Channels,
        source: &Source<impl Weights<'w>>,
    ) -> Result<Option<Self>> {
        let Some(Tensors { mapping, mean, styles, noise }) = &layers.modulation else { return Ok(None) };
        let pair = |[first, second]: &[Linear; 2]| -> Result<[Dense; 2]> {
            Ok([Dense::read(first, source)?, Dense::read(second, source)?])
        };
        let strengths = |name: &str, length: usize| -> Result<Vec<f32>> {
            let values = source.tensor(name, length)?;
            Ok(latent.spread(|channel| values[channel]))
        };
        let halves = layers.refiner.iter().map(|[first, second]| {
            Ok([StyledSource::read(first, source)?, StyledSource::read(second, source)?])
        });
        Ok(Some(Self {
            mapping: pair(mapping)?,
            mean: source.tensor(&mean.name, mean.length)?.into_owned(),
            styles: styles.iter().map(pair).collect::<Result<_>>()?,
            noise: noise.iter().map(|row| strengths(&row.name, row.length)).collect::<Result<_>>()?,
            halves: halves.collect::<Result<_>>()?,
        }))
    }

    /// Bytes of its tensors and of the weights that it scales.
    pub fn bytes(&self) -> usize {
        let dense = self.mapping.iter().chain(self.styles.iter().flatten());
        let dense: usize = dense.map(|dense| dense.weight.len() + dense.bias.len()).sum();
        let noise: usize = self.noise.iter().map(Vec::len).sum();
        let halves: usize = self.halves.iter().flatten().map(StyledSource::values).sum();
        (dense + noise + self.mean.len() + halves) * size_of::<f32>()
    }

    /// The mapped code of a sample; the mean code without one.
    fn mapped(&self, sample: Option<&Sample<'_>>) -> Vec<f32> {
        let Some(sample) = sample else { return self.mean.clone() };
        let square = sample.code.iter().map(|&z| f64::from(z) * f64::from(z)).sum::<f64>() / CODE as f64;
        let size = (square + CODE_EPSILON).sqrt();
        let z: Vec<f32> = sample.code.iter().map(|&z| (f64::from(z) / size) as f32).collect();
        let [first, second] = &self.mapping;
        let w = second.leaky(&first.leaky(&z));
        let mean = self.mean.iter().zip(w);
        mean.map(|(&mean, w)| (f64::from(mean) + sample.psi * (f64::from(w) - f64::from(mean))) as f32)
            .collect()
    }

    /// The blocks of an answer; without a sample those of the mean code, without noise.
    ///
    /// # Shapes
    /// `latent`: the mean of each channel.
    pub fn answer(
        &self,
        network: &Network,
        picture: Picture<'_>,
        latent: &[f32],
        sample: Option<&Sample<'_>>,
    ) -> Answer {
        let condition: Vec<f32> = self.mapped(sample).into_iter().chain(latent.iter().copied()).collect();
        let style = |dense: &Dense| -> Vec<f32> {
            dense.apply(&condition).into_iter().map(|value| (1.0 + value) as f32).collect()
        };
        let blocks = self.halves.iter().zip(&self.styles).zip(&network.layers.refiner);
        let halves = blocks.map(|((halves, styles), layers)| {
            std::array::from_fn(|half| halves[half].pack(network.isa, &layers[half], &style(&styles[half])))
        });
        let maps = sample.map_or(&[][..], |sample| sample.maps);
        let inside = inside(picture);
        let noise =
            maps.iter().map(|map| map.iter().zip(&inside).map(|(map, inside)| map * inside).collect());
        Answer { halves: halves.collect(), noise: noise.collect() }
    }

    /// Adds an answer's noise to the input of a block.
    pub fn add_noise(&self, answer: &Answer, block: usize, input: &mut [f32], layout: Layout) {
        let Some(noise) = answer.noise.get(block) else { return };
        for (strengths, plane) in self.noise[block].chunks_exact(LANES).zip(input.chunks_mut(layout.plane)) {
            for (row, noise) in noise.chunks_exact(layout.columns).enumerate() {
                let values = plane[layout.row(row)..].chunks_exact_mut(LANES);
                for (values, noise) in values.zip(noise) {
                    values.iter_mut().zip(strengths).for_each(|(value, strength)| *value += strength * noise);
                }
            }
        }
    }
}

impl Dense {
    fn read<'w>(layer: &Linear, source: &Source<impl Weights<'w>>) -> Result<Self> {
        let Linear { path, inputs, outputs } = layer;
        Ok(Self {
            weight: source.tensor(&format!("{path}.weight"), inputs * outputs)?.into_owned(),
            bias: source.tensor(&format!("{path}.bias"), *outputs)?.into_owned(),
        })
    }

    fn apply(&self, x: &[f32]) -> Vec<f64> {
        let rows = self.weight.chunks_exact(x.len()).zip(&self.bias);
        rows.map(|(row, &bias)| {
            let products = row.iter().zip(x).map(|(&weight, &x)| f64::from(weight) * f64::from(x));
            f64::from(bias) + products.sum::<f64>()
        })
        .collect()
    }

    fn leaky(&self, x: &[f32]) -> Vec<f32> {
        let leaky = |value: f64| if value < 0.0 { MAPPING_SLOPE * value } else { value };
        self.apply(x).into_iter().map(|value| leaky(value) as f32).collect()
    }
}

/// The fraction of hole pixels in each place of the latent, `[height / 8, width / 8]`.
fn inside(picture: Picture<'_>) -> Vec<f32> {
    let (rows, columns) = (picture.height >> LEVELS, picture.width >> LEVELS);
    let mut counts = vec![0_u16; rows * columns];
    for (y, row) in picture.mask.chunks_exact(picture.width).enumerate() {
        for (x, &hole) in row.iter().enumerate() {
            counts[y / MULTIPLE * columns + x / MULTIPLE] += u16::from(hole);
        }
    }
    counts.into_iter().map(|count| f32::from(count) / (MULTIPLE * MULTIPLE) as f32).collect()
}

/// The mean of each channel of a whole map.
pub(crate) fn means(map: &[f32], layout: Layout, channels: &Channels) -> Vec<f32> {
    let mut means = vec![0.0; channels.total()];
    for (block, plane) in map.chunks(layout.plane).enumerate().take(channels.blocks()) {
        for (lane, channel) in channels.of(block).enumerate() {
            let row = |row: usize| {
                let values = plane[layout.row(row) + lane..].iter().step_by(LANES);
                values.take(layout.columns).map(|&value| f64::from(value)).sum::<f64>()
            };
            let sum: f64 = (0..layout.rows).map(row).sum();
            means[channel] = (sum / (layout.rows * layout.columns) as f64) as f32;
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_of_hole_pixels_by_hand() {
        let mask: Vec<bool> = (0..16 * 24).map(|at| at % 24 < 9 && at / 24 < 4).collect();
        let picture = Picture { image: &[], mask: &mask, height: 16, width: 24 };
        assert_eq!(inside(picture), [0.5, 0.0625, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_linear_layer_by_hand() {
        let dense = Dense { weight: vec![10.0, 100.0, -1.0, -2.0], bias: vec![0.5, 0.0] };
        assert_eq!(dense.apply(&[1.0, 2.0]), [210.5, -5.0]);
        assert_eq!(dense.leaky(&[1.0, 2.0]), [210.5, -1.0]);
    }
}
