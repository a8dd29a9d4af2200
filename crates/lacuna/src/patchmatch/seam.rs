//! The correction of seams: what the fill gets wrong at the hole's rim is spread smoothly over the hole.
//!
//! Poisson cloning (Perez et al., "Poisson Image Editing", SIGGRAPH 2003, <https://doi.org/10.1145/882262.882269>)
//! of the voted picture into the known one, written as the voted picture plus a membrane over the differences at
//! the rim. The differences are taken where patches vote on known pixels too.

use super::membrane::{self, Cell};
use crate::{Mask, Planes};
use rayon::prelude::*;

/// Whether a known pixel touches the hole, with a side or a corner.
pub(super) fn is_rim(mask: &Mask, x: usize, y: usize) -> bool {
    let columns = x.saturating_sub(1)..(x + 2).min(mask.width());
    let mut rows = y.saturating_sub(1)..(y + 2).min(mask.height());
    !mask.is_hole(x, y) && rows.any(|row| columns.clone().any(|column| mask.is_hole(column, row)))
}

/// What the patches voted for a known pixel at the rim.
pub(super) struct RimVote {
    /// Pixel index.
    pub(super) index: usize,
    /// Red, green, blue.
    pub(super) colour: [f32; 3],
}

/// Adds the membrane over `known - voted` to the hole pixels of `picture`, which stay in `[0, 1]`.
pub(super) fn correct(picture: &mut Planes, mask: &Mask, rim: &[RimVote]) {
    let (width, height) = (mask.width(), mask.height());
    let mut cells: Vec<Cell> =
        mask.hole().iter().map(|&hole| if hole { Cell::Free } else { Cell::Outside }).collect();
    for vote in rim {
        cells[vote.index] = Cell::Fixed;
    }
    picture.values_mut().par_chunks_mut(width * height).enumerate().for_each(|(channel, plane)| {
        let mut correction = vec![0.0; width * height];
        for vote in rim {
            correction[vote.index] = plane[vote.index] - vote.colour[channel];
        }
        membrane::fill(width, height, &mut correction, &cells);
        for ((value, correction), &hole) in plane.iter_mut().zip(correction).zip(mask.hole()) {
            if hole {
                *value = (*value + correction).clamp(0.0, 1.0);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_that_is_too_dark_is_lifted() {
        let hole: Vec<bool> =
            (0..400).map(|i| (5..15).contains(&(i % 20)) && (5..15).contains(&(i / 20))).collect();
        let mask = Mask::new(20, 20, hole);
        let values = (0..1200).map(|index| if mask.hole()[index % 400] { 0.3 } else { 0.5 }).collect();
        let mut picture = Planes::new(20, 20, values);
        let rim: Vec<RimVote> = (0..400)
            .filter(|index| is_rim(&mask, index % 20, index / 20))
            .map(|index| RimVote { index, colour: [0.3; 3] })
            .collect();
        assert_eq!(rim.len(), 4 * 11);
        correct(&mut picture, &mask, &rim);
        assert!(picture.values().iter().all(|value| (value - 0.5).abs() < 1e-5));
    }
}
