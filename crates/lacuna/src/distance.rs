//! Euclidean distance from each pixel to the nearest one of a set.
//!
//! Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", Theory of Computing 2012,
//! <https://doi.org/10.4086/toc.2012.v008a019>: distances along columns, then along each row the lowest of the parabolas that
//! stand on them.
//! Differs from it in: columns need no parabolas, because their pixels are either in the set or not.

use rayon::prelude::*;

/// The parabola over one pixel of a row: `height + (x - centre)²`.
struct Parabola {
    centre: f64,
    height: f64,
    /// The position from which on it is lower than those before it.
    from: f64,
}

/// Squared distance in pixels from each pixel to the nearest one of a set; infinite if the set is empty. Exact, because
/// squares of sides up to 2²⁶ are integers in `f64`.
///
/// # Shapes
/// `is_in(x, y)` for `x` below `width` and `y` below `height`; the result: `[height, width]`.
pub(crate) fn squared_distances(
    width: usize,
    height: usize,
    is_in: impl Fn(usize, usize) -> bool,
) -> Vec<f64> {
    let mut squares = distances_in_columns(width, height, is_in);
    squares.par_chunks_exact_mut(width.max(1)).for_each_init(Vec::new, |parabolas, row| {
        row.iter_mut().for_each(|distance| *distance *= *distance);
        lowest(row, parabolas);
    });
    squares
}

/// Distance from each pixel to the nearest one of the set in its column.
fn distances_in_columns(width: usize, height: usize, is_in: impl Fn(usize, usize) -> bool) -> Vec<f64> {
    let mut distances = vec![f64::INFINITY; width * height];
    for y in 0..height {
        for x in 0..width {
            let index = y * width + x;
            distances[index] = match y {
                _ if is_in(x, y) => 0.0,
                0 => f64::INFINITY,
                _ => distances[index - width] + 1.0,
            };
        }
    }
    for index in (0..distances.len().saturating_sub(width)).rev() {
        distances[index] = distances[index].min(distances[index + width] + 1.0);
    }
    distances
}

/// Replaces each value of a row by the lowest parabola there.
fn lowest(row: &mut [f64], parabolas: &mut Vec<Parabola>) {
    parabolas.clear();
    for (x, &height) in row.iter().enumerate().filter(|(_, height)| height.is_finite()) {
        let centre = x as f64;
        let mut from = f64::NEG_INFINITY;
        while let Some(last) = parabolas.last() {
            // Where both are equally high.
            from = ((height + centre * centre) - (last.height + last.centre * last.centre))
                / (2.0 * (centre - last.centre));
            if from > last.from {
                break;
            }
            parabolas.pop();
        }
        parabolas.push(Parabola { centre, height, from });
    }
    let Some((mut here, mut later)) = parabolas.split_first() else { return };
    for (x, value) in row.iter_mut().enumerate() {
        let x = x as f64;
        while let Some((next, rest)) = later.split_first().filter(|(next, _)| next.from < x) {
            (here, later) = (next, rest);
        }
        *value = here.height + (x - here.centre) * (x - here.centre);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64Mcg;

    /// The nearest of all pixels of the set, one after another.
    fn searched(width: usize, set: &[bool]) -> Vec<f64> {
        let squared = |from: usize, to: usize| {
            let (x, y) = ((from % width).abs_diff(to % width), (from / width).abs_diff(to / width));
            (x * x + y * y) as f64
        };
        let nearest = |from| {
            (0..set.len()).filter(|&to| set[to]).map(|to| squared(from, to)).fold(f64::INFINITY, f64::min)
        };
        (0..set.len()).map(nearest).collect()
    }

    #[test]
    fn equals_a_search_of_all_pixels() {
        let mut random = Pcg64Mcg::seed_from_u64(1);
        for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 3), (17, 13), (40, 31)] {
            for fraction in [0.0, 0.003, 0.03, 0.3, 0.9, 1.0] {
                let set: Vec<bool> = (0..width * height).map(|_| random.random_bool(fraction)).collect();
                let distances = squared_distances(width, height, |x, y| set[y * width + x]);
                assert_eq!(distances, searched(width, &set), "{width} x {height}, {fraction}");
            }
        }
    }

    #[test]
    fn far_sides_are_exact() {
        let distances = squared_distances(30_001, 2, |x, y| (x, y) == (0, 0));
        assert_eq!(distances[30_000], 9e8);
        assert_eq!(distances[60_001], 9e8 + 1.0);
        let none: Vec<f64> = squared_distances(0, 5, |_, _| true);
        assert!(none.is_empty());
    }
}
