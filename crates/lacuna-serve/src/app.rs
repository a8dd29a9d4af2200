//! The state that all requests share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lacuna::Watch;
use tokio::runtime::Handle;

use crate::client::Client;
use crate::config::Config;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::problem::Problem;
use crate::queue::{Key, Outcome, Queue, QueueBounds, Ticket};
use crate::uploads::Uploads;

/// Bodies that may be read at the same time, in addition to the length of the queue. Each is held in memory.
const SPARE_UPLOADS: usize = 8;

/// How often a stopping server checks whether all results were fetched.
const FETCH_CHECK: Duration = Duration::from_millis(50);

/// The state of a server; clones refer to the same state.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// The contents of an [`App`].
pub struct Shared {
    /// The configuration.
    pub config: Config,
    /// The networks and methods.
    pub models: Models,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Jobs whose results clients fetch later.
    pub jobs: Jobs,
    /// Slots for reading bodies.
    pub uploads: Uploads,
    queues: HashMap<String, Queue>,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Starts a worker for each device.
    pub fn start(config: Config, models: Models, timers: &Handle) -> Self {
        let metrics = Arc::new(Metrics::default());
        let bounds = QueueBounds {
            waiting: config.bounds.queue,
            per_client: config.bounds.per_client,
            run: config.bounds.job,
        };
        let queues = models.devices().into_iter().map(|device| {
            let queue = Queue::start(&device, bounds, Arc::clone(&metrics), timers.clone());
            (device, queue)
        });
        let queues = queues.collect();
        let uploads = Uploads::new(config.bounds.queue + SPARE_UPLOADS, config.bounds.per_client);
        Self(Arc::new(Shared { config, models, metrics, jobs: Jobs::default(), uploads, queues }))
    }

    /// Submits work to the worker of a device.
    ///
    /// # Errors
    /// As [`Queue::submit`].
    pub fn submit(
        &self,
        device: &str,
        client: Client,
        key: Key,
        work: impl FnOnce(&Watch) -> Outcome + Send + 'static,
    ) -> Result<Ticket, Problem> {
        let queue = self.queues.get(device).ok_or_else(|| Problem::internal("a device without a worker"))?;
        queue.submit(client, key, Box::new(work))
    }

    /// Number of waiting jobs.
    pub fn waiting(&self) -> usize {
        self.queues.values().map(Queue::waiting).sum()
    }

    /// Number of running jobs.
    pub fn running(&self) -> usize {
        self.queues.values().map(Queue::running).sum()
    }

    /// Refuses new work and returns when the running jobs have finished.
    pub async fn stop(&self) {
        self.uploads.close();
        for queue in self.queues.values() {
            queue.stop().await;
        }
    }

    /// Returns when clients have fetched every result that is ready.
    pub async fn results_fetched(&self) {
        while self.jobs.has_unfetched() {
            tokio::time::sleep(FETCH_CHECK).await;
        }
    }

    /// Whether the server is stopping.
    pub fn is_stopping(&self) -> bool {
        self.uploads.is_closed()
    }
}
