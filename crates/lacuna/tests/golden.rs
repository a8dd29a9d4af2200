//! Results that must stay as they are: tensor names and shapes, converted files, names.

use std::fmt::Write as _;

use lacuna::checkpoint::{Architecture, Checkpoint, Delta, Family, Shape, Storage, is_parameter, save};
use lacuna::{EnginePredictor, Predictor, default_network};
use lacuna_cpu::Isa;
use testkit::checkpoints::{Lama, write_lightning_checkpoint};
use testkit::fixtures;
use testkit::golden::{assert_golden, sha256};
use testkit::networks::{label, variants};
use testkit::torchscript::write_torchscript;

fn listing(config: &Architecture) -> String {
    config.layers().tensors().iter().fold(String::new(), |mut list, (name, shape)| {
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
    let shape = Shape { channels_in: 3, width: 4, blocks: 1, control: true, delta: Delta::None };
    let whole = |family: Family| listing(&family.network(shape.clone()));
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
