//! Results that must stay as they are: tensor names and shapes, converted files, the engine's bits, plans and names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use lacuna::checkpoint::{
    Checkpoint, Delta, Family, NetworkConfig, Storage, expected_tensors, is_parameter, save,
};
use lacuna::{EnginePredictor, Predictor, default_network};
use lacuna_cpu::Isa;
use lacuna_cpu::engine::{Engine, PlanOptions, Wanted};
use testkit::checkpoints::{Lama, write_lightning_checkpoint};
use testkit::golden::{assert_golden, sha256, sha256_of_bits};
use testkit::torchscript::write_torchscript;
use testkit::{fixtures, pictures};

const FAMILIES: [Family; 2] = [Family::Fourier, Family::Regular];

fn config(family: Family, width: usize, blocks: usize) -> NetworkConfig {
    NetworkConfig { family, channels_in: 4, width, blocks, control: false, delta: Delta::None }
}

/// Both families with three and four inputs, with and without mask control.
fn variants(width: usize, blocks: usize) -> Vec<NetworkConfig> {
    FAMILIES
        .into_iter()
        .flat_map(|family| [(family, 3), (family, 4)])
        .flat_map(|(family, channels_in)| [(family, channels_in, false), (family, channels_in, true)])
        .map(|(family, channels_in, control)| NetworkConfig {
            channels_in,
            control,
            ..config(family, width, blocks)
        })
        .collect()
}

fn label(config: &NetworkConfig) -> String {
    let NetworkConfig { family, channels_in, width, blocks, control, delta } = config;
    format!("{family:?} width {width} blocks {blocks} inputs {channels_in} control {control} delta {delta:?}")
}

fn listing(config: &NetworkConfig) -> String {
    expected_tensors(config).iter().fold(String::new(), |mut list, (name, shape)| {
        let kind = if is_parameter(name) { "parameter" } else { "statistic" };
        writeln!(list, "{name} {shape:?} {kind}").unwrap();
        list
    })
}

#[test]
fn tensor_names_and_shapes() {
    let mut hashes = String::new();
    for (width, blocks) in [(1, 1), (4, 2), (8, 9), (64, 18), (128, 64)] {
        for config in variants(width, blocks) {
            writeln!(hashes, "{}: {}", label(&config), sha256(listing(&config).as_bytes())).unwrap();
        }
    }
    assert_golden("tensors.txt", &hashes);
    let whole = |family| listing(&NetworkConfig { channels_in: 3, control: true, ..config(family, 4, 1) });
    assert_golden("tensors-fourier.txt", &whole(Family::Fourier));
    assert_golden("tensors-regular.txt", &whole(Family::Regular));
}

#[test]
fn converted_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let lama = Lama { width: 4, blocks: 2, channels_in: 4 };
    write_lightning_checkpoint(&path("zip.ckpt"), lama, 1).unwrap();
    write_torchscript(&path("torchscript.pt"), lama, 1).unwrap();
    let fixtures =
        ["generator/bare.safetensors", "generator/lightning-legacy.ckpt", "control/weights.safetensors"];
    let files = [path("zip.ckpt"), path("torchscript.pt")].into_iter().chain(fixtures.map(fixtures::path));
    let mut hashes = String::new();
    for file in files {
        let checkpoint = Checkpoint::open(&file).unwrap();
        let mut own = vec![checkpoint];
        for storage in [Storage::F32, Storage::F16] {
            let output = path("converted.safetensors");
            let source = own.last().unwrap();
            save(&output, source.config(), "golden", source.tensors(), storage).unwrap();
            let name = file.file_name().unwrap().display();
            let hash = sha256(&std::fs::read(&output).unwrap());
            writeln!(hashes, "{name} {:?} as {storage:?}: {hash}", source.source().container).unwrap();
            // The second time from Lacuna's own file.
            let again = path("again.safetensors");
            std::fs::rename(&output, &again).unwrap();
            own.push(Checkpoint::open(&again).unwrap());
        }
    }
    assert_golden("converted.txt", &hashes);
}

#[test]
fn the_network_that_ships_is_written_as_it_is() {
    let shipped = default_network().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.safetensors");
    save(&path, shipped.config(), shipped.provenance().unwrap(), shipped.tensors(), Storage::F16).unwrap();
    let original = concat!(env!("CARGO_MANIFEST_DIR"), "/network/default.safetensors");
    assert_eq!(std::fs::read(path).unwrap(), std::fs::read(original).unwrap());
}

/// Every variant that the engine computes in another way, with widths that leave lanes empty.
fn computed() -> Vec<NetworkConfig> {
    let deltas = [Delta::None, Delta::Literal, Delta::Signed];
    let wide = variants(8, 2)
        .into_iter()
        .flat_map(|config| deltas.map(|delta| NetworkConfig { delta, ..config.clone() }));
    let narrow = FAMILIES.map(|family| NetworkConfig { control: true, ..config(family, 3, 1) });
    wide.chain(narrow).collect()
}

/// How much larger than PyTorch's first weights those of these networks are, so that predictions are not flat.
const GAIN: f32 = 2.0;

/// An engine with weights as training leaves them: statistics that are not 0 and 1, and control that is not zero.
fn engine(config: &NetworkConfig, isa: Isa) -> Engine {
    let tensors: HashMap<String, Vec<f32>> = expected_tensors(config)
        .into_iter()
        .enumerate()
        .map(|(index, (name, shape))| {
            let noise = pictures::noise(index as u64, shape.iter().product());
            let inputs: usize = shape.iter().skip(1).product();
            let value = |noise: f32| match shape.len() {
                4 => GAIN * noise / (inputs as f32).sqrt(),
                _ if name.ends_with(".weight") || name.ends_with(".running_var") => 1.0 + 0.3 * noise,
                _ => 0.1 * noise,
            };
            let values = noise.into_iter().map(value).collect();
            (name, values)
        })
        .collect();
    Engine::compile(config, isa, |name| tensors.get(name).map(|values| Cow::Borrowed(values.as_slice())))
        .unwrap()
}

/// What predictions must at least span.
const CONTRAST: f32 = 0.1;

/// Bits depend on the instruction set alone where the C library's `expf` (in the last sigmoid) is the one that they were
/// recorded with: GNU's, with FMA.
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
#[test]
fn the_engines_bits() {
    if !is_x86_feature_detected!("fma") {
        println!("not compared: this processor lacks FMA, so the C library computes expf in another way");
        return;
    }
    for isa in Isa::available() {
        let mut hashes = String::new();
        for config in computed() {
            let engine = engine(&config, isa);
            for [width, height] in [[16, 16], [40, 24], [72, 88]] {
                let image: Vec<f32> = pictures::noise(9, 3 * width * height)
                    .into_iter()
                    .map(|value| 0.5 + 0.5 * value)
                    .collect();
                let mask = pictures::hole(width, height);
                let plan = engine.plan(width, height, &PlanOptions::default()).unwrap();
                for wanted in [Wanted::Everything, Wanted::Hole] {
                    let predicted = engine.run(&plan, &image, &mask, wanted).unwrap();
                    let [least, most] =
                        [f32::min, f32::max].map(|join| predicted.iter().copied().reduce(join).unwrap());
                    assert!(most - least > CONTRAST, "a flat prediction proves nothing: {least} to {most}");
                    let hash = sha256_of_bits(&predicted);
                    writeln!(hashes, "{} {width}x{height} {wanted:?}: {hash}", label(&config)).unwrap();
                }
            }
        }
        assert_golden(&format!("engine-{isa}.txt"), &hashes);
    }
}

#[test]
fn plans_and_forecasts() {
    /// Operations a second that forecasts of time are made for.
    const RATE: f64 = 1e11;
    for isa in Isa::available() {
        let mut lines = String::new();
        for config in computed() {
            let engine = engine(&config, isa);
            for [width, height] in [[16, 16], [40, 24], [256, 512]] {
                let options = PlanOptions { threads: 2, ..PlanOptions::default() };
                let plan = engine.plan(width, height, &options).unwrap();
                writeln!(
                    lines,
                    "{} {width}x{height}: {} bytes, arena {}, weights {}, {:?}, {:.9e} operations, {:.9e} s, plan {}",
                    label(&config),
                    plan.forecast_bytes(),
                    plan.arena_bytes(),
                    plan.weight_bytes(),
                    plan.strips,
                    plan.operations(),
                    plan.forecast_seconds(RATE),
                    sha256(format!("{plan}").as_bytes()),
                )
                .unwrap();
            }
        }
        assert_golden("plans.txt", &lines);
    }
    let config = NetworkConfig {
        channels_in: 3,
        control: true,
        delta: Delta::Literal,
        ..config(Family::Fourier, 8, 1)
    };
    let plan =
        engine(&config, Isa::Portable).plan(64, 48, &PlanOptions { threads: 2, ..PlanOptions::default() });
    assert_golden("plan.txt", &plan.unwrap().to_string());
}

#[test]
fn names_that_manifests_compare() {
    let isa = Isa::selected().unwrap();
    let mut names = String::new();
    for config in variants(8, 9) {
        let name = EnginePredictor::random(&config, 1).unwrap().name();
        writeln!(names, "{}: {}", label(&config), name.replace(&isa.to_string(), "ISA")).unwrap();
    }
    assert_golden("names.txt", &names);
}
