//! The pyramid of refinement: pictures and holes at half of the size, and the core of a hole.
//!
//! Blur and shrinking are linear along each axis, so one sparse matrix for each axis does both, and its transposed one
//! takes gradients back. What a pixel of a mask becomes depends on which sources it has, not on their values: float
//! thresholds make mistakes there on odd sides.

use rayon::prelude::*;

use crate::{Mask, Planes};

/// Taps of the blur, at distances 0, 1 and 2: a Gaussian of sigma 1, normalised over five taps.
const BLUR: [f64; 3] = [0.402_619_946_9, 0.244_201_342_0, 0.054_488_684_5];

/// Sources with less weight than this are rounding.
const SMALLEST_WEIGHT: f64 = 1e-6;

/// Levels of a picture: 1 while the shorter side is below `side * sqrt(2)`, one more for each doubling, at most `most`.
pub fn levels(width: usize, height: usize, side: usize, most: usize) -> usize {
    let doublings = (width.min(height) as f64 / side as f64).log2().max(0.0);
    (1 + doublings.round_ties_even() as usize).min(most)
}

/// One axis of a picture that is blurred and shrunk to half of its length, rounded down.
#[derive(Clone, Debug)]
struct Axis {
    /// For each pixel of the result its sources, without blur.
    shrunk: Vec<Vec<(usize, f64)>>,
    /// The same with blur.
    blurred: Vec<Vec<(usize, f32)>>,
}

impl Axis {
    fn new(length: usize) -> Self {
        let half = length / 2;
        let shrunk: Vec<Vec<(usize, f64)>> = (0..half).map(|index| bilinear(index, length, half)).collect();
        let blurred = shrunk.iter().map(|sources| {
            let mut taps: Vec<(usize, f64)> = Vec::new();
            for &(place, weight) in sources {
                for offset in -2..=2 {
                    let place = reflected(place as isize + offset, length);
                    let weight = weight * BLUR[offset.unsigned_abs()];
                    match taps.iter_mut().find(|(known, _)| *known == place) {
                        Some((_, sum)) => *sum += weight,
                        None => taps.push((place, weight)),
                    }
                }
            }
            taps.into_iter().map(|(place, weight)| (place, weight as f32)).collect()
        });
        let blurred = blurred.collect();
        Self { shrunk, blurred }
    }
}

/// The two sources of a pixel of an axis shrunk from `length` to `half`, pixel centres at half integers.
fn bilinear(index: usize, length: usize, half: usize) -> Vec<(usize, f64)> {
    let place = ((index as f64 + 0.5) * length as f64 / half as f64 - 0.5).max(0.0);
    let first = (place as usize).min(length - 1);
    let fraction = place - first as f64;
    let both = [(first, 1.0 - fraction), ((first + 1).min(length - 1), fraction)];
    both.into_iter().filter(|&(_, weight)| weight > SMALLEST_WEIGHT).collect()
}

/// The pixel inside an axis that is mirrored to `index`, without repeating the border.
pub fn reflected(index: isize, length: usize) -> usize {
    let last = length as isize - 1;
    if last == 0 {
        return 0;
    }
    let index = index.unsigned_abs() as isize % (2 * last);
    index.min(2 * last - index) as usize
}

/// Halving of pictures and masks of one size.
#[derive(Clone, Debug)]
pub struct Halving {
    columns: Axis,
    rows: Axis,
    from: (usize, usize),
}

impl Halving {
    /// For pictures of `width` and `height`, at least 2.
    pub fn new(width: usize, height: usize) -> Self {
        Self { columns: Axis::new(width), rows: Axis::new(height), from: (width, height) }
    }

    /// Columns and rows of the result.
    pub fn size(&self) -> (usize, usize) {
        (self.columns.blurred.len(), self.rows.blurred.len())
    }

    /// A picture, blurred and shrunk.
    pub fn picture(&self, image: &Planes) -> Planes {
        let (width, height) = self.size();
        let planes = (0..3).flat_map(|channel| self.plane(image.plane(channel)));
        Planes::new(width, height, planes.collect())
    }

    fn plane(&self, plane: &[f32]) -> Vec<f32> {
        let (from, (width, height)) = (self.from.0, self.size());
        let mut result = vec![0.0; width * height];
        result.par_chunks_exact_mut(width).zip(&self.rows.blurred).for_each_init(
            || vec![0.0; from],
            |sum, (row, sources)| {
                sum.fill(0.0);
                for &(source, weight) in sources {
                    let line = &plane[source * from..][..from];
                    sum.iter_mut().zip(line).for_each(|(sum, value)| *sum += weight * value);
                }
                for (value, sources) in row.iter_mut().zip(&self.columns.blurred) {
                    *value = sources.iter().map(|&(source, weight)| weight * sum[source]).sum();
                }
            },
        );
        result
    }

    /// Adds the gradient of a plane, given that of the halved plane.
    pub fn add_gradient(&self, halved: &[f32], gradient: &mut [f32]) {
        let (from, (width, _)) = (self.from.0, self.size());
        let mut line = vec![0.0; from];
        for (row, sources) in halved.chunks_exact(width).zip(&self.rows.blurred) {
            line.fill(0.0);
            for (value, sources) in row.iter().zip(&self.columns.blurred) {
                sources.iter().for_each(|&(source, weight)| line[source] += weight * value);
            }
            for &(source, weight) in sources {
                let to = &mut gradient[source * from..][..from];
                to.iter_mut().zip(&line).for_each(|(to, value)| *to += weight * value);
            }
        }
    }

    /// A hole that grows: where blur and shrinking reach any hole pixel.
    pub fn hole(&self, mask: &Mask) -> Mask {
        let sources = |axis: &Axis| -> Vec<Vec<usize>> {
            axis.blurred.iter().map(|taps| taps.iter().map(|&(place, _)| place).collect()).collect()
        };
        let (columns, rows) = (sources(&self.columns), sources(&self.rows));
        self.mask(&columns, &rows, |columns, rows| {
            rows.iter().any(|&y| columns.iter().any(|&x| mask.is_hole(x, y)))
        })
    }

    /// A hole that shrinks: where shrinking alone reaches hole pixels only.
    pub fn core(&self, mask: &Mask) -> Mask {
        let sources = |axis: &Axis| -> Vec<Vec<usize>> {
            axis.shrunk.iter().map(|taps| taps.iter().map(|&(place, _)| place).collect()).collect()
        };
        let (columns, rows) = (sources(&self.columns), sources(&self.rows));
        self.mask(&columns, &rows, |columns, rows| {
            rows.iter().all(|&y| columns.iter().all(|&x| mask.is_hole(x, y)))
        })
    }

    fn mask(
        &self,
        columns: &[Vec<usize>],
        rows: &[Vec<usize>],
        is_hole: impl Fn(&[usize], &[usize]) -> bool,
    ) -> Mask {
        let (width, height) = self.size();
        let is_hole = &is_hole;
        let hole = rows.iter().flat_map(|rows| columns.iter().map(move |columns| is_hole(columns, rows)));
        Mask::new(width, height, hole.collect())
    }
}

/// The widths to each side of an ellipse of `size` rows, an odd number: row `dy` spans `round(r sqrt(1 - (dy / r)²))`.
fn ellipse(size: usize) -> Vec<usize> {
    let radius = (size / 2) as f64;
    let reach = |row: usize| {
        let dy = row as f64 - radius;
        (radius * ((radius * radius - dy * dy) / (radius * radius)).sqrt()).round_ties_even() as usize
    };
    (0..size).map(reach).collect()
}

/// A hole without what is closer to known pixels than an ellipse of `size` pixels reaches. Pixels outside count as hole.
pub fn eroded(mask: &Mask, size: usize) -> Mask {
    let (width, height) = (mask.width(), mask.height());
    // Known pixels of each row before each column.
    let known: Vec<u32> = mask
        .hole()
        .chunks_exact(width)
        .flat_map(|row| {
            let counts = row.iter().scan(0, |count, &hole| {
                *count += u32::from(!hole);
                Some(*count)
            });
            std::iter::once(0).chain(counts)
        })
        .collect();
    let (ellipse, radius) = (ellipse(size), size / 2);
    let is_core = |x: usize, y: usize| {
        ellipse.iter().enumerate().all(|(row, &reach)| {
            let Some(row) = (y + row).checked_sub(radius).filter(|row| *row < height) else { return true };
            let counts = &known[row * (width + 1)..][..=width];
            counts[x.saturating_sub(reach)] == counts[width.min(x + reach + 1)]
        })
    };
    let hole = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| is_core(x, y));
    Mask::new(width, height, hole.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::assert_close;
    use testkit::pictures::noise;

    fn mask_of(tensor: &testkit::fixtures::Fixture) -> Mask {
        let &[1, 1, height, width] = tensor.shape.as_slice() else { panic!("{:?}", tensor.shape) };
        Mask::new(width, height, tensor.values.iter().map(|&value| value > 0.5).collect())
    }

    #[test]
    fn masks_and_pictures_are_those_of_the_published_program() {
        let fixtures = testkit::fixtures::load("refinement/masks.safetensors");
        for size in ["47x29", "61x77", "64x48"] {
            let get = |name: &str| fixtures.get(&format!("{size}.{name}"));
            let mask = mask_of(get("mask"));
            let halving = Halving::new(mask.width(), mask.height());
            assert_eq!(halving.hole(&mask), mask_of(get("halved_hole")), "{size}");
            let core = halving.core(&mask);
            assert_eq!(core, mask_of(get("halved_core")), "{size}");
            for erosion in [5, 15] {
                assert_eq!(
                    eroded(&core, erosion),
                    mask_of(get(&format!("eroded_{erosion}"))),
                    "{size} {erosion}"
                );
            }
            if size != "64x48" {
                let image = Planes::new(mask.width(), mask.height(), get("picture").values.clone());
                assert_close(halving.picture(&image).values(), &get("halved_picture").values, 1e-6);
            }
        }
    }

    #[test]
    fn the_gradient_is_the_adjoint() {
        for (width, height) in [(9, 12), (40, 31), (2, 2), (3, 5)] {
            let halving = Halving::new(width, height);
            let (columns, rows) = halving.size();
            let image = Planes::new(width, height, noise(1, 3 * width * height));
            let gradient = noise(2, columns * rows);
            let mut back = vec![0.0; width * height];
            halving.add_gradient(&gradient, &mut back);
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let halved = halving.picture(&image);
            let (there, back) = (dot(halved.plane(0), &gradient), dot(image.plane(0), &back));
            assert!((there - back).abs() < 1e-4, "{width} x {height}: {there}, {back}");
        }
    }

    #[test]
    fn ellipses_and_levels_of_the_published_program() {
        let widths = |size| ellipse(size).into_iter().map(|reach| 2 * reach + 1).collect::<Vec<_>>();
        assert_eq!(widths(3), [1, 3, 1]);
        assert_eq!(widths(5), [1, 5, 5, 5, 1]);
        assert_eq!(widths(7), [1, 5, 7, 7, 7, 5, 1]);
        assert_eq!(widths(15), [1, 9, 11, 13, 13, 15, 15, 15, 15, 15, 13, 13, 11, 9, 1]);
        for (width, height, expected) in [
            (256, 256, 1),
            (512, 512, 1),
            (900, 724, 1),
            (900, 725, 2),
            (1024, 1024, 2),
            (1448, 1448, 2),
            (1500, 1449, 3),
            (4000, 3000, 3),
        ] {
            assert_eq!(levels(width, height, 512, 3), expected, "{width} x {height}");
        }
    }

    #[test]
    fn pixels_outside_count_as_hole() {
        let all = Mask::new(9, 7, vec![true; 63]);
        assert_eq!(eroded(&all, 15), all);
        let mut one_known = vec![true; 63];
        one_known[3 * 9 + 4] = false;
        // All within three pixels of the known one, as far as the ellipse of 7 rows reaches.
        let core = eroded(&Mask::new(9, 7, one_known), 7);
        assert!(!core.is_hole(4, 0) && !core.is_hole(1, 3) && core.is_hole(0, 3) && core.is_hole(1, 0));
    }
}
