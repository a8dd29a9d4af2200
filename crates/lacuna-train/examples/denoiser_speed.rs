//! Time of a denoiser's prediction and of its training step, with random latents:
//! `cargo run --release -p lacuna-train --example denoiser_speed -- SIZE CELLS BATCH`, where SIZE is S, M or B and a latent of 128
//! channels has CELLS x CELLS cells. Prints one line of JSON: medians in seconds.

use std::error::Error;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use lacuna_nets::net::denoiser::Condition;
use lacuna_nets::{Denoiser, ops};
use lacuna_network::{Cost, DenoiserSize};
use lacuna_train::flow::Path;
use lacuna_train::loss::velocity::{KnownCells, mse};
use lacuna_train::optim::{Adam, Gradients};
use rand::SeedableRng;
use rand_pcg::Pcg64;

/// Channels of the refined latent of the network that ships.
const LATENT: usize = 128;
/// Runs that are measured, after one that starts threads and grows the heap.
const RUNS: usize = 5;

fn median(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

fn measure(size: DenoiserSize, cells: usize, batch: usize) -> Result<(), lacuna_nets::Error> {
    let config = size.denoiser(LATENT);
    let device = Device::flex().autodiff();
    let random = |channels: usize| {
        Tensor::<4>::random([batch, channels, cells, cells], Distribution::Normal(0.0, 1.0), &device)
    };
    let mut denoiser = Denoiser::new(&config, Pcg64::seed_from_u64(1), &device)?;
    let condition = Condition { masked: random(LATENT), fraction: random(1), mean: None };
    let path = Path { data: random(LATENT), start: random(LATENT), times: vec![0.5; batch] };
    let free = random(1).ones_like();

    let plain = denoiser.valid();
    let known = Condition {
        masked: condition.masked.clone().inner(),
        fraction: condition.fraction.clone().inner(),
        mean: None,
    };
    let predict = || plain.forward(path.data.clone().inner(), &path.times, &known);
    predict()?;
    let prediction = median(|| drop(predict().map(Tensor::into_data)));

    let mut adam = Adam::default();
    let mut step = || {
        let loss = mse(&path, &free, KnownCells::Clean, |x| denoiser.forward(x, &path.times, &condition));
        let gradients = Gradients::of(&denoiser, &loss.expect("it predicted before").backward());
        denoiser = adam.step(denoiser.clone(), &gradients, 1e-4);
    };
    let training = median(&mut step);
    let operations = batch as f64 * Cost::of_denoiser(&config.layers(), cells, cells).operations;
    println!(
        "{{\"denoiser\":\"{}\",\"cells\":{cells},\"batch\":{batch},\"gflop\":{:.2},\"prediction\":{prediction:.4},\"training_step\":{training:.4}}}",
        config.label(),
        operations / 1e9,
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [size, cells, batch] = &words[..] else { return Err("expected SIZE CELLS BATCH".into()) };
    let size = match size.as_str() {
        "S" => DenoiserSize::S,
        "M" => DenoiserSize::M,
        "B" => DenoiserSize::B,
        other => return Err(format!("size {other}, possible are S, M, B").into()),
    };
    let (cells, batch) = (cells.parse()?, batch.parse()?);
    Ok(ops::among_workers(|| measure(size, cells, batch))?)
}
