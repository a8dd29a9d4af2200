//! Writes a checkpoint of big-lama's shape (51 million random weights) in Lightning's format.
//!
//! `cargo run --release -p testkit --example big_checkpoint -- big.ckpt`

use std::path::PathBuf;

use testkit::checkpoints::{Lama, write_lightning_checkpoint};

fn main() {
    let path = PathBuf::from(std::env::args().nth(1).expect("a path to write to"));
    write_lightning_checkpoint(&path, Lama::BIG, 0).expect("a folder that can be written to");
    println!("{}", path.display());
}
