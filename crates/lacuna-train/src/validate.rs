//! Validation during training, always on the same crops and masks.

use std::sync::Arc;

use burn::tensor::Tensor;
use lacuna::{Mask, Planes};
use lacuna_eval::metric::{Lpips, l1, l1_in, psnr, ssim};
use lacuna_nets::Network;
use lacuna_nets::tensors::{device_of, download, upload};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::augment;
use crate::config::{BestBy, Data, Task};
use crate::data::{Photos, sample_rng};

/// The epoch number for validation masks; no training epoch has it.
pub(crate) const VALIDATION_EPOCH: u64 = u64::MAX;

/// Validation photos and masks.
#[derive(Debug)]
pub struct Validation {
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
    /// Mean absolute error inside holes, averaged over the photos that have one. Absent if none has.
    pub hole_l1: Option<f64>,
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
    /// Reads the validation photos of a run file, evenly spaced over its sources. Photos that cannot be read are
    /// skipped.
    ///
    /// # Errors
    /// If a source cannot be opened.
    pub fn open(data: &Data) -> Result<Self> {
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
        Ok(Self { pairs, lpips })
    }

    /// All photos and their masks.
    pub(crate) fn pairs(&self) -> &[(Planes, Mask)] {
        &self.pairs
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
    pub fn evaluate(&self, task: Task, network: &Network) -> Result<ValidationResult> {
        self.score(|index, photo, mask| fill(task, network, index as u64, photo, mask))
    }

    /// Scores what `fill` returns for each photo, by its index, and its mask.
    pub(crate) fn score(
        &self,
        fill: impl Fn(usize, &Planes, &Mask) -> Result<Planes>,
    ) -> Result<ValidationResult> {
        let mut sums = [0.0; 3];
        let mut holes = Vec::new();
        let mut distance = 0.0;
        for (index, (photo, mask)) in self.pairs.iter().enumerate() {
            let filled = fill(index, photo, mask)?;
            let scores = [ssim(&filled, photo), psnr(&filled, photo), l1(&filled, photo)];
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
            if let Some(lpips) = &self.lpips {
                distance += lpips.distance(&filled, photo)?;
            }
            if mask.count() > 0 {
                holes.push(l1_in(&filled, photo, mask));
            }
        }
        let photos = self.pairs.len();
        let [ssim, psnr, l1] = sums.map(|sum| sum / photos.max(1) as f64);
        let lpips = self.lpips.is_some().then(|| distance / photos.max(1) as f64);
        let hole_l1 = (!holes.is_empty()).then(|| holes.iter().sum::<f64>() / holes.len() as f64);
        Ok(ValidationResult { scores: Scores { ssim, psnr, l1, lpips }, hole_l1, photos })
    }
}

/// The network's fill of a masked photo; an autoencoder gets the whole photo. A network with several answers gives that of the
/// seed.
///
/// # Errors
/// If the network fails.
pub fn fill(task: Task, network: &Network, seed: u64, photo: &Planes, mask: &Mask) -> Result<Planes> {
    let (image, hole) = upload(photo, mask, &device_of(network));
    let filled: Tensor<4> = match (task, network) {
        (Task::Autoencoder, Network::Generator(generator)) => {
            generator.decode(generator.encode(image, hole.zeros_like())?)
        }
        (Task::Inpainting, Network::Generator(generator)) if generator.modulation.is_some() => {
            generator.answer_of(image, hole, &[seed])?.inpainted
        }
        (Task::Autoencoder, Network::ContextEncoder(_)) | (Task::Inpainting, _) => {
            network.fill(image, hole)?
        }
    };
    Ok(download(filled)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small_generator;
    use burn::tensor::Device;
    use testkit::{assert_close, pictures};

    const SIDE: usize = 16;

    fn grey(value: f32) -> Planes {
        Planes::new(SIDE, SIDE, vec![value; 3 * SIDE * SIDE])
    }

    /// The first columns are hole.
    fn columns(count: usize) -> Mask {
        Mask::new(SIDE, SIDE, (0..SIDE * SIDE).map(|at| at % SIDE < count).collect())
    }

    fn validation(pairs: Vec<(Planes, Mask)>) -> Validation {
        Validation { pairs, lpips: None }
    }

    /// `value` inside the hole, the photo elsewhere.
    fn filled(photo: &Planes, mask: &Mask, value: f32) -> Planes {
        let values = photo.values().iter().zip(mask.hole().iter().cycle());
        Planes::new(SIDE, SIDE, values.map(|(&photo, &hole)| if hole { value } else { photo }).collect())
    }

    #[test]
    fn scores_are_means_over_photos() {
        // All of a grey photo is filled with 0.1 too much: L1 0.1, mean square 0.01, which is 20 dB. The mean squares of a
        // quarter of it are 0.0025: 10 log10(400) dB.
        let pairs = vec![(grey(0.5), columns(SIDE)), (grey(0.5), columns(SIDE / 4))];
        let set = validation(pairs);
        let ValidationResult { scores, hole_l1, photos } =
            set.score(|_, photo, mask| Ok(filled(photo, mask, 0.6))).unwrap();
        assert_eq!(photos, 2);
        assert!((scores.l1 - (0.1 + 0.025) / 2.0).abs() < 1e-6, "{scores:?}");
        let decibels = (20.0 + 10.0 * 400f64.log10()) / 2.0;
        assert!((scores.psnr - decibels).abs() < 1e-4, "{scores:?}");
        assert!((hole_l1.unwrap() - 0.1).abs() < 1e-6);
        assert_eq!(scores.lpips, None);
        assert!(scores.ssim < 1.0);
    }

    #[test]
    fn equal_fills_score_best() {
        let set = validation(vec![(grey(0.5), columns(3)), (grey(0.25), columns(5))]);
        let result = set.score(|_, photo, _| Ok(photo.clone())).unwrap();
        assert!((result.scores.ssim - 1.0).abs() < 1e-6, "{result:?}");
        assert_eq!((result.scores.psnr, result.scores.l1), (100.0, 0.0));
        assert_eq!(result.hole_l1, Some(0.0));
    }

    #[test]
    fn photos_without_a_hole_count_in_the_whole_alone() {
        let pairs = vec![(grey(0.5), columns(0)), (grey(0.5), columns(SIDE))];
        let set = validation(pairs);
        let result = set.score(|_, photo, mask| Ok(filled(photo, mask, 0.7))).unwrap();
        assert!((result.scores.l1 - 0.1).abs() < 1e-6, "{result:?}");
        assert!((result.hole_l1.unwrap() - 0.2).abs() < 1e-6, "{result:?}");
        let without = validation(vec![(grey(0.5), columns(0))]);
        assert_eq!(without.score(|_, photo, _| Ok(photo.clone())).unwrap().hole_l1, None);
    }

    #[test]
    fn networks_are_scored_as_they_fill() {
        let generator = Network::from(small_generator(3, true, &Device::flex()));
        let photo = Planes::new(SIDE, SIDE, pictures::picture(SIDE, SIDE));
        let set = validation(vec![(photo.clone(), columns(4))]);
        let result = set.evaluate(Task::Inpainting, &generator).unwrap();
        // Known pixels are the photo's: a quarter of the error in the hole is the whole error.
        assert!((result.scores.l1 - result.hole_l1.unwrap() / 4.0).abs() < 1e-6, "{result:?}");
        // An autoencoder sees the photo whole: its hole changes nothing.
        let decoded = |columns_of_hole| {
            fill(Task::Autoencoder, &generator, 0, &photo, &columns(columns_of_hole)).unwrap()
        };
        assert_close(decoded(0).values(), decoded(SIDE).values(), 0.0);
        assert!(decoded(0).values() != photo.values());
    }
}
