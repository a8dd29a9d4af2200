//! Regions of an image: all of it, the hole, the band around the hole's edge.

use lacuna::{Mask, Planes};
use serde::{Deserialize, Serialize};

/// Pixels of the band on either side of the hole's edge: 16 in all, where seams show.
const HALF_BAND: u32 = 8;

/// A region of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// All pixels.
    Whole,
    /// The pixels of the hole.
    Hole,
    /// 8 pixels on either side of the hole's edge.
    Band,
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Hole, Self::Band];

    /// Its name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Hole => "hole",
            Self::Band => "band",
        }
    }
}

/// The regions of one hole.
#[derive(Clone, Debug)]
pub struct Areas {
    hole: Mask,
    band: Mask,
}

/// A metric's value in each region; `None` for an empty region.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByRegion {
    /// Over all pixels.
    pub whole: f64,
    /// Over the hole.
    pub hole: Option<f64>,
    /// Over the band around its edge.
    pub band: Option<f64>,
}

impl ByRegion {
    /// The value in a region.
    pub fn get(&self, region: Region) -> Option<f64> {
        match region {
            Region::Whole => Some(self.whole),
            Region::Hole => self.hole,
            Region::Band => self.band,
        }
    }

    /// Applies `of` to each value.
    pub fn map(self, of: impl Fn(f64) -> f64) -> Self {
        Self { whole: of(self.whole), hole: self.hole.map(&of), band: self.band.map(&of) }
    }
}

impl Areas {
    /// The regions of a hole.
    pub fn new(hole: Mask) -> Self {
        let (width, height) = (hole.width(), hole.height());
        let known = Mask::new(width, height, hole.hole().iter().map(|hole| !hole).collect());
        let (grown, kept) = (hole.expanded(HALF_BAND), known.expanded(HALF_BAND));
        let band = grown.hole().iter().zip(kept.hole()).map(|(one, other)| *one && *other).collect();
        Self { hole, band: Mask::new(width, height, band) }
    }

    /// The hole.
    pub fn hole(&self) -> &Mask {
        &self.hole
    }

    /// Means of a map `[height, width]` of the same size.
    pub fn means(&self, map: &[f64]) -> ByRegion {
        self.means_of(map, self.hole.width(), self.hole.height())
    }

    /// Means of a map `[height, width]` of another size: each of its pixels is weighted by the fraction of the region
    /// that it covers.
    pub fn means_of(&self, map: &[f64], width: usize, height: usize) -> ByRegion {
        let mean = |mask: &Mask| {
            let fractions = fractions(mask, width, height);
            let sum: f64 = fractions.iter().sum();
            (sum > 0.0).then(|| {
                map.iter().zip(fractions).map(|(value, fraction)| value * fraction).sum::<f64>() / sum
            })
        };
        let whole = map.iter().sum::<f64>() / map.len() as f64;
        ByRegion { whole, hole: mean(&self.hole), band: mean(&self.band) }
    }
}

/// The fraction of each pixel of a map of this size that is in the mask.
fn fractions(mask: &Mask, width: usize, height: usize) -> Vec<f64> {
    if (width, height) == (mask.width(), mask.height()) {
        return mask.hole().iter().map(|&hole| f64::from(u8::from(hole))).collect();
    }
    // The mask's pixels that a map pixel covers, at least one.
    let span = |at: usize, of: usize, length: usize| {
        let start = at * length / of;
        start..((at + 1) * length / of).max(start + 1)
    };
    let fraction = |row: usize, column: usize| {
        let (rows, columns) = (span(row, height, mask.height()), span(column, width, mask.width()));
        let area = (rows.len() * columns.len()) as f64;
        let inside = rows.map(|y| columns.clone().filter(|&x| mask.is_hole(x, y)).count()).sum::<usize>();
        inside as f64 / area
    };
    (0..height)
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .map(|(y, x)| fraction(y, x))
        .collect()
}

/// Mean over channels of `of` applied to two images' values, `[height, width]`.
pub(super) fn per_pixel(picture: &Planes, truth: &Planes, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    super::assert_same_size(picture, truth);
    let mut map = vec![0.0; truth.width() * truth.height()];
    for colour in 0..3 {
        let pairs = picture.plane(colour).iter().zip(truth.plane(colour));
        for (sum, (one, other)) in map.iter_mut().zip(pairs) {
            *sum += of(f64::from(*one), f64::from(*other)) / 3.0;
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_by_hand() {
        // A hole of the left 20 of 40 columns: the band is columns 12 to 27.
        let areas = Areas::new(Mask::new(40, 2, (0..80).map(|at| at % 40 < 20).collect()));
        let map: Vec<f64> = (0..80).map(|at| f64::from(at % 40)).collect();
        let means = areas.means(&map);
        assert_eq!(means, ByRegion { whole: 19.5, hole: Some(9.5), band: Some(19.5) });
        // At a tenth of the size the hole is two of four columns.
        let means = areas.means_of(&[1.0, 2.0, 4.0, 8.0], 4, 1);
        assert_eq!(means.hole, Some(1.5));
        // Columns 10 to 19 have eight of ten in the band, as have 20 to 29.
        assert!((means.band.unwrap() - 3.0).abs() < 1e-12);
    }

    #[test]
    fn without_a_hole_there_is_only_the_whole() {
        let areas = Areas::new(Mask::new(3, 1, vec![false; 3]));
        assert_eq!(areas.means(&[1.0, 2.0, 3.0]), ByRegion { whole: 2.0, hole: None, band: None });
    }
}
