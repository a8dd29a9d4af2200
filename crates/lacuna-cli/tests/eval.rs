//! `lacuna masks` and `lacuna eval`, the real program in a temporary folder, and the report in a real browser.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::cargo::cargo_bin_cmd;
use image::{Rgb, RgbImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use serde_json::Value;
use tempfile::TempDir;
use testkit::browser::Page;
use testkit::weights::metric_weights;

/// A folder with photos.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.at("photos")).unwrap();
        for number in 0..5u32 {
            let colour = |x: u32, y: u32| {
                Rgb([(x * (number + 2)) as u8, (y * 3) as u8, ((x / 8 + y / 8) % 2 * 200) as u8])
            };
            RgbImage::from_fn(90, 64, colour).save(folder.at(&format!("photos/p{number}.png"))).unwrap();
        }
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn lacuna(&self, args: &str) -> assert_cmd::assert::Assert {
        cargo_bin_cmd!("lacuna")
            .current_dir(self.0.path())
            .args(args.split_whitespace())
            .env("NO_COLOR", "1")
            .env("LACUNA_MODELS", self.at("no-models"))
            .env_remove("LACUNA_METRIC_WEIGHTS")
            .timeout(std::time::Duration::from_secs(300))
            .assert()
    }

    /// A set of the photos, and the report of two methods.
    fn judged(&self) -> assert_cmd::assert::Assert {
        self.lacuna("masks --preset box-256 --side 64 --images photos -o set").success();
        self.lacuna("eval --masks set --method mean-colour --method patchmatch -o report")
    }

    fn results(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.at("report/results.json")).unwrap()).unwrap()
    }
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn sets_have_the_same_bytes_whatever_the_number_of_threads() {
    let folder = Folder::new();
    for source in ["", "--images photos"] {
        let set = |threads: u32| {
            let name = format!("set{threads}{}", source.len());
            folder
                .lacuna(&format!(
                    "masks --preset by-area --side 64 --count 12 {source} --threads {threads} -o {name}"
                ))
                .success();
            files(&folder.at(&name))
        };
        let one = set(1);
        assert_eq!(one, set(3));
        let table = one.iter().find(|(name, _)| name == "index.csv").unwrap();
        let text = String::from_utf8(table.1.clone()).unwrap();
        assert_eq!(text.lines().count(), 13);
        assert!(text.starts_with("mask,image,width,height,hole_share,sha256\n"));
        assert_eq!(one.len(), if source.is_empty() { 13 } else { 25 });
    }
    // A published set is recognised.
    let published = folder.lacuna("masks --preset half --count 120 -o half").success();
    published.stderr(contains("identical to the published set"));
}

#[test]
fn sets_that_cannot_be_made_say_why() {
    let folder = Folder::new();
    folder.lacuna("masks --preset thick --count 2 -o set").failure().code(2).stderr(contains("thick-256"));
    folder.lacuna("masks --preset half -o photos").failure().code(1).stderr(contains("is not empty"));
    folder.lacuna("masks --preset half --images nowhere -o set").failure().stderr(contains("nowhere"));
    fs::write(folder.at("photos/torn.png"), "torn").unwrap();
    let set = folder.lacuna("masks --preset half --side 64 --images photos -o set2").failure().code(3);
    set.stderr(contains("torn.png").and(contains("5 masks")));
}

#[test]
fn the_network_that_ships_and_any_other_are_judged_alone_and_as_guides() {
    let folder = Folder::new();
    folder.judged().success();
    let file = testkit::fixtures::path("generator/bare.safetensors").display().to_string();
    let methods = format!(
        "--method network --method guided --model other={file} --method by-other=guided:{file} --guided last={file}"
    );
    folder.lacuna(&format!("eval --masks set --count 2 {methods} -o networks")).success();
    let text = fs::read_to_string(folder.at("networks/results.json")).unwrap();
    let results: Value = serde_json::from_str(&text).unwrap();
    let methods = results["methods"].as_array().unwrap();
    let names: Vec<&str> = methods.iter().map(|method| method["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["network", "guided", "by-other", "other", "last"]);
    assert!(methods.iter().all(|method| method["judged"] == 2));
}

#[test]
fn methods_are_run_judged_and_reported_and_go_on() {
    let folder = Folder::new();
    folder
        .judged()
        .success()
        .stdout(contains("mean-colour").and(contains("patchmatch")))
        .stderr(contains("LPIPS (Alex), LPIPS (VGG), FID, KID and IDS are not computed"));
    let results = folder.results();
    for method in results["methods"].as_array().unwrap() {
        assert_eq!(method["judged"], 5);
        let means = method["means"].as_array().unwrap();
        let value = |metric: &str, region: &str| {
            let mean =
                means.iter().find(|mean| mean["metric"] == metric && mean["region"] == region).unwrap();
            mean["interval"]["mean"].as_f64().unwrap()
        };
        assert_eq!(value("known-error", "whole"), 0.0);
        assert!(value("l1", "hole") > value("l1", "whole") && value("ssim", "whole") > value("ssim", "hole"));
    }
    let table = fs::read_to_string(folder.at("report/patchmatch.tsv")).unwrap();
    assert!(table.starts_with("\tfid\tlpips") && table.lines().last().unwrap().starts_with("total\t"));
    // Existing scores and fills are not computed again.
    let rows = folder.at("report/rows/patchmatch.jsonl");
    let before = (fs::read_to_string(&rows).unwrap(), folder.results());
    folder.lacuna("eval --masks set --method mean-colour --method patchmatch -o report").success();
    assert!(
        (fs::read_to_string(&rows).unwrap(), folder.results()) == before,
        "the second report is another one"
    );
    // A fill that changed is scored again.
    fs::copy(folder.at("set/p0_crop000.png"), folder.at("report/fills/patchmatch/p0_crop000_mask000.png"))
        .unwrap();
    folder.lacuna("eval --masks set --method mean-colour --method patchmatch -o report").success();
    assert_eq!(fs::read_to_string(&rows).unwrap().lines().count(), 6);
    // Fills of an earlier version of a method are computed again; so are those from before versions.
    let made_by = folder.at("report/fills/patchmatch/made-by.txt");
    let identity = fs::read_to_string(&made_by).unwrap();
    let (method, _) = identity.rsplit_once("; version ").unwrap();
    for older in [format!("{method}; version 0"), method.to_owned()] {
        fs::write(&made_by, older).unwrap();
        fs::copy(
            folder.at("set/p1_crop000.png"),
            folder.at("report/fills/patchmatch/p1_crop000_mask000.png"),
        )
        .unwrap();
        let again = folder.lacuna("eval --masks set --method mean-colour --method patchmatch -o report");
        again.success().stderr(contains("patchmatch has changed since its fills were stored"));
        assert_eq!(fs::read_to_string(&made_by).unwrap(), identity);
        assert!(folder.results()["methods"] == before.1["methods"], "other fills of this version");
    }
    let error = folder.lacuna("eval --masks set --method patchmatch --seed 7 -o report").failure().code(1);
    error.stderr(contains("seed 0").and(contains("seed 7")));
}

#[test]
fn several_answers_are_compared() {
    let folder = Folder::new();
    folder.lacuna("masks --preset box-256 --side 64 --images photos -o set").success();
    let weights = metric_weights("lpips_alex_v0.1.safetensors");
    let arg = weights.as_ref().map(|path| format!("--metric-weights {}", path.parent().unwrap().display()));
    let rest = "--samples 3 --method mean-colour --method patchmatch -o report";
    let run = folder.lacuna(&format!("eval --masks set {rest} {}", arg.unwrap_or_default())).success();
    run.stderr(contains("mean-colour has one answer, whatever the seed"));
    let names = ["mean-colour", "patchmatch", "patchmatch-2", "patchmatch-3"];
    let results = folder.results();
    let found: Vec<&str> = results["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| method["name"].as_str().unwrap())
        .collect();
    assert_eq!(found, names);
    let fills = |name: &str| files(&folder.at(&format!("report/fills/{name}")));
    let identity =
        |name: &str| fs::read_to_string(folder.at(&format!("report/fills/{name}/made-by.txt"))).unwrap();
    assert!(identity("patchmatch-3").contains("seed 2"), "{}", identity("patchmatch-3"));
    let pictures = |name: &str| -> Vec<_> {
        fills(name).into_iter().filter(|(file, _)| file.ends_with(".png")).collect()
    };
    assert_ne!(pictures("patchmatch"), pictures("patchmatch-2"));
    if weights.is_none() {
        return;
    }
    let text = fs::read_to_string(folder.at("report/diversity.json")).unwrap();
    let diversity: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(diversity.as_object().unwrap().keys().collect::<Vec<_>>(), ["patchmatch"]);
    let mean = |what: &str| diversity["patchmatch"][what]["mean"].as_f64().unwrap();
    assert!(mean("between") > 0.0 && mean("best") <= mean("first"), "{text}");
    assert!((mean("best") - mean("first") - mean("best_minus_first")).abs() < 1e-9, "{text}");
}

#[test]
fn a_bad_file_is_a_row() {
    let folder = Folder::new();
    folder.judged().success();
    fs::create_dir(folder.at("fills")).unwrap();
    for (name, bytes) in files(&folder.at("report/fills/patchmatch")) {
        if name.ends_with(".png") && !name.starts_with("p4") {
            fs::write(folder.at("fills").join(name), bytes).unwrap();
        }
    }
    fs::write(folder.at("fills/p1_crop000_mask000.png"), b"\x89PNG\r\n\x1a\ntorn").unwrap();
    RgbImage::new(32, 64).save(folder.at("fills/p2_crop000_mask000.png")).unwrap();
    let report = folder.lacuna("eval --masks set --predictions mine=fills -o report2").failure().code(3);
    report.stderr(
        contains("p1_crop000_mask000")
            .and(contains("the fill is 32 x 64 pixels, the ground truth 64 x 64"))
            .and(contains("mine has no fill of p4_crop000_mask000")),
    );
    let text = fs::read_to_string(folder.at("report2/results.json")).unwrap();
    let results: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&results["methods"][0]["judged"], &results["cases"]), (&2.into(), &5.into()));
    for (args, code, problem) in [
        ("eval --masks set -o r", 2, "nothing to evaluate"),
        ("eval --masks photos --method patchmatch -o r", 1, "no mask in photos"),
        ("eval --masks set --predictions a=fills --predictions a=set -o r", 2, "two methods are called a"),
        ("eval --masks set --metric-weights nowhere --method patchmatch -o r", 2, "nowhere is not a folder"),
        ("eval --masks set --model truth=x.pt -o r", 2, "a method cannot be called truth"),
        ("eval --masks set --predictions ../a=fills -o r", 2, "cannot be the name of a method"),
        ("eval --masks set --model x=nowhere.safetensors -o r", 1, "nowhere.safetensors"),
    ] {
        folder.lacuna(args).failure().code(code).stderr(contains(problem));
    }
}

#[test]
fn the_report_works_in_a_browser_and_makes_no_requests() {
    let Some(browser) = Page::new(1280, 900) else { return };
    let folder = Folder::new();
    folder.judged().success();
    let page = format!("file://{}", folder.at("report/report.html").display());
    browser.go(&page);
    let ask = |script: &str| browser.ask(script);

    // Sorting: by name up, then down.
    let names = "[...document.querySelectorAll('#scores tbody th')].map((cell) => cell.textContent).join()";
    let first = "document.querySelector('#scores thead button').click();";
    assert_eq!(ask(&format!("{first}{names}")), "mean-colour,patchmatch");
    assert_eq!(ask(&format!("{first}{names}")), "patchmatch,mean-colour");
    assert_eq!(ask("document.querySelector('#scores thead th').getAttribute('aria-sort')"), "descending");

    // There is a chart with a line for each method.
    assert_eq!(ask("document.querySelector('.chart svg').querySelectorAll('polyline').length"), 2);

    // Moving a slider by keyboard shows more of the left image.
    ask("document.querySelector('.card input').focus()");
    for _ in 0..5 {
        browser.press("ArrowRight");
    }
    assert_eq!(ask("document.querySelector('.card .left').style.clipPath"), "inset(0px 45% 0px 0px)");

    // Another method shows another image; cards are sorted by hole size.
    let choose = |select: &str, value: &str| {
        ask(&format!(
            "{{ const list = document.getElementById('{select}'); list.value = '{value}'; list.dispatchEvent(new Event('change')); document.querySelector('.card .right').src.length }}"
        ))
    };
    let mean_colour = choose("after", "0");
    assert_ne!(choose("after", "1"), mean_colour);
    choose("order", "hole");
    let sorted = "(() => { const holes = [...document.querySelectorAll('.card')].map((card) => Number(card.dataset.hole)); return holes.length === 5 && holes.every((hole, at) => at === 0 || holes[at - 1] <= hole); })()";
    assert_eq!(ask(sorted), true);

    let asked = browser.requests();
    assert!(!asked.is_empty(), "the page itself is a request");
    let outside: Vec<_> = asked.iter().filter(|url| **url != page && !url.starts_with("data:")).collect();
    assert!(outside.is_empty(), "{outside:?}");
}
