//! One worker behind a bounded queue. Clients take turns, equal work in flight runs once, and work whose clients have all
//! left is cancelled.

mod ticket;
mod work;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lacuna::error::panic_text;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::client::Client;
use crate::lock::lock;
use crate::metrics::Metrics;
use crate::problem::{Code, Problem};
use crate::turns::Turns;

pub use ticket::Ticket;
pub use work::{Key, Outcome, Stage, Task};

use work::Work;

/// The limits of a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueBounds {
    /// Waiting pieces of work.
    pub waiting: usize,
    /// Waiting and running pieces of work of one client.
    pub per_client: usize,
    /// The time limit of one piece of work.
    pub run: Duration,
}

/// A queue and its worker thread, which runs until the queue is stopped.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

struct Shared {
    bounds: QueueBounds,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    /// Signalled when work arrives or the queue stops.
    changed: Condvar,
    /// The number of running pieces of work: 0 or 1.
    running: AtomicUsize,
    /// Whether nothing waits or runs.
    idle: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    waiting: Turns<Client, Arc<Work>>,
    /// Unfinished work by key, with one entry per ticket in its list of clients.
    unfinished: HashMap<Key, Unfinished>,
    /// Moving average of the run time of one piece of work, in seconds.
    usual_seconds: f64,
    stopping: bool,
}

struct Unfinished {
    work: Arc<Work>,
    clients: Vec<Client>,
}

/// The fraction of the time limit after which work that improves pass by pass is asked for its best result.
const FINISH_AT: f64 = 0.75;

/// The weight of the newest run time in the moving average.
const NEWEST_WEIGHT: f64 = 0.2;

impl Queue {
    /// Starts a worker on a thread of its own; timers run on `timers`.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn start(device: &str, bounds: QueueBounds, metrics: Arc<Metrics>, timers: Handle) -> Self {
        let (idle, _) = watch::channel(true);
        let shared = Arc::new(Shared {
            bounds,
            metrics,
            state: Mutex::default(),
            changed: Condvar::new(),
            running: AtomicUsize::new(0),
            idle,
        });
        let worker = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(format!("worker of {device}"))
            .spawn(move || worker.run_jobs(&timers))
            .expect("the system starts a thread");
        Self { shared }
    }

    /// Queues a piece of work, or joins an equal one that is in flight.
    ///
    /// # Errors
    /// [`Code::Stopping`], [`Code::ClientBusy`] or [`Code::QueueFull`].
    pub fn submit(&self, client: Client, key: Key, task: Task) -> Result<Ticket, Problem> {
        let shared = &self.shared;
        let mut state = shared.lock();
        if state.stopping {
            return Err(stopping());
        }
        let retry_after = Some(state.wait_seconds(shared.bounds.run));
        let held = state.jobs_of(client);
        if held >= shared.bounds.per_client {
            let detail =
                format!("this client already has {held} waiting or running jobs, which is the limit");
            return Err(Problem { retry_after, ..Problem::new(Code::ClientBusy, detail) });
        }
        if let Some(unfinished) = state.unfinished.get_mut(&key) {
            unfinished.clients.push(client);
            shared.metrics.shared();
            let work = Arc::clone(&unfinished.work);
            return Ok(shared.ticket(work, client));
        }
        let waiting = state.waiting.len();
        if waiting >= shared.bounds.waiting {
            let detail = format!("{waiting} jobs are waiting, which is the limit");
            return Err(Problem { retry_after, ..Problem::new(Code::QueueFull, detail) });
        }
        let work = Arc::new(Work::new(key, task));
        state.waiting.push(client, Arc::clone(&work));
        shared.idle.send_replace(false);
        let clients = vec![client];
        state.unfinished.insert(key, Unfinished { work: Arc::clone(&work), clients });
        shared.changed.notify_one();
        Ok(shared.ticket(work, client))
    }

    /// The number of waiting pieces of work.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// The number of running pieces of work.
    pub fn running(&self) -> usize {
        self.shared.running.load(Ordering::Relaxed)
    }

    /// Refuses new work and returns when all accepted work has finished. Work that still waits after the time that one
    /// piece may run fails with [`Code::Stopping`].
    pub async fn stop(&self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        let mut idle = self.shared.idle.subscribe();
        // The sender lives in `shared`.
        if tokio::time::timeout(self.shared.bounds.run, idle.wait_for(|&idle| idle)).await.is_err() {
            let waiting = self.shared.lock().waiting.drain();
            for work in waiting {
                self.shared.finish(&work, Err(stopping()));
            }
            let _ = idle.wait_for(|&idle| idle).await;
        }
    }
}

fn stopping() -> Problem {
    Problem::new(Code::Stopping, "the server is shutting down: try again later")
}

impl State {
    fn jobs_of(&self, client: Client) -> usize {
        let clients = self.unfinished.values().flat_map(|unfinished| &unfinished.clients);
        clients.filter(|&&other| other == client).count()
    }

    /// The estimated wait for a free place, in whole seconds.
    fn wait_seconds(&self, run: Duration) -> u64 {
        let seconds = self.usual_seconds * (self.waiting.len() + 1) as f64;
        (seconds.ceil() as u64).clamp(1, run.as_secs().max(1))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn ticket(self: &Arc<Self>, work: Arc<Work>, client: Client) -> Ticket {
        Ticket::new(Arc::clone(self), work, client)
    }

    /// The worker's loop.
    fn run_jobs(self: &Arc<Self>, timers: &Handle) {
        while let Some((work, task)) = self.next_work() {
            let start = Instant::now();
            work.start();
            let (shared, late) = (Arc::clone(self), Arc::clone(&work));
            let timer = timers.spawn(async move {
                let run = shared.bounds.run;
                let finish = run.mul_f64(FINISH_AT);
                tokio::time::sleep(finish).await;
                late.watch.finish();
                tokio::time::sleep(run - finish).await;
                let detail = format!("the job exceeded the limit of {} seconds", run.as_secs());
                shared.finish(&late, Err(Problem::new(Code::JobTimeout, detail)));
                late.watch.stop();
            });
            let outcome = catch_unwind(AssertUnwindSafe(|| task(&work.watch)));
            timer.abort();
            let outcome = outcome.unwrap_or_else(|panic| Err(Problem::internal(panic_text(panic.as_ref()))));
            let seconds = start.elapsed().as_secs_f64();
            self.metrics.ran(seconds);
            self.finish(&work, outcome);
            let mut state = self.lock();
            state.usual_seconds += NEWEST_WEIGHT * (seconds - state.usual_seconds);
            self.running.store(0, Ordering::Relaxed);
            drop(state);
        }
    }

    /// Waits for the next piece of work; `None` when the queue has stopped.
    fn next_work(&self) -> Option<(Arc<Work>, Task)> {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop() {
                if let Some(task) = work.take_task() {
                    self.running.store(1, Ordering::Relaxed);
                    return Some((work, task));
                }
                continue;
            }
            self.idle.send_replace(true);
            if state.stopping {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sets the outcome of a piece of work, unless it has one.
    fn finish(&self, work: &Arc<Work>, outcome: Outcome) {
        let mut state = self.lock();
        if state.unfinished.get(&work.key).is_some_and(|unfinished| Arc::ptr_eq(&unfinished.work, work)) {
            state.unfinished.remove(&work.key);
        }
        drop(state);
        let name = outcome.as_ref().map_or_else(|problem| problem.code.name(), |_| "done");
        if work.finish(outcome) {
            self.metrics.finished(name);
        }
    }

    /// Removes one of a client's tickets from a piece of work, and cancels the work if none is left.
    fn release(&self, work: &Arc<Work>, client: Client) {
        let mut state = self.lock();
        let unfinished = state.unfinished.get_mut(&work.key);
        let Some(unfinished) = unfinished.filter(|unfinished| Arc::ptr_eq(&unfinished.work, work)) else {
            return;
        };
        if let Some(index) = unfinished.clients.iter().position(|&other| other == client) {
            unfinished.clients.swap_remove(index);
        }
        if !unfinished.clients.is_empty() {
            return;
        }
        state.waiting.retain(|other| !Arc::ptr_eq(other, work));
        drop(state);
        work.watch.stop();
        self.finish(work, Err(Problem::new(Code::JobCancelled, "the job was cancelled")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Answer;
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    fn client(number: u8) -> Client {
        std::net::IpAddr::from(Ipv4Addr::new(10, 0, 0, number)).into()
    }

    fn key(number: u8) -> Key {
        [number; 32]
    }

    fn bounds() -> QueueBounds {
        QueueBounds { waiting: 16, per_client: 8, run: Duration::from_secs(60) }
    }

    fn queue(bounds: QueueBounds) -> Queue {
        Queue::start("test", bounds, Arc::new(Metrics::default()), Handle::current())
    }

    fn answer(text: &str) -> Outcome {
        Ok(Answer::new(text.to_owned().into_bytes(), "text/plain"))
    }

    fn code(outcome: &Outcome) -> Option<Code> {
        outcome.as_ref().err().map(|problem| problem.code)
    }

    /// A task that signals its start, and ends when released or cancelled.
    struct Gate {
        running: mpsc::Receiver<()>,
        open: mpsc::Sender<()>,
    }

    impl Gate {
        fn new() -> (Self, Task) {
            let (says_running, running) = mpsc::channel();
            let (open, opened) = mpsc::channel::<()>();
            let task: Task = Box::new(move |watch| {
                says_running.send(()).unwrap();
                loop {
                    if opened.recv_timeout(Duration::from_millis(1)).is_ok() {
                        return answer("through");
                    }
                    watch.reached(0.5).map_err(|error| Problem::of(&error))?;
                }
            });
            (Self { running, open }, task)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn clients_take_turns() {
        let queue = queue(bounds());
        let (gate, task) = Gate::new();
        let first = queue.submit(client(0), key(0), task).unwrap();
        gate.running.recv().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tickets = Vec::new();
        for (owner, number) in [(1, 11), (1, 12), (1, 13), (2, 21), (3, 31), (2, 22)] {
            let order = Arc::clone(&order);
            let task: Task = Box::new(move |_| {
                order.lock().unwrap().push(number);
                answer("done")
            });
            tickets.push(queue.submit(client(owner), key(number), task).unwrap());
        }
        let positions: Vec<_> = tickets.iter().map(|ticket| ticket.position().unwrap()).collect();
        assert_eq!(positions, [0, 3, 5, 1, 2, 4]);
        gate.open.send(()).unwrap();
        assert!(first.outcome().await.is_ok());
        for ticket in &tickets {
            assert!(ticket.outcome().await.is_ok());
        }
        assert_eq!(*order.lock().unwrap(), [11, 21, 31, 12, 22, 13]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn equal_work_is_done_once_and_lives_as_long_as_somebody_wants_it() {
        let queue = queue(bounds());
        let (gate, task) = Gate::new();
        let one = queue.submit(client(1), key(7), task).unwrap();
        gate.running.recv().unwrap();
        let other = queue.submit(client(2), key(7), Box::new(|_| panic!("twice"))).unwrap();
        drop(one);
        gate.open.send(()).unwrap();
        assert_eq!(other.outcome().await.as_ref().as_ref().unwrap().body(), b"through");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_without_clients_is_cancelled() {
        let queue = queue(bounds());
        let (gate, task) = Gate::new();
        let running = queue.submit(client(1), key(1), task).unwrap();
        gate.running.recv().unwrap();
        let waiting = queue.submit(client(1), key(2), Box::new(|_| panic!("nobody wants it"))).unwrap();
        drop(waiting);
        assert_eq!(queue.waiting(), 0);
        let mut stages = running.changes();
        drop(running);
        stages.wait_for(|stage| matches!(stage, Stage::Finished(_))).await.unwrap();
        // The worker is free again.
        let next = queue.submit(client(1), key(3), Box::new(|_| answer("next"))).unwrap();
        assert!(next.outcome().await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bounds_are_kept() {
        let queue = queue(QueueBounds { waiting: 2, per_client: 2, run: Duration::from_secs(60) });
        let (gate, task) = Gate::new();
        let _running = queue.submit(client(1), key(1), task).unwrap();
        gate.running.recv().unwrap();
        let submit = |owner, number| queue.submit(client(owner), key(number), Box::new(|_| answer("")));
        let _second = submit(1, 2).unwrap();
        let busy = submit(1, 3).err().unwrap();
        assert_eq!((busy.code, busy.retry_after), (Code::ClientBusy, Some(1)));
        let _third = submit(2, 4).unwrap();
        assert_eq!(submit(3, 5).err().unwrap().code, Code::QueueFull);
        assert!(submit(3, 4).is_ok(), "equal work takes no room");
        gate.open.send(()).unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn late_work_ends_for_its_client_at_once() {
        let queue = queue(QueueBounds { run: Duration::from_millis(30), ..bounds() });
        let (_gate, task) = Gate::new();
        let ticket = queue.submit(client(1), key(1), task).unwrap();
        assert_eq!(code(ticket.outcome().await.as_ref()), Some(Code::JobTimeout));
        let next = queue.submit(client(1), key(1), Box::new(|_| answer("again"))).unwrap();
        assert!(next.outcome().await.is_ok(), "and the worker continues");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn before_the_limit_work_is_asked_for_its_best_result() {
        let queue = queue(QueueBounds { run: Duration::from_secs(2), ..bounds() });
        let task: Task = Box::new(|watch| {
            while !watch.is_finishing() {
                watch.reached(0.5).map_err(|error| Problem::of(&error))?;
                std::thread::sleep(Duration::from_millis(1));
            }
            answer("best so far")
        });
        let ticket = queue.submit(client(1), key(1), task).unwrap();
        assert_eq!(ticket.outcome().await.as_ref().as_ref().unwrap().body(), b"best so far");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_is_one_jobs_trouble() {
        let queue = queue(bounds());
        let ticket = queue.submit(client(1), key(1), Box::new(|_| panic!("row 7"))).unwrap();
        let outcome = ticket.outcome().await;
        let problem = outcome.as_ref().as_ref().unwrap_err();
        assert!(problem.code == Code::Internal && problem.id.is_some() && !problem.detail.contains("row 7"));
        let next = queue.submit(client(1), key(2), Box::new(|_| answer("next"))).unwrap();
        assert!(next.outcome().await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stop_finishes_what_was_accepted_and_refuses_more() {
        let queue = queue(bounds());
        let (gate, task) = Gate::new();
        let running = queue.submit(client(1), key(1), task).unwrap();
        gate.running.recv().unwrap();
        let waiting = queue.submit(client(1), key(2), Box::new(|_| answer("waited"))).unwrap();
        let stopped = tokio::spawn({
            let queue = queue.clone();
            async move { queue.stop().await }
        });
        while queue.submit(client(1), key(3), Box::new(|_| answer(""))).is_ok() {
            tokio::task::yield_now().await;
        }
        let refused = queue.submit(client(1), key(4), Box::new(|_| answer(""))).err().unwrap();
        assert_eq!(refused.code, Code::Stopping);
        assert!(!stopped.is_finished());
        gate.open.send(()).unwrap();
        stopped.await.unwrap();
        for ticket in [running, waiting] {
            assert!(ticket.outcome().await.is_ok());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stop_waits_no_longer_than_a_job_may_run() {
        let queue = queue(QueueBounds { run: Duration::from_millis(20), ..bounds() });
        let (gate, task) = Gate::new();
        let running = queue.submit(client(1), key(1), task).unwrap();
        gate.running.recv().unwrap();
        let (_other, task) = Gate::new();
        let waiting = queue.submit(client(1), key(2), task).unwrap();
        queue.stop().await;
        for ticket in [running, waiting] {
            let code = code(ticket.outcome().await.as_ref());
            assert!(matches!(code, Some(Code::JobTimeout | Code::Stopping)), "{code:?}");
        }
    }
}
