//! PatchMatch on a synthetic picture with a box hole of 15 %.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lacuna::patchmatch::PatchMatch;
use lacuna::{Mask, Planes, Predictor};

/// The hole's fraction of each side: 0.39^2 = 15 % of the area.
const HOLE_SIDE: f64 = 0.39;

/// A bright sky over rough ground with slanted stripes: smooth, textured and structured parts.
fn picture(side: usize) -> Planes {
    let mut planes = Planes::black(side, side);
    for channel in 0..3 {
        for (index, value) in planes.plane_mut(channel).iter_mut().enumerate() {
            let (x, y) = (index % side, index / side);
            let noise = (((x * 7919) ^ (y * 104_729)) % 251) as f32 / 251.0;
            let stripe = if (x + y / 2) % 32 < 16 { 0.2 } else { 0.0 };
            let sky = 0.9 - 0.3 * y as f32 / side as f32 - 0.1 * channel as f32;
            *value = if 2 * y < side { sky } else { 0.3 + 0.2 * noise + stripe };
        }
    }
    planes
}

/// A box in the middle.
fn mask(side: usize) -> Mask {
    let hole = (side as f64 * HOLE_SIDE) as usize;
    let inside = (side - hole) / 2..(side + hole) / 2;
    let pixels =
        (0..side * side).map(|index| inside.contains(&(index % side)) && inside.contains(&(index / side)));
    Mask::new(side, side, pixels.collect())
}

fn complete(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("patchmatch");
    group.sample_size(10);
    for side in [256, 512] {
        let (image, mask) = (picture(side), mask(side));
        group.throughput(Throughput::Elements((side * side) as u64));
        group.bench_function(BenchmarkId::from_parameter(side), |bencher| {
            bencher.iter(|| PatchMatch::default().predict(&image, &mask, 1).expect("a fill"));
        });
    }
    group.finish();
}

criterion_group!(benches, complete);
criterion_main!(benches);
