//! Errors of training.

use std::path::PathBuf;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of training. If two values disagree, the message states both.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run file is invalid.
    #[error("{0}")]
    Config(String),
    /// The photos: there are none, too few, held-out ones among them, or one that cannot be prepared.
    #[error("{0}")]
    Photos(String),
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The contents of a weights file are wrong.
    #[error("{path}: {problem}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The contents of a checkpoint are wrong.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
    /// The processes of a run disagree.
    #[error("rank 0 has {first}, rank {other} has {second}: expected the same in all ranks")]
    Ranks {
        /// What rank 0 has.
        first: String,
        /// The first rank that has something else.
        other: usize,
        /// What that is.
        second: String,
    },
    /// Training diverged: a loss is not finite or explodes.
    #[error("step {step}: {term} is {value}; the batch was {}", .names.join(", "))]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// The loss term.
        term: String,
        /// Its value.
        value: f32,
        /// The photos of the batch.
        names: Vec<String>,
    },
    /// An error of the networks.
    #[error(transparent)]
    Nets(#[from] lacuna_nets::Error),
    /// An error of a metric.
    #[error(transparent)]
    Eval(#[from] lacuna_eval::Error),
    /// An error of images or checkpoints.
    #[error(transparent)]
    Lacuna(#[from] lacuna::Error),
}
