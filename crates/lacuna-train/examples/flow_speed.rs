//! Where the time of a denoiser's training step goes: `cargo run --release -p lacuna-train --example flow_speed -- RUN.toml
//! [KEY=VALUE]...` prints medians in seconds of the parts of a step, and crops per second.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use lacuna_nets::Device;
use lacuna_nets::weights::read_tensor;
use lacuna_train::FlowConfig;
use lacuna_train::data::Batch;
use lacuna_train::flow::{FlowLearner, FrozenGenerator, LatentCache, LatentMaker, LatentSums};
use lacuna_train::step::Pictures;
use testkit::pictures;

/// Measured runs of each part, after one that starts threads and grows the heap.
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

fn measure(config: FlowConfig) -> Result<(), lacuna_train::Error> {
    let (side, count) = (config.data.side, config.run.batch);
    let device = Device::flex().autodiff();
    let generator = FrozenGenerator::open(config.start.network.as_deref(), &device)?;
    let hole = pictures::hole(side, side);
    let batch = Batch {
        side,
        images: pictures::picture(side, side).repeat(count),
        masks: hole.iter().map(|&hole| if hole { 1.0 } else { 0.0 }).collect::<Vec<f32>>().repeat(count),
        names: vec!["a".into(); count],
    };
    let Pictures { image, mask } = Pictures::new(&batch, &generator.device());
    let truth = generator.refined(image, mask.zeros_like())?;
    let mut sums = LatentSums::new(generator.channels());
    sums.add(&read_tensor(truth)?.values, side / 8 * (side / 8));
    let maker = LatentMaker::new(generator, sums.statistics()?, config.flow.halo);
    let mut learner = FlowLearner::new(&config, maker.clone(), &device)?;
    let latents = maker.latents(&batch)?;

    let truth = median(|| drop(black_box(maker.truth(&batch).map(|latent| latent.into_data()))));
    let fill = median(|| drop(black_box(maker.fill(&batch).map(|latent| latent.into_data()))));
    let mut failed = None;
    let denoiser = median(|| failed = learner.step_on(vec![latents.clone()], &batch.names).err());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut cache = LatentCache::open(&folder.path().join("latents.cache"), &maker, side)?;
    // The cache computes what it lacks crop by crop.
    let alone = {
        let first = Batch {
            images: batch.images[..3 * side * side].to_vec(),
            masks: batch.masks[..side * side].to_vec(),
            names: vec!["a".into()],
            ..batch.clone()
        };
        median(|| drop(black_box(maker.truth(&first).map(|latent| latent.into_data()))))
    };
    let kept = median(|| drop(black_box(cache.truth(&maker, &batch))));
    let step = median(|| failed = learner.step(std::slice::from_ref(&batch)).err());
    if let Some(error) = failed {
        return Err(error);
    }
    let label = learner.parts.model.denoiser().label();
    println!("{label}, batch of {count} crops of {side} pixels, seconds:");
    for (what, seconds) in [
        ("true latents", truth),
        ("true latents, one by one", alone * count as f64),
        ("true latents, from the cache", kept),
        ("fills", fill),
        ("denoiser, forward, backward and optimizer", denoiser),
        ("step", step),
        ("step with a full cache (sum)", kept + fill + denoiser),
    ] {
        println!("{seconds:8.3}  {what}");
    }
    println!(
        "{:8.2}  crops per second, {:.2} with a full cache",
        count as f64 / step,
        count as f64 / (kept + fill + denoiser)
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [path, changes @ ..] = &words[..] else { return Err("expected RUN.toml [KEY=VALUE]...".into()) };
    let config = FlowConfig::open(Path::new(path), changes)?;
    Ok(lacuna_nets::ops::among_workers(|| measure(config))?)
}
