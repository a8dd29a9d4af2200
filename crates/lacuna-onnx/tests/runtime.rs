//! Exported models in ONNX Runtime, beside Lacuna's engine.

use std::path::{Path, PathBuf};
use std::process::Command;

use lacuna::checkpoint::{Architecture, Checkpoint, NamedTensor, Storage, save};
use lacuna::{EnginePredictor, Mask, Planes, Predictor, Watch};
use lacuna_cpu::engine::Wanted;
use lacuna_onnx::{Interface, Options, export};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use testkit::missing::{Missing, not_tested};
use testkit::{assert_close, fixtures};

/// Largest difference of a predicted value, which lies in 0 to 1.
const TOLERANCE: f32 = 1e-4;

/// Python with onnxruntime and numpy: the repository's own environment, else the system's.
fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/ci-python/bin/python");
    let runs = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", "import numpy, onnxruntime"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    [own, PathBuf::from("python3")].into_iter().find(runs)
}

/// A photo of waves, and a hole that touches two borders.
fn scene(width: usize, height: usize) -> (Vec<f32>, Vec<f32>) {
    let wave = |channel: usize, x: usize, y: usize| {
        0.5 + 0.45 * ((x * (channel + 2)) as f32 / 7.0 + y as f32 / (5.0 + channel as f32)).sin()
    };
    let places = || (0..width * height).map(|index| (index % width, index / width));
    let image = (0..3).flat_map(|channel| places().map(move |(x, y)| wave(channel, x, y))).collect();
    let hole = places().map(|(x, y)| f32::from(u8::from(x > width / 2 && y < height / 2))).collect();
    (image, hole)
}

/// The place of an index in a side that is mirrored with its last pixel repeated.
fn mirrored(index: usize, side: usize) -> usize {
    let there = index % (2 * side);
    there.min(2 * side - 1 - there)
}

/// Writes a network of random weights: kernels that keep the scale of their input, norms near the identity.
fn write_random(path: &Path, config: &Architecture) {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    let tensors: Vec<NamedTensor<'_>> = config
        .layers()
        .tensors()
        .into_iter()
        .map(|(name, shape)| {
            let fan = shape.iter().skip(1).product::<usize>() as f32;
            let is_kernel = shape.len() == 4;
            let mut value =
                || if is_kernel { (2.0 * random() - 1.0) * (3.0 / fan).sqrt() } else { 0.5 + random() };
            let values = (0..shape.iter().product()).map(|_| value()).collect();
            NamedTensor { name, shape, values }
        })
        .collect();
    save(path, config, "random", tensors, Storage::default()).unwrap();
}

/// What the engine predicts, with the padding of [`lacuna::frame`].
fn expected(
    network: &EnginePredictor,
    (image, hole): &(Vec<f32>, Vec<f32>),
    width: usize,
    height: usize,
) -> Vec<f32> {
    let sides = network.sides();
    let (wide, high) = (sides.padded(width), sides.padded(height));
    let padded = |plane: &[f32]| -> Vec<f32> {
        let places =
            (0..wide * high).map(|index| (mirrored(index % wide, width), mirrored(index / wide, height)));
        places.map(|(x, y)| plane[y * width + x]).collect()
    };
    let planes = image.chunks_exact(width * height).flat_map(padded).collect();
    let mask = Mask::new(wide, high, padded(hole).into_iter().map(|value| value > 0.5).collect());
    let predicted =
        network.run(&Planes::new(wide, high, planes), &mask, Wanted::Everything, &Watch::default()).unwrap();
    let cropped = |plane: usize| {
        let rows = predicted.plane(plane).chunks_exact(wide).take(height);
        rows.flat_map(|row| row[..width].to_vec()).collect::<Vec<f32>>()
    };
    (0..3).flat_map(cropped).collect()
}

fn write_inputs(path: &Path, (image, hole): &(Vec<f32>, Vec<f32>), width: usize, height: usize) {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (image, hole) = (bytes(image), bytes(hole));
    let view = |channels: usize, bytes| {
        TensorView::new(Dtype::F32, vec![1, channels, height, width], bytes).unwrap()
    };
    safetensors::serialize_to_file([("image", view(3, &image)), ("mask", view(1, &hole))], None, path)
        .unwrap();
}

fn run(python: &Path, args: &[&Path]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/run_onnx.py");
    let output = Command::new(python).arg(script).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn predictions_are_those_of_the_engine() {
    let Some(python) = python() else {
        return not_tested(Missing::OnnxRuntime, "ONNX models in ONNX Runtime");
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let trained = ["generator/bare.safetensors", "control/weights.safetensors"].map(fixtures::path);
    let sizes = [(64, 48), (33, 40), (40, 33), (7, 90), (127, 65), (1, 1)];
    let trained = trained.map(|path| (path, &sizes[..]));
    let random = testkit::networks::variants(4, 2).into_iter().enumerate().map(|(index, config)| {
        let path = at(&format!("{index}.safetensors"));
        write_random(&path, &config);
        (path, &sizes[1..2])
    });
    for (path, sizes) in trained.into_iter().chain(random) {
        let checkpoint = Checkpoint::open(&path).unwrap();
        let (network, label) =
            (EnginePredictor::new(&checkpoint).unwrap(), testkit::networks::label(checkpoint.config()));
        let any = export(&checkpoint, Options::default()).unwrap();
        for &(width, height) in sizes {
            let scene = scene(width, height);
            let expected = expected(&network, &scene, width, height);
            write_inputs(&at("inputs"), &scene, width, height);
            let fixed =
                export(&checkpoint, Options { size: Some((width, height)), ..Options::default() }).unwrap();
            for (kind, model) in [("any size", &any), ("fixed size", &fixed)] {
                std::fs::write(at("model.onnx"), model).unwrap();
                run(&python, &[&at("model.onnx"), &at("inputs"), &at("output")]);
                let bytes = std::fs::read(at("output")).unwrap();
                let predicted = SafeTensors::deserialize(&bytes).unwrap();
                let predicted = predicted.tensor("predicted").unwrap();
                assert_eq!(predicted.shape(), [1, 3, height, width], "{label}, {kind}");
                let values = predicted.data().chunks_exact(4);
                let values: Vec<f32> =
                    values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
                assert_close(&values, &expected, TOLERANCE);
            }
        }
    }
}

#[test]
fn a_pipeline_keeps_known_pixels() {
    let Some(python) = python() else {
        return not_tested(Missing::OnnxRuntime, "ONNX pipelines in ONNX Runtime");
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let checkpoint = Checkpoint::open(fixtures::path("generator/bare.safetensors")).unwrap();
    let network = EnginePredictor::new(&checkpoint).unwrap();
    let (width, height) = (53, 42);
    let (image, hole) = scene(width, height);
    let levels: Vec<u8> = image.iter().map(|value| (value * 255.0).round() as u8).collect();
    let image: Vec<f32> = levels.iter().map(|&level| f32::from(level) / 255.0).collect();
    let predicted = expected(&network, &(image, hole.clone()), width, height);
    let plane = width * height;
    std::fs::write(
        at("photo"),
        (0..3 * plane).map(|index| levels[index % 3 * plane + index / 3]).collect::<Vec<u8>>(),
    )
    .unwrap();
    // Everything but 0 is hole.
    std::fs::write(at("mask"), hole.iter().map(|&hole| hole as u8).collect::<Vec<u8>>()).unwrap();
    for size in [None, Some((width, height))] {
        let options = Options { interface: Interface::Pipeline, size };
        std::fs::write(at("model.onnx"), export(&checkpoint, options).unwrap()).unwrap();
        let code = format!(
            "import numpy, onnxruntime\n\
             photo, mask = (numpy.fromfile(name, numpy.uint8) for name in ('photo', 'mask'))\n\
             session = onnxruntime.InferenceSession('model.onnx')\n\
             inputs = {{'image': photo.reshape({height}, {width}, 3), 'mask': mask.reshape({height}, {width})}}\n\
             session.run(None, inputs)[0].tofile('output')"
        );
        let output = Command::new(&python).current_dir(folder.path()).args(["-c", &code]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = std::fs::read(at("output")).unwrap();
        assert_eq!(output.len(), 3 * plane);
        for (index, &level) in output.iter().enumerate() {
            let (channel, pixel) = (index % 3, index / 3);
            let place = channel * plane + pixel;
            if hole[pixel] == 0.0 {
                assert_eq!(level, levels[place], "a known pixel");
            } else {
                let difference = (f32::from(level) - predicted[place] * 255.0).abs();
                assert!(difference <= 0.5 + 255.0 * TOLERANCE, "{level} for {}", predicted[place] * 255.0);
            }
        }
    }
}
