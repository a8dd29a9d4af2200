//! The smoothest filling: a membrane stretched over the known values.
//!
//! Solves Laplace's equation inside the hole, with nothing flowing across the frame's edge. Coarse to fine: the
//! solution at half the size starts the relaxation at this one, as in a multigrid method's full cycle.

/// Gauss-Seidel sweeps at each size. From the coarser solution 8 leave less than half a percent of the range
/// (the tests' bound on a ramp).
const SWEEPS: usize = 8;

/// Over-relaxation of a sweep: between plain Gauss-Seidel (1.0) and what overshoots on coarse starts (2.0).
const RELAXATION: f32 = 1.5;

/// Fills `values` where `known` is false; 0 everywhere if nothing is known.
///
/// # Shapes
/// `values` and `known`: `[height, width]`.
pub(super) fn fill(width: usize, height: usize, values: &mut [f32], known: &[bool]) {
    if known.iter().all(|&known| known) {
        return;
    }
    if width == 1 && height == 1 {
        values[0] = 0.0;
        return;
    }
    let (coarse_width, coarse_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut coarse = vec![0.0; coarse_width * coarse_height];
    let mut coarse_known = vec![false; coarse.len()];
    for y in 0..coarse_height {
        for x in 0..coarse_width {
            let (mut sum, mut count) = (0.0, 0.0);
            for row in 2 * y..(2 * y + 2).min(height) {
                for column in 2 * x..(2 * x + 2).min(width) {
                    if known[row * width + column] {
                        sum += values[row * width + column];
                        count += 1.0;
                    }
                }
            }
            if count > 0.0 {
                coarse[y * coarse_width + x] = sum / count;
                coarse_known[y * coarse_width + x] = true;
            }
        }
    }
    fill(coarse_width, coarse_height, &mut coarse, &coarse_known);
    for y in 0..height {
        for x in 0..width {
            if !known[y * width + x] {
                values[y * width + x] = between(&coarse, coarse_width, x, y);
            }
        }
    }
    for _ in 0..SWEEPS {
        sweep(width, height, values, known);
    }
}

/// The coarse value at a fine pixel, bilinear: 3/4 of the nearer one and 1/4 of the next in each direction.
fn between(coarse: &[f32], width: usize, x: usize, y: usize) -> f32 {
    let height = coarse.len() / width;
    let next = |position: usize, end: usize| {
        let next = if position % 2 == 0 { (position / 2).saturating_sub(1) } else { position / 2 + 1 };
        next.min(end - 1)
    };
    let at = |x: usize, y: usize| coarse[y * width + x];
    let (far_x, far_y) = (next(x, width), next(y, height));
    let (x, y) = (x / 2, y / 2);
    0.75 * (0.75 * at(x, y) + 0.25 * at(far_x, y)) + 0.25 * (0.75 * at(x, far_y) + 0.25 * at(far_x, far_y))
}

/// Moves every unknown value towards, and a little beyond, the mean of its neighbours.
fn sweep(width: usize, height: usize, values: &mut [f32], known: &[bool]) {
    for y in 0..height {
        for x in 0..width {
            let index = y * width + x;
            if known[index] {
                continue;
            }
            let (mut sum, mut count) = (0.0, 0.0);
            let mut add = |value: f32| {
                sum += value;
                count += 1.0;
            };
            if x > 0 {
                add(values[index - 1]);
            }
            if x + 1 < width {
                add(values[index + 1]);
            }
            if y > 0 {
                add(values[index - width]);
            }
            if y + 1 < height {
                add(values[index + width]);
            }
            values[index] += RELAXATION * (sum / count - values[index]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_continued() {
        let (width, height) = (61, 47);
        let ramp =
            |index: usize| (index % width) as f32 / width as f32 + (index / width) as f32 / height as f32;
        let known: Vec<bool> = (0..width * height)
            .map(|index| !((10..50).contains(&(index % width)) && (8..40).contains(&(index / width))))
            .collect();
        let mut values: Vec<f32> = known
            .iter()
            .enumerate()
            .map(|(index, &known)| if known { ramp(index) } else { f32::NAN })
            .collect();
        fill(width, height, &mut values, &known);
        for (index, value) in values.into_iter().enumerate() {
            assert!((value - ramp(index)).abs() < 0.005, "{value} instead of {} at {index}", ramp(index));
        }
    }

    #[test]
    fn one_known_pixel_fills_the_frame() {
        for (width, height) in [(1, 1), (1, 9), (8, 3), (33, 20)] {
            let mut known = vec![false; width * height];
            known[width * height / 2] = true;
            let mut values: Vec<f32> = known.iter().map(|&known| if known { 0.25 } else { 9.0 }).collect();
            fill(width, height, &mut values, &known);
            assert!(values.iter().all(|value| (value - 0.25).abs() < 1e-6), "{values:?}");
        }
    }
}
