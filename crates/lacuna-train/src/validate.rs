//! Judging a network during training, always on the same crops and holes.

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

/// The epoch that validation draws its holes from: no training epoch has it.
const VALIDATION_EPOCH: u64 = u64::MAX;

/// Photos and holes to judge by.
#[derive(Debug)]
pub struct Validation {
    task: Task,
    pairs: Vec<(Planes, Mask)>,
    lpips: Option<Lpips>,
}

/// Means over all photos, of what is composited: known pixels are the photo's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Structural similarity.
    pub ssim: f64,
    /// Signal-to-noise ratio in decibels.
    pub psnr: f64,
    /// Mean absolute difference.
    pub l1: f64,
    /// Learned perceptual distance, where its weights were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lpips: Option<f64>,
}

/// Scores, and what else is worth knowing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// Means over all photos.
    pub scores: Scores,
    /// Mean absolute difference inside holes, averaged over the photos that have one.
    pub hole_l1: f64,
    /// How many photos there were.
    pub photos: usize,
}

impl Scores {
    /// The one that decides.
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
    /// Reads the photos of the run file, evenly spread over its sources. Photos that cannot be read are left out.
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
                // Not from the run's seed: runs with other seeds are judged by the same holes.
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

    /// Whether there is anything to judge by.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The first photos and their holes.
    pub fn examples(&self, count: usize) -> &[(Planes, Mask)] {
        &self.pairs[..count.min(self.pairs.len())]
    }

    /// Judges a network without autodiff.
    ///
    /// # Errors
    /// If the network fails.
    pub fn judge(&self, generator: &Generator) -> Result<Judgement> {
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
        Ok(Judgement {
            scores: Scores { ssim, psnr, l1, lpips },
            hole_l1: hole_l1.0 / hole_l1.1 as f64,
            photos,
        })
    }
}

/// What the network makes of a masked photo; an autoencoder gets all of it.
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

/// A picture of 8 bits as planes.
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
