//! Modulation of the refiner: several answers from one latent.
//!
//! The weights of a refiner block are scaled for each answer (Karras et al. 2020, <https://arxiv.org/abs/1912.04958>, equations
//! 1 and 3) by a style that depends on a random code and on the image (co-modulation, Zhao et al. 2021,
//! <https://arxiv.org/abs/2103.10428>):
//!
//! - code: `z` is normal; `w = mapping(z / rms(z))`, two linear layers with LeakyReLU;
//! - image: the mean of each channel of the latent, before the first block;
//! - style of each half of a block: `s = 1 + A [w; image] + a`, one factor for each input channel;
//! - weights: `W' = d W s`, where `d` restores the norm of each output's weights, so that BatchNorm's statistics stay valid;
//! - noise at the input of each block: `x += q inside map`, where `map` is normal and `inside` is the fraction of hole pixels.
//!
//! `A`, `a` and `q` start at zero. Then `s = d = 1`, and every answer is that of the network without modulation.
//! Differs from Karras et al. in: demodulation restores the norm of the trained weights instead of 1, and the noise is limited to
//! the hole. There is no synthesis from a constant.

/// Values of a code, `z` and `w`.
pub const CODE: usize = 64;

/// How far codes keep from their mean where a network is used: `w' = mean + TRUNCATION (w - mean)`. Codes near the mean give
/// answers that are alike and good; 1 is the spread of training.
pub const TRUNCATION: f64 = 0.7;

/// LeakyReLU's slope of negative values, in the mapping.
pub const MAPPING_SLOPE: f64 = 0.2;

/// Added to a code's mean square before its root is taken.
pub const CODE_EPSILON: f64 = 1e-8;

/// Added to the sums of squares of which `d` is made, so that outputs without weights divide by no zero.
pub const NORM_EPSILON: f64 = 1e-8;

/// The last part of the name of the mapped codes' running mean.
pub(crate) const MEAN_CODE: &str = "w_mean";

/// The tensors that modulate the refiner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modulation {
    /// From `z` to `w`: two linear layers, each with LeakyReLU.
    pub mapping: [Linear; 2],
    /// The running mean of `w`.
    pub mean: Row,
    /// For each block, from `[w; image]` to the styles of its two halves minus 1.
    pub styles: Vec<[Linear; 2]>,
    /// For each block, the strength of the noise in each channel of its input.
    pub noise: Vec<Row>,
}

/// A linear layer: the tensors `path.weight`, `[outputs, inputs]`, and `path.bias`, `[outputs]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linear {
    /// The path of the layer.
    pub path: String,
    /// Values of its input.
    pub inputs: usize,
    /// Values of its output.
    pub outputs: usize,
}

/// A tensor with one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its length.
    pub length: usize,
}

impl Modulation {
    /// The modulation of `blocks` blocks of a latent with `channels` channels.
    pub fn new(blocks: usize, channels: usize) -> Self {
        let mapping = |layer: &str| Linear { path: format!("mapping.{layer}"), inputs: CODE, outputs: CODE };
        let style = |block: usize, half: usize| Linear {
            path: format!("styles.{block}.{half}"),
            inputs: CODE + channels,
            outputs: channels,
        };
        Self {
            mapping: [mapping("first"), mapping("second")],
            mean: Row { name: format!("mapping.{MEAN_CODE}"), length: CODE },
            styles: (0..blocks).map(|block| [style(block, 0), style(block, 1)]).collect(),
            noise: (0..blocks)
                .map(|block| Row { name: format!("noise.{block}"), length: channels })
                .collect(),
        }
    }

    /// Name and shape of every tensor.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let linears = self.mapping.iter().chain(self.styles.iter().flatten()).flat_map(Linear::tensors);
        let rows =
            [&self.mean].into_iter().chain(&self.noise).map(|row| (row.name.clone(), vec![row.length]));
        linears.chain(rows).collect()
    }
}

impl Linear {
    pub(crate) fn tensors(&self) -> [(String, Vec<usize>); 2] {
        let Self { path, inputs, outputs } = self;
        [(format!("{path}.weight"), vec![*outputs, *inputs]), (format!("{path}.bias"), vec![*outputs])]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Delta, Family, Shape, is_parameter};

    fn parameters(family: Family, shape: &Shape) -> usize {
        let tensors = family.network(shape.clone()).layers().tensors();
        let trained = tensors.iter().filter(|(name, _)| is_parameter(name));
        trained.map(|(_, sides)| sides.iter().product::<usize>()).sum()
    }

    /// Counts of `oracle/make_system_fixtures.py`.
    #[test]
    fn it_adds_as_many_parameters_as_the_reference() {
        for (width, added) in [(8, 157_504), (16, 454_144), (24, 898_240), (32, 1_489_792)] {
            let shape = Shape { channels_in: 3, width, blocks: 9, control: true, delta: Delta::None };
            let [plain, sampled] =
                [Family::Fourier, Family::Sampled].map(|family| parameters(family, &shape));
            assert_eq!(sampled - plain, added, "width {width}");
            match width {
                16 => assert_eq!(sampled, 2_275_251),
                24 => assert_eq!(sampled, 4_983_691),
                _ => {}
            }
        }
    }

    #[test]
    fn its_tensors_follow_those_of_the_plain_network() {
        let shape = Shape { channels_in: 4, width: 2, blocks: 2, control: false, delta: Delta::None };
        let [plain, sampled] =
            [Family::Fourier, Family::Sampled].map(|family| family.network(shape.clone()).layers());
        let (before, after) = (plain.tensors(), sampled.tensors());
        assert_eq!(after[..before.len()], before);
        let names: Vec<&str> = after[before.len()..].iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "mapping.first.weight",
            "mapping.first.bias",
            "mapping.second.weight",
            "mapping.second.bias",
            "styles.0.0.weight",
            "styles.0.0.bias",
            "styles.0.1.weight",
            "styles.0.1.bias",
            "styles.1.0.weight",
            "styles.1.0.bias",
            "styles.1.1.weight",
            "styles.1.1.bias",
            "mapping.w_mean",
            "noise.0",
            "noise.1",
        ];
        assert_eq!(names, expected);
        assert!(!is_parameter("mapping.w_mean") && is_parameter("noise.0"));
        assert_eq!(sampled.latent(), plain.latent());
    }
}
