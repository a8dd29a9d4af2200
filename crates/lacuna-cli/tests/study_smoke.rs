//! Studies at scale smoke, with all metrics. They take minutes: `cargo test --workspace --test study_smoke -- --ignored`.

use std::time::Instant;

use assert_cmd::cargo::cargo_bin_cmd;
use testkit::pictures::write_noise_photos;
use testkit::weights::metric_weights;

/// Runs a study with one seed on small photos and returns its report.
fn report(study: &str) -> Option<String> {
    let weights = metric_weights("lpips_alex_v0.1.safetensors")?;
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("train", 40), ("validation", 24)] {
        write_noise_photos(&folder.path().join(name), count, 72);
    }
    let start = Instant::now();
    let mut command = cargo_bin_cmd!("lacuna");
    command
        .current_dir(folder.path())
        .args(["study", study, "--scale", "smoke", "--seeds", "1", "-o", "out"]);
    command.args(["--photos", "train", "--validation", "validation", "--metric-weights"]);
    let done = command.arg(weights.parent().unwrap()).assert().success();
    println!("{study} at scale smoke, one seed: {:.0} s", start.elapsed().as_secs_f64());
    let report = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(!report.contains("NaN"), "{report}");
    for metric in ["LPIPS", "FID", "KID", "SSIM"] {
        assert!(report.contains(metric), "{metric}: {report}");
    }
    for file in ["report.html", "table.tex", "table.csv"] {
        assert!(folder.path().join("out").join(file).exists(), "{file}");
    }
    Some(report)
}

#[test]
#[ignore = "takes minutes"]
fn the_grid_has_a_verdict_for_each_claim() {
    let Some(report) = report("grid") else { return };
    for words in ["Baseline + control", "Mask control helps", "Both together are best", "not settled"] {
        assert!(report.contains(words), "{words}: {report}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn the_history_has_all_rows() {
    let Some(report) = report("history") else { return };
    for row in ["Context encoder, L2 (2016)", "LaMa (2022)", "PatchMatch (2009)"] {
        assert!(report.contains(&format!("| {row} | ")), "{row}: {report}");
    }
}
