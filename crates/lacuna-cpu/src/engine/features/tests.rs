//! Feature networks against convolutions and pooling by definition.

use testkit::assert_close;
use testkit::pictures::noise;

use super::*;

/// For sums of a few hundred products below 1.
const TOLERANCE: f32 = 2e-5;

fn layer(
    seed: u64,
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
) -> FeatureConvolution {
    let [channels_in, channels_out] = channels;
    let count = channels_out * channels_in * kernel[0] * kernel[1];
    let scale = 1.0 / ((channels_in * kernel[0] * kernel[1]) as f32).sqrt();
    let weight = noise(seed, count).iter().map(|value| scale * value).collect();
    FeatureConvolution {
        channels_in,
        channels_out,
        kernel,
        stride,
        padding,
        weight,
        bias: noise(seed + 1, channels_out),
    }
}

/// What a network finds, by definition.
fn expected(steps: &[FeatureStep], mut map: Features) -> Features {
    for step in steps {
        let at = |map: &Features, channel: usize, row: isize, column: isize| -> Option<f32> {
            let inside =
                |place: isize, length: usize| usize::try_from(place).ok().filter(|&place| place < length);
            let (row, column) = (inside(row, map.rows)?, inside(column, map.columns)?);
            Some(map.values[(channel * map.rows + row) * map.columns + column])
        };
        map = match step {
            FeatureStep::Convolution(layer) => {
                let (rows, columns) = (layer.side(map.rows, 0), layer.side(map.columns, 1));
                let mut values = Vec::new();
                for output in 0..layer.channels_out {
                    for place in 0..rows * columns {
                        let mut sum = f64::from(layer.bias[output]);
                        for input in 0..layer.channels_in {
                            for tap in 0..layer.kernel[0] * layer.kernel[1] {
                                let (down, right) = (tap / layer.kernel[1], tap % layer.kernel[1]);
                                let row = (place / columns * layer.stride + down) as isize
                                    - layer.padding[0] as isize;
                                let column = (place % columns * layer.stride + right) as isize
                                    - layer.padding[1] as isize;
                                let weight =
                                    (output * layer.channels_in + input) * layer.kernel[0] * layer.kernel[1]
                                        + tap;
                                sum += f64::from(layer.weight[weight])
                                    * f64::from(at(&map, input, row, column).unwrap_or(0.0));
                            }
                        }
                        values.push(sum.max(0.0) as f32);
                    }
                }
                Features { channels: layer.channels_out, rows, columns, values }
            }
            FeatureStep::Pooling(pooling) => {
                let (rows, columns) = (pooling.side(map.rows), pooling.side(map.columns));
                let mut values = Vec::new();
                for index in 0..map.channels * rows * columns {
                    let (channel, row, column) =
                        (index / (rows * columns), index / columns % rows, index % columns);
                    let first =
                        |at: usize| if pooling.is_smaller() { 2 * at as isize } else { at as isize - 1 };
                    let window = (0..9)
                        .filter_map(|tap| at(&map, channel, first(row) + tap / 3, first(column) + tap % 3));
                    let window: Vec<f32> = window.collect();
                    values.push(match pooling {
                        Pooling::Average => window.iter().sum::<f32>() / window.len() as f32,
                        _ => window.into_iter().fold(f32::NEG_INFINITY, f32::max),
                    });
                }
                Features { rows, columns, values, ..map }
            }
            FeatureStep::Fork(branches) => {
                let found: Vec<Features> =
                    branches.iter().map(|branch| expected(branch, map.clone())).collect();
                Features {
                    channels: found.iter().map(|map| map.channels).sum(),
                    values: found.iter().flat_map(|map| map.values.clone()).collect(),
                    ..found[0]
                }
            }
        };
    }
    map
}

fn assert_network(size: [usize; 3], steps: Vec<FeatureStep>) {
    let [channels, rows, columns] = size;
    let values = noise(9, channels * rows * columns);
    let image = Features { channels, rows, columns, values };
    let expected = expected(&steps, image.clone());
    for isa in Isa::available() {
        let found = FeatureNetwork::compile(isa, size, steps.clone()).run(&image.values);
        assert_eq!(
            [found.channels, found.rows, found.columns],
            [expected.channels, expected.rows, expected.columns]
        );
        assert_close(&found.values, &expected.values, TOLERANCE);
    }
}

use FeatureStep::{Convolution, Fork, Pooling as Pool};

#[test]
fn single_convolutions_are_the_definition() {
    for (kernel, stride, padding, rows, columns) in [
        ([1, 1], 1, [0, 0], 5, 7),
        ([3, 3], 1, [1, 1], 5, 7),
        ([3, 3], 1, [0, 0], 9, 5),
        ([5, 5], 1, [2, 2], 6, 3),
        ([1, 7], 1, [0, 3], 17, 17),
        ([7, 1], 1, [3, 0], 17, 2),
        ([3, 3], 2, [0, 0], 9, 8),
        ([3, 3], 1, [1, 1], 1, 1),
    ] {
        for channels in [[3, 5], [20, 33], [17, 16]] {
            assert_network(
                [channels[0], rows, columns],
                vec![Convolution(layer(1, channels, kernel, stride, padding))],
            );
        }
    }
}

#[test]
fn poolings_are_the_definition() {
    for pooling in [Pooling::Average, Pooling::Largest, Pooling::Halve] {
        for [rows, columns] in [[3, 3], [8, 5], [9, 12]] {
            assert_network([18, rows, columns], vec![Pool(pooling)]);
        }
    }
}

/// A stem without padding, blocks with all kernels of Inception, and a fork within a branch.
#[test]
fn a_small_inception_is_the_definition() {
    let branch = |seed: u64, input: usize| {
        let wide = Convolution(layer(seed, [input, 24], [1, 7], 1, [0, 3]));
        let tall = Convolution(layer(seed + 2, [24, 18], [7, 1], 1, [3, 0]));
        vec![wide, tall]
    };
    let cross = Fork(vec![
        vec![Convolution(layer(30, [20, 17], [1, 3], 1, [0, 1]))],
        vec![Convolution(layer(32, [20, 9], [3, 1], 1, [1, 0]))],
    ]);
    let steps = vec![
        Convolution(layer(1, [3, 8], [3, 3], 2, [0, 0])),
        Convolution(layer(3, [8, 16], [3, 3], 1, [0, 0])),
        Convolution(layer(5, [16, 20], [3, 3], 1, [1, 1])),
        Pool(Pooling::Halve),
        Fork(vec![
            vec![Convolution(layer(7, [20, 5], [1, 1], 1, [0, 0]))],
            branch(10, 20),
            vec![Pool(Pooling::Average), Convolution(layer(14, [20, 7], [1, 1], 1, [0, 0]))],
            vec![cross.clone()],
        ]),
        Fork(vec![
            vec![Convolution(layer(40, [56, 12], [3, 3], 2, [0, 0]))],
            vec![Convolution(layer(42, [56, 8], [5, 5], 1, [2, 2])), Pool(Pooling::Halve)],
            vec![Pool(Pooling::Halve)],
        ]),
        Pool(Pooling::Largest),
    ];
    assert_network([3, 39, 43], steps);
}

#[test]
fn a_run_has_the_same_bits_on_any_number_of_threads() {
    let steps = vec![
        Convolution(layer(1, [3, 40], [3, 3], 1, [1, 1])),
        Fork(vec![vec![Convolution(layer(3, [40, 70], [7, 1], 1, [3, 0]))], vec![Pool(Pooling::Average)]]),
    ];
    let image = noise(5, 3 * 21 * 30);
    for isa in Isa::available() {
        let network = FeatureNetwork::compile(isa, [3, 21, 30], steps.clone());
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| network.run(&image))
        };
        assert_eq!(run(1), run(3), "{isa}");
    }
}

#[test]
fn poolings_by_hand() {
    let image: Vec<f32> = (1..=9u8).map(f32::from).collect();
    let run = |steps: Vec<FeatureStep>| FeatureNetwork::compile(Isa::best(), [1, 3, 3], steps).run(&image);
    // A corner has four pixels, an edge six.
    let means = run(vec![Pool(Pooling::Average)]);
    assert_eq!(means.values, [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]);
    assert_eq!(run(vec![Pool(Pooling::Largest)]).values, [5.0, 6.0, 6.0, 8.0, 9.0, 9.0, 8.0, 9.0, 9.0]);
    let halved = FeatureNetwork::compile(Isa::best(), [2, 8, 5], vec![Pool(Pooling::Halve)]);
    let halved = halved.run(&noise(1, 2 * 8 * 5));
    assert_eq!([halved.channels, halved.rows, halved.columns], [2, 3, 2]);
    let fork = Fork(vec![vec![Pool(Pooling::Halve)], vec![Pool(Pooling::Halve), Pool(Pooling::Largest)]]);
    assert_eq!(run(vec![fork]).values, [9.0, 9.0]);
}

#[test]
#[should_panic(expected = "padding [1, 1] of a kernel [1, 1]")]
fn padding_that_makes_a_map_larger_is_refused() {
    let wide = Convolution(layer(1, [3, 5], [1, 1], 1, [1, 1]));
    FeatureNetwork::compile(Isa::best(), [3, 8, 8], vec![wide]);
}
