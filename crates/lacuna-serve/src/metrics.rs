//! Counters for Prometheus (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write as _;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Histogram buckets in seconds: from a small window on a fast machine to the time limit of a job.
const SECONDS: [f64; 10] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 45.0, 120.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// The counters of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    jobs: Family<OutcomeLabels, Counter>,
    shared: Counter,
    seconds: Histogram,
    waiting: Gauge,
    running: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("lacuna");
        let requests = Family::default();
        let jobs = Family::default();
        let (shared, seconds) = (Counter::default(), Histogram::new(SECONDS));
        let (waiting, running) = (Gauge::default(), Gauge::default());
        registry.register("requests", "Requests by route and status", requests.clone());
        registry.register("jobs", "Jobs by outcome", jobs.clone());
        registry.register("jobs_shared", "Requests that joined an equal job in flight", shared.clone());
        registry.register("job_seconds", "Seconds that jobs ran", seconds.clone());
        registry.register("jobs_waiting", "Waiting jobs", waiting.clone());
        registry.register("jobs_running", "Running jobs", running.clone());
        Self { registry, requests, jobs, shared, seconds, waiting, running }
    }
}

impl Metrics {
    /// Counts a request; `route` is the route's pattern, not the path that the client sent.
    pub fn request(&self, route: &str, status: u16) {
        self.requests.get_or_create(&RequestLabels { route: route.to_owned(), status }).inc();
    }

    /// Records the run time of a job.
    pub fn ran(&self, seconds: f64) {
        self.seconds.observe(seconds);
    }

    /// Counts a finished job; `outcome` is `done` or the code of its problem.
    pub fn finished(&self, outcome: &'static str) {
        self.jobs.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a request that joined an equal job.
    pub fn shared(&self) {
        self.shared.inc();
    }

    /// All metrics as OpenMetrics text.
    pub fn text(&self, waiting: usize, running: usize) -> String {
        self.waiting.set(waiting as i64);
        self.running.set(running as i64);
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            let _ = write!(text, "# EOF");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exported() {
        let metrics = Metrics::default();
        metrics.request("/v1/inpaint", 200);
        metrics.request("/v1/inpaint", 200);
        metrics.ran(0.3);
        metrics.finished("memory");
        metrics.shared();
        let text = metrics.text(3, 1);
        for line in [
            "lacuna_requests_total{route=\"/v1/inpaint\",status=\"200\"} 2",
            "lacuna_jobs_total{outcome=\"memory\"} 1",
            "lacuna_job_seconds_bucket{le=\"0.5\"} 1",
            "lacuna_jobs_shared_total 1",
            "lacuna_jobs_waiting 3",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
