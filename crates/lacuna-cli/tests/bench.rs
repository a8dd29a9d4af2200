//! `lacuna bench`, the real program.

use assert_cmd::cargo::cargo_bin_cmd;
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};

fn bench(args: &str) -> assert_cmd::assert::Assert {
    cargo_bin_cmd!("lacuna").arg("bench").args(args.split_whitespace()).assert()
}

fn model() -> String {
    format!("--model {}", testkit::fixtures::path("generator/bare.safetensors").display())
}

#[test]
fn a_line_of_json_for_each_size() {
    let args = format!("{} --size 32,64x48 --size 40 --threads 2 --passes 3 --json", model());
    let output = bench(&args).success();
    let stdout = String::from_utf8(output.get_output().stdout.clone()).unwrap();
    let rows: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sizes: Vec<_> = rows.iter().map(|row| (row["width"].as_u64(), row["height"].as_u64())).collect();
    assert_eq!(sizes, [(32, 32), (64, 48), (40, 40)].map(|(width, height)| (Some(width), Some(height))));
    for (index, row) in rows.iter().enumerate() {
        for key in ["p50_s", "p95_s", "gflop_per_s", "forecast_bytes", "forecast_s"] {
            assert!(row[key].as_f64().is_some_and(|value| value > 0.0), "{key} of {row}");
        }
        assert!(row["p50_s"].as_f64() <= row["p95_s"].as_f64());
        assert_eq!((row["threads"].as_u64(), row["passes"].as_u64()), (Some(2), Some(3)));
        assert_eq!(row["engine"], "cpu");
        assert!(row["model"].as_str().unwrap().starts_with("fourier-w4-b2 (cpu, "));
        assert_eq!(row["start_s"].is_number(), index == 0, "only the first is made right after the start");
        let known = row["peak_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20);
        assert_eq!(known, cfg!(target_os = "linux"));
    }
}

#[test]
fn random_networks_need_no_file() {
    let heading = contains("GFLOP/s").and(contains("32x32"));
    bench("--width 8 --blocks 2 --control --size 32 --passes 1 --warm-up 0").success().stdout(heading);
    bench("--family regular --width 4 --blocks 1 --size 32 --passes 1 --hole 0.05").success();
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (args, code, words) in [
        (format!("{} --width 8", model()), 2, "cannot be used with"),
        (format!("{} --size 20", model()), 1, "multiples of 8 from 16 up, got 20 x 20"),
        (format!("{} --size 0", model()), 2, "invalid value '0'"),
        ("--width 0".into(), 1, "a width of 0"),
        ("--width 4 --blocks 1 --size 32 --hole 2".into(), 2, "--hole must be between 0 and 1"),
        ("--model nowhere.ckpt".into(), 1, "cannot read nowhere.ckpt"),
        ("--engine cpu --device cuda".into(), 2, "--device cuda was given"),
    ] {
        bench(&args).code(code).stdout("").stderr(contains(words));
    }
    bench("--compare --json").code(2).stderr(contains("cannot be used with"));
    bench("--compare --engine burn").code(2).stderr(contains("--compare needs --engine cpu"));
    let nonsense = cargo_bin_cmd!("lacuna").args(["bench", "--width", "4"]).env("LACUNA_ISA", "x").assert();
    nonsense.code(1).stderr(contains("LACUNA_ISA=x"));
}

#[cfg(feature = "burn")]
#[test]
fn burn_is_measured_too() {
    let args = format!("{} --size 32 --passes 1 --engine burn --json", model());
    bench(&args).success().stdout(contains("\"engine\":\"burn\"").and(contains("\"isa\":null")));
    bench("--engine burn --width 4 --blocks 1 --size 32").code(1).stderr(contains("--model FILE"));
}

#[test]
fn instruction_sets_are_compared_in_a_table() {
    let table = bench("--width 4 --blocks 1 --size 32,64x48 --passes 1 --warm-up 0 --compare").success();
    let table = String::from_utf8(table.get_output().stdout.clone()).unwrap();
    let of_portable = table.lines().filter(|line| line.contains("| portable | float32 | "));
    assert_eq!(of_portable.count(), 2, "{table}");
    assert!(table.contains("| 64 x 48 | portable | float32 |") && table.contains(" | 1.00 | "), "{table}");
}
