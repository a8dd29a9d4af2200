//! `lacuna model`, the real program in a temporary folder.

use std::fs;

use assert_cmd::cargo::cargo_bin_cmd;
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};

fn model(args: &[&str]) -> assert_cmd::assert::Assert {
    cargo_bin_cmd!("lacuna").arg("model").args(args).assert()
}

fn fixture(name: &str) -> String {
    testkit::fixtures::path(name).display().to_string()
}

#[test]
fn info_tells_what_a_file_is() {
    let expected = contains("family      fourier")
        .and(contains("width       4"))
        .and(contains("blocks      2"))
        .and(contains("inputs      4"))
        .and(contains("container   torch-zip"))
        .and(contains("discriminator."));
    model(&["info", &fixture("generator/lightning.ckpt")]).success().stdout(expected);
    model(&["info", &fixture("control/weights.safetensors")]).success().stdout(contains("control     yes"));
}

#[test]
fn conversion_is_exact_and_repeatable() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (first, second, half) = (path("a.safetensors"), path("b.safetensors"), path("half.safetensors"));
    model(&["convert", &fixture("generator/torchscript.pt"), &first, "--provenance", "test"]).success();
    model(&["convert", &fixture("generator/rewrapped.pth"), &second, "--provenance", "test"]).success();
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    model(&["convert", &first, &half, "--storage", "f16"]).success();
    assert!(fs::metadata(&half).unwrap().len() * 3 < fs::metadata(&first).unwrap().len() * 2);
    model(&["verify", &half]).success().stdout(contains("sound"));
    model(&["convert", &first, &half]).code(1).stderr(contains("exists (--overwrite replaces it)"));
    model(&["convert", &first, &path("a.pth")]).code(1).stderr(contains("end in .safetensors"));
}

#[test]
fn unusable_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evil.pth");
    // Protocol 2: os.system('true').
    fs::write(&path, b"\x80\x02cos\nsystem\n(S'true'\ntR.").unwrap();
    model(&["info", &path.display().to_string()]).code(1).stderr(contains("os.system"));
    fs::write(&path, b"hello").unwrap();
    model(&["info", &path.display().to_string()]).code(1).stderr(contains("evil.pth"));
    let whole = fs::read(fixture("generator/bare.safetensors")).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    model(&["verify", &path.display().to_string()]).code(1).stderr(contains("evil.pth"));
}
