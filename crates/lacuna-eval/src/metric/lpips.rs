//! Learned perceptual image patch similarity (LPIPS).
//!
//! Zhang et al. 2018, <https://arxiv.org/abs/1801.03924>, version 0.1 with its learned linear layers: the features of
//! each stage are normalised to unit length at every pixel, squared differences are weighted by channel, averaged over
//! pixels and summed over stages. 0 for equal images. LaMa and the thesis report the VGG16 variant.

use std::path::Path;

use lacuna::Planes;
use lacuna_cpu::Isa;
use lacuna_cpu::kernels::conv::{self, ConvShape, Padding};
use rayon::prelude::*;

use super::feature_map::Map;
use super::region::{Areas, ByRegion};
use crate::{Error, Result};
use lacuna::checkpoint::{Tensors, read_tensors, take_tensor};

/// The network that computes features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// AlexNet: fast.
    Alex,
    /// VGG16: the one in papers on inpainting.
    Vgg,
}

/// A convolution with ReLU, with what precedes and follows it.
#[derive(Clone, Copy)]
struct Layer {
    /// Its index in torchvision.
    index: usize,
    channels_in: usize,
    channels_out: usize,
    kernel: usize,
    stride: usize,
    /// Side of the pooling window before it, in pixels; its stride is always 2.
    pool: Option<usize>,
    /// Whether its output is compared.
    compared: bool,
}

const fn layer(index: usize, channels_in: usize, channels_out: usize) -> Layer {
    Layer { index, channels_in, channels_out, kernel: 3, stride: 1, pool: None, compared: false }
}

/// torchvision's layers.
const ALEX: [Layer; 5] = [
    Layer { kernel: 11, stride: 4, compared: true, ..layer(0, 3, 64) },
    Layer { kernel: 5, pool: Some(3), compared: true, ..layer(3, 64, 192) },
    Layer { pool: Some(3), compared: true, ..layer(6, 192, 384) },
    Layer { compared: true, ..layer(8, 384, 256) },
    Layer { compared: true, ..layer(10, 256, 256) },
];
/// VGG16's convolutions: index among torchvision's layers, channels in, channels out.
pub const VGG16_CONVOLUTIONS: [[usize; 3]; 13] = [
    [0, 3, 64],
    [2, 64, 64],
    [5, 64, 128],
    [7, 128, 128],
    [10, 128, 256],
    [12, 256, 256],
    [14, 256, 256],
    [17, 256, 512],
    [19, 512, 512],
    [21, 512, 512],
    [24, 512, 512],
    [26, 512, 512],
    [28, 512, 512],
];
/// Convolutions in each of VGG16's five stages, which begin with a pooling except for the first.
pub const VGG16_STAGES: [usize; 5] = [2, 2, 3, 3, 3];
const VGG: [Layer; 13] = vgg();

/// VGG16, with the last output of each stage compared.
const fn vgg() -> [Layer; 13] {
    let mut layers = [layer(0, 3, 64); 13];
    let (mut at, mut stage) = (0, 0);
    while stage < VGG16_STAGES.len() {
        let mut within = 0;
        while within < VGG16_STAGES[stage] {
            let [index, channels_in, channels_out] = VGG16_CONVOLUTIONS[at];
            layers[at] = layer(index, channels_in, channels_out);
            layers[at].pool = if within == 0 && stage > 0 { Some(2) } else { None };
            within += 1;
            layers[at].compared = within == VGG16_STAGES[stage];
            at += 1;
        }
        stage += 1;
    }
    layers
}

/// Mean of the colour channels, for values in `[-1, 1]`.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];
/// Prevents division by zero for features that are all zero.
const EPSILON: f32 = 1e-10;
/// Pixels per task: their sums fit into the L1 cache.
const PIXELS_A_TASK: usize = 1024;

impl Network {
    fn layers(self) -> &'static [Layer] {
        match self {
            Self::Alex => &ALEX,
            Self::Vgg => &VGG,
        }
    }

    /// Shortest side at which the last stage is not empty.
    pub fn smallest_side(self) -> usize {
        match self {
            Self::Alex => 31,
            Self::Vgg => 16,
        }
    }
}

impl Layer {
    fn padding(&self) -> Padding {
        // AlexNet's first convolution has padding 2, as if its kernel were 5.
        Padding::Zero(if self.kernel == 11 { 2 } else { self.kernel / 2 })
    }
}

/// The metric with its weights.
#[derive(Debug)]
pub struct Lpips {
    network: Network,
    isa: Isa,
    /// Kernel and bias of each convolution.
    convolutions: Vec<(Vec<f32>, Vec<f32>)>,
    /// One weight per channel of each stage.
    linear: Vec<Vec<f32>>,
}

/// The features of an image: a map for each stage, with unit length at every pixel.
#[derive(Debug)]
pub struct Features(Vec<Map>);

impl Lpips {
    /// Loads the metric from a safetensors file as written by tools/fetch_metric_weights.py: `features.N.weight`,
    /// `features.N.bias`, `linN.weight`. The shapes determine the network.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Weights`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_tensors(read_tensors(path)?)
            .map_err(|problem| Error::Weights { path: path.to_owned(), problem })
    }

    /// Builds the metric from tensors.
    ///
    /// # Errors
    /// The tensor that is missing or has another shape, as text.
    pub(crate) fn from_tensors(tensors: Tensors) -> std::result::Result<Self, String> {
        let first = tensors.get("features.0.weight").map(|tensor| tensor.shape.clone()).unwrap_or_default();
        let network = if first.last() == Some(&11) { Network::Alex } else { Network::Vgg };
        Self::of(network, tensors)
    }

    fn of(network: Network, mut tensors: Tensors) -> std::result::Result<Self, String> {
        let (mut convolutions, mut linear) = (Vec::new(), Vec::new());
        for layer in network.layers() {
            let Layer { index, channels_in, channels_out, kernel, .. } = *layer;
            let shape = [channels_out, channels_in, kernel, kernel];
            let weight = take_tensor(&mut tensors, &format!("features.{index}.weight"), &shape)?;
            let bias = take_tensor(&mut tensors, &format!("features.{index}.bias"), &[channels_out])?;
            convolutions.push((weight, bias));
            if layer.compared {
                let name = format!("lin{}.weight", linear.len());
                linear.push(take_tensor(&mut tensors, &name, &[1, channels_out, 1, 1])?);
            }
        }
        Ok(Self { network, isa: Isa::best(), convolutions, linear })
    }

    /// The distance of two images.
    ///
    /// # Errors
    /// [`Error::Pictures`] if their sizes differ or are too small.
    pub fn distance(&self, picture: &Planes, truth: &Planes) -> Result<f64> {
        let [size, other] = [picture, truth].map(|planes| [planes.width(), planes.height()]);
        if size != other {
            let text = format!(
                "images of {} x {} and {} x {} cannot be compared",
                size[0], size[1], other[0], other[1]
            );
            return Err(Error::Pictures(text));
        }
        let (picture, truth) = (self.features(picture)?, self.features(truth)?);
        let stages = self.differences(&picture, &truth);
        Ok(stages.map(|(map, _)| map.iter().sum::<f64>() / map.len() as f64).sum())
    }

    /// The distances in the regions of a hole, from the features of two images of the hole's size. Each feature pixel
    /// is weighted by the fraction of the region that it covers.
    ///
    /// # Panics
    /// If the images had different sizes.
    pub fn distances(&self, picture: &Features, truth: &Features, areas: &Areas) -> ByRegion {
        let stages = self.differences(picture, truth);
        let stages = stages.map(|(map, [width, height])| areas.means_of(&map, width, height));
        let add = |one: Option<f64>, other: Option<f64>| Some(one? + other?);
        let sum = stages.reduce(|sum, stage| ByRegion {
            whole: sum.whole + stage.whole,
            hole: add(sum.hole, stage.hole),
            band: add(sum.band, stage.band),
        });
        sum.expect("a network has stages")
    }

    /// The features of an image, normalised to unit length at every pixel.
    ///
    /// # Errors
    /// [`Error::Pictures`] if the image is too small.
    pub fn features(&self, picture: &Planes) -> Result<Features> {
        let (width, height, smallest) = (picture.width(), picture.height(), self.network.smallest_side());
        if width.min(height) < smallest {
            let text = format!("LPIPS needs sides of at least {smallest} pixels, got {width} x {height}");
            return Err(Error::Pictures(text));
        }
        let (mut map, mut maps) = (input(picture), Vec::new());
        for (layer, (weight, bias)) in self.network.layers().iter().zip(&self.convolutions) {
            map = self.run(layer, map, weight, bias);
            if layer.compared {
                maps.push(map.one_long());
            }
        }
        Ok(Features(maps))
    }

    /// For each stage: weighted squared difference at each pixel, and the map's width and height.
    fn differences(
        &self,
        picture: &Features,
        truth: &Features,
    ) -> impl Iterator<Item = (Vec<f64>, [usize; 2])> {
        let stages = picture.0.iter().zip(&truth.0).zip(&self.linear);
        stages.map(|((one, other), weights)| (difference(one, other, weights), [one.width, one.height]))
    }

    fn run(&self, layer: &Layer, map: Map, weight: &[f32], bias: &[f32]) -> Map {
        let map = match layer.pool {
            Some(side) => pooled(&map, side),
            None => map,
        };
        let shape = ConvShape {
            batch: 1,
            channels_in: layer.channels_in,
            channels_out: layer.channels_out,
            height: map.height,
            width: map.width,
            kernel: layer.kernel,
            stride: layer.stride,
            padding: layer.padding(),
        };
        let mut values = conv::forward(self.isa, &shape, &map.values, weight, Some(bias));
        values.iter_mut().for_each(|value| *value = value.max(0.0));
        Map { channels: layer.channels_out, height: shape.rows(), width: shape.columns(), values }
    }
}

impl Map {
    /// The map with features of unit length at every pixel.
    fn one_long(&self) -> Self {
        let pixels = self.height * self.width;
        let mut scale = vec![0.0; pixels];
        for plane in self.values.chunks_exact(pixels) {
            scale.iter_mut().zip(plane).for_each(|(sum, value)| *sum += value * value);
        }
        scale.iter_mut().for_each(|square: &mut f32| *square = 1.0 / (square.sqrt() + EPSILON));
        let values = self.values.iter().zip(scale.iter().cycle()).map(|(value, scale)| value * scale);
        Self { values: values.collect(), ..*self }
    }
}

fn input(planes: &Planes) -> Map {
    let pixels = planes.width() * planes.height();
    let values = planes.values().iter().enumerate().map(|(index, value)| {
        let colour = index / pixels;
        (2.0 * value - 1.0 - SHIFT[colour]) / SCALE[colour]
    });
    Map { channels: 3, height: planes.height(), width: planes.width(), values: values.collect() }
}

/// Max pooling over `side` x `side` values with stride 2.
fn pooled(map: &Map, side: usize) -> Map {
    let [height, width] = [map.height, map.width].map(|length| (length - side) / 2 + 1);
    let values = (0..map.channels * height * width).into_par_iter().map(|index| {
        let (channel, row, column) = (index / (height * width), index / width % height, index % width);
        let start = (channel * map.height + 2 * row) * map.width + 2 * column;
        let rows = (0..side).map(|down| &map.values[start + down * map.width..][..side]);
        rows.flatten().copied().fold(f32::NEG_INFINITY, f32::max)
    });
    Map { channels: map.channels, height, width, values: values.collect() }
}

/// Weighted sum over channels of squared differences at each pixel.
fn difference(one: &Map, other: &Map, weights: &[f32]) -> Vec<f64> {
    assert_eq!([one.height, one.width], [other.height, other.width], "sizes of feature maps");
    let pixels = one.height * one.width;
    let mut map = vec![0.0; pixels];
    map.par_chunks_mut(PIXELS_A_TASK).enumerate().for_each(|(task, sums)| {
        for (channel, &weight) in weights.iter().enumerate() {
            let start = channel * pixels + task * PIXELS_A_TASK;
            let pairs = one.values[start..].iter().zip(&other.values[start..]);
            for (sum, (one, other)) in sums.iter_mut().zip(pairs) {
                let difference = one - other;
                *sum += f64::from(weight) * f64::from(difference * difference);
            }
        }
    });
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna::Mask;
    use lacuna::checkpoint::FloatTensor;
    use testkit::fixtures;
    use testkit::pictures::{self, noise};

    /// Random weights that keep the scale of activations.
    fn noisy(network: Network) -> Lpips {
        let mut tensors = Tensors::new();
        let mut stage = 0;
        for layer in network.layers() {
            let Layer { index, channels_in, channels_out, kernel, .. } = *layer;
            let count = channels_in * kernel * kernel;
            let scale = (6.0 / count as f32).sqrt();
            let values =
                noise(index as u64, channels_out * count).into_iter().map(|value| scale * value).collect();
            let mut put = |name: String, shape: Vec<usize>, values| {
                tensors.insert(name, FloatTensor { shape, values });
            };
            put(format!("features.{index}.weight"), vec![channels_out, channels_in, kernel, kernel], values);
            put(format!("features.{index}.bias"), vec![channels_out], noise(50 + index as u64, channels_out));
            if layer.compared {
                let positive = noise(90, channels_out).into_iter().map(f32::abs).collect();
                put(format!("lin{stage}.weight"), vec![1, channels_out, 1, 1], positive);
                stage += 1;
            }
        }
        Lpips::of(network, tensors).unwrap()
    }

    #[test]
    fn equal_pictures_are_no_distance_apart_and_odd_sizes_are_no_trouble() {
        for network in [Network::Alex, Network::Vgg] {
            let lpips = noisy(network);
            let smallest = network.smallest_side();
            for (width, height) in [(smallest, smallest), (33, 47)] {
                let picture = Planes::new(width, height, pictures::picture(width, height));
                assert_eq!(lpips.distance(&picture, &picture).unwrap(), 0.0);
                let mut other = picture.clone();
                other.plane_mut(1).iter_mut().for_each(|value| *value *= 0.5);
                let distance = lpips.distance(&picture, &other).unwrap();
                assert!(distance > 0.0 && distance.is_finite());
                assert!((lpips.distance(&other, &picture).unwrap() - distance).abs() < 1e-6 * distance);
            }
            let [small, large] = [smallest - 1, smallest].map(|side| Planes::black(side, side));
            let error = lpips.distance(&small, &small).unwrap_err().to_string();
            assert!(
                error.contains(&format!("at least {smallest} pixels, got {0} x {0}", smallest - 1)),
                "{error}"
            );
            assert!(lpips.distance(&small, &large).is_err());
        }
    }

    #[test]
    fn a_hole_of_all_pixels_is_the_whole_and_far_regions_see_nothing() {
        let lpips = noisy(Network::Alex);
        let (width, height) = (96, 64);
        let picture = Planes::new(width, height, pictures::picture(width, height));
        let mut other = picture.clone();
        (0..3).for_each(|colour| other.plane_mut(colour)[..8].fill(0.0));
        let [one, two] = [&picture, &other].map(|picture| lpips.features(picture).unwrap());
        let all =
            lpips.distances(&two, &one, &Areas::new(Mask::new(width, height, vec![true; width * height])));
        let whole = lpips.distance(&other, &picture).unwrap();
        assert!(
            (all.whole - whole).abs() < 1e-9
                && (all.hole.unwrap() - whole).abs() < 1e-9
                && all.band.is_none()
        );
        let corner = |left: usize| {
            let hole = (0..width * height).map(|at| (at % width) / 16 == left && at / width < 16).collect();
            lpips.distances(&two, &one, &Areas::new(Mask::new(width, height, hole))).hole.unwrap()
        };
        assert!(corner(0) > whole && corner(5) < whole, "{} and {}, {whole}", corner(0), corner(5));
    }

    #[test]
    fn published_weights_give_published_distances() {
        let picture = |name: &str| {
            let picture = image::open(fixtures::path(&format!("metrics/{name}.png"))).unwrap().into_rgb8();
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            let plane = |colour: usize| picture.pixels().map(move |pixel| f32::from(pixel.0[colour]) / 255.0);
            Planes::new(width, height, (0..3).flat_map(plane).collect())
        };
        let text = std::fs::read_to_string(fixtures::path("metrics/reference_values.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        for network in ["alex", "vgg"] {
            let name = format!("lpips_{network}_v0.1.safetensors");
            let Some(path) = testkit::weights::metric_weights(&name) else { continue };
            let lpips = Lpips::open(&path).unwrap();
            for other in ["ex_p0", "ex_p1"] {
                let expected = expected["lpips_v0.1"][network][format!("ex_ref,{other}")].as_f64().unwrap();
                let distance = lpips.distance(&picture("ex_ref"), &picture(other)).unwrap();
                println!("{network}, {other}: {distance}, expected {expected}");
                assert!(
                    (distance - expected).abs() < 1e-4,
                    "{network}, {other}: {distance}, expected {expected}"
                );
            }
        }
    }
}
