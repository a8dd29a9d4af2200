//! Predictors with the threads that compute them, loaded once per process.
//!
//! A forked process (`multiprocessing`, data loaders, Spark's workers) has the memory of its parent but not its threads.
//! Work for a thread pool of the parent would never be done there, and a lock that a thread of the parent held would never
//! be released. So a process uses only what it loaded itself, on pools of its own, and what it inherited stays untouched.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::available_parallelism;
use std::time::SystemTime;
use std::{mem, process};

use lacuna::checkpoint::Checkpoint;
use lacuna::default_network::default_network_hash;
use lacuna::hash::sha256_of_file;
use lacuna::method::Build;
use lacuna::models::{ModelStore, is_weights_path};
use lacuna::{Error, Method, Predictor, Refinement, Result, default_network, network_predictor};
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::raise;
use crate::settings::Settings;

/// Predictors that are kept for the next fill. A process that alternates between more of them loads them again.
const MOST_LOADED: usize = 4;

/// A predictor and its threads.
pub struct Loaded {
    /// The threads.
    pub pool: ThreadPool,
    /// The predictor.
    pub predictor: Arc<dyn Predictor>,
    key: Key,
    weights_hash: OnceLock<String>,
}

/// A weights file in its present state.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// What decides what is loaded.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    threads: usize,
    method: Method,
    model: Option<Model>,
    refinement: Option<Refinement>,
}

/// A place for what is loaded; the thread that fills it holds its lock meanwhile.
type Slot = Arc<Mutex<Option<Arc<Loaded>>>>;

/// What a process loaded, the most recently used last.
struct Cache {
    process: u32,
    slots: Vec<(Key, Slot)>,
}

static CACHE: Mutex<Cache> = Mutex::new(Cache { process: 0, slots: Vec::new() });

impl Model {
    /// The weights file at a path, or of an installed model.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if no model of that name is installed; [`Error::Read`] if there is no such file.
    pub fn find(text: &str) -> Result<Self> {
        let path = if is_weights_path(text) { PathBuf::from(text) } else { installed(text)? };
        let metadata = fs::metadata(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        Ok(Self { bytes: metadata.len(), modified: metadata.modified().ok(), path })
    }
}

fn installed(name: &str) -> Result<PathBuf> {
    let store = ModelStore::of_user()?;
    store.find(name).ok_or_else(|| {
        let names = store.installed().unwrap_or_default();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let folder = store.folder().display();
        Error::checkpoint(
            name,
            format!("there is no such file and no such model; installed in {folder}: {names}"),
        )
    })
}

/// What fills with these settings: loaded by this process, now or before.
///
/// # Errors
/// A Python exception if the settings contradict each other, or the weights cannot be read.
pub fn loaded(py: Python<'_>, settings: &Settings) -> PyResult<Arc<Loaded>> {
    let key = Key::of(settings).map_err(|error| raise(py, &error))?;
    let (slot, memory) = (slot(py, &key), settings.memory());
    let loaded = py.detach(|| {
        // A panic while loading leaves the place empty.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(loaded) => Ok(Arc::clone(loaded)),
            None => Loaded::load(key, memory).map(|loaded| Arc::clone(slot.insert(Arc::new(loaded)))),
        }
    });
    loaded.map_err(|error| raise(py, &error))
}

/// The place for a key. Processes are forked by the thread that holds the interpreter's lock; `CACHE` is locked only by that
/// thread, and never while it gives the lock away. So it is never locked in a new process.
fn slot(_: Python<'_>, key: &Key) -> Slot {
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.process != process::id() {
        // The parent's threads are not here to be ended.
        mem::forget(mem::take(&mut cache.slots));
        cache.process = process::id();
    }
    let known = cache.slots.iter().position(|(other, _)| other == key);
    let (key, slot) = known.map_or_else(|| (key.clone(), Slot::default()), |place| cache.slots.remove(place));
    cache.slots.push((key, Arc::clone(&slot)));
    if cache.slots.len() > MOST_LOADED {
        cache.slots.remove(0);
    }
    slot
}

impl Key {
    fn of(settings: &Settings) -> Result<Self> {
        // The processors that this process may use, not all of the machine.
        let threads = settings.threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
        let (method, model) = (settings.method()?, settings.model()?);
        Ok(Self { threads, method, model, refinement: settings.refinement() })
    }
}

impl Loaded {
    fn load(key: Key, memory: Option<u64>) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(key.threads).build();
        let pool =
            pool.map_err(|error| Error::Argument(format!("cannot start {} threads: {error}", key.threads)))?;
        let predictor = match key.method.build {
            Build::Alone(build) => build(),
            // Weights are packed in parallel.
            Build::WithNetwork(build) => build(pool.install(|| network(&key, memory))?)?,
        };
        Ok(Self { pool, predictor, key, weights_hash: OnceLock::new() })
    }

    /// What identifies the pixels of this predictor's fills: its name, version and weights.
    ///
    /// # Errors
    /// [`Error::Read`] if the weights file is gone.
    pub fn identity(&self) -> Result<String> {
        let hash = match self.weights_hash.get() {
            Some(hash) => hash,
            None => {
                let hash = self.key.weights_hash()?;
                self.weights_hash.get_or_init(|| hash)
            }
        };
        let (name, version) = (self.predictor.name(), self.predictor.version());
        Ok(format!("{name} {hash} {:?}; version {version}", self.key.refinement))
    }
}

impl Key {
    fn weights_hash(&self) -> Result<String> {
        match &self.model {
            Some(model) => sha256_of_file(&model.path),
            None if self.method.needs_network() => Ok(default_network_hash()),
            None => Ok(String::new()),
        }
    }
}

fn network(key: &Key, memory: Option<u64>) -> Result<Arc<dyn Predictor>> {
    let checkpoint = match &key.model {
        Some(model) => Checkpoint::open(&model.path)?,
        None => default_network()?,
    };
    if let Some(bytes) = memory {
        checkpoint.check_memory(bytes)?;
    }
    let network = network_predictor(&checkpoint)?;
    match key.refinement {
        Some(refinement) => network.refined(refinement),
        None => Ok(network),
    }
}
