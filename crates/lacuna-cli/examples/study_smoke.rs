//! Runs studies at scale smoke with one seed and all metrics, and checks their reports: minutes, so no test of the second command.
//!
//! `study_smoke LACUNA`, with the path of the program.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use testkit::pictures::write_noise_photos;
use testkit::weights::metric_weights;

/// Runs a study on small photos and returns its report.
fn report(lacuna: &Path, weights: &Path, study: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, count) in [("train", 40), ("validation", 24)] {
        write_noise_photos(&folder.path().join(name), count, 72);
    }
    let start = Instant::now();
    let mut command = Command::new(lacuna);
    command
        .current_dir(folder.path())
        .args(["study", study, "--scale", "smoke", "--seeds", "1", "-o", "out"]);
    command.args(["--photos", "train", "--validation", "validation", "--metric-weights"]).arg(weights);
    let done = command.output().expect("the program runs");
    assert!(done.status.success(), "{study}: {}", String::from_utf8_lossy(&done.stderr));
    println!("{study} at scale smoke, one seed: {:.0} s", start.elapsed().as_secs_f64());
    let report = String::from_utf8(done.stdout).expect("text");
    assert!(!report.contains("NaN"), "{report}");
    for metric in ["LPIPS", "FID", "KID", "SSIM"] {
        assert!(report.contains(metric), "{metric}: {report}");
    }
    for file in ["report.html", "table.tex", "table.csv"] {
        assert!(folder.path().join("out").join(file).exists(), "{file}");
    }
    report
}

fn main() {
    let lacuna = std::env::args().nth(1).expect("the path of the program");
    let lacuna = std::path::absolute(lacuna).expect("a path");
    let Some(weights) = metric_weights("lpips_alex_v0.1.safetensors") else { return };
    let weights = std::path::absolute(weights.parent().expect("a folder")).expect("a path");
    let grid = report(&lacuna, &weights, "grid");
    for words in ["Baseline + control", "Mask control helps", "Both together are best", "not settled"] {
        assert!(grid.contains(words), "{words}: {grid}");
    }
    let history = report(&lacuna, &weights, "history");
    for row in ["Context encoder, L2 (2016)", "LaMa (2022)", "PatchMatch (2009)"] {
        assert!(history.contains(&format!("| {row} | ")), "{row}: {history}");
    }
}
