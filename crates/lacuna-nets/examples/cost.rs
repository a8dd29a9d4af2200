//! Time and peak memory of one prediction, compared with the forecast: `cargo run --release -p lacuna-nets --example
//! cost -- WIDTH BLOCKS SIDE [DEVICE [PASSES]]`, refined with PASSES.

use std::sync::Arc;
use std::time::Instant;

use lacuna::{Mask, Planes, Predictor, Refinement};
use lacuna_nets::{DeviceName, Generator, NetworkPredictor};
use lacuna_network::{Delta, Family, Shape};
use rand::SeedableRng;
use rand_pcg::Pcg64;

/// The first pass also starts threads and grows the heap.
const PASSES: usize = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [width, blocks, side, rest @ ..] = arguments.as_slice() else {
        return Err("usage: cost WIDTH BLOCKS SIDE [DEVICE [PASSES]]".into());
    };
    let (width, blocks, side): (usize, usize, usize) = (width.parse()?, blocks.parse()?, side.parse()?);
    let device: DeviceName = rest.first().map_or("cpu", String::as_str).parse()?;
    let family = Family::Fourier;
    let shape = Shape { channels_in: 4, width, blocks, control: false, delta: Delta::None };
    let config = family.network(shape);

    let generator = Generator::new(&config, Pcg64::seed_from_u64(1), &device.open()?)?;
    let mut predictor: Arc<dyn Predictor> = Arc::new(NetworkPredictor::new(generator, device)?);
    if let Some(passes) = rest.get(1) {
        predictor = predictor.refined(Refinement::new(passes.parse()?, None))?;
    }
    let image = Planes::new(side, side, (0..3 * side * side).map(|i| (i % 251) as f32 / 250.0).collect());
    let mask = Mask::new(side, side, (0..side * side).map(|i| i % side > side / 2).collect());
    let forecast = predictor.forecast_seconds(side, side, mask.count());
    for _ in 0..PASSES {
        let start = Instant::now();
        predictor.predict(&image, &mask, 0)?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{} at {side} x {side}: {seconds:.2} s, forecast {forecast:.2} s", predictor.name());
    }
    let peak = lacuna::budget::peak_bytes().ok_or("the system does not report the peak of memory")? / 1024;
    let forecast = predictor.forecast_bytes(side, side) / 1024;
    println!("peak of the whole process {peak} kB, forecast {forecast} kB");
    Ok(())
}
