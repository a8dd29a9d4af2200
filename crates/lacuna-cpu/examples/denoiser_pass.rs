//! Time of a denoiser's predictions with arbitrary weights, beside forecasts of time and memory.
//!
//! `cargo run --release -p lacuna-cpu --example denoiser_pass [SIZE LATENT CELLS STEPS]`, by default those of an image of 512 x 512 pixels
//! with the latent of the network that ships: `S 256 64 8`. Prints one line of JSON: seconds of the fastest of five samplings, and
//! peak memory in MiB beyond that before the plan.

use std::borrow::Cow;
use std::time::Instant;

use lacuna_cpu::Isa;
use lacuna_cpu::engine::{DenoiserEngine, Known, product_rate};
use lacuna_network::DenoiserSize;

const RUNS: usize = 5;

/// Peak memory of this process in MiB, where Linux reports it.
fn peak_mebibytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let (size, numbers) = match given.split_first() {
        None => ("S".to_owned(), vec![256, 64, 8]),
        Some((size, rest)) => (size.clone(), rest.iter().map(|word| word.parse()).collect::<Result<_, _>>()?),
    };
    let [latent, cells, steps] = numbers[..] else { return Err("expected SIZE LATENT CELLS STEPS".into()) };
    let size = match size.as_str() {
        "S" => DenoiserSize::S,
        "M" => DenoiserSize::M,
        "B" => DenoiserSize::B,
        other => return Err(format!("a size {other}, expected S, M or B").into()),
    };
    let config = size.denoiser(latent);
    let tensors = config.layers().tensors();
    let isa = Isa::selected()?;
    let engine = DenoiserEngine::compile(&config, isa, |name| {
        let (_, shape) = tensors.iter().find(|(other, _)| other == name)?;
        let inputs: usize = shape.iter().skip(1).product();
        let scale = 1.0 / (inputs as f32).sqrt();
        Some(Cow::Owned(
            (0..shape.iter().product()).map(|i: usize| scale * ((i % 17) as f32 / 8.0 - 1.0)).collect(),
        ))
    })?;
    let values = |count: usize| (0..count).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect::<Vec<f32>>();
    let (x, masked, fraction) =
        (values(latent * cells * cells), values(latent * cells * cells), values(cells * cells));
    let before = peak_mebibytes();
    let mut best = f64::INFINITY;
    let plan = || engine.plan(cells, cells, rayon::current_num_threads());
    let arena = plan()?.arena_bytes() + plan()?.latent_bytes();
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut run =
            plan()?.start(Known { masked: &masked, fraction: &fraction, mean: None, steering: None })?;
        let mut x = x.clone();
        for step in 0..steps {
            x = run.predict(&x, 1.0 - step as f64 / steps as f64, &|_| true)?;
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let forecast = steps as f64 * engine.forecast_seconds(cells, cells, product_rate(isa));
    let peak = peak_mebibytes().zip(before).map_or(f64::NAN, |(peak, before)| peak - before);
    println!(
        "{{\"denoiser\":\"{}\",\"isa\":\"{isa}\",\"cells\":{cells},\"steps\":{steps},\"seconds\":{best:.4},\"forecast_seconds\":{forecast:.4},\
         \"mebibytes\":{peak:.1},\"forecast_mebibytes\":{:.1}}}",
        config.label(),
        arena as f64 / f64::from(1 << 20),
    );
    Ok(())
}
