//! Rows and columns at regular distances, as for super-resolution.

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{Canvas, ordered};

/// On each axis every `step`-th line is a hole, `width` lines wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Superres {
    /// Smallest distance between holes in pixels.
    pub min_step: usize,
    /// Largest distance.
    pub max_step: usize,
    /// Smallest width of a hole in pixels.
    pub min_width: usize,
    /// Largest width; always less than the distance.
    pub max_width: usize,
}

impl Default for Superres {
    /// LaMa's values.
    fn default() -> Self {
        Self { min_step: 2, max_step: 4, min_width: 1, max_width: 3 }
    }
}

impl Superres {
    pub(super) fn check(&self) -> Result<(), String> {
        ordered("step", self.min_step, self.max_step)?;
        ordered("width", self.min_width, self.max_width)?;
        if self.min_width >= self.min_step {
            return Err(format!(
                "min_width ({}) must be less than min_step ({})",
                self.min_width, self.min_step
            ));
        }
        Ok(())
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, rng: &mut Pcg64) {
        let mut axis = || {
            let step = rng.random_range(self.min_step as u64..=self.max_step as u64);
            let widest = (self.max_width as u64 + 1).min(step);
            let width = rng.random_range(self.min_width as u64..widest);
            let offset = rng.random_range(0..step);
            move |at: usize| (at as u64 + step - offset % step) % step < width
        };
        let (column, row) = (axis(), axis());
        canvas.paint(|x, y| column(x) || row(y));
    }
}

#[cfg(test)]
mod tests {
    use super::super::MaskGenerator;
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn holes_repeat_and_leave_something() {
        let fixed = Superres { min_step: 3, max_step: 3, min_width: 1, max_width: 1 };
        for seed in 0..20 {
            let mask = MaskGenerator::Superres(fixed).draw(9, 9, &mut Pcg64::seed_from_u64(seed));
            // 3 of 9 rows and columns: 81 - 36.
            assert_eq!(mask.count(), 45);
            assert!((0..6).all(|x| mask.is_hole(x, 4) == mask.is_hole(x + 3, 4)));
        }
        for seed in 0..200 {
            let mask =
                MaskGenerator::Superres(Superres::default()).draw(12, 12, &mut Pcg64::seed_from_u64(seed));
            assert!(mask.count() > 0 && mask.count() < 144);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let wide = Superres { min_width: 2, ..Superres::default() };
        assert!(wide.check().unwrap_err().contains("min_width (2) must be less than min_step"));
    }
}
