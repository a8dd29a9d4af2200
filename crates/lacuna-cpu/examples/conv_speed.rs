//! Speed of the training convolutions at the sizes of a training step: `cargo run --release -p lacuna-cpu --example
//! conv_speed`.

use std::time::Instant;

use lacuna_cpu::Isa;
use lacuna_cpu::kernels::conv::{ConvShape, Padding, forward, input_gradient, weight_gradient};

const PASSES: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = Isa::selected()?;
    println!("GFLOP/s with {isa}, best of {PASSES}: forward, dX, dW");
    let reflect = Padding::Reflect;
    for (batch, channels_in, channels_out, side, kernel, stride, padding) in [
        (4, 4, 8, 256, 7, 1, reflect(3)),
        (4, 8, 16, 256, 3, 2, reflect(1)),
        (4, 32, 48, 64, 3, 2, reflect(1)),
        (4, 16, 16, 32, 3, 1, reflect(1)),
        (4, 16, 48, 32, 3, 1, reflect(1)),
        (4, 48, 16, 32, 3, 1, reflect(1)),
        (4, 48, 24, 32, 1, 1, Padding::None),
        (4, 48, 48, 23, 1, 1, Padding::None),
        (4, 24, 48, 32, 1, 1, Padding::None),
        (4, 8, 16, 256, 3, 2, Padding::Zero(1)),
        (4, 8, 3, 256, 7, 1, reflect(3)),
        (1, 128, 128, 32, 3, 1, reflect(1)),
        (1, 128, 384, 32, 3, 1, reflect(1)),
        (1, 384, 128, 32, 3, 1, reflect(1)),
        (1, 384, 192, 32, 1, 1, Padding::None),
        (1, 256, 512, 64, 3, 2, reflect(1)),
        (1, 64, 128, 256, 3, 2, Padding::Zero(1)),
        (1, 64, 3, 256, 7, 1, reflect(3)),
    ] {
        let shape = ConvShape {
            batch,
            channels_in,
            channels_out,
            height: side,
            width: side,
            kernel,
            stride,
            padding,
        };
        let pixels = batch * shape.rows() * shape.columns();
        let operations = 2.0 * (channels_in * channels_out * kernel * kernel * pixels) as f64;
        let values = |count: usize| (0..count).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect::<Vec<f32>>();
        let x = values(batch * channels_in * side * side);
        let dy = values(channels_out * pixels);
        let weight = values(channels_in * channels_out * kernel * kernel);
        let speed = |work: &dyn Fn() -> Vec<f32>| {
            let time = |_| {
                let start = Instant::now();
                std::hint::black_box(work());
                start.elapsed().as_secs_f64()
            };
            operations / (0..PASSES).map(time).fold(f64::INFINITY, f64::min) / 1e9
        };
        let [y, dx, dw] = [
            speed(&|| forward(isa, &shape, &x, &weight, None)),
            speed(&|| input_gradient(isa, &shape, &dy, &weight)),
            speed(&|| weight_gradient(isa, &shape, &x, &dy)),
        ];
        let name = format!("{batch} x {channels_in} -> {channels_out}, {side}², {kernel}x{kernel} /{stride}");
        println!("{name:<34} {y:>6.0} {dx:>6.0} {dw:>6.0}   ({:.3} GFLOP)", operations / 1e9);
    }
    Ok(())
}
