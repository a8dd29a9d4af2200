//! What can go wrong in the engine.

use crate::isa::IsaError;

/// The result of the engine's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source of weights lacks a tensor.
    #[error("the network's tensor {0} is missing")]
    MissingTensor(String),
    /// A tensor of another size than the network's.
    #[error("the network's tensor {name} has {found} values, expected {expected}")]
    TensorSize {
        /// Its name.
        name: String,
        /// Values that the network needs.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
    /// A layer that the engine has no kernel for; Burn may run the network.
    #[error("{layer}: the CPU engine has no {operation}")]
    Operation {
        /// The layer's path.
        layer: String,
        /// What it computes.
        operation: String,
    },
    /// Layers that do not fit together as the engine expects.
    #[error("{layer}: {problem}")]
    Structure {
        /// The layer's path, or the part of the network.
        layer: String,
        /// What is wrong.
        problem: String,
    },
    /// An image that no plan can be made for.
    #[error("sides must be multiples of {multiple} from {smallest} up, got {width} x {height}")]
    Size {
        /// Sides must be a multiple of this …
        multiple: usize,
        /// … and at least this.
        smallest: usize,
        /// Columns asked for.
        width: usize,
        /// Rows asked for.
        height: usize,
    },
    /// More memory is needed than allowed.
    #[error("a frame of {width} x {height} pixels needs {needed} bytes, allowed are {allowed}")]
    Memory {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that it may take.
        allowed: u64,
    },
    /// An image or mask of another size than the plan's.
    #[error("{what} has {found} values, the plan expects {expected}")]
    Input {
        /// Image or mask.
        what: &'static str,
        /// Values that the plan expects.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
    /// A plan that another engine made: its buffers would not fit.
    #[error("the plan was made for another network or instruction set")]
    ForeignPlan,
    /// The system has no memory left.
    #[error("cannot get {bytes} bytes of memory")]
    Allocation {
        /// Bytes asked for.
        bytes: u64,
        /// What the system said.
        source: std::io::Error,
    },
    /// The run was cancelled.
    #[error("the run was stopped")]
    Stopped,
    /// The instruction set that was asked for cannot be used.
    #[error(transparent)]
    Isa(#[from] IsaError),
}
