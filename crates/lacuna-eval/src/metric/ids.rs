//! P-IDS and U-IDS: how often a linear classifier confuses fills with the ground truth.
//!
//! Zhao et al. 2021, "Large scale image completion via co-modulated generative adversarial networks",
//! <https://arxiv.org/abs/2103.10428>, section 4: a linear support vector machine is trained to separate features of
//! ground-truth images from those of fills. U-IDS is the fraction of images that it misclassifies. P-IDS is the
//! fraction of pairs in which it rates the fill as more real than its ground truth. Higher is better; 0 means that the
//! classes are separable. The classifier is scikit-learn's `LinearSVC(dual=False)`: squared hinge loss, C = 1, the bias
//! as one more weight, minimised here by Newton's method with conjugate gradients (Keerthi, DeCoste 2005).
//!
//! With fewer images than features the classes are always separable and both scores are 0, so small sets carry no
//! information.

use rayon::prelude::*;

use crate::{Error, Result};

/// Cost of a misclassification (C), relative to the squared weights.
const COST: f64 = 1.0;
/// Convergence threshold, relative to the initial gradient norm.
const TOLERANCE: f64 = 1e-6;
/// Limit of Newton steps; never reached in practice.
const STEPS: usize = 100;
/// Limit of conjugate gradient steps per Newton step.
const CONJUGATE: usize = 200;
/// Rows per task.
const ROWS_A_TASK: usize = 256;

/// Both scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ids {
    /// Fraction of pairs in which the fill seems more real, 0 to 1.
    pub paired: f64,
    /// Fraction of misclassified images, 0 to 1.
    pub unpaired: f64,
}

/// The scores of fills and their ground-truth images.
///
/// # Shapes
/// `fills`, `truths`: `[images, features]`, the same image in the same row.
///
/// # Errors
/// [`Error::Pictures`] if the sets differ in size, or are empty.
pub fn ids(fills: &[f32], truths: &[f32], features: usize) -> Result<Ids> {
    if fills.len() != truths.len() || fills.is_empty() || !fills.len().is_multiple_of(features) {
        let (fills, truths) = (fills.len(), truths.len());
        return Err(Error::Pictures(format!(
            "P-IDS needs sets of equal size, got {fills} and {truths} values of {features} features"
        )));
    }
    let machine = Machine { sets: [truths, fills], features };
    let weights = machine.minimum();
    let [truths, fills] = [0, 1].map(|set| machine.decisions(set, &weights));
    let count = truths.len() as f64;
    let paired = fills.iter().zip(&truths).filter(|(fill, truth)| fill > truth).count() as f64;
    let wrong = truths.iter().filter(|value| **value <= 0.0).count()
        + fills.iter().filter(|value| **value > 0.0).count();
    Ok(Ids { paired: paired / count, unpaired: wrong as f64 / (2.0 * count) })
}

/// The training set; ground truth is class 1, fills are class -1.
struct Machine<'a> {
    sets: [&'a [f32]; 2],
    features: usize,
}

impl Machine<'_> {
    /// The weights, bias last, that minimise `|w|² / 2 + C sum max(0, 1 - y w·x)²`.
    fn minimum(&self) -> Vec<f64> {
        let mut weights = vec![0.0; self.features + 1];
        let mut state = self.at(&weights);
        let goal = TOLERANCE * length(&state.gradient);
        for _ in 0..STEPS {
            if length(&state.gradient) <= goal {
                break;
            }
            let step = self.newton(&state);
            // The function is convex: halving the step at most this often decreases it.
            let along = dot(&state.gradient, &step);
            let mut part = 1.0;
            loop {
                let next: Vec<f64> =
                    weights.iter().zip(&step).map(|(weight, step)| weight + part * step).collect();
                let reached = self.at(&next);
                if reached.value <= state.value + 1e-4 * part * along || part < 1e-10 {
                    (weights, state) = (next, reached);
                    break;
                }
                part /= 2.0;
            }
        }
        weights
    }

    /// `w·x` of each row of a set.
    fn decisions(&self, set: usize, weights: &[f64]) -> Vec<f64> {
        let rows = self.sets[set].par_chunks_exact(self.features);
        rows.map(|row| product(row, weights)).collect()
    }

    fn at(&self, weights: &[f64]) -> State {
        let missing: [Vec<f64>; 2] = [(0, 1.0), (1, -1.0)].map(|(set, class)| {
            let decisions = self.decisions(set, weights);
            decisions.into_iter().map(|value| (1.0 - class * value).max(0.0)).collect()
        });
        let squares = missing.iter().flatten().map(|missing| missing * missing).sum::<f64>();
        let mut gradient = self.sum_of_rows(|set, row| {
            let class = if set == 0 { 1.0 } else { -1.0 };
            -2.0 * COST * class * missing[set][row]
        });
        gradient.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
        State { value: dot(weights, weights) / 2.0 + COST * squares, gradient, missing }
    }

    /// The Newton step: to the minimum of the parabola that holds while the same rows violate the margin.
    fn newton(&self, state: &State) -> Vec<f64> {
        let mut step = vec![0.0; self.features + 1];
        let mut rest: Vec<f64> = state.gradient.iter().map(|value| -value).collect();
        let mut along = rest.clone();
        let mut square = dot(&rest, &rest);
        // More precise for small gradients, so that the last steps converge quadratically.
        let goal = square * (0.1f64).min(square.sqrt()).powi(2);
        for _ in 0..CONJUGATE {
            if square <= goal {
                break;
            }
            let decisions = [0, 1].map(|set| self.decisions(set, &along));
            let mut curved = self.sum_of_rows(|set, row| {
                if state.missing[set][row] > 0.0 { 2.0 * COST * decisions[set][row] } else { 0.0 }
            });
            curved.iter_mut().zip(&along).for_each(|(sum, value)| *sum += value);
            let far = square / dot(&along, &curved);
            step.iter_mut().zip(&along).for_each(|(sum, value)| *sum += far * value);
            rest.iter_mut().zip(&curved).for_each(|(sum, value)| *sum -= far * value);
            let next = dot(&rest, &rest);
            along.iter_mut().zip(&rest).for_each(|(value, rest)| *value = rest + next / square * *value);
            square = next;
        }
        step
    }

    /// Weighted sum of all rows; the same for any number of threads.
    fn sum_of_rows(&self, weight: impl Fn(usize, usize) -> f64 + Sync) -> Vec<f64> {
        let mut total = vec![0.0; self.features + 1];
        for (set, values) in self.sets.iter().enumerate() {
            let tasks = values.par_chunks(self.features * ROWS_A_TASK).enumerate();
            let sums: Vec<Vec<f64>> = tasks
                .map(|(task, rows)| {
                    let mut sum = vec![0.0; self.features + 1];
                    for (row, values) in rows.chunks_exact(self.features).enumerate() {
                        let weight = weight(set, task * ROWS_A_TASK + row);
                        if weight != 0.0 {
                            sum.iter_mut()
                                .zip(values)
                                .for_each(|(sum, &value)| *sum += weight * f64::from(value));
                            sum[self.features] += weight;
                        }
                    }
                    sum
                })
                .collect();
            for sum in sums {
                total.iter_mut().zip(sum).for_each(|(total, value)| *total += value);
            }
        }
        total
    }
}

/// The function at given weights.
struct State {
    value: f64,
    gradient: Vec<f64>,
    /// Margin violation of each row of each set, or 0.
    missing: [Vec<f64>; 2],
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn length(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

/// Product of a row, extended by 1, and the weights.
fn product(row: &[f32], weights: &[f64]) -> f64 {
    row.iter().zip(weights).map(|(&value, weight)| f64::from(value) * weight).sum::<f64>()
        + weights[row.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fixtures;

    #[test]
    fn it_equals_the_reference() {
        // sklearn 1.7 LinearSVC(dual=False, tol=1e-8) on rows a (ground truth) and as many rows b, times a scale.
        let cases = [
            ("plenty", 300, 1.0, 65.0 / 300.0, 172.0 / 600.0),
            ("plenty", 300, 0.05, 68.0 / 300.0, 166.0 / 600.0),
            ("fewer_samples_than_features", 20, 1.0, 0.0, 0.0),
        ];
        for (name, rows, scale, paired, unpaired) in cases {
            let file = fixtures::load(&format!("frechet/{name}.safetensors"));
            let features = file.get("a").shape[1];
            let [truths, fills] = ["a", "b"].map(|set| -> Vec<f32> {
                file.get(set).values[..rows * features].iter().map(|value| scale * value).collect()
            });
            let scores = ids(&fills, &truths, features).unwrap();
            assert_eq!(scores, Ids { paired, unpaired }, "{name}, {scale}");
        }
    }

    #[test]
    fn equal_sets_cannot_be_separated() {
        let rows: Vec<f32> = (0..40u16).map(|at| f32::from(at * 7 % 11)).collect();
        let scores = ids(&rows, &rows, 2).unwrap();
        assert_eq!(scores, Ids { paired: 0.0, unpaired: 0.5 });
        assert!(ids(&rows, &rows[2..], 2).is_err() && ids(&[], &[], 2).is_err());
    }
}
