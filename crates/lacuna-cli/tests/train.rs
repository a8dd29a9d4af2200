//! `lacuna train` and `lacuna study`, the real program.
#![cfg(feature = "train")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assert_cmd::cargo::{cargo_bin, cargo_bin_cmd};
use image::{Rgb, RgbImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use tempfile::TempDir;
use testkit::pictures::noise;

/// A folder with twelve photos and a run file that trains on them in a second or two.
struct Workplace {
    folder: TempDir,
}

const RUN_FILE: &str = r#"
    task = "inpainting"
    seed = 1
    network = { family = "fourier", width = 2, blocks = 1, conditioning = "control" }
    ema = { on = true, decay = 0.9 }
    loss.pixel_l1 = { known = 1.0, hole = 1.0 }
    loss.adversarial = { weight = 0.1, r1 = 1e-3, width = 2, learning_rate = 1e-4 }
    optimizer = { learning_rate = 1e-3, clip = 1.0, schedule = { warm_up = 5, decay = "cosine" } }
    run = { steps = 40, batch = 4, checkpoint_every = 5, validate_every = 20, grid_every = 20, log_every = 10 }

    [data]
    train = [{ kind = "folder", path = "photos" }]
    validation = [{ kind = "folder", path = "photos" }]
    validation_photos = 4
    side = 32
    augment = "light"
    masks = { kind = "box", min_times = 1, max_times = 2, min_size = 6, max_size = 14, margin = 2 }
    validation_masks = { kind = "half" }
"#;

impl Workplace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("photos")).unwrap();
        for number in 0..12u64 {
            let noise = noise(number, 3);
            let photo = RgbImage::from_fn(40, 36, |x, y| {
                let wave =
                    |colour: usize| 0.5 + 0.5 * (noise[colour] * (x as f32 + 2.0 * y as f32) / 4.0).sin();
                Rgb([0, 1, 2].map(|colour| (255.0 * wave(colour)) as u8))
            });
            photo.save(folder.path().join(format!("photos/{number}.png"))).unwrap();
        }
        fs::write(folder.path().join("run.toml"), RUN_FILE).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn train(&self, args: &str) -> assert_cmd::assert::Assert {
        let mut command = cargo_bin_cmd!("lacuna");
        command.current_dir(self.folder.path()).args(["train", "run.toml"]);
        command.args(args.split_whitespace()).assert()
    }

    /// Starts a training and returns its process after `lines` lines of progress.
    fn started(&self, args: &str, lines: usize) -> std::process::Child {
        self.started_program(&format!("train run.toml {args}"), lines)
    }

    /// Starts the program and returns its process after `lines` lines of progress.
    fn started_program(&self, args: &str, lines: usize) -> std::process::Child {
        let mut child = Command::new(cargo_bin("lacuna"))
            .current_dir(self.folder.path())
            .env("LACUNA_MODELS", self.path("models"))
            .env_remove("LACUNA_METRIC_WEIGHTS")
            .args(args.split_whitespace())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stderr.take().unwrap()).lines();
        for _ in 0..lines {
            if output.next().is_none() {
                break;
            }
        }
        // Keep reading, so that the pipe does not fill up.
        std::thread::spawn(move || output.for_each(drop));
        child
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_run_leaves_all_that_is_promised() {
    let place = Workplace::new();
    place
        .train("-o out --profile")
        .success()
        .stdout(contains("out/last.safetensors"))
        .stderr(contains("12 photos").and(contains("step 20: SSIM")).and(contains("waiting for data")));
    for name in ["config.toml", "run.json", "metrics.jsonl", "grids/step-000000020.png", "best.safetensors"] {
        assert!(place.path("out").join(name).exists(), "{name}");
    }
    let kept = fs::read_dir(place.path("out/checkpoints")).unwrap().count();
    assert_eq!(kept, 3);
    let metrics = fs::read_to_string(place.path("out/metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["kind"] == "train").count(), 4);
    assert!(lines.iter().all(|line| line["kind"] != "train" || line["pixel_l1"].as_f64().is_some()));
    let sheet = image::open(place.path("out/grids/step-000000040.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (4 + 5 * 36, 4 + 4 * 36));

    let mut inpaint = cargo_bin_cmd!("lacuna");
    let mask =
        image::GrayImage::from_fn(40, 36, |x, y| image::Luma([if x / 10 == 1 && y > 9 { 255 } else { 0 }]));
    mask.save(place.path("mask.png")).unwrap();
    inpaint.current_dir(place.folder.path());
    inpaint
        .args("inpaint photos/1.png mask.png -o filled.png --model out/last.safetensors".split_whitespace());
    inpaint.assert().success();
}

#[test]
fn a_killed_run_ends_as_an_undisturbed_one() {
    let place = Workplace::new();
    place.train("-o whole").success();
    // Killed at the start, then behind later and later checkpoints. A kill at every event of a run is tested in
    // lacuna-train/tests/resume.rs.
    for lines in [1, 3, 4, 5] {
        let mut child = place.started("-o killed --resume", lines);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.train("-o killed --resume").success();
    assert_eq!(read(&place.path("killed/last.safetensors")), read(&place.path("whole/last.safetensors")));
    assert_eq!(read(&place.path("killed/best.safetensors")), read(&place.path("whole/best.safetensors")));
    let steps = |run: &str| -> Vec<(u64, String)> {
        let text = fs::read_to_string(place.path(run).join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.map(|line| (line["step"].as_u64().unwrap(), line["kind"].to_string())).collect()
    };
    assert_eq!(steps("killed"), steps("whole"));
}

#[test]
fn a_damaged_checkpoint_is_reported_and_the_one_before_it_used() {
    let place = Workplace::new();
    place.train("-o whole").success();
    place.train("-o damaged --set run.steps=20").success();
    let newest = place.path("damaged/checkpoints/step-000000020.safetensors");
    let bytes = read(&newest);
    fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    // The cosine ends elsewhere with other steps, so the run file's steps count from here on.
    place.train("-o again --set run.steps=20").success();
    place
        .train("-o damaged --resume --set run.steps=20")
        .success()
        .stderr(contains("step-000000020.safetensors").and(contains("after step 15")));
    assert_eq!(read(&place.path("damaged/last.safetensors")), read(&place.path("again/last.safetensors")));
    for entry in fs::read_dir(place.path("damaged/checkpoints")).unwrap() {
        fs::write(entry.unwrap().path(), "nothing").unwrap();
    }
    place.train("-o damaged --resume").code(1).stderr(contains("no checkpoint in damaged is intact"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_exits() {
    let place = Workplace::new();
    let mut child = place.started("-o out --set run.steps=100000", 2);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert!(child.wait().unwrap().success());
    assert!(place.path("out/last.safetensors").exists());
    let newest = fs::read_dir(place.path("out/checkpoints")).unwrap().count();
    assert!(newest > 0);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let place = Workplace::new();
    let forecast = contains("photos             12")
        .and(contains("steps              40"))
        .and(contains("time per step"));
    place.train("--dry-run -o out").success().stdout(forecast);
    assert!(!place.path("out").exists());
}

#[test]
fn unreadable_photos_are_listed() {
    let place = Workplace::new();
    fs::write(place.path("photos/broken.jpg"), "no photo").unwrap();
    place.train("-o out --set run.steps=8").success().stderr(contains("skipped photos/broken.jpg"));
    let listed = fs::read_to_string(place.path("out/skipped.txt")).unwrap();
    assert!(listed.starts_with("photos/broken.jpg: ") && listed.lines().count() == 1, "{listed}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Workplace::new();
    fs::create_dir(place.path("empty")).unwrap();
    place.train("-o done --set run.steps=5").success();
    fs::write(place.path("bad.toml"), RUN_FILE.replace("seed", "sede")).unwrap();
    // Wrong arguments exit with 2; photos and files that are no good with 1.
    for (args, code, words) in [
        ("--set run.stpes=1", 2, "--set run.stpes: unknown field `stpes`"),
        ("--set run.batch=13", 1, "12 photos are not enough for a batch of 13"),
        ("--set data.train=[{kind=\"folder\",path=\"empty\"}]", 1, "no photos in empty"),
        ("--set data.train=[{kind=\"folder\",path=\"nowhere\"}]", 1, "cannot read nowhere"),
        ("--set data.side=33", 2, "data.side: expected a multiple of 8"),
        ("--set start.network=\"nothing.safetensors\"", 1, "nothing.safetensors"),
        ("--device cpu,cpu", 2, "2 devices cannot split these batches evenly"),
        ("--threads 0", 2, "expected a number of threads"),
        ("-o done", 2, "already contains a run"),
        ("-o done --resume --set seed=2", 2, "contains another run"),
    ] {
        place.train(args).code(code).stdout("").stderr(contains(words));
    }
    let mut bad = cargo_bin_cmd!("lacuna");
    bad.current_dir(place.folder.path()).args(["train", "bad.toml", "--set", "run.steps=1"]);
    bad.assert().code(1).stderr(contains("unknown field `sede`"));
    place.train("--device tpu").code(2).stdout("").stderr(contains("expected cpu, cuda[:N] or wgpu[:N]"));
}

#[test]
fn two_devices_share_out_a_step() {
    let place = Workplace::new();
    for threads in [1, 2] {
        let args = "--device cpu,cpu --set run.accumulate=2 --set run.steps=3 --set run.validate_every=0";
        place.train(&format!("-o out-{threads} --threads {threads} {args}")).success();
    }
    let [one, two] = ["out-1", "out-2"].map(|run| read(&place.path(run).join("last.safetensors")));
    assert!(one == two, "threads change nothing");
}

#[test]
fn a_study_compares_all_rows_and_goes_on_where_it_was() {
    let place = Workplace::new();
    let study = || {
        let mut command = cargo_bin_cmd!("lacuna");
        command.current_dir(place.folder.path());
        command.env("LACUNA_MODELS", place.path("models")).env_remove("LACUNA_METRIC_WEIGHTS");
        let args =
            "study table-5.1 --scale tiny --seeds 2 --photos photos --judged-by photos --threads 2 -o out";
        command.args(args.split_whitespace());
        command.assert()
    };
    let report = study().success().stderr(contains("== latent-control, seed 2, 3 steps"));
    let report = String::from_utf8(report.get_output().stdout.clone()).unwrap();
    for row in ["Baseline", "Baseline + control", "Latent", "Latent + control"] {
        assert!(report.contains(&format!("| {row} | ")), "{report}");
    }
    assert!(report.contains("16.6 | 0.155 | 0.865 | 6"), "{report}");
    for name in ["report.md", "report.json", "examples.png"] {
        assert!(place.path("out").join(name).exists(), "{name}");
    }
    fs::remove_dir_all(place.path("out/seed-2/latent")).unwrap();
    let again = study()
        .success()
        .stderr(contains("== latent, seed 2, 3 steps").and(contains("pixel, seed 1, 3 steps").not()));
    let again = String::from_utf8(again.get_output().stdout.clone()).unwrap();
    assert_eq!(again.lines().count(), report.lines().count());

    let mut missing = cargo_bin_cmd!("lacuna");
    missing.current_dir(place.folder.path());
    missing.env("LACUNA_MODELS", place.path("models")).env_remove("LACUNA_METRIC_WEIGHTS");
    missing.args("study table-5.2 --scale tiny --photos photos --validation photos".split_whitespace());
    missing.assert().code(2).stderr(contains("needs the weights of VGG16"));
}

const GRID: &str = r#"
    title = "Weights of losses"

    [base]
    name = "both"
    run = "run.toml"

    [[factor]]
    name = "loss"
    changes = ["loss"]
    levels = [{ name = "both" }, { name = "pixel", set = ["loss={ pixel_l1 = { known = 1.0, hole = 1.0 } }"] }]

    [[factor]]
    name = "mask"
    changes = ["network.conditioning"]
    levels = [{ name = "control" }, { name = "none", set = ["network.conditioning=none"] }]

    [[claim]]
    text = "A discriminator helps"
    from = "loss: pixel"
    to = "both"

    [[claim]]
    text = "A discriminator costs no time"
    from = "loss: pixel"
    to = "both"
    by = "time"
"#;
const GRID_COMMAND: &str = "study grid.toml --scale paper --seeds 2 --set run.steps=12 --photos photos --validation photos --threads 2";

#[test]
fn a_grid_killed_three_times_gives_the_same_report() {
    let place = Workplace::new();
    fs::write(place.path("grid.toml"), GRID).unwrap();
    let study = |args: &str| {
        let mut command = cargo_bin_cmd!("lacuna");
        command.current_dir(place.folder.path());
        command.env("LACUNA_MODELS", place.path("models")).env_remove("LACUNA_METRIC_WEIGHTS");
        command.args(format!("{GRID_COMMAND} {args}").split_whitespace()).assert()
    };
    study("-o whole").success().stderr(contains("lpips_alex").and(contains("== mask: none, seed 2: SSIM")));
    for lines in [4, 12, 30] {
        let mut child = place.started_program(&format!("{GRID_COMMAND} -o killed"), lines);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let report = study("-o killed").success();
    let report = String::from_utf8(report.get_output().stdout.clone()).unwrap();
    for name in ["report.md", "report.html", "report.json", "table.csv", "table.tex", "examples.png"] {
        assert!(read(&place.path("whole").join(name)) == read(&place.path("killed").join(name)), "{name}");
    }
    for part in
        ["# Weights of losses", "| loss: pixel | ", "### A discriminator helps: ", "costs no time: not run"]
    {
        assert!(report.contains(part), "{report}");
    }

    // An arm that has not been run is not reported; one that was is, whatever else is asked for.
    let none = ["--only", "mask: none"];
    let only = |folder: &str| {
        let mut command = cargo_bin_cmd!("lacuna");
        command.current_dir(place.folder.path());
        command.env("LACUNA_MODELS", place.path("models")).env_remove("LACUNA_METRIC_WEIGHTS");
        let args = format!("{GRID_COMMAND} --time 1 -o {folder}");
        let report = command.args(args.split_whitespace()).args(none).assert().success();
        String::from_utf8(report.get_output().stdout.clone()).unwrap()
    };
    let of_one = only("one");
    assert!(of_one.contains("\n| mask: none |") && !of_one.contains("\n| both |"), "{of_one}");
    let of_all = only("killed");
    assert!(of_all.contains("\n| both |") && of_all.contains("s per step"), "{of_all}");
    assert!(!of_all.contains("costs no time: not run"), "{of_all}");
}

#[test]
fn arms_that_differ_in_more_than_they_say_are_refused() {
    let place = Workplace::new();
    for (from, to, expected) in [
        (
            "set = [\"loss={",
            "set = [\"run.batch=2\", \"loss={",
            "arm \"loss: pixel\" differs in run.batch, expected a difference in loss only",
        ),
        (
            ", set = [\"network.conditioning=none\"]",
            "",
            "arm \"mask: none\" is the same as the one that it is a change of",
        ),
        ("conditioning=none", "conditioning=nome", "--set network.conditioning: "),
        ("to = \"both\"", "to = \"all\"", "no arm \"all\", expected one of \"both\", \"loss: pixel\""),
    ] {
        fs::write(place.path("grid.toml"), GRID.replace(from, to)).unwrap();
        let mut command = cargo_bin_cmd!("lacuna");
        command.current_dir(place.folder.path()).args(GRID_COMMAND.split_whitespace()).args(["-o", "out"]);
        command.env("LACUNA_MODELS", place.path("models")).env_remove("LACUNA_METRIC_WEIGHTS");
        command.assert().code(2).stderr(contains(expected));
        assert!(!place.path("out").exists());
    }
    fs::write(place.path("grid.toml"), GRID).unwrap();
    let mut command = cargo_bin_cmd!("lacuna");
    command.current_dir(place.folder.path()).args(GRID_COMMAND.split_whitespace()).args(["--only", "pixel"]);
    command.assert().code(2).stderr(contains("no arm \"pixel\", expected \"both\", \"loss: pixel\" or"));
}

/// Without MPI, each of several processes would be a run of its own in the same folder.
#[cfg(not(feature = "mpi"))]
#[test]
fn several_processes_without_mpi_are_refused() {
    let place = Workplace::new();
    for name in ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"] {
        for (command, words) in [
            ("train run.toml -o out", "this program was built without the feature mpi"),
            ("study table-5.1 --photos photos --validation photos", "`lacuna study` runs in one process"),
        ] {
            let mut lacuna = cargo_bin_cmd!("lacuna");
            lacuna.current_dir(place.folder.path()).args(command.split_whitespace()).env(name, "2");
            lacuna.assert().code(2).stderr(contains(format!("2 processes ({name}=2): {words}")));
        }
    }
    assert!(!place.path("out").exists());
    let mut one = cargo_bin_cmd!("lacuna");
    one.current_dir(place.folder.path()).args(["train", "run.toml", "--dry-run"]).env("PMI_SIZE", "1");
    one.assert().success();
}

const CONTEXT_FILE: &str = r#"
    task = "inpainting"
    seed = 1
    network = { family = "context-encoder", side = 32, hole = "region", width = 2, middle = "channel-wise" }
    loss.context = { reconstruction = 0.999, known = 1.0, adversarial = { weight = 0.001, width = 2, learning_rate = 2e-4 } }
    optimizer = { learning_rate = 2e-3, betas = [0.5, 0.999] }
    run = { steps = 12, batch = 4, checkpoint_every = 6, validate_every = 12, grid_every = 12, log_every = 4 }

    [data]
    train = [{ kind = "folder", path = "photos" }]
    validation = [{ kind = "folder", path = "photos" }]
    validation_photos = 2
    side = 32
    augment = "light"
    masks = { kind = "blob" }
    validation_masks = { kind = "blob" }
"#;

/// From a run file to fills by network and guide; what needs a latent refuses the network with one clear message.
#[test]
fn a_context_encoder_is_trained_resumed_and_fills() {
    let place = Workplace::new();
    fs::write(place.path("run.toml"), CONTEXT_FILE).unwrap();
    place.train("-o out --threads 2 --set run.steps=6").success();
    place.train("-o out --threads 2 --resume").success().stderr(contains("step 12: SSIM"));
    place.train("-o whole --threads 2").success();
    assert_eq!(read(&place.path("out/last.safetensors")), read(&place.path("whole/last.safetensors")));
    let sheet = image::open(place.path("out/grids/step-000000012.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (4 + 3 * 36, 4 + 2 * 36));
    place.train("-o one --set run.batch=1").code(2).stderr(contains("at least 2 photos, got 1"));

    let mask = image::GrayImage::from_fn(40, 36, |x, y| {
        image::Luma([if (12..25).contains(&x) && (8..22).contains(&y) { 255 } else { 0 }])
    });
    mask.save(place.path("mask.png")).unwrap();
    let run = |args: &str| {
        let mut command = cargo_bin_cmd!("lacuna");
        command.current_dir(place.folder.path()).args(args.split_whitespace()).assert()
    };
    let photo = image::open(place.path("photos/1.png")).unwrap().into_rgb8();
    for method in ["network", "guided", "network --engine burn"] {
        let output = format!("filled-{}.png", method.replace(' ', ""));
        run(&format!(
            "inpaint photos/1.png mask.png -o {output} --method {method} --model out/last.safetensors --threads 2"
        ))
        .success();
        let filled = image::open(place.path(&output)).unwrap().into_rgb8();
        for (x, y, pixel) in filled.enumerate_pixels() {
            if mask.get_pixel(x, y).0[0] == 0 && !near(&mask, x, y) {
                assert_eq!(pixel, photo.get_pixel(x, y), "{method}: {x}, {y}");
            }
        }
    }
    run("model info out/last.safetensors")
        .success()
        .stdout(contains("family      context-encoder").and(contains("middle      channel-wise")));
    let refused = "only networks with encoder, refiner and decoder can";
    run("inpaint photos/1.png mask.png -o no.png --model out/last.safetensors --refine")
        .failure()
        .stderr(contains(refused));
    run("model convert out/last.safetensors no.onnx").failure().stderr(contains(refused));
    run("model plan out/last.safetensors").failure();
    run("latent photos/1.png mask.png -o no.png --model out/last.safetensors")
        .failure()
        .stderr(contains("has no encoder, refiner and decoder with a latent"));
}

/// Whether a pixel is within the border by which holes grow.
fn near(mask: &image::GrayImage, x: u32, y: u32) -> bool {
    const REACH: u32 = 8;
    let rows = y.saturating_sub(REACH)..(y + REACH + 1).min(mask.height());
    rows.flat_map(|y| (x.saturating_sub(REACH)..(x + REACH + 1).min(mask.width())).map(move |x| (x, y)))
        .any(|(x, y)| mask.get_pixel(x, y).0[0] > 0)
}

#[test]
fn the_history_compares_networks_and_methods() {
    let place = Workplace::new();
    let run = |scale: &str| {
        let mut command = cargo_bin_cmd!("lacuna");
        command.current_dir(place.folder.path());
        command.env("LACUNA_MODELS", place.path("models")).env_remove("LACUNA_METRIC_WEIGHTS");
        let args = format!(
            "study history --scale {scale} --seeds 1 --photos photos --validation photos --threads 2 -o out"
        );
        command.args(args.split_whitespace()).assert()
    };
    let report = run("tiny").success();
    let report = String::from_utf8(report.get_output().stdout.clone()).unwrap();
    for row in
        ["Context encoder, L2 (2016)", "pix2pixHD generator (2018)", "Mean colour", "PatchMatch (2009)"]
    {
        assert!(report.contains(&format!("| {row} | ")), "{report}");
    }
    assert!(!report.contains("NaN") && !report.contains("Values in the thesis"), "{report}");
    assert!(place.path("out/examples.png").exists());
    run("paper").code(2).stderr(contains("choose the scale tiny, smoke or small"));
}

#[test]
fn the_study_of_sampling_trains_two_flows_and_samples_them() {
    let place = Workplace::new();
    let run = |args: &str| {
        let mut command = cargo_bin_cmd!("lacuna");
        command.current_dir(place.folder.path());
        command.env("LACUNA_MODELS", place.path("models")).env_remove("LACUNA_METRIC_WEIGHTS");
        let study =
            "study sampling --scale tiny --seeds 1 --photos photos --validation photos --threads 2 -o out";
        command.args(format!("{study} {args}").split_whitespace()).assert()
    };
    let report = run("--time 1").success().stderr(contains("== fill-4, seed 1, 3 steps").count(1));
    let report = String::from_utf8(report.get_output().stdout.clone()).unwrap();
    for row in
        ["The network's own fill", "From the fill, 16 steps", "From noise, RePaint's jumps", "s per fill"]
    {
        assert!(report.contains(&format!("| {row} |")), "{row}: {report}");
    }
    assert!(!report.contains("NaN"), "{report}");
    // Two are trained, each once, and nothing is repeated.
    let trained = std::fs::read_dir(place.path("out/seed-1")).unwrap();
    let trained = trained.filter(|folder| folder.as_ref().unwrap().path().join("last.safetensors").exists());
    assert_eq!(trained.count(), 2);
    let again = run("").success().stderr(contains("== fill-4, seed 1, 3 steps").not());
    assert_eq!(String::from_utf8(again.get_output().stdout.clone()).unwrap(), report);
}
