//! Reports of an evaluation: text, JSON, CSV, LaMa's tables, and a page.

pub mod gallery;
pub mod page;
pub mod sheet;
pub mod tables;
pub mod text;

use serde::{Deserialize, Serialize};

use crate::interval::Interval;
use crate::judge::Metric;
use crate::metric::Region;
use crate::summary::{Method, Summary, find};

/// A column of the printed tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    /// A mean over images.
    Mean(Metric, Region),
    /// Fréchet distance.
    Fid,
    /// Kernel distance, times 1000.
    Kid,
    /// Fraction of pairs in which the fill seems more real.
    PIds,
    /// Fraction of images that a linear classifier misclassifies.
    UIds,
}

impl Column {
    /// The columns in which some method has a value.
    pub fn of(summary: &Summary) -> Vec<Self> {
        let mut columns = Vec::new();
        for metric in Metric::ALL {
            columns.extend(Region::ALL.map(|region| Self::Mean(metric, region)));
        }
        columns.extend([Self::Fid, Self::Kid, Self::PIds, Self::UIds]);
        columns.retain(|column| summary.methods.iter().any(|method| column.value(method).is_some()));
        columns
    }

    /// Its heading.
    pub fn title(self) -> String {
        match self {
            Self::Mean(metric, Region::Whole) => metric.title().to_owned(),
            Self::Mean(metric, region) => format!("{}, {}", metric.title(), region.name()),
            Self::Fid => "FID".to_owned(),
            Self::Kid => "KID × 1000".to_owned(),
            Self::PIds => "P-IDS".to_owned(),
            Self::UIds => "U-IDS".to_owned(),
        }
    }

    /// Whether lower values are better.
    pub fn less_is_better(self) -> bool {
        match self {
            Self::Mean(metric, _) => metric.less_is_better(),
            Self::Fid | Self::Kid => true,
            Self::PIds | Self::UIds => false,
        }
    }

    /// A method's value; an interval of zero width where none is known.
    pub fn value(self, method: &Method) -> Option<Interval> {
        let exact = |mean: f64| Interval { mean, low: mean, high: mean };
        match self {
            Self::Mean(metric, region) => find(&method.means, metric, region).map(|mean| mean.interval),
            Self::Fid => method.sets.map(|sets| sets.fid),
            Self::Kid => method.sets.map(|sets| sets.kid),
            Self::PIds => method.sets.map(|sets| exact(sets.p_ids)),
            Self::UIds => method.sets.map(|sets| exact(sets.u_ids)),
        }
    }

    /// Number of significant decimals.
    pub fn decimals(self) -> usize {
        match self {
            Self::Mean(Metric::Psnr, _) | Self::Fid | Self::Kid => 2,
            Self::Mean(Metric::KnownError, _) => 1,
            _ => 4,
        }
    }
}
