//! The run file's tables `optimizer`, `ema` and `run`.

use serde::{Deserialize, Serialize};

use crate::optim::{BETAS, Schedule};

/// Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// The generator's learning rate.
    pub learning_rate: f64,
    /// Largest gradient norm of a network; longer gradients are clipped. No clipping by default.
    #[serde(default)]
    pub clip: Option<f64>,
    /// Decay of the means of gradients and of their squares; PyTorch's values by default.
    #[serde(default = "Optimizer::default_betas", skip_serializing_if = "Optimizer::are_default")]
    pub betas: [f64; 2],
    /// Learning rate schedule.
    #[serde(default)]
    pub schedule: Schedule,
}

impl Optimizer {
    fn default_betas() -> [f64; 2] {
        BETAS
    }

    /// Unwritten in run files, so that those of older runs stay the same.
    fn are_default(betas: &[f64; 2]) -> bool {
        *betas == BETAS
    }
}

/// Weight averaging.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaConfig {
    /// Whether it is on. The average is then what is validated and exported.
    pub on: bool,
    /// Weight of the previous average.
    #[serde(default = "EmaConfig::default_decay")]
    pub decay: f64,
}

impl EmaConfig {
    fn default_decay() -> f64 {
        0.999
    }
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self { on: true, decay: Self::default_decay() }
    }
}

/// Duration, and when to write what. All intervals are steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Optimizer steps.
    pub steps: u64,
    /// Photos per batch.
    pub batch: usize,
    /// Batches per step; their gradients are averaged.
    #[serde(default = "Run::default_accumulate")]
    pub accumulate: usize,
    /// Steps between logged losses.
    #[serde(default = "Run::default_log_every")]
    pub log_every: u64,
    /// Steps between image grids; 0 for none.
    #[serde(default = "Run::default_grid_every")]
    pub grid_every: u64,
    /// Steps between checkpoints.
    #[serde(default = "Run::default_checkpoint_every")]
    pub checkpoint_every: u64,
    /// Checkpoints to keep; older ones are removed.
    #[serde(default = "Run::default_keep")]
    pub keep: usize,
    /// Steps between validations; there is another one at the end. 0 for none.
    #[serde(default = "Run::default_validate_every")]
    pub validate_every: u64,
    /// The metric that chooses the best network.
    #[serde(default)]
    pub best_by: BestBy,
}

impl Run {
    /// Whether both take the same photos in each step.
    pub(crate) fn same_batches(&self, other: &Self) -> bool {
        (self.batch, self.accumulate) == (other.batch, other.accumulate)
    }

    fn default_accumulate() -> usize {
        1
    }

    fn default_log_every() -> u64 {
        50
    }

    fn default_grid_every() -> u64 {
        1000
    }

    fn default_checkpoint_every() -> u64 {
        1000
    }

    fn default_keep() -> usize {
        3
    }

    fn default_validate_every() -> u64 {
        5000
    }
}

/// The metric that chooses the best network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BestBy {
    /// The highest structural similarity.
    #[default]
    Ssim,
    /// The highest signal-to-noise ratio.
    Psnr,
    /// The lowest mean absolute difference.
    L1,
    /// The lowest perceptual distance; needs `data.lpips_weights`.
    Lpips,
}

impl BestBy {
    /// Whether `new` is better than `old`.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Self::Ssim | Self::Psnr => new > old,
            Self::L1 | Self::Lpips => new < old,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_higher_or_lower() {
        assert!(BestBy::Ssim.is_better(0.9, 0.8) && !BestBy::Ssim.is_better(0.8, 0.8));
        assert!(BestBy::L1.is_better(0.1, 0.2) && !BestBy::L1.is_better(f64::NAN, 0.2));
    }
}
