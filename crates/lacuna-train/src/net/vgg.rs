//! VGG16's features, for perceptual losses.
//!
//! Simonyan and Zisserman 2014, <https://arxiv.org/abs/1409.1556>: the outputs of the last ReLU of each of the five
//! stages. Weights are torchvision's for ImageNet, keys `features.N.weight` and `features.N.bias`. [`Reach::Wide`]
//! applies LaMa's large receptive field (<https://arxiv.org/abs/2109.07161>, section 2.2) to this network: the last two
//! poolings are omitted and the following convolutions dilated (2, then 4), so that features keep an eighth of the
//! resolution and have a large receptive field.

use std::path::Path;

use burn::module::Module;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::checkpoint::{Tensors, read_tensors};
use lacuna_eval::metric::lpips::{VGG16_CONVOLUTIONS, VGG16_STAGES};
use lacuna_nets::block::{Conv2d, Conv2dConfig, Init};
use lacuna_nets::ops::Padding;
use lacuna_nets::weights;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Mean and standard deviation of ImageNet's colours.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// The receptive field of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// As published.
    #[default]
    Plain,
    /// The last two stages dilated instead of pooled.
    Wide,
}

/// The network, frozen.
#[derive(Module, Debug)]
pub struct Vgg16 {
    convolutions: Vec<Conv2d>,
    mean: Tensor<4>,
    deviation: Tensor<4>,
    #[module(skip)]
    reach: Reach,
}

impl Vgg16 {
    /// Loads the network from a safetensors file.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Weights`] if the file cannot be read or lacks a tensor.
    pub fn open(path: &Path, reach: Reach, device: &Device) -> Result<Self> {
        let tensors = read_tensors(path)?;
        Self::from_tensors(&tensors, reach, device)
            .map_err(|problem| Error::Weights { path: path.to_owned(), problem: problem.to_string() })
    }

    fn from_tensors(tensors: &Tensors, reach: Reach, device: &Device) -> lacuna_nets::Result<Self> {
        let mut init = Init::unset(device);
        let convolutions = VGG16_CONVOLUTIONS.map(|[_, channels_in, channels_out]| {
            let padding = Padding::Zero(1);
            Conv2dConfig { channels_in, channels_out, kernel: 3, stride: 1, padding, bias: true }
                .init(&mut init)
        });
        let convolutions = weights::load(convolutions.to_vec(), |name| {
            let (index, kind) = name.split_once('.')?;
            let [layer, ..] = VGG16_CONVOLUTIONS[index.parse::<usize>().ok()?];
            tensors.get(&format!("features.{layer}.{kind}")).cloned()
        })?;
        let colours =
            |values: [f32; 3]| Tensor::from_data(TensorData::new(values.to_vec(), [1, 3, 1, 1]), device);
        Ok(Self {
            convolutions: convolutions.freeze(),
            mean: colours(MEAN),
            deviation: colours(DEVIATION),
            reach,
        })
    }

    /// Features of the five stages.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, height, width]` in `[0, 1]`, sides multiples of 32
    /// - the results: `[batch, channels, rows, columns]`, 64 to 512 channels at 1/1 to 1/16 of the resolution, at least 1/4
    ///   with [`Reach::Wide`]
    pub fn forward(&self, image: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = (image - self.mean.clone()) / self.deviation.clone();
        let mut convolutions = self.convolutions.iter();
        let mut features = Vec::with_capacity(VGG16_STAGES.len());
        for (stage, &count) in VGG16_STAGES.iter().enumerate() {
            let dilation = match (self.reach, stage) {
                (Reach::Plain, _) | (Reach::Wide, 0..=2) => 1,
                (Reach::Wide, stage) => 1 << (stage - 2),
            };
            if stage > 0 && dilation == 1 {
                x = max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
            }
            x = phases(x, dilation);
            for conv in convolutions.by_ref().take(count) {
                x = burn::tensor::activation::relu(conv.forward(x));
            }
            x = whole(x, dilation);
            features.push(x.clone());
        }
        features
    }
}

/// Every `dilation`-th row and column as an image of its own: a plain convolution on these is a dilated one on the
/// whole image.
fn phases(x: Tensor<4>, dilation: usize) -> Tensor<4> {
    if dilation == 1 {
        return x;
    }
    let [batch, channels, height, width] = x.dims();
    let (rows, columns) = (height / dilation, width / dilation);
    x.reshape([batch, channels, rows, dilation, columns, dilation]).permute([0, 3, 5, 1, 2, 4]).reshape([
        batch * dilation * dilation,
        channels,
        rows,
        columns,
    ])
}

/// The inverse of [`phases`].
fn whole(x: Tensor<4>, dilation: usize) -> Tensor<4> {
    if dilation == 1 {
        return x;
    }
    let [pictures, channels, rows, columns] = x.dims();
    let batch = pictures / (dilation * dilation);
    x.reshape([batch, dilation, dilation, channels, rows, columns]).permute([0, 3, 4, 1, 5, 2]).reshape([
        batch,
        channels,
        rows * dilation,
        columns * dilation,
    ])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{device, random, values};
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;
    use lacuna_nets::weights::Weight;
    use testkit::assert_close;
    use testkit::pictures::noise;

    /// Random weights that keep the scale of activations.
    pub(crate) fn noisy_weights() -> Tensors {
        let mut tensors = Tensors::new();
        for [layer, channels_in, channels_out] in VGG16_CONVOLUTIONS {
            let scale = (6.0 / (9 * channels_in) as f32).sqrt();
            let values = noise(layer as u64, 9 * channels_in * channels_out);
            let values = values.into_iter().map(|value| scale * value).collect();
            let shape = vec![channels_out, channels_in, 3, 3];
            tensors.insert(format!("features.{layer}.weight"), Weight { shape, values });
            let bias = Weight { shape: vec![channels_out], values: noise(99 + layer as u64, channels_out) };
            tensors.insert(format!("features.{layer}.bias"), bias);
        }
        tensors
    }

    #[test]
    fn five_stages_and_a_gradient_for_the_picture_only() {
        for (reach, sides) in [(Reach::Plain, [32, 16, 8, 4, 2]), (Reach::Wide, [32, 16, 8, 8, 8])] {
            let vgg = Vgg16::from_tensors(&noisy_weights(), reach, &device()).unwrap();
            let image = random::<4>([1, 3, 32, 32], 1).require_grad();
            let features = vgg.forward(image.clone());
            let found: Vec<usize> = features.iter().map(|map| map.dims()[2]).collect();
            assert_eq!(found, sides);
            let gradients =
                features.into_iter().map(|map| map.mean()).reduce(|sum, mean| sum + mean).unwrap().backward();
            assert!(values(image.grad(&gradients).unwrap()).iter().any(|&value| value != 0.0));
            assert!(vgg.convolutions[0].weight.val().grad(&gradients).is_none());
        }
    }

    #[test]
    fn phases_make_a_convolution_dilated() {
        let x = random::<4>([2, 3, 8, 12], 1).inner();
        let weight = random::<4>([4, 3, 3, 3], 2).inner();
        let plain = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let dilated = ConvOptions::new([1, 1], [2, 2], [2, 2], 1);
        let expected = conv2d(x.clone(), weight.clone(), None, dilated);
        let ours = whole(conv2d(phases(x, 2), weight, None, plain), 2);
        assert_close(&values(ours), &values(expected), 1e-5);
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let mut tensors = noisy_weights();
        tensors.remove("features.28.bias");
        let error = Vgg16::from_tensors(&tensors, Reach::Plain, &device()).unwrap_err().to_string();
        assert!(error.contains("12.bias"), "{error}");
    }
}
