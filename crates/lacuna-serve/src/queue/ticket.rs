//! Tickets, which requests hold while their work waits or runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::Shared;
use super::work::{Outcome, Stage, Work};
use crate::client::Client;
use crate::problem::Problem;

/// One client's interest in a piece of work. The work is cancelled when its last ticket is cancelled or dropped before
/// it has finished.
pub struct Ticket {
    shared: Arc<Shared>,
    work: Arc<Work>,
    client: Client,
    cancelled: AtomicBool,
}

impl Ticket {
    pub(super) fn new(shared: Arc<Shared>, work: Arc<Work>, client: Client) -> Self {
        Self { shared, work, client, cancelled: AtomicBool::new(false) }
    }

    /// Cancels the ticket.
    pub fn cancel(&self) {
        if !self.cancelled.swap(true, Ordering::Relaxed) {
            self.shared.release(&self.work, self.client);
        }
    }

    /// The state of the work.
    pub fn stage(&self) -> Stage {
        self.work.stage.borrow().clone()
    }

    /// The fraction of the work that is done, 0 to 1.
    pub fn done(&self) -> f32 {
        match self.stage() {
            Stage::Waiting => 0.0,
            Stage::Running => self.work.watch.done(),
            Stage::Finished(_) => 1.0,
        }
    }

    /// The number of pieces of work before this one; `None` if it does not wait.
    pub fn position(&self) -> Option<usize> {
        self.shared.lock().waiting.position(|other| Arc::ptr_eq(other, &self.work))
    }

    /// A receiver of the changes of state.
    pub fn changes(&self) -> watch::Receiver<Stage> {
        self.work.stage.subscribe()
    }

    /// Waits for the outcome.
    pub async fn outcome(&self) -> Arc<Outcome> {
        let mut stages = self.work.stage.subscribe();
        loop {
            if let Stage::Finished(outcome) = &*stages.borrow_and_update() {
                return Arc::clone(outcome);
            }
            if stages.changed().await.is_err() {
                return Arc::new(Err(Problem::internal("work without a sender")));
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel();
    }
}
