//! Errors of the networks.

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Problems with weights that a message lists; further ones are only counted.
pub(crate) const LISTED_PROBLEMS: usize = 10;

/// An error of the networks. If two values disagree, the message states both.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The requested network cannot exist.
    #[error("no such network: {0}")]
    Config(String),
    /// Images, masks or features have a wrong shape.
    #[error("{0}")]
    Shape(String),
    /// The weights do not fit the network: nothing was loaded.
    #[error("{count} of the network's tensors cannot be loaded:\n{}", .listed.join("\n"))]
    Weights {
        /// Number of tensors that are missing or have a wrong shape.
        count: usize,
        /// The first ten: name, expected and found shape.
        listed: Vec<String>,
    },
    /// A device name that is invalid, or a device that is not in this build or this machine.
    #[error("device {name}: {problem}")]
    Device {
        /// The requested name.
        name: String,
        /// Why it is not available.
        problem: String,
    },
    /// The device failed during computation.
    #[error("computing failed: {0}")]
    Execution(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_lists_the_problems() {
        let error = Error::Weights { count: 2, listed: vec!["a: missing".into(), "b: missing".into()] };
        assert_eq!(error.to_string(), "2 of the network's tensors cannot be loaded:\na: missing\nb: missing");
    }
}
