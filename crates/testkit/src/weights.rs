//! Published weights that are not in the repository.

use std::io::Write;
use std::path::PathBuf;

/// Where a weights file of a metric is: in the folder that `LACUNA_METRIC_WEIGHTS` names, or in target/metric-weights.
///
/// If it is not there, that is said aloud, past what the test harness swallows, and there is nothing to test with.
pub fn metric_weights(name: &str) -> Option<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let folder = std::env::var_os("LACUNA_METRIC_WEIGHTS").map(PathBuf::from);
    let path = folder.unwrap_or_else(|| format!("{root}/target/metric-weights").into()).join(name);
    if path.exists() {
        return Some(path);
    }
    let path = path.display();
    // Not eprintln!: the harness catches that.
    let told =
        writeln!(std::io::stderr(), "NOT TESTED: {path} is not there, see tools/fetch_metric_weights.py");
    told.expect("standard error is open");
    None
}
