//! The loss of a refinement: two means of absolute differences, and their gradient.

use super::pyramid::Halving;
use crate::{Mask, Planes};

/// What a prediction is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The photo, padded.
    pub image: &'a Planes,
    /// The hole, padded.
    pub mask: &'a Mask,
    /// The fill at half of the size, if the hole has a core there.
    pub coarser: Option<&'a Coarser>,
}

/// The fill of the coarser level.
#[derive(Clone, Debug)]
pub struct Coarser {
    /// From the prediction without its padding to the size of the fill.
    pub halving: Halving,
    /// Columns and rows of the prediction without its padding.
    pub size: (usize, usize),
    /// The fill.
    pub fill: Planes,
    /// The pixels that are compared; at least one.
    pub core: Mask,
}

/// A loss and its gradient.
#[derive(Debug)]
pub struct Loss {
    /// The mean difference from the photo over known pixels, padding included; 0 if there are none.
    pub known: f64,
    /// The mean difference of the halved prediction from the coarser fill over the core; 0 if there is none.
    pub low: f64,
    /// The gradient of their sum with respect to the prediction, `[3, height, width]`.
    pub gradient: Vec<f32>,
}

impl Loss {
    /// The loss.
    pub fn total(&self) -> f64 {
        self.known + self.low
    }

    /// The loss of a prediction.
    ///
    /// # Shapes
    /// `predicted`: `[3, height, width]`, as large as the target's image.
    pub fn of(predicted: &[f32], target: Target<'_>) -> Self {
        let (image, mask) = (target.image, target.mask);
        let mut gradient = vec![0.0; predicted.len()];
        let known = 3 * (mask.hole().len() - mask.count());
        let mut sum = 0.0;
        if known > 0 {
            let slope = 1.0 / known as f32;
            let hole = mask.hole().iter().cycle();
            for (((to, &value), &truth), &hole) in
                gradient.iter_mut().zip(predicted).zip(image.values()).zip(hole)
            {
                if !hole {
                    sum += f64::from((value - truth).abs());
                    *to = slope * sign(value - truth);
                }
            }
        }
        let known = sum / known.max(1) as f64;
        let low = target.coarser.map_or(0.0, |coarser| coarser.add(predicted, image.width(), &mut gradient));
        Self { known, low, gradient }
    }
}

impl Coarser {
    /// Adds the gradient of the mean difference over the core, and returns the mean.
    fn add(&self, predicted: &[f32], padded_width: usize, gradient: &mut [f32]) -> f64 {
        let (width, height) = self.size;
        let area = padded_width * (predicted.len() / 3 / padded_width);
        let crop = |plane: &[f32]| -> Vec<f32> {
            plane
                .chunks_exact(padded_width)
                .take(height)
                .flat_map(|row| row[..width].iter().copied())
                .collect()
        };
        let values = (0..3).flat_map(|channel| crop(&predicted[channel * area..][..area])).collect();
        let halved = self.halving.picture(&Planes::new(width, height, values));
        let slope = 1.0 / (3 * self.core.count()) as f32;
        let mut sum = 0.0;
        for channel in 0..3 {
            let pairs = halved.plane(channel).iter().zip(self.fill.plane(channel)).zip(self.core.hole());
            let slopes: Vec<f32> = pairs
                .map(|((&value, &fill), &core)| {
                    if !core {
                        return 0.0;
                    }
                    sum += f64::from((value - fill).abs());
                    slope * sign(value - fill)
                })
                .collect();
            let mut cropped = vec![0.0; width * height];
            self.halving.add_gradient(&slopes, &mut cropped);
            let rows = gradient[channel * area..][..area].chunks_exact_mut(padded_width);
            for (to, from) in rows.zip(cropped.chunks_exact(width)) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
        sum * f64::from(slope)
    }
}

/// The derivative of the absolute value, 0 at 0.
fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pixels_by_hand() {
        let image = Planes::new(2, 1, vec![0.5; 6]);
        let mask = Mask::new(2, 1, vec![false, true]);
        let target = Target { image: &image, mask: &mask, coarser: None };
        let loss = Loss::of(&[0.75, 9.0, 0.5, 9.0, 0.0, 9.0], target);
        assert_eq!((loss.known, loss.low), (0.25, 0.0));
        let third = 1.0 / 3.0;
        assert_eq!(loss.gradient, [third, 0.0, 0.0, 0.0, -third, 0.0]);
    }

    #[test]
    fn a_mean_of_nothing_is_left_out() {
        let image = Planes::new(2, 1, vec![0.5; 6]);
        let mask = Mask::new(2, 1, vec![true; 2]);
        let loss = Loss::of(&[0.1; 6], Target { image: &image, mask: &mask, coarser: None });
        assert_eq!((loss.total(), loss.gradient), (0.0, vec![0.0; 6]));
    }
}
