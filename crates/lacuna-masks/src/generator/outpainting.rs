//! Border masks, for outpainting.
//!
//! LaMa's outpainting masks. Differs from it in: the thickness is a fraction of the side that it is taken from (LaMa's
//! code swaps the axes).

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::Canvas;

/// Each of the four borders is a hole with probability one half, and at least one of them is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outpainting {
    /// Smallest thickness, as a fraction of the image's side.
    pub min_share: f64,
    /// Largest thickness.
    pub max_share: f64,
}

impl Default for Outpainting {
    /// LaMa's values.
    fn default() -> Self {
        Self { min_share: 0.04, max_share: 0.25 }
    }
}

impl Outpainting {
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { min_share, max_share } = *self;
        if !(0.0..=1.0).contains(&min_share) || !(min_share..=1.0).contains(&max_share) {
            return Err(format!(
                "expected 0 <= min_share <= max_share <= 1, got {min_share} and {max_share}"
            ));
        }
        Ok(())
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, rng: &mut Pcg64) {
        let [width, height] = canvas.size();
        let mut thickness = |side: usize| {
            let [least, most] =
                [self.min_share, self.max_share].map(|fraction| (fraction * side as f64) as u64);
            rng.random_range(least..most.max(least + 1)) as usize
        };
        let [left, right, top, bottom] =
            [thickness(width), thickness(width), thickness(height), thickness(height)];
        let mut sides = [(); 4].map(|()| rng.random::<bool>());
        if !sides.contains(&true) {
            sides[rng.random_range(0..4u32) as usize] = true;
        }
        let holes = [
            (0..left, 0..height),
            (width - right..width, 0..height),
            (0..width, 0..top),
            (0..width, height - bottom..height),
        ];
        for (columns, rows) in
            holes.into_iter().zip(sides).filter_map(|(hole, chosen)| chosen.then_some(hole))
        {
            canvas.fill(columns, rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MaskGenerator;
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn holes_touch_the_border_and_leave_the_middle() {
        let mut touched = [0; 4];
        for seed in 0..400 {
            let mask = MaskGenerator::Outpainting(Outpainting::default()).draw(
                100,
                60,
                &mut Pcg64::seed_from_u64(seed),
            );
            assert!(!mask.is_hole(50, 30) && mask.count() > 0);
            let middles =
                [mask.is_hole(0, 30), mask.is_hole(99, 30), mask.is_hole(50, 0), mask.is_hole(50, 59)];
            touched.iter_mut().zip(middles).for_each(|(count, touched)| *count += usize::from(touched));
        }
        // One half each, plus a quarter of the sixteenth without any.
        assert!(touched.iter().all(|count| (170..260).contains(count)), "{touched:?}");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(
            Outpainting { min_share: 0.5, max_share: 0.2 }.check().unwrap_err().contains("got 0.5 and 0.2")
        );
    }
}
