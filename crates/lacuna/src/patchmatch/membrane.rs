//! The smoothest fill: a membrane over fixed values.
//!
//! Solves Poisson's equation in the free cells (the sum of the neighbours' values minus the cell's own, as often, is
//! its load; Laplace's equation if the load is 0), with zero flux across the frame's edge and into outside cells.
//! Coarse to fine: the solution at half the size initialises the relaxation at this one, as in full multigrid without
//! the corrections, which a visual fill does not need.

/// Gauss-Seidel sweeps at each size. Starting from the coarser solution, the remaining error is less than half a
/// percent of the range (the tests' bound on a ramp).
const SWEEPS: usize = 8;

/// Over-relaxation factor: 1.0 is plain Gauss-Seidel, 2.0 no longer converges.
const RELAXATION: f32 = 1.5;

/// The role of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// Its value is given.
    Fixed,
    /// Its value is unknown.
    Free,
    /// It is excluded.
    Outside,
}

/// Solves for the values of free cells; 0 if no fixed cell can be reached.
///
/// # Shapes
/// `values`, `cells` and `loads`: `[height, width]`, row-major.
pub(super) fn fill(width: usize, height: usize, values: &mut [f32], cells: &[Cell], loads: &[f32]) {
    if !cells.contains(&Cell::Free) {
        return;
    }
    if width == 1 && height == 1 {
        values[0] = 0.0;
        return;
    }
    let coarse_width = width.div_ceil(2);
    let (mut coarse, coarse_cells) = halved(width, height, values, cells);
    let coarse_loads = halved_loads(width, height, loads);
    fill(coarse_width, height.div_ceil(2), &mut coarse, &coarse_cells, &coarse_loads);
    drop(coarse_loads);
    for y in 0..height {
        for x in 0..width {
            if cells[y * width + x] == Cell::Free {
                values[y * width + x] = between(&coarse, &coarse_cells, coarse_width, x, y);
            }
        }
    }
    for _ in 0..SWEEPS {
        sweep(width, height, values, cells, loads);
    }
}

/// Halves the size: a cell is fixed to the mean of its fixed cells if it has any, else free if one of its cells is.
fn halved(width: usize, height: usize, values: &[f32], cells: &[Cell]) -> (Vec<f32>, Vec<Cell>) {
    let (coarse_width, coarse_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut coarse = vec![0.0; coarse_width * coarse_height];
    let mut coarse_cells = vec![Cell::Outside; coarse.len()];
    for (index, (coarse, coarse_cell)) in coarse.iter_mut().zip(&mut coarse_cells).enumerate() {
        let (left, top) = (2 * (index % coarse_width), 2 * (index / coarse_width));
        let (mut sum, mut count) = (0.0, 0.0);
        for y in top..(top + 2).min(height) {
            for x in left..(left + 2).min(width) {
                match cells[y * width + x] {
                    Cell::Fixed => {
                        sum += values[y * width + x];
                        count += 1.0;
                    }
                    Cell::Free => *coarse_cell = Cell::Free,
                    Cell::Outside => {}
                }
            }
        }
        if count > 0.0 {
            (*coarse, *coarse_cell) = (sum / count, Cell::Fixed);
        }
    }
    (coarse, coarse_cells)
}

/// Loads at half the size: sums of 2 x 2, because a cell of twice the width has four times the curvature term.
fn halved_loads(width: usize, height: usize, loads: &[f32]) -> Vec<f32> {
    let coarse_width = width.div_ceil(2);
    let mut coarse = vec![0.0; coarse_width * height.div_ceil(2)];
    for (y, loads) in loads.chunks_exact(width).enumerate() {
        let coarse = &mut coarse[y / 2 * coarse_width..][..coarse_width];
        for (coarse, pair) in coarse.iter_mut().zip(loads.chunks(2)) {
            *coarse += pair.iter().sum::<f32>();
        }
    }
    coarse
}

/// Bilinear interpolation of the coarse values at a fine cell: weights 3/4 and 1/4 in each direction, without outside
/// cells.
fn between(coarse: &[f32], cells: &[Cell], width: usize, x: usize, y: usize) -> f32 {
    let next = |position: usize, end: usize| {
        let next =
            if position.is_multiple_of(2) { (position / 2).saturating_sub(1) } else { position / 2 + 1 };
        next.min(end - 1)
    };
    let (far_x, far_y) = (next(x, width), next(y, coarse.len() / width));
    let (mut sum, mut total) = (0.0, 0.0);
    for (y, weight_y) in [(y / 2, 0.75), (far_y, 0.25)] {
        for (x, weight_x) in [(x / 2, 0.75), (far_x, 0.25)] {
            if cells[y * width + x] != Cell::Outside {
                sum += weight_x * weight_y * coarse[y * width + x];
                total += weight_x * weight_y;
            }
        }
    }
    sum / total
}

/// One sweep: moves every free value towards the mean of its neighbours, and slightly beyond.
fn sweep(width: usize, height: usize, values: &mut [f32], cells: &[Cell], loads: &[f32]) {
    for y in 0..height {
        for x in 0..width {
            let index = y * width + x;
            if cells[index] != Cell::Free {
                continue;
            }
            let neighbours = [
                (x > 0).then(|| index - 1),
                (x + 1 < width).then_some(index + 1),
                (y > 0).then(|| index - width),
                (y + 1 < height).then_some(index + width),
            ];
            let (mut sum, mut count) = (0.0, 0.0);
            for neighbour in neighbours.into_iter().flatten() {
                if cells[neighbour] != Cell::Outside {
                    sum += values[neighbour];
                    count += 1.0;
                }
            }
            if count > 0.0 {
                values[index] += RELAXATION * ((sum - loads[index]) / count - values[index]);
            }
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
        let free = |index: usize| (10..50).contains(&(index % width)) && (8..40).contains(&(index / width));
        let cells: Vec<Cell> =
            (0..width * height).map(|index| if free(index) { Cell::Free } else { Cell::Fixed }).collect();
        let mut values: Vec<f32> =
            (0..width * height).map(|index| if free(index) { f32::NAN } else { ramp(index) }).collect();
        fill(width, height, &mut values, &cells, &vec![0.0; width * height]);
        for (index, value) in values.into_iter().enumerate() {
            assert!((value - ramp(index)).abs() < 0.005, "{value} instead of {} at {index}", ramp(index));
        }
    }

    #[test]
    fn one_fixed_cell_fills_the_frame() {
        for (width, height) in [(1, 1), (1, 9), (8, 3), (33, 20)] {
            let mut cells = vec![Cell::Free; width * height];
            cells[width * height / 2] = Cell::Fixed;
            let mut values: Vec<f32> =
                cells.iter().map(|&c| if c == Cell::Fixed { 0.25 } else { 9.0 }).collect();
            fill(width, height, &mut values, &cells, &vec![0.0; width * height]);
            assert!(values.iter().all(|value| (value - 0.25).abs() < 1e-6), "{values:?}");
        }
    }

    #[test]
    fn what_is_outside_has_no_influence() {
        // 9 x 9: a ring of 1 around free cells, 100 outside.
        let ring = |index: usize| (index % 9).abs_diff(4).max((index / 9).abs_diff(4));
        let cells: Vec<Cell> = (0..81)
            .map(|index| [Cell::Free, Cell::Free, Cell::Fixed, Cell::Outside, Cell::Outside][ring(index)])
            .collect();
        let mut values: Vec<f32> = (0..81).map(|index| [0.0, 0.0, 1.0, 100.0, 100.0][ring(index)]).collect();
        fill(9, 9, &mut values, &cells, &[0.0; 81]);
        assert!((0..81).filter(|&index| ring(index) < 2).all(|index| (values[index] - 1.0).abs() < 1e-6));
    }

    #[test]
    fn a_load_bends_it() {
        // Left and right edges at 0, a load of -2 everywhere: the solution is x (32 - x).
        let side = |index: usize| [0, 32].contains(&(index % 33));
        let cells: Vec<Cell> =
            (0..33 * 33).map(|index| if side(index) { Cell::Fixed } else { Cell::Free }).collect();
        let mut values = vec![0.0; 33 * 33];
        fill(33, 33, &mut values, &cells, &[-2.0; 33 * 33]);
        for (index, value) in values.into_iter().enumerate() {
            let expected = (index % 33 * (32 - index % 33)) as f32;
            assert!((value - expected).abs() < 0.15 * 256.0, "{value} instead of {expected} at {index}");
        }
    }
}
