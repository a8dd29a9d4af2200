//! Validation during training, always on the same crops and masks.

use std::sync::Arc;

use burn::tensor::Tensor;
use lacuna::{Mask, Planes};
use lacuna_eval::metric::{Lpips, l1, l1_in, psnr, ssim};
use lacuna_nets::Generator;
use lacuna_nets::weights::read_tensor;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment;
use crate::config::{BestBy, RunConfig, Task};
use crate::data::{Photos, sample_rng};
use crate::grid::{generator_device, upload};

/// The epoch number for validation masks; no training epoch has it.
const VALIDATION_EPOCH: u64 = u64::MAX;

/// Validation photos and masks.
#[derive(Debug)]
pub struct Validation {
    task: Task,
    pairs: Vec<(Planes, Mask)>,
    lpips: Option<Lpips>,
}

/// Means over all photos of composited results: known pixels are the photo's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Structural similarity.
    pub ssim: f64,
    /// Peak signal-to-noise ratio in decibels.
    pub psnr: f64,
    /// Mean absolute error.
    pub l1: f64,
    /// Learned perceptual distance, if its weights were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lpips: Option<f64>,
}

/// The result of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationResult {
    /// Means over all photos.
    pub scores: Scores,
    /// Mean absolute error inside holes, averaged over the photos that have one.
    pub hole_l1: f64,
    /// Number of photos.
    pub photos: usize,
}

impl Scores {
    /// The metric that chooses the best network.
    pub fn value(&self, by: BestBy) -> f64 {
        match by {
            BestBy::Ssim => self.ssim,
            BestBy::Psnr => self.psnr,
            BestBy::L1 => self.l1,
            BestBy::Lpips => self.lpips.unwrap_or(f64::NAN),
        }
    }
}

impl Validation {
    /// Reads the validation photos of the run file, evenly spaced over its sources. Photos that cannot be read are
    /// skipped.
    ///
    /// # Errors
    /// If a source cannot be opened.
    pub fn open(config: &RunConfig) -> Result<Self> {
        let data = &config.data;
        let mut pairs = Vec::new();
        if !data.validation.is_empty() && data.validation_photos > 0 {
            let photos = Arc::new(Photos::open(&data.validation)?);
            let count = data.validation_photos.min(photos.len());
            let generator = data.validation_masks.generator();
            for index in (0..count).map(|index| index * photos.len() / count) {
                let Ok(photo) = photos.decode(index) else { continue };
                let crop = augment::centre(&photo, data.side as u32);
                // The run's seed is not used: runs with other seeds are validated on the same masks.
                let mut rng = sample_rng(0, VALIDATION_EPOCH, index as u64);
                pairs.push((planes(&crop), data.draw(&generator, &mut rng)));
            }
        }
        let lpips = match &data.lpips_weights {
            Some(path) => Some(Lpips::open(path)?),
            None => None,
        };
        Ok(Self { task: config.task, pairs, lpips })
    }

    /// Whether there are no validation photos.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The first photos and their masks.
    pub fn examples(&self, count: usize) -> &[(Planes, Mask)] {
        &self.pairs[..count.min(self.pairs.len())]
    }

    /// Scores a network without autodiff.
    ///
    /// # Errors
    /// If the network fails.
    pub fn evaluate(&self, generator: &Generator) -> Result<ValidationResult> {
        let mut sums = [0.0; 3];
        let mut hole_l1 = (0.0, 0usize);
        let mut distance = 0.0;
        for (photo, mask) in &self.pairs {
            let filled = fill(self.task, generator, photo, mask)?;
            let scores = [ssim(&filled, photo), psnr(&filled, photo), l1(&filled, photo)];
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
            if let Some(lpips) = &self.lpips {
                distance += lpips.distance(&filled, photo)?;
            }
            if mask.count() > 0 {
                hole_l1 = (hole_l1.0 + l1_in(&filled, photo, mask), hole_l1.1 + 1);
            }
        }
        let photos = self.pairs.len();
        let [ssim, psnr, l1] = sums.map(|sum| sum / photos.max(1) as f64);
        let lpips = self.lpips.is_some().then(|| distance / photos.max(1) as f64);
        Ok(ValidationResult {
            scores: Scores { ssim, psnr, l1, lpips },
            hole_l1: hole_l1.0 / hole_l1.1 as f64,
            photos,
        })
    }
}

/// The network's fill of a masked photo; an autoencoder gets the whole photo.
///
/// # Errors
/// If the network fails.
pub fn fill(task: Task, generator: &Generator, photo: &Planes, mask: &Mask) -> Result<Planes> {
    let (image, hole) = upload(photo, mask, &generator_device(generator));
    let filled: Tensor<4> = match task {
        Task::Autoencoder => generator.decode(generator.encode(image, hole.zeros_like())?),
        Task::Inpainting => generator.forward(image, hole)?.inpainted,
    };
    Ok(Planes::new(photo.width(), photo.height(), read_tensor(filled)?.values))
}

/// An 8-bit image as planes.
pub(crate) fn planes(picture: &image::RgbImage) -> Planes {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut values = vec![0.0; 3 * width * height];
    for (index, pixel) in picture.pixels().enumerate() {
        for (channel, &value) in pixel.0.iter().enumerate() {
            values[channel * width * height + index] = f32::from(value) / 255.0;
        }
    }
    Planes::new(width, height, values)
}
