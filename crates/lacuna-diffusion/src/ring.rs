//! Matches the colour of a prediction to the known pixels around the hole.
//!
//! A decoder does not return known pixels exactly, and the mean of its error differs from image to image. Each channel is shifted by
//! that mean over a ring of known pixels.

use crate::cells::{check_rows, grown};
use crate::{Error, Result};

/// Width of the ring, in pixels: one cell of a latent at an eighth of the resolution.
pub const RING_PIXELS: usize = 8;

/// The prediction with each channel shifted by the mean of `image - predicted` over the known pixels that are at most `reach` pixels
/// from the hole (by rows or columns). Without such pixels it is unchanged.
///
/// # Shapes
/// - `predicted`, `image` and the result: `[channels, height, width]` in `[0, 1]`
/// - `mask`: `[height, width]`, true in the hole
///
/// # Errors
/// [`Error`] if the rows do not fit together.
pub fn match_ring(
    predicted: &[f32],
    image: &[f32],
    mask: &[bool],
    width: usize,
    reach: usize,
) -> Result<Vec<f32>> {
    check_rows(mask, width)?;
    let pixels = mask.len();
    Error::check_length("the image", image.len(), predicted.len())?;
    if !predicted.len().is_multiple_of(pixels) {
        return Err(Error::range(
            "values of a prediction",
            predicted.len(),
            format_args!("multiples of {pixels}"),
        ));
    }
    let ring: Vec<usize> = grown(mask, width, reach)
        .iter()
        .zip(mask)
        .enumerate()
        .filter(|(_, (near, hole))| **near && !**hole)
        .map(|(at, _)| at)
        .collect();
    let mut matched = Vec::with_capacity(predicted.len());
    for (predicted, image) in predicted.chunks_exact(pixels).zip(image.chunks_exact(pixels)) {
        let total: f64 = ring.iter().map(|&at| f64::from(image[at] - predicted[at])).sum();
        let shift = (total / ring.len().max(1) as f64) as f32;
        matched.extend(predicted.iter().map(|value| (value + shift).clamp(0.0, 1.0)));
    }
    Ok(matched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::{assert_close, fixtures};

    #[test]
    fn matched_colours_are_those_of_the_reference() {
        let numbers = fixtures::load("diffusion/masks.safetensors");
        let [height, width] = [32, 40];
        let map = |name: &str, index: usize, channels: usize| {
            let size = channels * height * width;
            numbers.get(&format!("ring.{name}")).values[index * size..][..size].to_vec()
        };
        for index in 0..2 {
            let mask: Vec<bool> = map("mask", index, 1).iter().map(|&value| value > 0.0).collect();
            let [predicted, image] = ["predicted", "image"].map(|name| map(name, index, 3));
            let matched = match_ring(&predicted, &image, &mask, width, RING_PIXELS).unwrap();
            assert_close(&matched, &map("matched", index, 3), 1e-5);
        }
    }

    #[test]
    fn without_a_ring_nothing_changes() {
        let (predicted, image) = ([0.25, 0.75], [1.0, 0.0]);
        for mask in [[true; 2], [false; 2]] {
            assert_eq!(match_ring(&predicted, &image, &mask, 2, 8).unwrap(), predicted);
        }
        // One pixel of ring: the shift is 1 - 0.25, and values end at 1.
        assert_eq!(match_ring(&predicted, &image, &[false, true], 2, 8).unwrap(), [1.0, 1.0]);
    }

    #[test]
    fn rows_that_do_not_fit_together_are_refused() {
        let error = |predicted: usize, image: usize, mask: usize| {
            match_ring(&vec![0.0; predicted], &vec![0.0; image], &vec![true; mask], 2, 8)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(4, 6, 4), "the image with 6 values, expected are 4");
        assert_eq!(error(6, 6, 4), "values of a prediction: 6, possible are multiples of 4");
        assert!(error(4, 4, 3).contains("pixels of a mask: 3"));
    }
}
