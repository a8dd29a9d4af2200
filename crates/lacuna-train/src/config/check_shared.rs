//! Checks of what all run files have: photos, masks, optimizer, average and length.

use lacuna_network::Denoiser;
use lacuna_network::geometry::{MULTIPLE, SMALLEST_SIDE};

use super::{BestBy, Data, EmaConfig, Optimizer, Run};
use crate::{Error, Result};

/// Checks that crops of `side` pixels are large enough for a denoiser.
///
/// # Errors
/// [`Error::Config`] with both sides.
pub(crate) fn check_side(side: usize, denoiser: &Denoiser) -> Result<()> {
    let smallest = denoiser.smallest_side() * MULTIPLE;
    if side >= smallest {
        return Ok(());
    }
    Err(Error::Config(format!("data.side: this denoiser needs at least {smallest} pixels, got {side}")))
}

/// Checks the tables `data`, `optimizer`, `ema` and `run`.
///
/// # Errors
/// [`Error::Config`], which names the keys.
pub(super) fn check_shared(data: &Data, optimizer: &Optimizer, ema: &EmaConfig, run: &Run) -> Result<()> {
    let refuse = |problem: String| Err(Error::Config(problem));
    if !data.side.is_multiple_of(MULTIPLE) || data.side < SMALLEST_SIDE {
        return refuse(format!(
            "data.side: expected a multiple of {MULTIPLE}, at least {SMALLEST_SIDE}, got {}",
            data.side
        ));
    }
    if run.best_by == BestBy::Lpips && data.lpips_weights.is_none() {
        return refuse("run.best_by: lpips needs data.lpips_weights".into());
    }
    if data.masks_side == Some(0) {
        return refuse("data.masks_side: expected at least 1, got 0".into());
    }
    if data.train.is_empty() {
        return refuse("data.train: expected at least one source of photos".into());
    }
    for (key, masks) in [("masks", &data.masks), ("validation_masks", &data.validation_masks)] {
        masks.generator().check().or_else(|problem| refuse(format!("data.{key}: {problem}")))?;
    }
    for (key, count) in [
        ("data.workers", data.workers),
        ("run.batch", run.batch),
        ("run.accumulate", run.accumulate),
        ("run.keep", run.keep),
        ("run.steps", run.steps as usize),
        ("run.log_every", run.log_every as usize),
        ("run.checkpoint_every", run.checkpoint_every as usize),
    ] {
        if count == 0 {
            return refuse(format!("{key}: expected at least 1, got 0"));
        }
    }
    let positive = |key: &str, value: f64| {
        if value > 0.0 && value.is_finite() {
            Ok(())
        } else {
            refuse(format!("{key}: expected a number above 0, got {value}"))
        }
    };
    positive("optimizer.learning_rate", optimizer.learning_rate)?;
    if let Some(clip) = optimizer.clip {
        positive("optimizer.clip", clip)?;
    }
    if !(0.0..1.0).contains(&ema.decay) {
        return refuse(format!("ema.decay: expected at least 0 and less than 1, got {}", ema.decay));
    }
    for (key, beta) in optimizer.betas.iter().enumerate() {
        if !(0.0..1.0).contains(beta) {
            return refuse(format!(
                "optimizer.betas: expected two numbers from 0 to less than 1, got {beta} as number {}",
                key + 1
            ));
        }
    }
    Ok(())
}
