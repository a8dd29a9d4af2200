//! Errors of the engine.

use crate::isa::IsaError;

/// The result of the engine's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor of the network is missing in the source.
    #[error("the network's tensor {0} is missing")]
    MissingTensor(String),
    /// A tensor has another size than the network's.
    #[error("the network's tensor {name} has {found} values, expected {expected}")]
    TensorSize {
        /// Its name.
        name: String,
        /// Expected number of values.
        expected: usize,
        /// Found number of values.
        found: usize,
    },
    /// The engine has no kernel for a layer; Burn may be able to run the network.
    #[error("{layer}: the CPU engine has no {operation}")]
    Operation {
        /// The layer's path.
        layer: String,
        /// The unsupported operation.
        operation: String,
    },
    /// Layers do not fit together.
    #[error("{layer}: {problem}")]
    Structure {
        /// The layer's path, or the part of the network.
        layer: String,
        /// What is wrong.
        problem: String,
    },
    /// No plan exists for images of this size.
    #[error("sides must be multiples of {multiple} from {smallest} up, got {width} x {height}")]
    Size {
        /// Sides must be a multiple of this …
        multiple: usize,
        /// … and at least this.
        smallest: usize,
        /// Requested columns.
        width: usize,
        /// Requested rows.
        height: usize,
    },
    /// More memory is needed than allowed.
    #[error("a frame of {width} x {height} pixels needs {needed} bytes, allowed are {allowed}")]
    Memory {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Needed bytes.
        needed: u64,
        /// Allowed bytes.
        allowed: u64,
    },
    /// The size of image or mask differs from the plan's.
    #[error("{what} has {found} values, the plan expects {expected}")]
    Input {
        /// Image or mask.
        what: &'static str,
        /// Expected number of values.
        expected: usize,
        /// Found number of values.
        found: usize,
    },
    /// The plan was made by another engine; its buffers would not fit.
    #[error("the plan was made for another network or instruction set")]
    ForeignPlan,
    /// The system has no memory left.
    #[error("cannot get {bytes} bytes of memory")]
    Allocation {
        /// Requested bytes.
        bytes: u64,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The run was cancelled.
    #[error("the run was stopped")]
    Stopped,
    /// The requested instruction set cannot be used.
    #[error(transparent)]
    Isa(#[from] IsaError),
}

impl Error {
    /// Checks the number of values of an input.
    pub(crate) fn check_length(what: &'static str, expected: usize, found: usize) -> Result<()> {
        if expected == found { Ok(()) } else { Err(Self::Input { what, expected, found }) }
    }
}
