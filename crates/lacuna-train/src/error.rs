//! What can go wrong in training.

use std::path::PathBuf;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of training. Where two values disagree the message has both.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run file asks for something that cannot be.
    #[error("{0}")]
    Config(String),
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
    /// A weights file does not hold what it should.
    #[error("{path}: {problem}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint of a run does not hold what it should.
    #[error("checkpoint: {0}")]
    Checkpoint(String),
    /// Training went wrong: a loss is not a number or explodes.
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
    /// The networks failed.
    #[error(transparent)]
    Nets(#[from] lacuna_nets::Error),
    /// A metric failed.
    #[error(transparent)]
    Eval(#[from] lacuna_eval::Error),
    /// Pictures or checkpoints failed.
    #[error(transparent)]
    Lacuna(#[from] lacuna::Error),
}
