//! Where the time of a denoiser's training step goes: `cargo run --release -p lacuna-train --example flow_speed -- RUN.toml
//! [KEY=VALUE]...` prints one line of JSON with medians in seconds for each part of a step, and crops per second.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use lacuna_nets::Device;
use lacuna_nets::weights::read_tensor;
use lacuna_train::FlowConfig;
use lacuna_train::data::Batch;
use lacuna_train::flow::{FlowLearner, FrozenGenerator, LatentMaker, LatentSums};
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
    let mut learner = FlowLearner::new(config, maker.clone(), &device)?;
    let latents = maker.latents(&batch)?;

    let truth = median(|| drop(black_box(maker.truth(&batch).map(|latent| latent.into_data()))));
    let fill = median(|| drop(black_box(maker.fill(&batch).map(|latent| latent.into_data()))));
    let mut failed = None;
    let denoiser = median(|| failed = learner.step_on(vec![latents.clone()], &batch.names).err());
    let step = median(|| failed = learner.step(std::slice::from_ref(&batch)).err());
    if let Some(error) = failed {
        return Err(error);
    }
    println!(
        "{{\"denoiser\":\"{}\",\"side\":{side},\"batch\":{count},\"true_latents\":{truth:.4},\"fills\":{fill:.4},\"denoiser_step\":{denoiser:.4},\"step\":{step:.4},\"crops_per_second\":{:.2}}}",
        learner.parts.denoiser.config().label(),
        count as f64 / step
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [path, changes @ ..] = &words[..] else { return Err("expected RUN.toml [KEY=VALUE]...".into()) };
    let config = FlowConfig::open(Path::new(path), changes)?;
    Ok(lacuna_nets::ops::among_workers(|| measure(config))?)
}
