//! Speed of the blocks that a Fourier network spends its time in, at the size of big-lama's latent of a
//! 512 x 512 picture: `cargo bench -p lacuna-nets`.

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use lacuna_nets::Features;
use lacuna_nets::block::{FourierUnit, Init, Residual};
use lacuna_network::{Delta, Family, Shape};
use rand::SeedableRng;
use rand_pcg::Pcg64;

const WIDTH: usize = 64;
const SIDE: usize = 64;

fn blocks(criterion: &mut Criterion) {
    let device = Device::flex();
    let mut init = Init::drawn(Pcg64::seed_from_u64(1), &device);
    let shape = Shape { channels_in: 4, width: WIDTH, blocks: 1, control: false, delta: Delta::None };
    let layers = Family::Fourier.network(shape).layers();
    let channels = layers.latent();
    let random = |channels: usize| {
        Tensor::<4>::random([1, channels, SIDE, SIDE], Distribution::Uniform(0.0, 1.0), &device)
    };

    let residual = Residual::new(&layers.refiner[0], &mut init).expect("a block of a network");
    let latent = Features::split(random(channels.total()), channels);
    criterion.bench_function("ffc residual block, width 64, 64 x 64", |bencher| {
        bencher.iter(|| black_box(residual.forward(latent.clone()).concat().into_data()));
    });

    let half = channels.global / 2;
    let unit = FourierUnit::new(half, &mut init);
    let x = random(half);
    criterion.bench_function("fourier unit, 192 channels, 64 x 64", |bencher| {
        bencher.iter(|| black_box(unit.forward(x.clone()).into_data()));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = blocks
}
criterion_main!(benches);
