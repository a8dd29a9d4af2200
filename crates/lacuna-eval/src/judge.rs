//! All metrics of one image.

use std::path::Path;

use lacuna::checkpoint::read_tensors;
use lacuna::picture::Limits;
use lacuna::{Mask, MaskOptions, Planes};
use serde::{Deserialize, Serialize};

use crate::case::{Case, open_planes};
use crate::metric::lpips::Features;
use crate::metric::psnr::{decibels, squares_map};
use crate::metric::{Areas, ByRegion, Inception, Lpips, Region, known_error, l1_map, ms_ssim, ssim_map};
use crate::published::{INCEPTION, LPIPS_ALEX, LPIPS_VGG, PUBLISHED};
use crate::{Error, Result};

/// A metric of single images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Learned perceptual distance (LPIPS) with AlexNet.
    LpipsAlex,
    /// Learned perceptual distance (LPIPS) with VGG16.
    LpipsVgg,
    /// Structural similarity.
    Ssim,
    /// Structural similarity at five scales.
    MsSsim,
    /// Peak signal-to-noise ratio in decibels.
    Psnr,
    /// Mean absolute difference.
    L1,
    /// Largest difference of known pixels, in 8-bit steps.
    KnownError,
}

/// The scores of one fill.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// If the weights exist.
    pub lpips_alex: Option<ByRegion>,
    /// If the weights exist.
    pub lpips_vgg: Option<ByRegion>,
    /// Structural similarity.
    pub ssim: ByRegion,
    /// For sides of at least 161 pixels.
    pub ms_ssim: Option<f64>,
    /// Decibels.
    pub psnr: ByRegion,
    /// Of values in `[0, 1]`.
    pub l1: ByRegion,
    /// In 8-bit steps.
    pub known_error: f64,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 7] =
        [Self::LpipsAlex, Self::LpipsVgg, Self::Ssim, Self::MsSsim, Self::Psnr, Self::L1, Self::KnownError];

    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::LpipsAlex => "LPIPS (Alex)",
            Self::LpipsVgg => "LPIPS (VGG)",
            Self::Ssim => "SSIM",
            Self::MsSsim => "MS-SSIM",
            Self::Psnr => "PSNR, dB",
            Self::L1 => "L1",
            Self::KnownError => "known-pixel error",
        }
    }

    /// The version of its formula. Raise it with every change of a value: rows scored by an earlier version are then
    /// computed again. A new metric changes the key of every row by itself.
    pub fn version(self) -> u32 {
        match self {
            Self::LpipsAlex | Self::LpipsVgg => 1,
            Self::Ssim => 1,
            Self::MsSsim => 1,
            Self::Psnr => 1,
            Self::L1 => 1,
            Self::KnownError => 1,
        }
    }

    /// Whether lower values are better.
    pub fn less_is_better(self) -> bool {
        matches!(self, Self::LpipsAlex | Self::LpipsVgg | Self::L1 | Self::KnownError)
    }

    /// Its value in a region, if it has one.
    pub fn of(self, scores: &Scores, region: Region) -> Option<f64> {
        let whole = |value: f64| (region == Region::Whole).then_some(value);
        match self {
            Self::LpipsAlex => scores.lpips_alex?.get(region),
            Self::LpipsVgg => scores.lpips_vgg?.get(region),
            Self::Ssim => scores.ssim.get(region),
            Self::MsSsim => whole(scores.ms_ssim?),
            Self::Psnr => scores.psnr.get(region),
            Self::L1 => scores.l1.get(region),
            Self::KnownError => whole(scores.known_error),
        }
    }
}

/// Version of the regions over which metrics are averaged. See [`Metric::version`].
const REGIONS_VERSION: u32 = 1;
/// Version of the features of FID, KID and IDS. See [`Metric::version`].
const FEATURES_VERSION: u32 = 1;

/// The metrics with their weights.
#[derive(Debug)]
pub struct Judge {
    alex: Option<Lpips>,
    vgg: Option<Lpips>,
    inception: Option<Inception>,
    versions: String,
}

impl Default for Judge {
    /// The metrics that need no weights.
    fn default() -> Self {
        let metrics = Metric::ALL.map(|metric| format!("{metric:?} {}", metric.version()));
        let versions =
            format!("{}, regions {REGIONS_VERSION}, features {FEATURES_VERSION}", metrics.join(", "));
        Self { alex: None, vgg: None, inception: None, versions }
    }
}

/// A ground-truth image with its hole. Features are computed once for all its fills.
#[derive(Debug)]
pub struct Truth {
    picture: Planes,
    areas: Areas,
    alex: Option<Features>,
    vgg: Option<Features>,
}

impl Judge {
    /// Loads all metrics whose weights are in a folder, and those that need none.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Weights`] for a weights file that exists but differs from the published values.
    pub fn open(weights: &Path) -> Result<Self> {
        let mut judge = Self::default();
        for published in PUBLISHED {
            let path = weights.join(published.file);
            if !path.exists() {
                continue;
            }
            let tensors = read_tensors(&path)?;
            let take = || {
                published.check(&tensors)?;
                match published.file {
                    LPIPS_ALEX => judge.alex = Some(Lpips::from_tensors(tensors)?),
                    LPIPS_VGG => judge.vgg = Some(Lpips::from_tensors(tensors)?),
                    _ => judge.inception = Some(Inception::from_tensors(tensors)?),
                }
                Ok(())
            };
            take().map_err(|problem| Error::Weights { path, problem })?;
        }
        Ok(judge)
    }

    /// Everything besides the files that a row's values depend on: the loaded weights and the versions of all metrics.
    /// Rows with another identity are computed again.
    pub fn identity(&self) -> String {
        let missing = self.missing();
        let there = PUBLISHED.iter().filter(|published| !missing.contains(&published.file));
        let weights: Vec<&str> = there.map(|published| published.numbers).collect();
        format!("{}; {}", weights.join(" "), self.versions)
    }

    /// The same metrics in another version of this program.
    #[cfg(test)]
    pub(crate) fn of_versions(versions: &str) -> Self {
        Self { versions: versions.to_owned(), ..Self::default() }
    }

    /// Weights files that were not found.
    pub fn missing(&self) -> Vec<&'static str> {
        let there = [self.alex.is_some(), self.vgg.is_some(), self.inception.is_some()];
        let names = [LPIPS_ALEX, LPIPS_VGG, INCEPTION].into_iter().zip(there);
        names.filter(|(_, there)| !there).map(|(name, _)| name).collect()
    }

    /// The network of FID's features, if its weights exist.
    pub fn inception(&self) -> Option<&Inception> {
        self.inception.as_ref()
    }

    /// Prepares a ground-truth image: computes its features.
    ///
    /// # Errors
    /// [`Error::Pictures`] if the mask has another size, or the image is too small for a metric.
    pub fn look(&self, picture: Planes, mask: Mask) -> Result<Truth> {
        let features =
            |lpips: &Option<Lpips>| lpips.as_ref().map(|lpips| lpips.features(&picture)).transpose();
        same_size([mask.width(), mask.height()], &picture, "mask")?;
        Ok(Truth { alex: features(&self.alex)?, vgg: features(&self.vgg)?, areas: Areas::new(mask), picture })
    }

    /// Scores a fill.
    ///
    /// # Errors
    /// [`Error::Pictures`] if its size differs from the ground truth's.
    pub fn score(&self, fill: &Planes, truth: &Truth) -> Result<Scores> {
        let Truth { picture, areas, alex, vgg } = truth;
        same_size([fill.width(), fill.height()], picture, "fill")?;
        let lpips = |lpips: &Option<Lpips>, truth: &Option<Features>| -> Result<Option<ByRegion>> {
            let (Some(lpips), Some(truth)) = (lpips, truth) else { return Ok(None) };
            Ok(Some(lpips.distances(&lpips.features(fill)?, truth, areas)))
        };
        Ok(Scores {
            lpips_alex: lpips(&self.alex, alex)?,
            lpips_vgg: lpips(&self.vgg, vgg)?,
            ssim: areas.means(&ssim_map(fill, picture)),
            ms_ssim: ms_ssim(fill, picture),
            psnr: areas.means(&squares_map(fill, picture)).map(decibels),
            l1: areas.means(&l1_map(fill, picture)),
            known_error: known_error(fill, picture, areas.hole()),
        })
    }
}

impl Judge {
    /// Whether [`Judge::lpips_of_answers`] has its weights.
    pub(crate) fn has_lpips(&self) -> bool {
        self.alex.is_some()
    }

    /// LPIPS (AlexNet) in the hole: between each pair of answers, and from each answer to the ground truth. `None` without a hole
    /// or without the weights.
    ///
    /// # Errors
    /// [`Error::Pictures`] if the size of an answer differs from the ground truth's.
    pub(crate) fn lpips_of_answers(
        &self,
        answers: &[Planes],
        truth: &Truth,
    ) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        let Truth { picture, areas, alex, .. } = truth;
        let (Some(lpips), Some(target)) = (&self.alex, alex) else { return Ok(None) };
        let features = |answer: &Planes| {
            same_size([answer.width(), answer.height()], picture, "fill")?;
            lpips.features(answer)
        };
        let features = answers.iter().map(features).collect::<Result<Vec<Features>>>()?;
        let distance = |one: &Features, other: &Features| lpips.distances(one, other, areas).hole;
        let pairs = features
            .iter()
            .enumerate()
            .flat_map(|(index, one)| features[index + 1..].iter().map(move |other| distance(one, other)));
        let Some(pairs) = pairs.collect::<Option<Vec<f64>>>() else { return Ok(None) };
        let to_truth = features.iter().map(|answer| distance(answer, target)).collect::<Option<Vec<f64>>>();
        Ok(to_truth.map(|to_truth| (pairs, to_truth)))
    }

    /// Reads the ground truth and the mask of a case.
    ///
    /// # Errors
    /// If a file cannot be read; as [`Judge::look`].
    pub(crate) fn open_truth(&self, case: &Case, limits: &Limits) -> Result<Truth> {
        let mask = Mask::open(&case.mask, &MaskOptions::default(), limits)?;
        self.look(open_planes(&case.truth, limits)?, mask)
    }
}

impl Truth {
    /// The image.
    pub fn picture(&self) -> &Planes {
        &self.picture
    }

    /// The fraction of the image that is hole, 0 to 1.
    pub fn hole_share(&self) -> f64 {
        let hole = self.areas.hole();
        hole.count() as f64 / hole.hole().len() as f64
    }
}

fn same_size(size: [usize; 2], truth: &Planes, what: &str) -> Result<()> {
    let [width, height] = size;
    if size == [truth.width(), truth.height()] {
        return Ok(());
    }
    let (expected, rows) = (truth.width(), truth.height());
    Err(Error::Pictures(format!(
        "the {what} is {width} x {height} pixels, the ground truth {expected} x {rows}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::pictures;

    #[test]
    fn a_perfect_fill_and_a_wrong_one() {
        let truth = Planes::new(40, 40, pictures::picture(40, 40));
        let hole = Mask::new(40, 40, (0..1600).map(|at| at % 40 < 20).collect());
        let judge = Judge::default();
        assert_eq!(judge.missing().len(), 3);
        let prepared = judge.look(truth.clone(), hole).unwrap();
        let perfect = judge.score(&truth, &prepared).unwrap();
        assert_eq!((perfect.l1.whole, perfect.psnr.whole, perfect.known_error), (0.0, 100.0, 0.0));
        assert!((perfect.ssim.whole - 1.0).abs() < 1e-9);
        let mut wrong = truth.clone();
        (0..3).for_each(|colour| wrong.plane_mut(colour).iter_mut().for_each(|value| *value *= 0.5));
        let wrong = judge.score(&wrong, &prepared).unwrap();
        for metric in Metric::ALL {
            let values = |scores| Region::ALL.map(|region| metric.of(scores, region));
            for (perfect, wrong) in values(&perfect).into_iter().zip(values(&wrong)) {
                let Some((perfect, wrong)) = perfect.zip(wrong) else { continue };
                assert!(
                    if metric.less_is_better() { wrong > perfect } else { wrong < perfect },
                    "{metric:?}"
                );
            }
        }
        let error = judge.score(&Planes::black(40, 39), &prepared).unwrap_err().to_string();
        assert_eq!(error, "the fill is 40 x 39 pixels, the ground truth 40 x 40");
    }

    #[test]
    fn scores_survive_being_written() {
        let region = ByRegion { whole: 0.1, hole: Some(0.2), band: None };
        let scores = Scores {
            lpips_alex: Some(region),
            lpips_vgg: None,
            ssim: region,
            ms_ssim: None,
            psnr: region,
            l1: region,
            known_error: 0.0,
        };
        let text = serde_json::to_string(&scores).unwrap();
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores);
    }
}
