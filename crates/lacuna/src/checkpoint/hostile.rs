//! Damaged and hostile files: every one is read or refused; none panics, loops or takes memory without end
//! (what may grow is limited, and each limit has its test beside it).

use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use testkit::checkpoints::{Lama, PickleWriter, write_lightning_checkpoint, zip};

use super::found::Weights;
use super::{Checkpoint, fixture};

const FILES: [&str; 6] = [
    "generator/bare.safetensors",
    "generator/lightning.ckpt",
    "generator/lightning-legacy.ckpt",
    "generator/torchscript.pt",
    "generator/rewrapped.pth",
    "control/weights.safetensors",
];
/// Lengths to which each file is cut.
const CUTS: usize = 150;
/// Damaged versions of each file.
const DAMAGES: usize = 600;
/// Headers, pickles and directories lie within this many bytes of a file's ends; damage there does most.
const ENDS: usize = 32 << 10;

/// Reads the file as far as anything would.
fn attempt(file: &[u8]) -> bool {
    let Ok(weights) = Weights::find(file) else { return false };
    weights.tensors.values().map(|tensor| tensor.values(file).len()).sum::<usize>() > 0
}

#[test]
fn cut_files_are_refused() {
    for name in FILES {
        let file = std::fs::read(fixture(name)).unwrap();
        assert!(attempt(&file), "{name} whole");
        let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(1);
        for cut in 0..CUTS {
            // Short ones one by one, then anywhere.
            let length = if cut < CUTS / 3 { cut } else { random.random_range(0..file.len()) };
            assert!(!attempt(&file[..length]), "{name} cut to {length} bytes");
        }
    }
}

#[test]
fn damaged_files_are_read_or_refused() {
    for name in FILES {
        let file = std::fs::read(fixture(name)).unwrap();
        for case in 0..DAMAGES {
            println!("{name}, case {case}"); // shown if the case panics
            let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(case as u64);
            let mut damaged = file.clone();
            for _ in 0..random.random_range(1..=8) {
                let at = match random.random_range(0..4) {
                    0 => random.random_range(0..file.len().min(ENDS)),
                    1 => file.len() - random.random_range(1..=file.len().min(ENDS)),
                    _ => random.random_range(0..file.len()),
                };
                damaged[at] = random.random();
            }
            attempt(&damaged);
        }
    }
}

/// A small archive whose bytes are nearly all structure: each byte is damaged in turn.
#[test]
fn every_byte_of_a_small_archive_may_be_wrong() {
    let mut pickle = PickleWriter::new();
    pickle.dictionary(|pickle| {
        pickle.text("1.ffc.convl2l.weight").tensor(
            "FloatStorage",
            "0",
            196,
            0,
            &[1, 4, 7, 7],
            &[196, 49, 7, 1],
        );
    });
    let file = zip(&[("a/data.pkl", &pickle.finish()), ("a/data/0", &[0; 784])]);
    for at in 0..file.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff, file[at] ^ 1, b'.', b'R'] {
            println!("byte {at} becomes {value}");
            let mut damaged = file.clone();
            damaged[at] = value;
            attempt(&damaged);
        }
    }
}

#[test]
fn attacks_are_refused_by_name_in_every_container() {
    let mut attack = PickleWriter::new();
    attack.dictionary(|pickle| {
        pickle.text("x").name("os", "system").text("touch /tmp/harm").raw(b"\x85R");
    });
    let attack = attack.finish();
    let legacy = std::fs::read(fixture("generator/lightning-legacy.ckpt")).unwrap();
    /// Where the saved value begins: after the magic number, version and facts about the machine.
    const SAVED: usize = 137;
    let files = [
        attack.clone(),
        zip(&[("archive/data.pkl", &attack)]),
        zip(&[("archive/data.pkl", &attack), ("archive/constants.pkl", b"N.")]),
        [&legacy[..SAVED], &attack].concat(),
    ];
    for file in files {
        let problem = Weights::find(&file).unwrap_err();
        assert!(problem.contains("os.system"), "{problem}");
    }
}

/// big-lama's size in the container that users have. Measured with `cargo test --release -p lacuna big_lama`.
#[test]
fn a_checkpoint_of_big_lamas_size_is_read_in_seconds() {
    /// Promised for a release build; a build without optimisation converts and compares more slowly.
    const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 3 });
    /// Each has a step counter among torch's 81,304 buffers, which is not loaded.
    const NORMS: usize = 152;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.ckpt");
    write_lightning_checkpoint(&path, Lama::BIG, 1).unwrap();

    let started = Instant::now();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let opened = started.elapsed();
    let total: f64 = checkpoint
        .tensors()
        .map(|tensor| tensor.values.iter().map(|&value| f64::from(value.abs())).sum::<f64>())
        .sum();
    let read = started.elapsed();
    println!("opened in {opened:?}, all weights read in {read:?}");

    assert_eq!(checkpoint.parameters(), 50_975_875);
    assert_eq!((checkpoint.config().shape().width, checkpoint.config().shape().blocks), (64, 18));
    let count: usize = checkpoint.tensors().map(|tensor| tensor.values.len()).sum();
    assert_eq!(count, 50_975_875 + 81_304 - NORMS);
    // Convolutions are uniform within 1 / sqrt(inputs), from 1 / 14 for the first to 1 / 68: half of that on average.
    assert!((0.005..0.05).contains(&(total / count as f64)), "mean size {}", total / count as f64);
    assert!(read < LIMIT, "{read:?}");
}
