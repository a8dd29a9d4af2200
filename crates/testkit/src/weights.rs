//! Published weights that are not in the repository.

use std::path::PathBuf;

use crate::missing::{Missing, not_tested};

/// Path of a metric's weights file: in the folder that `LACUNA_METRIC_WEIGHTS` names, or in target/metric-weights.
///
/// If it does not exist, this is reported and the result is `None`.
pub fn metric_weights(name: &str) -> Option<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let folder = std::env::var_os("LACUNA_METRIC_WEIGHTS").map(PathBuf::from);
    let path = folder.unwrap_or_else(|| format!("{root}/target/metric-weights").into()).join(name);
    if path.exists() {
        return Some(path);
    }
    not_tested(Missing::MetricWeights, &format!("{} is missing", path.display()));
    None
}
