//! What can go wrong with networks.

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How many problems with weights a message lists before it only counts them.
pub(crate) const LISTED_PROBLEMS: usize = 10;

/// An error of the networks. Where two values disagree the message has both.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for a network that cannot exist.
    #[error("no such network: {0}")]
    Config(String),
    /// The caller passed pictures, masks or features of a wrong shape.
    #[error("{0}")]
    Shape(String),
    /// The weights do not fit the network: nothing was loaded.
    #[error("{count} of the network's tensors cannot be loaded:\n{}", .listed.join("\n"))]
    Weights {
        /// How many tensors are missing or have a wrong shape.
        count: usize,
        /// The first ten: name, expected and found shape.
        listed: Vec<String>,
    },
    /// A device that is not a device, is not in this build, or is not in this machine.
    #[error("device {name}: {problem}")]
    Device {
        /// What was asked for.
        name: String,
        /// Why it cannot be had.
        problem: String,
    },
    /// The device failed while computing.
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
