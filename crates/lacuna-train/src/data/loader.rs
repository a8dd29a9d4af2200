//! Batches from background threads.
//!
//! The content of a batch depends on (seed, epoch, index) alone: photos are assigned to threads in order, and finished
//! crops are put back in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use image::RgbImage;
use lacuna::Mask;
use lacuna::error::panic_text;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{Batch, Order, Part, Photos, Position, sample_rng};
use crate::{Error, Result};

/// Cuts a square crop from a photo.
pub type Crop = Arc<dyn Fn(&RgbImage, &mut Pcg64) -> RgbImage + Send + Sync>;
/// Draws a mask of the crop's size.
pub type Draw = Arc<dyn Fn(&mut Pcg64) -> Mask + Send + Sync>;

/// Options of the loader.
#[derive(Clone, Copy, Debug)]
pub struct LoaderOptions {
    /// Photos per batch.
    pub batch: usize,
    /// Side of the crops in pixels.
    pub side: usize,
    /// The run's seed.
    pub seed: u64,
    /// Number of threads.
    pub workers: usize,
    /// Batches prepared in advance.
    pub ahead: usize,
    /// The first batch.
    pub start: Position,
    /// Which batches to make, counted from there.
    pub part: Part,
    /// Crops of each photo, which take turns from epoch to epoch while masks are always new; without a number, crops are new too.
    pub crops: Option<u64>,
}

/// A photo that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub problem: String,
}

/// A batch, and its cost.
#[derive(Debug)]
pub struct Loaded {
    /// The batch.
    pub batch: Batch,
    /// Position after this batch and the following ones of other processes.
    pub position: Position,
    /// Time spent waiting for it.
    pub waited: Duration,
}

/// The batches of a step, and their cost.
#[derive(Debug)]
pub struct LoadedStep {
    /// The batches, at least one.
    pub batches: Vec<Batch>,
    /// Position after the last of them.
    pub position: Position,
    /// Time spent waiting for all.
    pub waited: Duration,
}

/// Makes batches.
pub struct Loader {
    photos: Arc<Photos>,
    options: LoaderOptions,
    tasks: Option<SyncSender<Task>>,
    samples: Receiver<WorkerOutput>,
    workers: Vec<JoinHandle<()>>,
    /// The next batch to return, and the next photo to assign to a thread.
    position: Cursor,
    planned: Cursor,
    order: (u64, Vec<usize>),
    next_sample: u64,
    next_task: u64,
    /// Set when the loader is dropped.
    ended: Arc<AtomicBool>,
    early: BTreeMap<u64, std::result::Result<Sample, String>>,
    skipped: BTreeSet<Skipped>,
}

/// A place among the batches of all processes.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    position: Position,
    /// Batches since the start.
    passed: u64,
}

impl Cursor {
    /// The next batch of this process, with `batches` batches per epoch.
    fn of_part(mut self, part: Part, batches: u64) -> Self {
        while !part.has(self.passed) {
            self = self.next(batches);
        }
        self
    }

    fn next(self, batches: u64) -> Self {
        Self { position: self.position.next(batches), passed: self.passed + 1 }
    }
}

/// One image of a batch.
struct Task {
    number: u64,
    epoch: u64,
    /// The photo, followed by substitutes if it cannot be read.
    candidates: Vec<usize>,
}

struct WorkerOutput {
    number: u64,
    sample: std::result::Result<Sample, String>,
}

struct Sample {
    image: Vec<f32>,
    mask: Vec<f32>,
    name: String,
    skipped: Vec<Skipped>,
}

/// Substitutes that are tried for a photo that cannot be read.
const SUBSTITUTES: usize = 16;

impl Loader {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`Error::Photos`] if there are fewer photos than a batch needs.
    pub fn start(photos: Arc<Photos>, options: LoaderOptions, crop: Crop, draw: Draw) -> Result<Self> {
        if photos.len() < options.batch || options.batch == 0 {
            return Err(Error::Photos(format!(
                "{} photos are not enough for a batch of {}",
                photos.len(),
                options.batch
            )));
        }
        let places = options.ahead.max(1) * options.batch;
        let (tasks, inbox) = sync_channel::<Task>(places);
        let (outbox, samples) = sync_channel(places);
        let inbox = Arc::new(Mutex::new(inbox));
        if options.start.batch >= (photos.len() / options.batch) as u64 {
            let (batch, batches) = (options.start.batch, photos.len() / options.batch);
            return Err(Error::Config(format!("cannot start at batch {batch}: an epoch has {batches}")));
        }
        let ended = Arc::new(AtomicBool::new(false));
        let broken = Arc::new(Mutex::new(BTreeMap::new()));
        let workers = (0..options.workers.max(1))
            .map(|_| {
                let worker = Worker {
                    photos: Arc::clone(&photos),
                    options,
                    crop: Arc::clone(&crop),
                    draw: Arc::clone(&draw),
                    ended: Arc::clone(&ended),
                    broken: Arc::clone(&broken),
                };
                let (inbox, outbox) = (Arc::clone(&inbox), outbox.clone());
                std::thread::spawn(move || worker.run(&inbox, &outbox))
            })
            .collect();
        let mut loader = Self {
            photos,
            options,
            tasks: Some(tasks),
            samples,
            workers,
            position: Cursor { position: options.start, passed: 0 },
            planned: Cursor { position: options.start, passed: 0 },
            order: (u64::MAX, Vec::new()),
            next_sample: 0,
            next_task: 0,
            ended,
            early: BTreeMap::new(),
            skipped: BTreeSet::new(),
        };
        for _ in 0..options.ahead.max(1) {
            loader.plan();
        }
        Ok(loader)
    }

    fn batches(&self) -> u64 {
        (self.photos.len() / self.options.batch) as u64
    }

    /// Assigns one more batch to the threads.
    fn plan(&mut self) {
        let planned = self.planned.of_part(self.options.part, self.batches());
        let Position { epoch, batch } = planned.position;
        if self.order.0 != epoch || self.order.1.is_empty() {
            self.order = (epoch, Order::new(self.options.seed, self.photos.len()).of_epoch(epoch));
        }
        let order = &self.order.1;
        for place in 0..self.options.batch {
            let first = batch as usize * self.options.batch + place;
            let candidates =
                (0..=SUBSTITUTES.min(order.len() - 1)).map(|by| order[(first + by) % order.len()]);
            let task = Task { number: self.next_task, epoch, candidates: candidates.collect() };
            self.next_task += 1;
            if let Some(tasks) = &self.tasks {
                // Threads end only when the loader is dropped.
                let _ = tasks.send(task);
            }
        }
        self.planned = planned.next(self.batches());
    }

    /// The next batch.
    ///
    /// # Errors
    /// [`Error::Photos`] if a photo and all its substitutes cannot be read, or a thread panicked. The loader cannot be
    /// used afterwards.
    #[expect(clippy::should_implement_trait, reason = "a loader never ends, and its batches may fail")]
    pub fn next(&mut self) -> Result<Loaded> {
        let start = Instant::now();
        let LoaderOptions { batch: count, side, .. } = self.options;
        let pixels = side * side;
        let mut batch = Batch {
            side,
            images: Vec::with_capacity(count * 3 * pixels),
            masks: Vec::with_capacity(count * pixels),
            names: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let sample = self.sample().map_err(Error::Photos)?;
            batch.images.extend(sample.image);
            batch.masks.extend(sample.mask);
            batch.names.push(sample.name);
            self.skipped.extend(sample.skipped);
        }
        let waited = start.elapsed();
        let (part, batches) = (self.options.part, self.batches());
        self.position = self.position.of_part(part, batches).next(batches);
        while !part.has(self.position.passed) && !self.position.passed.is_multiple_of(part.of) {
            self.position = self.position.next(batches);
        }
        self.plan();
        Ok(Loaded { batch, position: self.position.position, waited })
    }

    /// The next `count` batches; one if `count` is 0.
    ///
    /// # Errors
    /// As [`Loader::next`].
    pub fn step(&mut self, count: usize) -> Result<LoadedStep> {
        let Loaded { batch, position, waited } = self.next()?;
        let mut step = LoadedStep { batches: vec![batch], position, waited };
        for _ in 1..count {
            let Loaded { batch, position, waited } = self.next()?;
            step.batches.push(batch);
            step.position = position;
            step.waited += waited;
        }
        Ok(step)
    }

    fn sample(&mut self) -> std::result::Result<Sample, String> {
        let number = self.next_sample;
        self.next_sample += 1;
        loop {
            if let Some(sample) = self.early.remove(&number) {
                return sample;
            }
            let made = self.samples.recv().map_err(|_| "the loader's threads have ended".to_owned())?;
            self.early.insert(made.number, made.sample);
        }
    }

    /// Photos of the batches so far that could not be read, each listed once.
    pub fn skipped(&self) -> Vec<Skipped> {
        self.skipped.iter().cloned().collect()
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Loader")
            .field("options", &self.options)
            .field("position", &self.position)
            .finish()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Without tasks the threads end, once there is room for their results.
        self.ended.store(true, Ordering::Relaxed);
        self.tasks = None;
        while self.samples.recv().is_ok() {}
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

struct Worker {
    photos: Arc<Photos>,
    options: LoaderOptions,
    crop: Crop,
    draw: Draw,
    ended: Arc<AtomicBool>,
    /// Photos that cannot be read, with the reason, so that they are tried only once.
    broken: Arc<Mutex<BTreeMap<usize, String>>>,
}

impl Worker {
    fn run(&self, inbox: &Mutex<Receiver<Task>>, outbox: &SyncSender<WorkerOutput>) {
        // Parallel resizing and decoding run on this thread alone; the other threads belong to the network.
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        debug_assert!(alone.is_ok(), "a thread is in one pool only");
        loop {
            let task = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(task) = task else { return };
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let number = task.number;
            let sample = catch_unwind(AssertUnwindSafe(|| self.make(&task))).unwrap_or_else(|panic| {
                let text = panic_text(panic.as_ref());
                Err(format!("{}: making a crop panicked: {text}", self.photos.name(task.candidates[0])))
            });
            if outbox.send(WorkerOutput { number, sample }).is_err() {
                return;
            }
        }
    }

    fn make(&self, task: &Task) -> std::result::Result<Sample, String> {
        let mut skipped = Vec::new();
        for &index in &task.candidates {
            let name = self.photos.name(index);
            let known = self.broken.lock().unwrap_or_else(PoisonError::into_inner).get(&index).cloned();
            let photo =
                match known.map_or_else(|| self.photos.decode(index).map_err(|error| chain(&error)), Err) {
                    Ok(photo) => photo,
                    Err(problem) => {
                        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
                        broken.insert(index, problem.clone());
                        skipped.push(Skipped { name, problem });
                        continue;
                    }
                };
            // The position in the epoch decides, not the photo that happens to fill it.
            let LoaderOptions { seed, crops, .. } = self.options;
            let rng = |seed: u64, epoch: u64| sample_rng(seed, epoch, task.candidates[0] as u64);
            let (crop, mask) = match crops {
                None => {
                    let mut rng = rng(seed, task.epoch);
                    ((self.crop)(&photo, &mut rng), (self.draw)(&mut rng))
                }
                Some(crops) => {
                    let crop = (self.crop)(&photo, &mut rng(seed, task.epoch % crops));
                    // Another seed than the crop's, which is independent of it in the first epochs, too.
                    (crop, (self.draw)(&mut rng(!seed, task.epoch)))
                }
            };
            let side = self.options.side;
            assert_eq!(crop.dimensions(), (side as u32, side as u32), "the crop's size");
            assert_eq!((mask.width(), mask.height()), (side, side), "the hole's size");
            let image = crate::validate::planes(&crop).values().to_vec();
            let mask = mask.hole().iter().map(|&hole| if hole { 1.0 } else { 0.0 }).collect();
            return Ok(Sample { image, mask, name, skipped });
        }
        let first = &skipped[0];
        Err(format!(
            "{} photos in a row cannot be read, the first is {}: {}",
            skipped.len(),
            first.name,
            first.problem
        ))
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::data::testing::photos_folder;
    use rand::RngExt;
    use std::path::Path;

    const SIDE: usize = 16;

    fn options(batch: usize) -> LoaderOptions {
        LoaderOptions {
            batch,
            side: SIDE,
            seed: 5,
            workers: 2,
            ahead: 2,
            start: Position::default(),
            part: Part::WHOLE,
            crops: None,
        }
    }

    fn loader(folder: &Path, options: LoaderOptions) -> Result<Loader> {
        let photos = Arc::new(Photos::open(&[Source::Folder { path: folder.to_owned() }])?);
        let crop: Crop = Arc::new(|photo, rng| {
            let mut crop = photo.clone();
            crop.get_pixel_mut(0, 0).0[1] = rng.random();
            crop
        });
        let draw: Draw =
            Arc::new(|rng| Mask::new(SIDE, SIDE, (0..SIDE * SIDE).map(|_| rng.random()).collect()));
        Loader::start(photos, options, crop, draw)
    }

    fn batches(folder: &Path, options: LoaderOptions, count: usize) -> Vec<Batch> {
        let mut loader = loader(folder, options).unwrap();
        (0..count).map(|_| loader.next().unwrap().batch).collect()
    }

    #[test]
    fn threads_change_nothing() {
        let folder = photos_folder(7);
        let expected = batches(folder.path(), LoaderOptions { workers: 1, ahead: 1, ..options(3) }, 5);
        for workers in [2, 5] {
            assert_eq!(batches(folder.path(), LoaderOptions { workers, ..options(3) }, 5), expected);
        }
        assert_ne!(batches(folder.path(), LoaderOptions { seed: 6, ..options(3) }, 5), expected);
        // Two batches per epoch, no photo twice in it.
        let mut names: Vec<String> = expected[..2].iter().flat_map(|batch| batch.names.clone()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 6);
        assert_eq!(expected[0].images.len(), 3 * 3 * SIDE * SIDE);
        assert!(expected[0].masks.iter().all(|&value| value == 0.0 || value == 1.0));
    }

    #[test]
    fn crops_take_turns_and_masks_are_new() {
        /// Image and mask of each photo.
        type Epoch = BTreeMap<String, (Vec<f32>, Vec<f32>)>;
        let folder = photos_folder(4);
        let epochs = |crops| -> Vec<Epoch> {
            let batches = batches(folder.path(), LoaderOptions { crops, ..options(4) }, 4);
            let of_batch = |batch: Batch| {
                let images = batch.images.chunks_exact(3 * SIDE * SIDE).map(<[f32]>::to_vec);
                let masks = batch.masks.chunks_exact(SIDE * SIDE).map(<[f32]>::to_vec);
                batch.names.into_iter().zip(images.zip(masks)).collect()
            };
            batches.into_iter().map(of_batch).collect()
        };
        let (new, turns) = (epochs(None), epochs(Some(2)));
        for name in turns[0].keys() {
            let [one, two, three, four] = [0, 1, 2, 3].map(|epoch| &turns[epoch][name]);
            assert_eq!((&one.0, &two.0), (&three.0, &four.0), "{name}");
            assert_ne!(one.0, two.0, "{name}");
            assert!(one.1 != three.1 && two.1 != four.1, "{name}");
            assert_ne!(new[0][name].0, new[2][name].0, "{name}");
        }
    }

    #[test]
    fn a_loader_that_starts_later_goes_on_alike() {
        let folder = photos_folder(7);
        let mut whole = loader(folder.path(), options(2)).unwrap();
        let all: Vec<Loaded> = (0..8).map(|_| whole.next().unwrap()).collect();
        for stop in [0, 2, 4] {
            let start = all[stop].position;
            let rest = batches(folder.path(), LoaderOptions { start, ..options(2) }, 3);
            let expected: Vec<Batch> =
                all[stop + 1..stop + 4].iter().map(|loaded| loaded.batch.clone()).collect();
            assert_eq!(rest, expected, "behind batch {stop}");
        }
    }

    #[test]
    fn processes_share_out_the_batches() {
        let folder = photos_folder(7);
        let whole = batches(folder.path(), options(2), 8);
        let positions: Vec<Position> = {
            let mut loader = loader(folder.path(), options(2)).unwrap();
            (0..8).map(|_| loader.next().unwrap().position).collect()
        };
        for devices in [1, 2] {
            for rank in 0..2 {
                let part = Part::of_rank(rank, 2, devices);
                let mut loader = loader(folder.path(), LoaderOptions { part, ..options(2) }).unwrap();
                let own: Vec<Loaded> = (0..4).map(|_| loader.next().unwrap()).collect();
                let expected: Vec<&Batch> =
                    (0..8).filter(|&number| part.has(number)).map(|number| &whole[number as usize]).collect();
                assert_eq!(own.iter().map(|loaded| &loaded.batch).collect::<Vec<_>>(), expected);
                // After a round of all processes they agree on where the next one begins.
                for round in 1..=4 / devices {
                    assert_eq!(own[round * devices - 1].position, positions[2 * round * devices - 1]);
                }
            }
        }
    }

    #[test]
    fn broken_photos_are_replaced_and_listed_once() {
        let folder = photos_folder(6);
        std::fs::write(folder.path().join("broken.png"), "no photo").unwrap();
        let run = |workers| {
            let mut loader = loader(folder.path(), LoaderOptions { workers, ..options(3) }).unwrap();
            let batches: Vec<Batch> = (0..8).map(|_| loader.next().unwrap().batch).collect();
            (batches, loader.skipped())
        };
        let (batches, skipped) = run(1);
        assert_eq!(skipped.len(), 1);
        assert!(skipped[0].name.ends_with("broken.png") && !skipped[0].problem.is_empty(), "{skipped:?}");
        assert!(batches.iter().flat_map(|batch| &batch.names).all(|name| !name.ends_with("broken.png")));
        assert_eq!(run(4), (batches, skipped));
    }

    #[test]
    fn nothing_to_read_is_an_error_and_no_endless_loop() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            std::fs::write(folder.path().join(name), "no photo").unwrap();
        }
        let error = loader(folder.path(), options(2)).unwrap().next().unwrap_err().to_string();
        assert!(error.starts_with("3 photos in a row cannot be read, the first is "), "{error}");
    }

    #[test]
    fn fewer_photos_than_a_batch_are_an_error() {
        let error = loader(photos_folder(3).path(), options(4)).unwrap_err().to_string();
        assert_eq!(error, "3 photos are not enough for a batch of 4");
    }

    #[test]
    fn a_panic_is_an_error() {
        let folder = photos_folder(4);
        let photos = Arc::new(Photos::open(&[Source::Folder { path: folder.path().to_owned() }]).unwrap());
        let crop: Crop = Arc::new(|_, _| panic!("as it was told"));
        let draw: Draw = Arc::new(|_| Mask::new(SIDE, SIDE, vec![false; SIDE * SIDE]));
        let mut loader = Loader::start(photos, options(2), crop, draw).unwrap();
        let error = loader.next().unwrap_err().to_string();
        assert!(error.ends_with("making a crop panicked: as it was told"), "{error}");
    }
}
