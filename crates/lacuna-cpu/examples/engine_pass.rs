//! One prediction of LaMa's generator with arbitrary weights, to count its instructions (`bench/arm/count.sh`).
//!
//! `cargo run --release -p lacuna-cpu --example engine_pass [SIDE WIDTH BLOCKS]`, by default those of big-lama at 256 x 256.

use std::borrow::Cow;

use lacuna_cpu::Isa;
use lacuna_cpu::engine::{Engine, PlanOptions, Wanted};
use lacuna_network::{Delta, Family, Shape};

/// Side, width and blocks.
const BIG_LAMA: [usize; 3] = [256, 64, 18];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<usize> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [side, width, blocks] = match given[..] {
        [] => BIG_LAMA,
        [side, width, blocks] => [side, width, blocks],
        _ => return Err("expected SIDE WIDTH BLOCKS".into()),
    };
    let network =
        Family::Fourier.network(Shape { channels_in: 4, width, blocks, control: false, delta: Delta::None });
    let layers = network.layers();
    let tensors = layers.tensors();
    let isa = Isa::selected()?;
    let engine = Engine::compile(&layers, isa, |name| {
        let (_, shape) = tensors.iter().find(|(other, _)| other == name)?;
        let inputs: usize = shape.iter().skip(1).product();
        let scale = if shape.len() == 4 { 2.0 / (inputs as f32).sqrt() } else { 1.0 };
        let value =
            |index: usize| scale * ((index % 17) as f32 / 8.0 - if shape.len() == 4 { 1.0 } else { 0.0 });
        Some(Cow::Owned((0..shape.iter().product()).map(value).collect()))
    })?;
    let image: Vec<f32> = (0..3 * side * side).map(|index| (index % 251) as f32 / 250.0).collect();
    let mask: Vec<bool> = (0..side * side).map(|index| index % side < side / 2).collect();
    let plan = engine.plan(side, side, &PlanOptions::default())?;
    let predicted = engine.run(&plan, &image, &mask, Wanted::Everything)?;
    let mean = predicted.iter().sum::<f32>() / predicted.len() as f32;
    println!("{isa}: {side} x {side}, width {width}, {blocks} blocks, mean {mean:.6}");
    Ok(())
}
