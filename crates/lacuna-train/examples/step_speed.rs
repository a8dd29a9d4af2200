//! Time of whole training steps on random images:
//! `cargo run --release -p lacuna-train --example step_speed -- configs/latent-control.toml [--steps N] [--set KEY=VALUE]…`.
//! Prints one line of JSON: median and 95 % quantile in seconds, and the peak memory in bytes. `bench/training` compares it
//! with PyTorch.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use burn::tensor::Device;
use lacuna::budget::peak_bytes;
use lacuna_nets::{Generator, ops};
use lacuna_network::Delta;
use lacuna_network::geometry::IMAGE_CHANNELS;
use lacuna_train::data::Batch;
use lacuna_train::step::Learner;
use lacuna_train::{RunConfig, fit};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Warm-up steps, which start threads and grow the heap.
const WARM_UP: usize = 2;
/// Hole fraction.
const HOLE: f32 = 0.3;

fn batch(config: &RunConfig, rng: &mut Pcg64) -> Batch {
    let (count, side) = (config.run.batch, config.data.side);
    let pixels = count * side * side;
    Batch {
        side,
        images: (0..3 * pixels).map(|_| rng.random()).collect(),
        masks: (0..pixels).map(|_| if rng.random::<f32>() < HOLE { 1.0 } else { 0.0 }).collect(),
        names: vec![String::new(); count],
    }
}

fn measure(config: &RunConfig, steps: usize) -> lacuna_train::Result<Vec<f64>> {
    let mut rng = Pcg64::seed_from_u64(1);
    let mut learner = Learner::new(config.clone(), &[Device::flex()])?;
    let mut times = Vec::with_capacity(steps);
    for step in 0..WARM_UP + steps {
        let batches = [batch(config, &mut rng)];
        let start = Instant::now();
        learner.step(&batches)?;
        if step >= WARM_UP {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let path = words.next().ok_or("which run file?")?;
    let (mut steps, mut changes) = (10usize, Vec::new());
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--steps" => steps = value.parse()?,
            "--set" => changes.push(value),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let mut config = RunConfig::open(path.as_ref(), &changes)?;
    if config.start.autoencoder.is_some() {
        config.start.autoencoder = Some(fresh_autoencoder(&config)?);
    }
    let times = ops::among_workers(|| measure(&config, steps))?;
    let at = |fraction: f64| times[((fraction * times.len() as f64) as usize).min(times.len() - 1)];
    let peak = peak_bytes().map_or("null".to_owned(), |bytes| bytes.to_string());
    println!("{{\"p50_s\":{},\"p95_s\":{},\"peak_bytes\":{peak}}}", at(0.5), at(0.95));
    Ok(())
}

/// A file with an untrained autoencoder of the run's width: its quality does not affect timings.
fn fresh_autoencoder(config: &RunConfig) -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("lacuna-step-speed-{}.safetensors", std::process::id()));
    let shape = config.network.config().with(|shape| {
        (shape.channels_in, shape.control, shape.delta) = (IMAGE_CHANNELS, false, Delta::None);
    });
    let generator = Generator::new(&shape, Pcg64::seed_from_u64(1), &Device::flex())?;
    fit::export(&generator.into(), &path, config, 0)?;
    Ok(path)
}
