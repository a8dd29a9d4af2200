//! `lacuna train` in several processes, started by a real `mpiexec`. `tools/test_mpi.sh` runs these tests.
#![cfg(feature = "mpi")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use predicates::prelude::predicate::str::contains;
use tempfile::TempDir;
use testkit::pictures::write_noise_photos;

/// All processes of a killed run have to end within this time.
const END: Duration = Duration::from_secs(20);

const RUN_FILE: &str = r#"
    task = "inpainting"
    seed = 1
    network = { family = "fourier", width = 2, blocks = 1, conditioning = "control" }
    ema = { on = true, decay = 0.9 }
    loss.pixel_l1 = { known = 1.0, hole = 1.0 }
    loss.adversarial = { weight = 0.1, r1 = 1e-3, width = 2, learning_rate = 1e-4 }
    optimizer = { learning_rate = 1e-3, clip = 1.0 }
    run = { steps = 20, batch = 2, accumulate = 6, checkpoint_every = 5, validate_every = 10, grid_every = 0, log_every = 5 }

    [data]
    train = [{ kind = "folder", path = "photos" }]
    validation = [{ kind = "folder", path = "photos" }]
    validation_photos = 2
    side = 32
    augment = "light"
    masks = { kind = "half" }
    validation_masks = { kind = "half" }
"#;

struct Workplace {
    folder: TempDir,
}

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_noise_photos(&folder.path().join("photos"), 12, 36);
        fs::write(folder.path().join("run.toml"), RUN_FILE).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Trains in one process.
    fn alone(&self, args: &str) {
        let mut command = Command::new(cargo_bin("lacuna"));
        command.current_dir(self.folder.path()).args(["train", "run.toml", "--threads", "1"]);
        let output = command.args(args.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `mpiexec`, with the arguments of the program in each of `ranks`.
    fn mpiexec(&self, ranks: &[&str]) -> Command {
        let mut command = Command::new("mpiexec");
        command.current_dir(self.folder.path());
        for (rank, args) in ranks.iter().enumerate() {
            command.args((rank > 0).then_some(":"));
            command.args(["-n", "1"]).arg(cargo_bin("lacuna")).args(["train", "run.toml", "--threads", "1"]);
            command.args(args.split_whitespace());
        }
        command
    }

    fn among(&self, ranks: usize, args: &str) -> assert_cmd::assert::Assert {
        assert_cmd::Command::from_std(self.mpiexec(&vec![args; ranks])).assert()
    }

    /// Starts a training in two processes, and returns it after its first checkpoint.
    fn started(&self, args: &str) -> Child {
        let mut child =
            self.mpiexec(&[args, args]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(output.any(|line| line.unwrap().starts_with("saved")), "no checkpoint");
        std::thread::spawn(move || output.for_each(drop));
        child
    }

    /// The programs that run here, with their ranks.
    fn running(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let here = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == self.folder.path());
            let program = fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe.ends_with("lacuna"));
            if here && program {
                let variables = fs::read(entry.path().join("environ")).unwrap_or_default();
                let variables = String::from_utf8_lossy(&variables);
                let rank = variables.split('\0').find_map(|variable| variable.strip_prefix("PMI_RANK="));
                let process = entry.file_name().to_string_lossy().into_owned();
                found.push((rank.unwrap_or_default().to_owned(), process));
            }
        }
        found
    }

    fn assert_same(&self, one: &str, other: &str) {
        for name in ["last.safetensors", "best.safetensors"] {
            let [a, b] = [one, other].map(|run| read(&self.path(run).join(name)));
            assert!(a == b, "{name} of {one} and {other}");
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn processes_are_devices_bit_for_bit() {
    let place = Workplace::new();
    place.alone("-o devices-2 --device cpu,cpu");
    let output = place.among(2, "-o ranks-2").success();
    // Only rank 0 reports.
    output.stdout("ranks-2/last.safetensors\n").stderr(contains("12 photos, starting after step 0").count(1));
    place.assert_same("ranks-2", "devices-2");
    place.alone("-o devices-3 --device cpu,cpu,cpu");
    place.among(3, "-o ranks-3").success();
    place.assert_same("ranks-3", "devices-3");
}

#[test]
fn one_process_needs_no_mpiexec() {
    let place = Workplace::new();
    place.alone("-o plain");
    place.among(1, "-o one").success();
    place.assert_same("one", "plain");
}

#[test]
fn a_killed_process_ends_all_and_the_run_resumes() {
    let place = Workplace::new();
    place.alone("-o whole --device cpu,cpu");
    for (killed, run) in [("1", "killed-1"), ("0", "killed-0")] {
        let mut child = place.started(&format!("-o {run}"));
        let running = place.running();
        let (_, process) = running.iter().find(|(rank, _)| rank == killed).expect("that rank");
        assert!(Command::new("kill").args(["-KILL", process]).status().unwrap().success());
        let start = Instant::now();
        assert!(!child.wait().unwrap().success());
        while !place.running().is_empty() {
            assert!(start.elapsed() < END, "{:?} still run", place.running());
            std::thread::park_timeout(Duration::from_millis(50));
        }
        assert!(!place.path(run).join("last.safetensors").exists());
    }
    place.among(2, "-o killed-1 --resume").success();
    place.assert_same("killed-1", "whole");
    place.alone("-o killed-0 --resume --device cpu,cpu");
    place.assert_same("killed-0", "whole");
}

#[test]
fn an_interrupt_saves_and_exits() {
    let place = Workplace::new();
    let mut child = place.started("-o out --set run.steps=100000");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap();
    assert!(place.path("out/last.safetensors").exists());
    place.alone("-o out --resume --set run.steps=6 --device cpu,cpu");
}

#[test]
fn what_makes_no_sense_ends_all() {
    let place = Workplace::new();
    let differ = place.mpiexec(&["-o out", "-o out --set seed=7"]);
    let message = "rank 0 has seed = 1, rank 1 has seed = 7: expected the same in all ranks";
    assert_cmd::Command::from_std(differ).assert().code(1).stderr(contains(message));
    // One process fails while the other waits for it.
    let unreadable =
        place.mpiexec(&["-o out", "-o out --set data.train=[{kind=\"folder\",path=\"nowhere\"}]"]);
    let message = contains("rank 1: cannot read nowhere");
    assert_cmd::Command::from_std(unreadable).assert().code(1).stderr(message);
    let uneven = "run.accumulate is 6: 4 processes with 1 devices each cannot split these batches evenly";
    place.among(4, "-o out").code(2).stderr(contains(uneven));
    assert!(!place.path("out").exists());
    place.among(2, "-o out --dry-run").success().stdout(contains("time per step").count(1));
}
