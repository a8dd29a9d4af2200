//! Writes a file in the layout and size of the published big-lama.pt, with random weights, for manual tests of the
//! program.
//!
//! `cargo run --release -p testkit --example big_lama -- FILE`

use std::path::PathBuf;

use testkit::checkpoints::Lama;
use testkit::torchscript::write_torchscript;

/// Seed of the weights.
const SEED: u64 = 1;

fn main() -> std::io::Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from).expect("the name of a file");
    write_torchscript(&file, Lama::BIG, SEED)
}
