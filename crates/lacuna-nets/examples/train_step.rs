//! Time of a training step (forward, L1 against a fixed random picture, backward, Adam on all parameters):
//! `cargo run --release -p lacuna-nets --example train_step -- --width 8 --blocks 9 --batch 4 --side 256`.
//! With `LACUNA_OPS=burn` it keeps to Burn's own operations.

use std::error::Error;
use std::time::{Duration, Instant};

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor};
use lacuna_nets::{Generator, ops};
use lacuna_network::{Delta, Family, Shape};
use rand::SeedableRng;
use rand_pcg::Pcg64;

/// Warm-up steps, which start threads and grow the heap.
const WARM_UP: usize = 2;
const LEARNING_RATE: f64 = 1e-3;

struct Arguments {
    width: usize,
    blocks: usize,
    batch: usize,
    side: usize,
    channels_in: usize,
    steps: usize,
    json: bool,
}

impl Arguments {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut read =
            Self { width: 8, blocks: 9, batch: 4, side: 256, channels_in: 4, steps: 10, json: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let place = match word.as_str() {
                "--width" => &mut read.width,
                "--blocks" => &mut read.blocks,
                "--batch" => &mut read.batch,
                "--side" => &mut read.side,
                "--channels-in" => &mut read.channels_in,
                "--steps" => &mut read.steps,
                "--json" => {
                    read.json = true;
                    continue;
                }
                other => return Err(format!("unknown argument {other}").into()),
            };
            *place = words.next().ok_or_else(|| format!("{word} needs a number"))?.parse()?;
        }
        if read.steps == 0 {
            return Err("--steps must be at least 1".into());
        }
        Ok(read)
    }
}

/// Times of forward, backward and update of each step after the warm-up.
fn train(arguments: &Arguments) -> lacuna_nets::Result<Vec<[Duration; 3]>> {
    let Arguments { width, blocks, batch, side, channels_in, steps, .. } = *arguments;
    let device = Device::flex().autodiff();
    let family = Family::Fourier;
    let shape = Shape { channels_in, width, blocks, control: false, delta: Delta::None };
    let config = family.network(shape);
    let mut generator = Generator::new(&config, Pcg64::seed_from_u64(1), &device)?;
    let mut optimizer = AdamConfig::new().init();
    let random = |channels: usize| {
        Tensor::<4>::random([batch, channels, side, side], Distribution::Uniform(0.0, 1.0), &device)
    };
    let (image, target) = (random(3), random(3));
    let mask = random(1).greater_elem(0.75).float();
    let mut times = Vec::with_capacity(steps);
    for step in 0..WARM_UP + steps {
        let start = Instant::now();
        let predicted = generator.forward(image.clone(), mask.clone())?.predicted;
        let loss = (predicted - target.clone()).abs().mean();
        let forward = start.elapsed();
        let gradients = GradientsParams::from_grads(loss.backward(), &generator);
        let backward = start.elapsed() - forward;
        generator = optimizer.step(LEARNING_RATE, generator, gradients);
        if step >= WARM_UP {
            times.push([forward, backward, start.elapsed() - forward - backward]);
        }
    }
    Ok(times)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read()?;
    let times = ops::among_workers(|| train(&arguments))?;
    let percentile = |of: &dyn Fn(&[Duration; 3]) -> Duration, share: f64| {
        let mut seconds: Vec<f64> = times.iter().map(|time| of(time).as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        seconds[((share * seconds.len() as f64).ceil() as usize).clamp(1, seconds.len()) - 1]
    };
    let whole = |time: &[Duration; 3]| time.iter().sum();
    let (p50, p95) = (percentile(&whole, 0.5), percentile(&whole, 0.95));
    let peak = lacuna::budget::peak_bytes();
    if arguments.json {
        let peak = peak.map_or("null".to_owned(), |peak| peak.to_string());
        println!("{{\"p50_s\":{p50},\"p95_s\":{p95},\"peak_bytes\":{peak}}}");
    } else {
        let [forward, backward, update] = [0, 1, 2].map(|part: usize| percentile(&|time| time[part], 0.5));
        let peak = peak.map_or("unknown".to_owned(), |peak| format!("{} MiB", peak >> 20));
        println!("step {p50:.3} s (95 %: {p95:.3} s), peak {peak}");
        println!("forward {forward:.3} s, backward {backward:.3} s, update {update:.3} s");
    }
    Ok(())
}
