//! Properties of the engine's results, with whole networks.

use lacuna::checkpoint::Checkpoint;
use lacuna_cpu::Isa;
use lacuna_cpu::engine::{Engine, PlanOptions, Wanted};
use testkit::checkpoints::{Lama, write_lightning_checkpoint};
use testkit::{assert_close, fixtures, pictures};

/// Difference between instruction sets: some have fused multiply-add, and they sum lanes in another order.
const ISA_TOLERANCE: f32 = 1e-5;

/// A network of random weights; odd widths leave lanes empty.
fn random(width: i64, isa: Isa) -> Engine {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("random.ckpt");
    write_lightning_checkpoint(&path, Lama { width, blocks: 2, channels_in: 4 }, 7).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    Engine::compile(checkpoint.config(), isa, |name| checkpoint.values(name)).unwrap()
}

fn controlled(isa: Isa) -> Engine {
    let checkpoint = Checkpoint::open(fixtures::path("control/weights.safetensors")).unwrap();
    Engine::compile(checkpoint.config(), isa, |name| checkpoint.values(name)).unwrap()
}

fn predict(
    engine: &Engine,
    [width, height]: [usize; 2],
    mask: &[bool],
    wanted: Wanted,
    options: &PlanOptions,
) -> Vec<f32> {
    let plan = engine.plan(width, height, options).unwrap();
    engine.run(&plan, &pictures::picture(width, height), mask, wanted).unwrap()
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
        for engine in [random(5, isa), random(16, isa), controlled(isa)] {
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
    let engine = random(6, Isa::best());
    let [width, height] = [104, 136];
    let picture = pictures::picture(width, height);
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
                    *value == expected || *value == picture[i],
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
    for engine in [|isa| random(9, isa), controlled] {
        let run = |isa: Isa| predict(&engine(isa), size, &mask, Wanted::Everything, &PlanOptions::default());
        let expected = run(Isa::Portable);
        for isa in Isa::available() {
            assert_close(&run(isa), &expected, ISA_TOLERANCE);
        }
    }
}

#[test]
fn plans_refuse_what_they_cannot_do() {
    let engine = random(2, Isa::best());
    let options = PlanOptions::default();
    for [width, height] in [[8, 16], [16, 20], [0, 0]] {
        let error = engine.plan(width, height, &options).unwrap_err().to_string();
        assert_eq!(error, format!("sides must be multiples of 8 from 16 up, got {width} x {height}"));
    }
    let plan = engine.plan(64, 64, &options).unwrap();
    let needed = plan.forecast_bytes();
    let less = PlanOptions { max_bytes: Some(needed - 1), ..options };
    let error = engine.plan(64, 64, &less).unwrap_err().to_string();
    assert!(error.contains(&needed.to_string()) && error.contains(&(needed - 1).to_string()), "{error}");
    assert!(engine.plan(64, 64, &PlanOptions { max_bytes: Some(needed), ..options }).is_ok());
    let error = engine.run(&plan, &[0.0; 7], &[false; 64 * 64], Wanted::Hole).unwrap_err().to_string();
    assert_eq!(error, "image has 7 numbers, the plan expects 12288");
    let other = random(3, Isa::best()).run(&plan, &[0.0; 12288], &[false; 64 * 64], Wanted::Hole);
    assert_eq!(other.unwrap_err().to_string(), "the plan was made for another network or instruction set");
}

#[test]
fn a_plan_prints_every_step_once() {
    let engine = controlled(Isa::best());
    let plan = engine.plan(64, 48, &PlanOptions::default()).unwrap();
    let names: std::collections::BTreeSet<&str> =
        plan.steps().iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names.len(), plan.steps().len());
    let text = plan.to_string();
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    // 2 x 7 x 7 x 3 inputs x 4 outputs at each of 64 x 48 pixels.
    assert_eq!(plan.steps()[0].operations, f64::from(2 * 49 * 3 * 4 * 64 * 48));
}
