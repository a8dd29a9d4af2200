//! A piece of work: its task, its state and its outcome.

use std::sync::{Arc, Mutex};

use lacuna::Watch;
use tokio::sync::watch;

use crate::answer::Answer;
use crate::lock::lock;
use crate::problem::Problem;

/// The result of a piece of work.
pub type Outcome = Result<Answer, Problem>;

/// The function that does the work. It reports progress to the watch and returns early when the watch is stopped.
pub type Task = Box<dyn FnOnce(&Watch) -> Outcome + Send>;

/// A hash of everything that decides the outcome: equal keys mean equal work.
pub type Key = [u8; 32];

/// The state of a piece of work.
#[derive(Clone, Debug)]
pub enum Stage {
    /// It waits in the queue.
    Waiting,
    /// The worker runs it.
    Running,
    /// It has its outcome.
    Finished(Arc<Outcome>),
}

/// A piece of work, shared by the queue, the worker and its tickets.
pub(super) struct Work {
    pub(super) key: Key,
    pub(super) watch: Watch,
    pub(super) stage: watch::Sender<Stage>,
    task: Mutex<Option<Task>>,
}

impl Work {
    /// Work that waits.
    pub(super) fn new(key: Key, task: Task) -> Self {
        let (stage, _) = watch::channel(Stage::Waiting);
        Self { key, watch: Watch::default(), stage, task: Mutex::new(Some(task)) }
    }

    /// Takes the task out; there is none the second time.
    pub(super) fn take_task(&self) -> Option<Task> {
        lock(&self.task).take()
    }

    /// Marks it as running, unless it has its outcome already.
    pub(super) fn start(&self) {
        self.stage.send_if_modified(|stage| {
            let waits = matches!(stage, Stage::Waiting);
            if waits {
                *stage = Stage::Running;
            }
            waits
        });
    }

    /// Sets the outcome and returns whether it is the first one.
    pub(super) fn finish(&self, outcome: Outcome) -> bool {
        self.stage.send_if_modified(|stage| {
            let open = !matches!(stage, Stage::Finished(_));
            if open {
                *stage = Stage::Finished(Arc::new(outcome));
            }
            open
        })
    }
}
