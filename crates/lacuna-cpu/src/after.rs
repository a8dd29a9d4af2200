//! What follows a sum of products or a norm.

/// The last step of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Nothing,
    /// ReLU: negative values become 0.
    Relu,
}
