//! Optimises the latent of one picture at one size.

use super::adam::Adam;
use super::latent::Latent;
use super::loss::{Loss, Target};
use crate::{Result, Watch};

/// Adam's learning rate, as published.
const RATE: f32 = 0.002;

/// Passes without a fall of [`SMALLEST_FALL`] after which the loss counts as constant.
const PATIENCE: usize = 3;

/// A relative fall of the loss that counts.
const SMALLEST_FALL: f64 = 1e-4;

/// The best pass of a fit.
#[derive(Debug)]
pub struct Fitted {
    /// Its prediction, `[3, height, width]`.
    pub predicted: Vec<f32>,
    /// The known and the low part of the loss of every pass.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare them with the published program's"))]
    pub losses: Vec<[f64; 2]>,
}

/// The end of a fit.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Most forward passes; one update less.
    pub passes: usize,
    /// Whether to stop before, when the loss no longer falls.
    pub early: Early,
}

/// Whether a fit stops when its loss no longer falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// It does.
    Stop,
    /// It does not.
    #[cfg_attr(not(test), expect(dead_code, reason = "the published program always takes all passes"))]
    Never,
}

/// Moves the latent by Adam so that its predictions approach the target, and returns the best of them: that of
/// least loss. `watch` may ask for it before the last pass.
///
/// # Errors
/// [`crate::Error::Stopped`] if `watch` was cancelled.
pub fn fit(latent: &mut dyn Latent, target: Target<'_>, stop: Stop, watch: &Watch) -> Result<Fitted> {
    let mut adam = Adam::new(RATE);
    let mut losses = Vec::new();
    let mut best: Option<(f64, Vec<f32>)> = None;
    let mut constant = 0;
    for pass in 0..stop.passes {
        // A forward and a backward pass take about the same time.
        let half = |index: usize| (2 * pass + index) as f32 / (2 * stop.passes) as f32;
        let proceed = |part: Watch| move |fraction: f32| part.reached(fraction).is_ok();
        let predicted = latent.predict(&proceed(watch.part(half(0), half(1))))?;
        let loss = Loss::of(&predicted, target);
        losses.push([loss.known, loss.low]);
        let total = loss.total();
        let least = best.as_ref().map_or(f64::INFINITY, |(least, _)| *least);
        constant = if total < least * (1.0 - SMALLEST_FALL) { 0 } else { constant + 1 };
        let is_constant = stop.early == Early::Stop && constant >= PATIENCE;
        let is_last = pass + 1 == stop.passes || is_constant || watch.is_finishing();
        if !is_last {
            latent.backward(&predicted, &loss.gradient, &proceed(watch.part(half(1), half(2))))?;
            adam.update(latent.parts());
        }
        if total < least || best.is_none() {
            best = Some((total, predicted));
        }
        if is_last {
            break;
        }
    }
    let (_, predicted) = best.expect("at least one pass");
    Ok(Fitted { predicted, losses })
}
