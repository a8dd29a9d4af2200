//! A denoiser of size S learns eight crops by heart: proof of the whole chain from photos to fills before any long run.
//! `cargo run --release -p lacuna-train --example flow_overfit -- PHOTOS LPIPS [STEPS]`, where PHOTOS is a folder with at least eight
//! photos and LPIPS the weights of LPIPS (Alex). Prints LPIPS in the hole, the mean over the crops, of the generator's fill, of the true
//! latent's image, which no flow can surpass, and every 250 steps of the flow's fill. Fails unless that ends within a tenth of the way
//! from the true latent to the fill.

use std::error::Error;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use lacuna::{Mask, Planes};
use lacuna_eval::metric::{Areas, Lpips, Region};
use lacuna_nets::weights::read_tensor;
use lacuna_train::FlowConfig;
use lacuna_train::data::{Batch, Loader, LoaderOptions, Part, Photos, Position};
use lacuna_train::flow::{DeviceSampling, FlowLearner, FrozenGenerator, LatentMaker, LatentSums};
use lacuna_train::step::Pictures;

const CROPS: usize = 8;
const SIDE: usize = 128;
/// Steps between two reports.
const EVERY: usize = 250;
/// Euler steps of a fill.
const EULER_STEPS: usize = 8;
/// The fraction of the way from the true latent's LPIPS to the fill's that may be left.
const LEFT: f64 = 0.1;

const RUN_FILE: &str = r#"
    task = "flow"
    seed = 1
    flow = { denoiser = "S", start = { mean = { deviation = 0.5 } } }
    optimizer = { learning_rate = 5e-4, clip = 1.0, betas = [0.9, 0.99], schedule = { warm_up = 100, decay = "linear-end" } }
    ema = { on = true, decay = 0.99 }
    run = { steps = 3000, batch = 8 }
    [data]
    train = [{ kind = "folder", path = "PHOTOS" }]
    side = 128
    augment = "light"
    masks = "train-256"
    masks_side = 256
"#;

/// The first batch of a run on these photos.
fn crops(config: &FlowConfig) -> Result<Batch, lacuna_train::Error> {
    let photos = Photos::open(&config.data.train)?;
    let options = LoaderOptions {
        batch: CROPS,
        side: SIDE,
        seed: config.seed,
        workers: 1,
        ahead: 1,
        start: Position::default(),
        part: Part::WHOLE,
        crops: None,
    };
    let (augment, data, masks) = (config.data.augment, config.data.clone(), config.data.masks.generator());
    let mut loader = Loader::start(
        photos.into(),
        options,
        std::sync::Arc::new(move |photo, rng| augment.apply(photo, SIDE as u32, rng)),
        std::sync::Arc::new(move |rng| data.draw(&masks, rng)),
    )?;
    Ok(loader.next()?.batch)
}

/// Mean LPIPS in the hole of a batch of images `[batch, 3, side, side]`.
fn distance(lpips: &Lpips, images: Tensor<4>, batch: &Batch) -> Result<f64, Box<dyn Error>> {
    let values = read_tensor(images)?.values;
    let planes = |values: &[f32]| Planes::new(SIDE, SIDE, values.to_vec());
    let (pixels, mut sum, mut count) = (SIDE * SIDE, 0.0, 0);
    for (index, values) in values.chunks_exact(3 * pixels).enumerate() {
        let truth = planes(&batch.images[3 * index * pixels..][..3 * pixels]);
        let hole = batch.masks[index * pixels..][..pixels].iter().map(|&value| value > 0.0).collect();
        let areas = Areas::new(Mask::new(SIDE, SIDE, hole));
        let scores = lpips.distances(&lpips.features(&planes(values))?, &lpips.features(&truth)?, &areas);
        if let Some(score) = scores.get(Region::Hole) {
            sum += score;
            count += 1;
        }
    }
    Ok(sum / f64::from(count.max(1)))
}

/// Trains for `steps` steps. Returns LPIPS in the hole at the end, and the one that has to be reached.
fn run(photos: &str, lpips: &str, steps: u64) -> Result<[f64; 2], Box<dyn Error>> {
    let config = RUN_FILE.replace("PHOTOS", photos).replace("3000", &steps.to_string());
    let config = FlowConfig::parse(&config, &[])?;
    let lpips = Lpips::open(lpips.as_ref())?;
    let batch = crops(&config)?;
    let device = Device::flex().autodiff();
    let generator = FrozenGenerator::open(None, &device)?;
    let mut sums = LatentSums::new(generator.channels());
    let Pictures { image, mask } = Pictures::new(&batch, &generator.device());
    let truth = generator.refined(image.clone(), mask.zeros_like())?;
    let cells = (SIDE / 8) * (SIDE / 8);
    sums.add(&read_tensor(truth)?.values, cells);
    let maker = LatentMaker::new(generator, sums.statistics()?, config.flow.halo);
    let latents = maker.latents(&batch)?;
    let composite =
        |decoded: Tensor<4>| decoded * mask.clone() + image.clone() * mask.clone().neg().add_scalar(1.0);
    let decode =
        |latent: &Tensor<4>| composite(maker.generator().decode(maker.normaliser().restore(latent.clone())));
    let fill = distance(&lpips, decode(&latents.fill), &batch)?;
    let best = distance(&lpips, decode(&latents.data), &batch)?;
    println!("{{\"fill\":{fill:.4},\"true_latent\":{best:.4}}}");
    let mut learner = FlowLearner::new(&config, maker.clone(), &device)?;
    let (started, mut reached) = (Instant::now(), f64::INFINITY);
    for step in 1..=steps as usize {
        let report = learner.step_on(vec![latents.clone()], &batch.names)?;
        if step % EVERY == 0 || step == steps as usize {
            let (velocities, flow) = (learner.averaged(), learner.flow());
            let sampling = DeviceSampling { velocities: &velocities, flow: &flow, steps: EULER_STEPS };
            let filled = sampling.fill(&maker, &latents, [image.clone(), mask.clone()], 1)?;
            reached = distance(&lpips, filled, &batch)?;
            println!(
                "{{\"step\":{step},\"velocity_mse\":{:.4},\"lpips_alex_hole\":{reached:.4},\"seconds\":{:.0}}}",
                report.terms[0].1,
                started.elapsed().as_secs_f64()
            );
        }
    }
    Ok([reached, best + LEFT * (fill - best)])
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (photos, lpips, steps) = match &words[..] {
        [photos, lpips] => (photos, lpips, 3000),
        [photos, lpips, steps] => (photos, lpips, steps.parse()?),
        _ => return Err("expected PHOTOS LPIPS [STEPS]".into()),
    };
    let mut outcome = Err("not run".to_owned());
    lacuna_nets::ops::among_workers(|| {
        outcome = run(photos, lpips, steps).map_err(|error| error.to_string());
    });
    match outcome? {
        [reached, goal] if reached < goal => Ok(()),
        [reached, goal] => {
            Err(format!("LPIPS (Alex) in the hole is {reached:.4}, expected below {goal:.4}").into())
        }
    }
}
