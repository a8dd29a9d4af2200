//! Requirements of tests that a machine may lack.

use std::io::Write;

/// A requirement that is not in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A browser.
    Chromium,
    /// axe-core, which `tools/fetch_axe.sh` downloads.
    Axe,
    /// Published weights of metrics, which `tools/fetch_metric_weights.py` downloads.
    MetricWeights,
    /// Python with onnxruntime and numpy.
    OnnxRuntime,
    /// ffmpeg and ffprobe.
    Ffmpeg,
    /// The module of the page without a server, which the compiler's target `wasm32-unknown-unknown` builds.
    Wasm,
}

impl Missing {
    /// Its name in messages and in `LACUNA_ALLOW_NOT_TESTED`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Axe => "axe",
            Self::MetricWeights => "metric-weights",
            Self::OnnxRuntime => "onnxruntime",
            Self::Ffmpeg => "ffmpeg",
            Self::Wasm => "wasm",
        }
    }
}

/// Reports what could not be tested. `.ci/run` fails on it unless `LACUNA_ALLOW_NOT_TESTED` has the name.
pub fn not_tested(missing: Missing, what: &str) {
    // Not eprintln!: the test harness captures that.
    writeln!(std::io::stderr(), "NOT TESTED ({}): {what}", missing.name()).expect("standard error is open");
}
