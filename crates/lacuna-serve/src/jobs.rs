//! Jobs whose results clients fetch later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use crate::id::Id;
use crate::lock::lock;
use crate::problem::{Code, Document, Problem};
use crate::queue::{Stage, Ticket};

/// How long results are kept.
const KEPT: Duration = Duration::from_secs(600);

/// Limit of kept results in bytes; the oldest are dropped first.
const KEPT_BYTES: usize = 512 << 20;

/// Limit of kept jobs.
const KEPT_JOBS: usize = 1024;

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// It runs.
    Running,
    /// Its result can be fetched.
    Done,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// A job, as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobDocument {
    /// Its identifier.
    id: String,
    /// Its state.
    state: State,
    /// The fraction of the work that is done, 0 to 1.
    progress: f32,
    /// The number of jobs before this one, if it is queued.
    position: Option<usize>,
    /// Why it failed.
    problem: Option<Document>,
}

impl JobDocument {
    /// The current state of a ticket.
    pub fn new(id: Id, ticket: &Ticket) -> Self {
        let mut document =
            Self { id: id.to_string(), state: State::Queued, progress: 0.0, position: None, problem: None };
        match ticket.stage() {
            Stage::Waiting => document.position = ticket.position(),
            Stage::Running => {
                document.state = State::Running;
                document.progress = ticket.done();
            }
            Stage::Finished(outcome) => match outcome.as_ref() {
                Ok(_) => {
                    document.state = State::Done;
                    document.progress = 1.0;
                }
                Err(problem) => {
                    let cancelled = problem.code == Code::JobCancelled;
                    document.state = if cancelled { State::Cancelled } else { State::Failed };
                    document.problem = Some(problem.document());
                }
            },
        }
        document
    }

    /// Whether the job has finished.
    pub fn is_final(&self) -> bool {
        !matches!(self.state, State::Queued | State::Running)
    }
}

/// The jobs that are kept.
#[derive(Default)]
pub struct Jobs {
    kept: Mutex<HashMap<Id, Job>>,
}

struct Job {
    ticket: Arc<Ticket>,
    fetched: bool,
    made: Instant,
    /// When it was first found finished.
    over: Option<Instant>,
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Job>> {
        lock(&self.kept)
    }

    /// Stores a job.
    pub fn add(&self, ticket: Ticket) -> (Id, Arc<Ticket>) {
        self.sweep();
        let (id, ticket) = (Id::random(), Arc::new(ticket));
        let job = Job { ticket: Arc::clone(&ticket), fetched: false, made: Instant::now(), over: None };
        self.lock().insert(id, job);
        (id, ticket)
    }

    /// Finds a job by its id.
    ///
    /// # Errors
    /// [`Code::JobUnknown`].
    pub fn get(&self, id: &str) -> Result<(Id, Arc<Ticket>), Problem> {
        let kept = self.lock();
        let found = id.parse().ok().and_then(|id| Some((id, Arc::clone(&kept.get(&id)?.ticket))));
        found.ok_or_else(unknown)
    }

    /// Records that a client fetched a job's result.
    pub fn mark_fetched(&self, id: Id) {
        if let Some(job) = self.lock().get_mut(&id) {
            job.fetched = true;
        }
    }

    /// Whether there are results that no client has fetched.
    pub fn has_unfetched(&self) -> bool {
        let ready = |job: &Job| matches!(job.ticket.stage(), Stage::Finished(outcome) if outcome.is_ok());
        self.lock().values().any(|job| !job.fetched && ready(job))
    }

    /// Cancels and removes a job.
    ///
    /// # Errors
    /// [`Code::JobUnknown`].
    pub fn remove(&self, id: &str) -> Result<(), Problem> {
        let job = id.parse().ok().and_then(|id| self.lock().remove(&id)).ok_or_else(unknown)?;
        job.ticket.cancel();
        Ok(())
    }

    /// Removes old results, and the oldest ones beyond the limits.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut kept = self.lock();
        let mut over = Vec::new();
        for (&id, job) in kept.iter_mut() {
            if let Stage::Finished(outcome) = job.ticket.stage() {
                let since = *job.over.get_or_insert(now);
                let bytes = outcome.as_ref().as_ref().map_or(0, |answer| answer.body().len());
                over.push((since, job.made, id, bytes));
            }
        }
        over.sort_by_key(|&(since, made, ..)| (since, made));
        let mut bytes: usize = over.iter().map(|&(.., bytes)| bytes).sum();
        for (since, _, id, size) in over {
            if now.duration_since(since) > KEPT || bytes > KEPT_BYTES || kept.len() > KEPT_JOBS {
                kept.remove(&id);
                bytes -= size;
            }
        }
    }
}

fn unknown() -> Problem {
    Problem::new(Code::JobUnknown, "there is no such job, or its result is no longer kept (ten minutes)")
}
