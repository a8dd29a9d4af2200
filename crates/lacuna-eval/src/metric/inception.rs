//! Image features for FID and KID: the last pooling layer of the Inception network of 2015-12-05.
//!
//! Szegedy et al. 2015, <https://arxiv.org/abs/1512.00567>, as published by TensorFlow and run by pytorch-fid
//! (<https://github.com/mseitzer/pytorch-fid>). Images are resized to 299 x 299, bilinearly without antialiasing, with
//! values in `[-1, 1]`. Average pooling excludes padding. The last block uses max pooling where the one before it uses
//! average pooling. Batch norm (epsilon 0.001, no scale) is folded into the convolutions.

mod network;

use std::path::Path;

use lacuna::Planes;
use lacuna_cpu::Isa;
use lacuna_cpu::engine::FeatureNetwork;
use rayon::prelude::*;

use self::network::network;
use crate::{Error, Result};
use lacuna::checkpoint::{Tensors, read_tensors};

/// Features of an image.
pub const FEATURES: usize = 2048;
/// Input side of the network in pixels.
const SIDE: usize = 299;

/// The network with its weights.
#[derive(Debug)]
pub struct Inception {
    network: FeatureNetwork,
}

impl Inception {
    /// Loads the network from a safetensors file as written by tools/fetch_metric_weights.py: `NAME.conv.weight`,
    /// `NAME.bn.bias`, `NAME.bn.running_mean` and `NAME.bn.running_var` with torchvision's names.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Weights`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_tensors(read_tensors(path)?)
            .map_err(|problem| Error::Weights { path: path.to_owned(), problem })
    }

    /// Builds the network from tensors.
    ///
    /// # Errors
    /// The tensor that is missing or has another shape, as text.
    pub(crate) fn from_tensors(mut tensors: Tensors) -> std::result::Result<Self, String> {
        let steps = network(&mut tensors)?;
        Ok(Self { network: FeatureNetwork::compile(Isa::best(), [3, SIDE, SIDE], steps) })
    }

    /// The features of an image of any size, `[2048]`.
    ///
    /// # Errors
    /// [`Error::Pictures`] if it has no pixels.
    pub fn features(&self, picture: &Planes) -> Result<Vec<f32>> {
        let (width, height) = (picture.width(), picture.height());
        if width.min(height) == 0 {
            return Err(Error::Pictures(format!("an image of {width} x {height} has no features")));
        }
        let map = self.network.run(&stretched(picture));
        let pixels = map.rows * map.columns;
        Ok(map.values.chunks_exact(pixels).map(|plane| plane.iter().sum::<f32>() / pixels as f32).collect())
    }
}

/// The image at the network's size, in `[-1, 1]`: `[3, 299, 299]`.
fn stretched(picture: &Planes) -> Vec<f32> {
    /// The two neighbouring pixels of each output position, and the weight of the second.
    fn places(length: usize) -> Vec<(usize, usize, f32)> {
        let scale = length as f32 / SIDE as f32;
        let place = |at: usize| {
            let place = ((at as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (place as usize).min(length - 1);
            (first, (first + 1).min(length - 1), place - first as f32)
        };
        (0..SIDE).map(place).collect()
    }
    let (rows, columns) = (places(picture.height()), places(picture.width()));
    let mut values = vec![0.0; 3 * SIDE * SIDE];
    values.par_chunks_exact_mut(SIDE).enumerate().for_each(|(at, line)| {
        let plane = picture.plane(at / SIDE);
        let (above, below, down) = rows[at % SIDE];
        let [above, below] = [above, below].map(|row| &plane[row * picture.width()..][..picture.width()]);
        for (value, &(left, right, along)) in line.iter_mut().zip(&columns) {
            let across = |row: &[f32]| row[left] + along * (row[right] - row[left]);
            let (above, below) = (across(above), across(below));
            *value = 2.0 * (above + down * (below - above)) - 1.0;
        }
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Moments, frechet};
    use testkit::{assert_close, fixtures, pictures};

    /// Relative tolerance.
    const TOLERANCE: f64 = 1e-3;

    #[test]
    fn stretching_by_hand() {
        // Two columns, 0 and 1: constant up to a quarter, then linear, then constant from three quarters.
        let values = stretched(&Planes::new(2, 1, [0.0, 1.0].repeat(3)));
        assert_eq!((values[0], values[74], values[149], values[298]), (-1.0, -1.0, 0.0, 1.0));
        assert!((values[100] - (2.0 * (100.5 * 2.0 / 299.0 - 0.5) - 1.0)).abs() < 1e-5);
        assert_eq!(values[..SIDE], values[SIDE * SIDE * 3 - SIDE..]);
        let same = Planes::new(SIDE, SIDE, pictures::picture(SIDE, SIDE));
        let expected: Vec<f32> = same.values().iter().map(|value| 2.0 * value - 1.0).collect();
        assert_close(&stretched(&same), &expected, 1e-6);
    }

    #[test]
    fn published_weights_give_published_features() {
        let name = "fid_inception_v3_2015-12-05_pool3.safetensors";
        let Some(path) = testkit::weights::metric_weights(name) else { return };
        let inception = Inception::open(&path).unwrap();
        let picture = |name: &str| {
            let picture = image::open(fixtures::path(&format!("metrics/{name}.png"))).unwrap().into_rgb8();
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            let plane = |colour: usize| picture.pixels().map(move |pixel| f32::from(pixel.0[colour]) / 255.0);
            Planes::new(width, height, (0..3).flat_map(plane).collect())
        };
        let text = std::fs::read_to_string(fixtures::path("metrics/reference_values.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        let features = inception.features(&picture("ex_ref")).unwrap();
        assert_eq!(features.len(), FEATURES);
        let first = expected["fid"]["ex_ref_pool3_first8"].as_array().unwrap();
        let pairs = features
            .iter()
            .zip(first)
            .map(|(value, expected)| (f64::from(*value), expected.as_f64().unwrap()));
        let sum = features.iter().map(|&value| f64::from(value)).sum();
        for (value, expected) in pairs.chain([(sum, expected["fid"]["ex_ref_pool3_sum"].as_f64().unwrap())]) {
            println!("{value}, expected {expected}, {:e}", value / expected - 1.0);
            assert!((value - expected).abs() < TOLERANCE * expected, "{value}, expected {expected}");
        }
        // Odd and tiny images; the distance of a set to itself is 0.
        let mut moments = Moments::new(FEATURES);
        moments.add(&features);
        moments.add(&inception.features(&picture("ex_p0")).unwrap());
        for (width, height) in [(33, 47), (1, 1)] {
            let odd = Planes::new(width, height, pictures::picture(width, height));
            moments.add(&inception.features(&odd).unwrap());
        }
        let distance = frechet(&moments, &moments).unwrap();
        assert!(distance < 1e-6, "{distance}");
        assert!(inception.features(&Planes::black(0, 3)).unwrap_err().to_string().contains("0 x 3"));
    }
}
