//! Milliseconds of the training convolutions: forward, input gradient and weight gradient.
//!
//! `cargo run --release -p lacuna-cpu --example conv_speed [LAYER …]`, where a layer is
//! `BATCH,CHANNELS_IN,CHANNELS_OUT,SIDE,KERNEL,STRIDE,PADDING` and the padding `none`, `zero` or `reflect` with its
//! width, such as `16,512,512,4,3,1,zero1`. `bench/training/layers.py` compares them with PyTorch's.

use std::time::{Duration, Instant};

use lacuna_cpu::Isa;
use lacuna_cpu::kernels::conv::{ConvShape, Padding, forward, input_gradient, weight_gradient};

/// Each operation runs at least this often, and for at least this long.
const PASSES: usize = 5;
const LEAST_TIME: Duration = Duration::from_millis(60);

/// Layers of a training step at width 8 and of wide networks.
const LAYERS: [&str; 18] = [
    "4,4,8,256,7,1,reflect3",
    "4,8,16,256,3,2,reflect1",
    "4,32,48,64,3,2,reflect1",
    "4,16,16,32,3,1,reflect1",
    "4,16,48,32,3,1,reflect1",
    "4,48,16,32,3,1,reflect1",
    "4,48,24,32,1,1,none0",
    "4,48,48,23,1,1,none0",
    "4,24,48,32,1,1,none0",
    "4,8,16,256,3,2,zero1",
    "4,8,3,256,7,1,reflect3",
    "1,128,128,32,3,1,reflect1",
    "1,128,384,32,3,1,reflect1",
    "1,384,128,32,3,1,reflect1",
    "1,384,192,32,1,1,none0",
    "1,256,512,64,3,2,reflect1",
    "1,64,128,256,3,2,zero1",
    "1,64,3,256,7,1,reflect3",
];

fn parse(layer: &str) -> Option<ConvShape> {
    let mut words = layer.split(',');
    let mut number = || words.next()?.parse().ok();
    let [batch, channels_in, channels_out, side, kernel, stride] =
        [number()?, number()?, number()?, number()?, number()?, number()?];
    let padding = words.next()?;
    let width = padding.trim_start_matches(char::is_alphabetic);
    let padding = match (&padding[..padding.len() - width.len()], width.parse().ok()?) {
        ("none", 0) => Padding::None,
        ("zero", width) => Padding::Zero(width),
        ("reflect", width) => Padding::Reflect(width),
        _ => return None,
    };
    let shape =
        ConvShape { batch, channels_in, channels_out, height: side, width: side, kernel, stride, padding };
    words.next().is_none().then_some(shape)
}

/// The least milliseconds of several runs.
fn milliseconds(work: impl Fn() -> Vec<f32>) -> f64 {
    let (begin, mut runs, mut least) = (Instant::now(), 0, f64::INFINITY);
    while runs < PASSES || begin.elapsed() < LEAST_TIME {
        let start = Instant::now();
        std::hint::black_box(work());
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
        runs += 1;
    }
    least
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = Isa::selected()?;
    let given: Vec<String> = std::env::args().skip(1).collect();
    let layers = if given.is_empty() { LAYERS.map(str::to_owned).to_vec() } else { given };
    println!("{:<32} {:>8} {:>8} {:>8}  ms with {isa}, and GFLOP/s", "layer", "forward", "dX", "dW");
    for layer in layers {
        let shape = parse(&layer).ok_or_else(|| format!("no layer: {layer}"))?;
        let pixels = shape.batch * shape.rows() * shape.columns();
        let weights = shape.channels_in * shape.channels_out * shape.kernel * shape.kernel;
        let values = |count: usize| (0..count).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect::<Vec<f32>>();
        let x = values(shape.batch * shape.channels_in * shape.height * shape.width);
        let dy = values(shape.channels_out * pixels);
        let weight = values(weights);
        let times = [
            milliseconds(|| forward(isa, &shape, &x, &weight, None)),
            milliseconds(|| input_gradient(isa, &shape, &dy, &weight)),
            milliseconds(|| weight_gradient(isa, &shape, &x, &dy)),
        ];
        let [y, dx, dw] = times;
        let speeds = times.map(|time| (2 * weights * pixels) as f64 / time / 1e6);
        println!(
            "{layer:<32} {y:>8.3} {dx:>8.3} {dw:>8.3}  {:>5.0} {:>5.0} {:>5.0}",
            speeds[0], speeds[1], speeds[2]
        );
    }
    Ok(())
}
