//! The scores of an arm, by all metrics whose weights are there.

use std::sync::OnceLock;

use lacuna::hash::sha256;
use lacuna::{Mask, Planes};
use lacuna_eval::judge::{Judge, Metric, Scores};
use lacuna_eval::metric::{Region, frechet_of_few, kid};
use lacuna_eval::report::Column;
use lacuna_eval::report::sheet::to_byte;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::validate::Validation;

/// The factor with which KID is printed.
const KID_SCALE: f64 = 1000.0;

/// A mean over the photos, or a distance of all fills to all photos.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// What is measured, and where.
    pub measure: Column,
    /// Its value.
    pub value: f64,
}

/// The photos, masks and metrics with which all arms are scored.
#[derive(Debug)]
pub(super) struct Panel<'a> {
    validation: Validation,
    judge: &'a Judge,
    /// Hash of what scores depend on besides the fills.
    pub identity: String,
    /// Features of the photos, computed when they are needed first.
    truths: OnceLock<Vec<f32>>,
}

impl<'a> Panel<'a> {
    pub fn new(validation: Validation, judge: &'a Judge) -> Self {
        let mut bytes = judge.identity().into_bytes();
        for (photo, mask) in validation.examples(usize::MAX) {
            bytes.extend(photo.values().iter().map(|&value| to_byte(value)));
            bytes.extend(mask.hole().iter().map(|&hole| u8::from(hole)));
        }
        Self { validation, judge, identity: sha256(&bytes), truths: OnceLock::new() }
    }

    /// Photos and masks.
    pub fn pairs(&self) -> &[(Planes, Mask)] {
        self.validation.examples(usize::MAX)
    }

    /// Scores what `fill` returns for each photo, by its index, and its mask. Known pixels are taken from the photo, and values rounded to 8
    /// bits, as in a file.
    pub fn score(&self, fill: impl Fn(usize, &Planes, &Mask) -> Result<Planes>) -> Result<Vec<Value>> {
        let mut fills = Vec::new();
        for (index, (photo, mask)) in self.pairs().iter().enumerate() {
            fills.push(composite(&fill(index, photo, mask)?, photo, mask));
        }
        let scores: Vec<Scores> = fills
            .par_iter()
            .zip(self.pairs())
            .map(|(fill, (photo, mask))| {
                self.judge.score(fill, &self.judge.look(photo.clone(), mask.clone())?)
            })
            .collect::<lacuna_eval::Result<_>>()?;
        let mut values = Vec::new();
        for metric in Metric::ALL.into_iter().filter(|metric| *metric != Metric::KnownError) {
            for region in Region::ALL {
                // A photo without a hole has no value in it.
                let of_photos: Vec<f64> =
                    scores.iter().filter_map(|scores| metric.of(scores, region)).collect();
                if !of_photos.is_empty() {
                    let value = of_photos.iter().sum::<f64>() / of_photos.len() as f64;
                    values.push(Value { measure: Column::Mean(metric, region), value });
                }
            }
        }
        if let Some(inception) = self.judge.inception() {
            let features = |pictures: Vec<&Planes>| -> Result<Vec<f32>> {
                let all = pictures.into_par_iter().map(|picture| inception.features(picture));
                Ok(all.collect::<lacuna_eval::Result<Vec<_>>>()?.concat())
            };
            if self.truths.get().is_none() {
                let truths = features(self.pairs().iter().map(|(photo, _)| photo).collect())?;
                self.truths.get_or_init(|| truths);
            }
            let truths = self.truths.get().expect("just computed");
            let fills = features(fills.iter().collect())?;
            let length = truths.len() / self.pairs().len();
            let fid = frechet_of_few(&fills, truths, length)?;
            values.push(Value { measure: Column::Fid, value: fid });
            let kid = KID_SCALE * kid(&fills, truths, length)?.mean;
            values.push(Value { measure: Column::Kid, value: kid });
        }
        Ok(values)
    }
}

/// A fill whose known pixels are the photo's, rounded to 8 bits.
pub(super) fn composite(fill: &Planes, photo: &Planes, mask: &Mask) -> Planes {
    let values = photo.values().iter().zip(fill.values()).zip(mask.hole().iter().cycle());
    let inpainted =
        values.map(|((&known, &fill), &hole)| if hole { f32::from(to_byte(fill)) / 255.0 } else { known });
    Planes::new(photo.width(), photo.height(), inpainted.collect())
}
