//! Runs of several processes, which are threads here: the same bits as several devices in one process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use lacuna_nets::Device;
use lacuna_train::checkpoint::{self, State};
use lacuna_train::{Alone, Collective, Event, FitOptions, Forecast, Outcome, Result, RunConfig, fit};
use rayon::ThreadPoolBuilder;
use tempfile::TempDir;
use testkit::pictures::write_noise_photos;

/// One of several ranks in this process, with a channel from and to each. If one ends, the others panic.
#[derive(Debug)]
struct Thread {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

impl Thread {
    fn ranks(size: usize) -> Vec<Self> {
        let mut to: Vec<Vec<_>> = (0..size).map(|_| Vec::new()).collect();
        let mut from: Vec<Vec<_>> = (0..size).map(|_| Vec::new()).collect();
        for sender in &mut to {
            for receiver in &mut from {
                let (one, other) = channel();
                sender.push(one);
                receiver.push(Mutex::new(other));
            }
        }
        to.into_iter().zip(from).enumerate().map(|(rank, (to, from))| Self { rank, to, from }).collect()
    }

    fn receive(&self, from: usize) -> Vec<u8> {
        self.from[from].lock().unwrap().recv().expect("a rank that is still there")
    }
}

impl Collective for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn sum(&self, values: &mut [f32]) {
        let own: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        for to in &self.to {
            let _ = to.send(own.clone());
        }
        for rank in 0..self.size() {
            let received = self.receive(rank);
            assert_eq!(received.len(), own.len(), "a row of the same length in rank {rank}");
            for (sum, bytes) in values.iter_mut().zip(received.chunks_exact(4)) {
                let value = f32::from_le_bytes(bytes.try_into().unwrap());
                *sum = if rank == 0 { value } else { *sum + value };
            }
        }
    }

    fn broadcast(&self, from: usize, bytes: &mut Vec<u8>) {
        if from == self.rank {
            for to in &self.to {
                let _ = to.send(bytes.clone());
            }
        }
        *bytes = self.receive(from);
    }

    fn barrier(&self) {
        self.sum(&mut [0.0]);
    }
}

const RUN_FILE: &str = r#"
    task = "inpainting"
    seed = 1
    network = { family = "fourier", width = 4, blocks = 1, conditioning = "control" }
    ema = { on = true, decay = 0.9 }
    loss.pixel_l1 = { known = 1.0, hole = 1.0 }
    loss.adversarial = { weight = 0.1, r1 = 1e-3, width = 2, learning_rate = 1e-4 }
    optimizer = { learning_rate = 1e-3, clip = 1.0 }
    run = { steps = 4, batch = 2, checkpoint_every = 2, validate_every = 2, grid_every = 4, log_every = 1 }

    [data]
    train = [{ kind = "folder", path = "PHOTOS" }]
    validation = [{ kind = "folder", path = "PHOTOS" }]
    validation_photos = 1
    side = 32
    augment = "light"
    masks = { kind = "half" }
    validation_masks = { kind = "half" }
"#;

/// A folder with eleven photos: an odd number of batches per epoch.
struct Workplace {
    folder: TempDir,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_noise_photos(&folder.path().join("photos"), 11, 40);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, set: &[&str]) -> RunConfig {
        let set: Vec<String> = set.iter().map(|&set| set.to_owned()).collect();
        RunConfig::parse(&RUN_FILE.replace("PHOTOS", self.path("photos").to_str().unwrap()), &set).unwrap()
    }

    fn options(&self, run: &str, devices: usize, ranks: Arc<dyn Collective>) -> FitOptions {
        FitOptions { folder: self.path(run), resume: true, devices: vec![Device::flex(); devices], ranks }
    }

    /// Trains in one process with some devices.
    fn alone(&self, run: &str, devices: usize, set: &[&str]) -> Outcome {
        let options = self.options(run, devices, Arc::new(Alone));
        fit(&self.config(set), &options, &AtomicBool::new(false), &mut |_| {}).unwrap()
    }

    /// Trains in several ranks, each with its own run file, and returns their outcomes with the reported events.
    fn among(&self, run: &str, devices: usize, configs: &[RunConfig]) -> Vec<(Result<Outcome>, Vec<String>)> {
        let ranks = Thread::ranks(configs.len());
        std::thread::scope(|scope| {
            let threads: Vec<_> = ranks
                .into_iter()
                .zip(configs)
                .map(|(rank, config)| {
                    scope.spawn(move || {
                        // Only rank 0 has the folder.
                        let folder = if rank.rank == 0 { run } else { "nowhere" };
                        let options = self.options(folder, devices, Arc::new(rank));
                        let mut events = Vec::new();
                        let mut watch = |event: Event| {
                            let text = match event {
                                Event::Started { step, .. } => format!("started after {step}"),
                                Event::Step { photos, .. } => format!("{photos} photos"),
                                Event::Skipped(photo) => format!("skipped {}", photo.name),
                                _ => return,
                            };
                            events.push(text);
                        };
                        // As processes, ranks have threads of their own: one that waits for others takes none from them.
                        let pool = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
                        let outcome =
                            pool.install(|| fit(config, &options, &AtomicBool::new(false), &mut watch));
                        (outcome, events)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    fn two(&self, run: &str, set: &[&str]) {
        for (outcome, _) in self.among(run, 1, &[self.config(set), self.config(set)]) {
            outcome.unwrap();
        }
        assert!(!self.path("nowhere").exists(), "rank 1 wrote something");
    }
}

/// A line of a run's log.
type Line = BTreeMap<String, serde_json::Value>;

/// All that a run has at its end, but times.
fn results(run: &Path) -> (State, BTreeMap<String, Vec<u8>>, Vec<Line>) {
    let newest =
        fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let mut state = checkpoint::open(&newest).unwrap().state;
    state.seconds = 0.0;
    let bytes = fs::read(newest).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut files: BTreeMap<_, _> =
        tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect();
    for name in ["last.safetensors", "best.safetensors"] {
        files.insert(name.to_owned(), fs::read(run.join(name)).unwrap());
    }
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| {
        let mut line: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        line.retain(|name, _| name != "seconds_per_step" && name != "loader_wait");
        line
    });
    (state, files, lines.collect())
}

fn assert_same(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(results);
    assert_eq!(one.0, other.0);
    let differing: Vec<&String> = one.1.keys().filter(|name| one.1[*name] != other.1[*name]).collect();
    assert_eq!(differing, Vec::<&String>::new());
    assert_eq!(one.1.len(), other.1.len());
    assert_eq!(one.2, other.2);
}

#[test]
fn ranks_are_devices_bit_for_bit() {
    let place = Workplace::new();
    for (size, accumulate) in [(2, 2), (2, 4), (3, 3)] {
        let set = format!("run.accumulate={accumulate}");
        let (devices, ranks) = (format!("devices-{size}-{accumulate}"), format!("ranks-{size}-{accumulate}"));
        place.alone(&devices, size, &[&set]);
        let configs = vec![place.config(&[&set]); size];
        for (rank, (outcome, events)) in place.among(&ranks, 1, &configs).into_iter().enumerate() {
            assert_eq!(outcome.unwrap().step, 4);
            // Each step takes the batches of all ranks, and only rank 0 reports them.
            let step = format!("{} photos", 2 * accumulate);
            let expected = ["started after 0", &step, &step, &step, &step];
            assert_eq!(events, if rank == 0 { &expected[..] } else { &[] });
        }
        assert_same(&place.path(&ranks), &place.path(&devices));
    }
}

/// With two devices each, rounding differs: each rank adds its own two first.
#[test]
fn ranks_may_have_several_devices() {
    let place = Workplace::new();
    let set = ["run.accumulate=4"];
    place.alone("devices", 4, &set);
    for (outcome, _) in place.among("ranks", 2, &[place.config(&set), place.config(&set)]) {
        outcome.unwrap();
    }
    let [ranks, devices] = ["ranks", "devices"].map(|run| results(&place.path(run)));
    assert_eq!(ranks.0.position, devices.0.position);
    for (ranks, devices) in ranks.2.iter().zip(&devices.2).filter(|(line, _)| line["kind"] == "train") {
        let loss = |line: &BTreeMap<String, serde_json::Value>| line["pixel_l1"].as_f64().unwrap();
        assert!((loss(ranks) - loss(devices)).abs() < 1e-4, "{ranks:?} {devices:?}");
    }
}

#[test]
fn a_run_resumes_with_another_number_of_ranks() {
    let place = Workplace::new();
    let (half, whole) = (["run.accumulate=2", "run.steps=2"], ["run.accumulate=2"]);
    place.alone("devices", 2, &whole);
    // Two ranks, then two ranks; two ranks, then two devices; two devices, then two ranks.
    for run in ["ranks", "to-devices"] {
        place.two(run, &half);
    }
    place.alone("to-ranks", 2, &half);
    place.two("ranks", &whole);
    place.alone("to-devices", 2, &whole);
    place.two("to-ranks", &whole);
    for run in ["ranks", "to-devices", "to-ranks"] {
        assert_same(&place.path(run), &place.path("devices"));
    }
    // One device continues too; its statistics of norms are others.
    place.two("to-one", &half);
    assert_eq!(place.alone("to-one", 1, &whole).step, 4);
    let position = |run: &str| results(&place.path(run)).0.position;
    assert_eq!(position("to-one"), position("devices"));
}

#[test]
fn all_ranks_refuse_to_differ() {
    let place = Workplace::new();
    let set = ["run.accumulate=2"];
    let other = [&set[..], &["seed=7"]].concat();
    for (outcome, _) in place.among("out", 1, &[place.config(&set), place.config(&other)]) {
        let error = outcome.unwrap_err().to_string();
        assert_eq!(error, "rank 0 has seed = 1, rank 1 has seed = 7: expected the same in all ranks");
    }
    for (outcome, _) in place.among("out", 1, &[place.config(&[]), place.config(&[])]) {
        let error = outcome.unwrap_err().to_string();
        assert_eq!(
            error,
            "run.accumulate is 1: 2 processes with 1 devices each cannot split these batches evenly"
        );
    }
    assert!(!place.path("out").exists());
}

#[test]
fn broken_photos_of_all_ranks_are_listed() {
    let place = Workplace::new();
    // One in each rank's half of the order, wherever that is: all but four.
    for number in 0..7 {
        fs::write(place.path(&format!("photos/{number}.png")), "no photo").unwrap();
    }
    let config = place.config(&["run.accumulate=2", "data.validation=[]"]);
    let (outcome, events) = place.among("out", 1, &[config.clone(), config]).swap_remove(0);
    assert_eq!(outcome.unwrap().step, 4);
    let listed = fs::read_to_string(place.path("out/skipped.txt")).unwrap();
    assert_eq!(listed.lines().count(), 7, "{listed}");
    assert_eq!(events.iter().filter(|event| event.starts_with("skipped ")).count(), 7, "{events:?}");
}

#[test]
fn all_ranks_stop_after_the_same_step() {
    let place = Workplace::new();
    let config = place.config(&["run.accumulate=2", "run.steps=100000"]);
    let stop = [AtomicBool::new(false), AtomicBool::new(false)];
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let threads: Vec<_> = Thread::ranks(2)
            .into_iter()
            .map(|rank| {
                let (config, place, stop) = (&config, &place, &stop);
                scope.spawn(move || {
                    let own = &stop[rank.rank];
                    let options = place.options("out", 1, Arc::new(rank));
                    // Rank 0 sees the events, and rank 1 is told to stop.
                    let mut watch = |event: Event| {
                        if matches!(event, Event::Step { .. }) {
                            stop[1].store(true, Ordering::Relaxed);
                        }
                    };
                    fit(config, &options, own, &mut watch).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outcomes[0].stopped && outcomes[1].stopped);
    assert_eq!(outcomes[0].step, outcomes[1].step);
    assert!((1..10).contains(&outcomes[0].step), "{outcomes:?}");
    assert!(place.path("out/last.safetensors").exists());
}

#[test]
fn ranks_forecast_together() {
    let place = Workplace::new();
    let config = place.config(&["run.accumulate=2"]);
    std::thread::scope(|scope| {
        for rank in Thread::ranks(2) {
            let config = &config;
            scope.spawn(move || {
                let ranks: Arc<dyn Collective> = Arc::new(rank);
                let forecast = Forecast::measure(config, &[Device::flex()], &ranks).unwrap();
                assert_eq!((forecast.photos, forecast.steps), (11, 4));
                assert!(forecast.seconds_per_step > 0.0);
            });
        }
    });
}
