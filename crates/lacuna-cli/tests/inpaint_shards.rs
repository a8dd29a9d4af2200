//! `lacuna inpaint --csv --shard`: parts of a table on several machines, with the real program.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use assert_cmd::assert::Assert;
use assert_cmd::cargo::{cargo_bin, cargo_bin_cmd};
use image::{GrayImage, Luma, Rgb, RgbImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use tempfile::TempDir;

/// Variables of schedulers, which a test must not inherit.
const VARIABLES: [&str; 6] = [
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_MAX",
    "SLURM_ARRAY_TASK_STEP",
    "JOB_COMPLETION_INDEX",
];

/// A folder with a photo, a mask and a table.
struct Folder(TempDir);

impl Folder {
    /// The table fills one photo into `rows` outputs.
    fn new(rows: usize) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let (width, height) = (40, 32);
        RgbImage::from_fn(width, height, |x, y| Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8]))
            .save(folder.at("photo.png"))
            .unwrap();
        let in_hole = |x: u32, y: u32| (10..18).contains(&x) && (8..16).contains(&y);
        GrayImage::from_fn(width, height, |x, y| Luma([if in_hole(x, y) { 255 } else { 0 }]))
            .save(folder.at("mask.png"))
            .unwrap();
        folder.table(rows);
        folder
    }

    fn table(&self, rows: usize) {
        let rows = (0..rows).map(|row| format!("photo.png,mask.png,out/{row:03}.png\n"));
        fs::write(self.at("list.csv"), format!("image,mask,output\n{}", rows.collect::<String>())).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `lacuna inpaint --csv list.csv` with more arguments and variables.
    fn command(&self, args: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(cargo_bin!("lacuna"));
        command
            .current_dir(self.0.path())
            .args(["inpaint", "--method", "patchmatch", "--csv", "list.csv"])
            .args(args.split_whitespace());
        VARIABLES.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.env("NO_COLOR", "1").envs(variables.iter().copied());
        command
    }

    fn run_with(&self, args: &str, variables: &[(&str, &str)]) -> Assert {
        let command = self.command(args, variables);
        assert_cmd::Command::from(command).timeout(std::time::Duration::from_secs(300)).assert()
    }

    fn run(&self, args: &str) -> Assert {
        self.run_with(args, &[])
    }

    /// The outputs that a dry run of a shard lists.
    fn planned(&self, shard: &str) -> BTreeSet<String> {
        let planned = self.run(&format!("--shard {shard} --dry-run --json")).success();
        let text = String::from_utf8(planned.get_output().stdout.clone()).unwrap();
        let output = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["output"].clone();
        text.lines().map(|line| output(line).as_str().unwrap().to_owned()).collect()
    }

    fn outputs(&self) -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(self.at("out")) else { return BTreeSet::new() };
        entries.map(|entry| format!("out/{}", entry.unwrap().file_name().to_str().unwrap())).collect()
    }

    fn manifest(&self, shard: &str) -> PathBuf {
        self.at(&format!("list.csv.{shard}lacuna-manifest.jsonl"))
    }
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

#[test]
fn shards_are_a_partition_that_new_rows_do_not_change() {
    let folder = Folder::new(30);
    let shards = ["0/3", "1/3", "2/3"];
    let before = shards.map(|shard| folder.planned(shard));
    let all: BTreeSet<String> = before.iter().flatten().cloned().collect();
    assert_eq!(all, (0..30).map(|row| format!("out/{row:03}.png")).collect());
    assert_eq!(before.iter().map(BTreeSet::len).sum::<usize>(), 30, "no row is in two shards");
    assert!(before.iter().all(|shard| shard.len() > 3), "{before:?}");
    // New rows before, between and after: other order, other neighbours.
    let rows: String = (0..40).rev().map(|row| format!("photo.png,mask.png,out/{row:03}.png\n")).collect();
    fs::write(folder.at("list.csv"), format!("image,mask,output\n{rows}")).unwrap();
    for (shard, before) in shards.iter().zip(&before) {
        let now = folder.planned(shard);
        assert!(now.is_superset(before), "{shard}: {before:?}, then {now:?}");
        assert!(now.difference(before).all(|output| output.as_str() >= "out/030.png"));
    }
    assert!(folder.outputs().is_empty() && !folder.manifest("").exists(), "a dry run writes nothing");
}

#[test]
fn merged_manifests_are_those_of_one_run() {
    let folder = Folder::new(12);
    for shard in ["0/2", "1/2"] {
        folder.run(&format!("--shard {shard}")).success().stderr(contains("filled"));
    }
    assert_eq!(folder.outputs().len(), 12);
    assert!(!folder.manifest("").exists());
    let unmerged = folder.run("--resume").code(3);
    unmerged.stderr(contains("2 manifests of other shards are not merged").and(contains("12 failed")));
    // The file that this failed run began records nothing.
    fs::remove_file(folder.manifest("")).unwrap();
    // A kill in the middle of a line.
    let cut = fs::read(folder.manifest("0-of-2.")).unwrap();
    let cut = &cut[..cut.len() - 20];
    fs::write(folder.manifest("0-of-2."), cut).unwrap();
    fs::write(folder.manifest("2-of-3."), "").unwrap();
    let merged = folder.run("--merge-manifests").success();
    let words = stderr(&merged);
    for expected in [
        "11 finished outputs, 1 others, from 3 manifests",
        "0-of-2.lacuna-manifest.jsonl: 1 incomplete lines are left out",
        "shard 0 of 3 and 1 more has no manifest",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    let text = fs::read_to_string(folder.manifest("")).unwrap();
    assert_eq!(text.lines().count(), 12, "one line an output");
    let before: Vec<_> = folder
        .outputs()
        .iter()
        .map(|output| fs::metadata(folder.at(output)).unwrap().modified().unwrap())
        .collect();
    folder.run("--resume").success().stderr(contains("1 filled, 11 finished before"));
    folder.run("--resume").success().stderr(contains("12 photos: 12 finished before"));
    let after: Vec<_> = folder
        .outputs()
        .iter()
        .map(|output| fs::metadata(folder.at(output)).unwrap().modified().unwrap())
        .collect();
    assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), 1);
    // Another number of shards starts from the merged manifest.
    for shard in ["0/3", "1/3", "2/3"] {
        let again = folder.run(&format!("--shard {shard} --resume")).success();
        assert!(!stderr(&again).contains(" filled"), "{}", stderr(&again));
    }
    // The last result of an output counts: the same outputs, filled anew by one shard of one.
    folder.run("--shard 0/1 --overwrite --seed 7").success().stderr(contains("12 filled"));
    folder.run("--merge-manifests").success().stderr(contains("12 finished outputs, 0 others"));
    folder.run("--resume --seed 7").success().stderr(contains("12 photos: 12 finished before"));
}

#[test]
fn there_is_something_to_merge_or_an_error() {
    let folder = Folder::new(2);
    folder.run("--merge-manifests").code(1).stderr(contains("list.csv has no manifests of shards"));
    folder.run("--merge-manifests --resume").code(2);
    folder.run("--merge-manifests --shard 0/2").code(2);
}

#[test]
fn a_killed_shard_is_resumed() {
    let folder = Folder::new(40);
    let mut child = folder.command("--shard 1/2", &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The second photo's line: the first one is in the manifest.
    let seen = lines.by_ref().find(|line| line.as_ref().unwrap().starts_with("[2/")).unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let total: usize = seen["[2/".len()..seen.find(']').unwrap()].parse().unwrap();
    let before = fs::read_to_string(folder.manifest("1-of-2.")).unwrap();
    let finished = before.lines().filter(|line| line.contains("\"finished\"") && line.ends_with('}')).count();
    assert!((1..total).contains(&finished), "{finished} of {total}");
    let resumed = folder.run("--shard 1/2 --resume").success();
    let expected = format!("{} filled, {finished} finished before", total - finished);
    assert!(stderr(&resumed).contains(&expected), "{expected}: {}", stderr(&resumed));
    folder.run("--shard 0/2").success();
    assert_eq!(folder.outputs().iter().filter(|name| name.ends_with(".png")).count(), 40);
}

#[test]
fn exit_codes_of_shards() {
    let folder = Folder::new(8);
    let table = fs::read_to_string(folder.at("list.csv")).unwrap();
    fs::write(
        folder.at("list.csv"),
        table.replace("photo.png,mask.png,out/003.png", "gone.png,mask.png,out/003.png"),
    )
    .unwrap();
    let codes: Vec<Option<i32>> = ["0/2", "1/2"]
        .map(|shard| folder.run(&format!("--shard {shard}")).get_output().status.code())
        .to_vec();
    assert!(codes.contains(&Some(0)) && codes.contains(&Some(3)), "some failed in one shard: {codes:?}");
    // Most of 1,000 shards of eight rows are empty, and done.
    let empty = (0..1000)
        .map(|index| format!("{index}/1000"))
        .find(|shard| folder.planned(shard).is_empty())
        .unwrap();
    folder.run(&format!("--shard {empty}")).success().stderr(contains("no row of list.csv is in shard"));
    for (args, words) in [
        ("--shard 2/2", "shard 2 of 2: shards are numbered from 0 to 1"),
        ("--shard 1/0", "expected K/N"),
        ("--shard x", "expected K/N such as 0/16, auto/16, or auto in a Slurm array"),
        ("--shard auto/4", "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX is set"),
        ("--shard auto", "SLURM_ARRAY_TASK_ID is not set"),
    ] {
        folder.run(args).code(2).stderr(contains(words));
    }
    cargo_bin_cmd!("lacuna")
        .args(["inpaint", "a.png", "b.png", "-o", "c.png", "--shard", "0/2"])
        .assert()
        .code(2);
}

#[test]
fn schedulers_number_their_tasks() {
    let folder = Folder::new(12);
    let given = folder.run("--shard 2/4 --dry-run").success();
    let expected = stderr(&given);
    for (args, variables) in [
        ("auto/4", vec![("SLURM_ARRAY_TASK_ID", "2")]),
        ("auto/4", vec![("JOB_COMPLETION_INDEX", "2")]),
        (
            "auto",
            vec![
                ("SLURM_ARRAY_TASK_ID", "3"),
                ("SLURM_ARRAY_TASK_COUNT", "4"),
                ("SLURM_ARRAY_TASK_MIN", "1"),
                ("SLURM_ARRAY_TASK_MAX", "4"),
                ("SLURM_ARRAY_TASK_STEP", "1"),
            ],
        ),
    ] {
        let run = folder.run_with(&format!("--shard {args} --dry-run"), &variables).success();
        let outputs = |text: &str| -> Vec<String> {
            text.lines().filter_map(|line| Some(line[line.rfind("out/")?..].to_owned())).collect()
        };
        assert_eq!(outputs(&stderr(&run)), outputs(&expected), "{args} {variables:?}");
    }
    folder
        .run_with("--shard auto/4", &[("SLURM_ARRAY_TASK_ID", "4")])
        .code(2)
        .stderr(contains("SLURM_ARRAY_TASK_ID: shard 4 of 4: shards are numbered from 0 to 3"));
}

#[test]
fn a_table_is_checked_to_its_end_before_anything_is_written() {
    let folder = Folder::new(9);
    let good = fs::read_to_string(folder.at("list.csv")).unwrap();
    for (row, words) in [
        ("photo.png,mask.png", "list.csv, line 11: 2 values, but the first line has 3 columns"),
        ("photo.png,,out/x.png", "list.csv, line 11: no mask"),
        ("photo.png,mask.png,./out/004.png", "list.csv, lines 6 and 11: two photos would be written to"),
    ] {
        fs::write(folder.at("list.csv"), format!("{good}{row}\n")).unwrap();
        // Also where the bad row is in another shard.
        for shard in ["--shard 0/2", "--shard 1/2", ""] {
            let run = folder.run(shard).code(1);
            assert!(
                stderr(&run).contains(words) && stderr(&run).lines().count() == 1,
                "{row}: {}",
                stderr(&run)
            );
        }
    }
    assert!(
        folder.outputs().is_empty() && !folder.manifest("").exists() && !folder.manifest("0-of-2.").exists()
    );
}

/// Peak memory of a process in KiB.
#[cfg(target_os = "linux")]
fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_table() {
    /// Peak memory when the first photo is done.
    fn peak(folder: &Folder) -> u64 {
        let mut child = folder.command("--resume", &[]).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.starts_with("[1/"), "{first}");
        let peak = peak_kib(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        peak
    }
    /// Bytes a row: eight for the check of outputs, fourteen for a finished output, blocks of the files, and what vectors
    /// hold in reserve. A list of all tasks would take 250, and one of the finished outputs as much again.
    const ROW_BYTES: u64 = 100;
    let (few, many) = (2, 400_000);
    let folder = Folder::new(few);
    let small = peak(&folder);
    folder.table(many);
    let finished: String = (2..many)
        .map(|row| {
            format!(
                "{{\"event\":\"started\",\"output\":\"out/{row:03}.png\"}}\n{{\"event\":\"finished\",\"output\":\
                 \"out/{row:03}.png\",\"key\":\"{row:064x}\",\"sha256\":\"{row:064x}\"}}\n"
            )
        })
        .collect();
    fs::write(folder.manifest(""), finished).unwrap();
    let large = peak(&folder);
    let most = small + many as u64 * ROW_BYTES / 1024;
    assert!(large < most, "{small} KiB for {few} rows, {large} KiB for {many}, expected at most {most}");
}
