//! What the engine promises of its results, with whole networks.

mod common;

use common::{compile, engine, image, network, with_control};
use lacuna_cpu::engine::{Engine, PlanOptions, Wanted};
use lacuna_cpu::{Error, Isa};
use lacuna_network::{Activation, Border, Family, Layers, Split};
use testkit::{assert_close, pictures};

/// Between instruction sets: some fuse products with sums, and they add up lanes in another order.
const ISA_TOLERANCE: f32 = 1e-5;

fn predict(
    engine: &Engine,
    [width, height]: [usize; 2],
    mask: &[bool],
    wanted: Wanted,
    options: &PlanOptions,
) -> Vec<f32> {
    let plan = engine.plan(width, height, options).unwrap();
    engine.run(&plan, &image(width, height), mask, wanted).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn bits_depend_neither_on_threads_nor_on_strips() {
    for isa in Isa::available() {
        let (narrow, wide) = (network(Family::Fourier, 5, 2), network(Family::Fourier, 16, 2));
        for network in [narrow, wide, with_control(Family::Fourier, 4, 2), network(Family::Regular, 5, 2)] {
            let engine = engine(&network, isa);
            for size in [[16, 16], [72, 88], [24, 200]] {
                let mask = pictures::hole(size[0], size[1]);
                let run =
                    |options: PlanOptions| bits(&predict(&engine, size, &mask, Wanted::Everything, &options));
                let expected = run(PlanOptions::default());
                for threads in [1, 3] {
                    for window_bytes in [0, 100_000, usize::MAX] {
                        let options = PlanOptions { threads, window_bytes, max_bytes: None };
                        let found = on_threads(threads, || run(options));
                        assert_eq!(
                            found, expected,
                            "{isa}, {size:?}, {threads} threads, {window_bytes} bytes"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn the_hole_alone_has_the_same_bits() {
    let engine = engine(&network(Family::Fourier, 6, 2), Isa::best());
    let [width, height] = [104, 136];
    let known = image(width, height);
    let options = PlanOptions { window_bytes: 0, ..PlanOptions::default() };
    let boxes =
        [(0, 0, 1, 1), (103, 135, 1, 1), (3, 40, 50, 2), (60, 0, 9, 136), (0, 7, 104, 1), (20, 30, 0, 0)];
    for (left, top, columns, rows) in boxes {
        let mask: Vec<bool> = (0..width * height)
            .map(|i| {
                (left..left + columns).contains(&(i % width)) && (top..top + rows).contains(&(i / width))
            })
            .collect();
        let whole = predict(&engine, [width, height], &mask, Wanted::Everything, &options);
        let part = predict(&engine, [width, height], &mask, Wanted::Hole, &options);
        for (i, value) in part.iter().enumerate() {
            let (expected, pixel) = (whole[i], i % (width * height));
            if mask[pixel] {
                assert_eq!(value.to_bits(), expected.to_bits(), "pixel {pixel}");
            } else {
                assert!(
                    *value == expected || *value == known[i],
                    "pixel {pixel} is neither predicted nor known"
                );
            }
        }
    }
}

#[test]
fn instruction_sets_agree() {
    let size = [40, 72];
    let mask = pictures::hole(size[0], size[1]);
    for network in [network(Family::Fourier, 9, 2), with_control(Family::Regular, 4, 2)] {
        let run = |isa: Isa| {
            predict(&engine(&network, isa), size, &mask, Wanted::Everything, &PlanOptions::default())
        };
        let expected = run(Isa::Portable);
        for isa in Isa::available() {
            assert_close(&run(isa), &expected, ISA_TOLERANCE);
        }
    }
}

#[test]
fn plans_refuse_what_they_cannot_do() {
    let small = engine(&network(Family::Fourier, 2, 2), Isa::best());
    let options = PlanOptions::default();
    for [width, height] in [[8, 16], [16, 20], [0, 0]] {
        let error = small.plan(width, height, &options).unwrap_err().to_string();
        assert_eq!(error, format!("sides must be multiples of 8 from 16 up, got {width} x {height}"));
    }
    let plan = small.plan(64, 64, &options).unwrap();
    let needed = plan.forecast_bytes();
    let less = PlanOptions { max_bytes: Some(needed - 1), ..options };
    let error = small.plan(64, 64, &less).unwrap_err().to_string();
    assert!(error.contains(&needed.to_string()) && error.contains(&(needed - 1).to_string()), "{error}");
    assert!(small.plan(64, 64, &PlanOptions { max_bytes: Some(needed), ..options }).is_ok());
    let error = small.run(&plan, &[0.0; 7], &[false; 64 * 64], Wanted::Hole).unwrap_err().to_string();
    assert_eq!(error, "image has 7 values, the plan expects 12288");
    let other = engine(&network(Family::Fourier, 3, 2), Isa::best()).run(
        &plan,
        &[0.0; 12288],
        &[false; 64 * 64],
        Wanted::Hole,
    );
    assert_eq!(other.unwrap_err().to_string(), "the plan was made for another network or instruction set");
}

#[test]
fn a_plan_prints_every_step_once() {
    let engine = engine(&with_control(Family::Fourier, 4, 2), Isa::best());
    let plan = engine.plan(64, 48, &PlanOptions::default()).unwrap();
    let names: std::collections::BTreeSet<&str> =
        plan.steps().iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names.len(), plan.steps().len());
    let text = plan.to_string();
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    // 2 x 7 x 7 x 3 inputs x 4 outputs at each of 64 x 48 pixels.
    assert_eq!(plan.steps()[0].operations, f64::from(2 * 49 * 3 * 4 * 64 * 48));
}

/// A plan of an equal network will do: an engine may be compiled again.
#[test]
fn plans_belong_to_networks_not_to_engines() {
    let network = network(Family::Regular, 2, 1);
    let [first, second] = [&network, &network].map(|network| engine(network, Isa::best()));
    let plan = first.plan(16, 16, &PlanOptions::default()).unwrap();
    let mask = pictures::hole(16, 16);
    let run = |engine: &Engine| bits(&engine.run(&plan, &image(16, 16), &mask, Wanted::Everything).unwrap());
    assert_eq!(run(&first), run(&second));
}

type Change = fn(&mut Layers);

/// The error for a network that the engine accepts without this change.
fn changed(change: Change) -> Error {
    let mut layers = with_control(Family::Fourier, 2, 2).layers();
    assert!(compile(&layers, Isa::best()).is_ok());
    change(&mut layers);
    // An engine prints all its weights.
    compile(&layers, Isa::best()).map(drop).unwrap_err()
}

#[test]
fn operations_without_a_kernel_are_refused_by_name() {
    let error = changed(|layers| layers.refiner[1][0].form.kernel = 5);
    assert!(matches!(&error, Error::Operation { layer, .. } if layer == "refiner.blocks.1.first"), "{error}");
    assert_eq!(
        error.to_string(),
        "refiner.blocks.1.first: the CPU engine has no 5x5 fast Fourier convolution of stride 1, border reflected, \
         BatchNorm, ReLU"
    );
    let changes: [(Change, &str); 8] = [
        (|layers| layers.encoder[0].form.border = Border::Zero, "encoder.stem"),
        (|layers| layers.encoder[2].form.stride = 3, "encoder.down.1"),
        (|layers| layers.decoder[1].form.activation = Activation::Sigmoid, "decoder.up.1"),
        (|layers| layers.head.form.norm = true, "decoder.out"),
        (|layers| layers.control.as_mut().unwrap().zero[3].form.bias = true, "control.zero.3"),
        (|layers| layers.control.as_mut().unwrap().encoder[0].form.kernel = 3, "control.encoder.0"),
        (|layers| layers.refiner[0][1].form.norm = false, "refiner.blocks.0.second"),
        (|layers| layers.refiner[1][1].form.bias = true, "refiner.blocks.1.second"),
    ];
    for (change, layer) in changes {
        let error = changed(change).to_string();
        assert!(error.starts_with(&format!("{layer}: the CPU engine has no ")), "{error}");
    }
}

#[test]
fn layers_that_do_not_fit_together_are_refused() {
    let changes: [(Change, &str); 5] = [
        (|layers| drop(layers.decoder.pop()), "the decoder: 2 layers, the CPU engine takes 3"),
        (|layers| layers.head.inputs.local = 7, "decoder.out: 7 channels where 2 meet them"),
        (|layers| layers.encoder[0].inputs.local = 5, "encoder.stem: 5 channels where 3 meet them"),
        (|layers| layers.head.outputs.local = 1, "decoder.out: 1 channels where 3 meet them"),
        (
            |layers| layers.refiner[0][0].outputs = Split { local: 8, global: 8 },
            "refiner.blocks.0.first: a residual block keeps the latent's channels",
        ),
    ];
    for (change, problem) in changes {
        let error = changed(change).to_string();
        assert!(error.starts_with(problem), "{error}");
    }
}
