//! The gallery of a report: choice and encoding of its images.

use std::collections::BTreeSet;
use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, RgbImage};
use lacuna::picture::Limits;
use lacuna::{Mask, MaskOptions, Picture};
use serde::Serialize;

use crate::Result;
use crate::case::Case;
use crate::evaluation::Candidate;
use crate::judge::{Metric, Scores};
use crate::metric::Region;
use crate::store::Store;

/// Longer sides are scaled down to this many pixels.
const LARGEST_SIDE: u32 = 384;
/// JPEG quality: no artefacts are visible at the size of a report.
const QUALITY: u8 = 90;
/// Metrics for ranking; the first that has values is used.
const RANKED_BY: [Metric; 3] = [Metric::LpipsVgg, Metric::LpipsAlex, Metric::L1];

/// A case of the gallery.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    /// The case.
    pub name: String,
    /// Hole fraction in percent.
    pub hole: f64,
    /// Why it was chosen, such as `best of patchmatch`.
    pub labels: Vec<String>,
    /// The ground truth.
    pub truth: String,
    /// The image with its hole.
    pub masked: String,
    /// The fill of each method.
    pub fills: Vec<Fill>,
}

/// The fill of one method.
#[derive(Clone, Debug, Serialize)]
pub struct Fill {
    /// The method.
    pub method: String,
    /// The image; none if there is no fill.
    pub picture: Option<String>,
    /// The score it is ranked by, in the hole.
    pub score: Option<f64>,
}

/// The metric that a gallery is ranked by.
pub fn ranked_by(stores: &[Store], cases: &[Case]) -> Metric {
    let scores = |metric: &Metric| {
        stores.iter().any(|store| cases.iter().any(|case| score(store, case, *metric).is_some()))
    };
    RANKED_BY.into_iter().find(scores).unwrap_or(Metric::L1)
}

fn score(store: &Store, case: &Case, metric: Metric) -> Option<f64> {
    let scores: &Scores = store.row(&case.name)?.scores()?;
    metric.of(scores, Region::Hole)
}

/// Up to `count` cases: best, median and worst of each method, and others evenly spaced.
///
/// # Errors
/// If an image that was scored can no longer be read.
pub fn cards(cases: &[Case], candidates: &[Candidate], stores: &[Store], count: usize) -> Result<Vec<Card>> {
    let metric = ranked_by(stores, cases);
    let mut chosen: Vec<(usize, Vec<String>)> = Vec::new();
    let mut choose = |at: usize, label: Option<String>| {
        match chosen.iter_mut().find(|(case, _)| *case == at) {
            Some((_, labels)) => labels.extend(label),
            None => chosen.push((at, label.into_iter().collect())),
        };
    };
    for (candidate, store) in candidates.iter().zip(stores) {
        let mut ranked: Vec<(f64, usize)> = cases
            .iter()
            .enumerate()
            .filter_map(|(at, case)| Some((score(store, case, metric)?, at)))
            .collect();
        ranked.sort_by(|one, other| one.0.total_cmp(&other.0));
        let Some(last) = ranked.len().checked_sub(1) else { continue };
        for (place, what) in [(0, "best"), (last / 2, "median"), (last, "worst")] {
            choose(ranked[place].1, Some(format!("{what} of {}", candidate.name)));
        }
    }
    let spread: BTreeSet<usize> =
        (0..count.min(cases.len())).map(|at| at * cases.len() / count.min(cases.len())).collect();
    spread.into_iter().for_each(|at| choose(at, None));
    chosen.truncate(count);
    chosen.into_iter().map(|(at, labels)| card(&cases[at], labels, candidates, stores, metric)).collect()
}

fn card(
    case: &Case,
    labels: Vec<String>,
    candidates: &[Candidate],
    stores: &[Store],
    metric: Metric,
) -> Result<Card> {
    let limits = Limits::default();
    let truth = Picture::open(&case.truth, &limits)?.pixels().to_rgb8();
    let mask = Mask::open(&case.mask, &MaskOptions::default(), &limits)?;
    let mut masked = truth.clone();
    for (pixel, hole) in masked.pixels_mut().zip(mask.hole()) {
        if *hole {
            // Light grey, which rarely fills large areas of photos.
            pixel.0 = [225; 3];
        }
    }
    let fill = |(candidate, store): (&Candidate, &Store)| {
        let picture = candidate.fills.of(case).and_then(|path| Picture::open(path, &limits).ok());
        Fill {
            method: candidate.name.clone(),
            picture: picture.map(|picture| data_uri(picture.pixels().to_rgb8())),
            score: score(store, case, metric),
        }
    };
    Ok(Card {
        name: case.name.clone(),
        hole: 100.0 * mask.count() as f64 / mask.hole().len() as f64,
        labels,
        truth: data_uri(truth),
        masked: data_uri(masked),
        fills: candidates.iter().zip(stores).map(fill).collect(),
    })
}

/// An image as a data URL.
pub fn data_uri(picture: RgbImage) -> String {
    let mut picture = DynamicImage::from(picture);
    if picture.width().max(picture.height()) > LARGEST_SIDE {
        picture = picture.resize(LARGEST_SIDE, LARGEST_SIDE, FilterType::Triangle);
    }
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(Cursor::new(&mut bytes), QUALITY);
    picture.write_with_encoder(encoder).expect("memory takes everything");
    format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_scaled_down() {
        let size = |width, height| {
            let text = data_uri(RgbImage::new(width, height));
            let bytes = STANDARD.decode(text.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
            let picture = image::load_from_memory(&bytes).unwrap();
            (picture.width(), picture.height())
        };
        assert_eq!((size(768, 100), size(30, 20)), ((384, 50), (30, 20)));
    }
}
