//! Logs of a run: lines of JSON, and TensorBoard's event files.

mod events;
mod metrics;

pub use events::EventFile;
pub use metrics::MetricsFile;
