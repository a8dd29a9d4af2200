//! `lacuna inpaint in.tar -o out.tar`: tar files in webdataset's layout, with the real program.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assert_cmd::assert::Assert;
use assert_cmd::cargo::cargo_bin;
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use predicates::prelude::{PredicateBooleanExt, predicate::str::contains};
use tar::{EntryType, Header};
use tempfile::TempDir;

const SIZE: (u32, u32) = (40, 32);

fn in_hole(x: u32, y: u32) -> bool {
    (10..18).contains(&x) && (8..16).contains(&y)
}

fn encoded(image: impl Into<image::DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn photo(seed: u32) -> RgbImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| Rgb([(x * 6) as u8, (y * 8 + seed) as u8, (x * y) as u8]))
}

fn png(seed: u32) -> Vec<u8> {
    encoded(photo(seed), ImageFormat::Png)
}

fn mask() -> Vec<u8> {
    let mask = GrayImage::from_fn(SIZE.0, SIZE.1, |x, y| Luma([if in_hole(x, y) { 255 } else { 0 }]));
    encoded(mask, ImageFormat::Png)
}

/// A folder to run the program in: `work`, in a folder where nothing else may appear.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.at("")).unwrap();
        folder
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join("work").join(name)
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(cargo_bin!("lacuna"));
        command
            .current_dir(self.at(""))
            .args(["inpaint", "--method", "patchmatch"])
            .args(args.split_whitespace())
            .env("NO_COLOR", "1");
        command
    }

    fn run(&self, args: &str) -> Assert {
        let timeout = std::time::Duration::from_secs(120);
        assert_cmd::Command::from(self.command(args)).timeout(timeout).assert()
    }

    /// Writes a tar file.
    fn tar(&self, name: &str, members: &[(&str, &[u8])]) {
        let mut builder = tar::Builder::new(File::create(self.at(name)).unwrap());
        for (name, bytes) in members {
            append(&mut builder, name, bytes);
        }
        builder.finish().unwrap();
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn append(builder: &mut tar::Builder<File>, name: &str, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o640);
    header.set_mtime(1_700_000_000);
    builder.append_data(&mut header, name, bytes).unwrap();
}

/// Appends an entry whose name is not checked.
fn append_raw(builder: &mut tar::Builder<File>, name: &[u8], kind: EntryType, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append(&header, bytes).unwrap();
}

/// Names and contents of a tar file.
fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(File::open(path).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, File>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

fn names(path: &Path) -> Vec<String> {
    members(path).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn photos_are_filled_and_everything_else_is_kept() {
    let folder = Folder::new();
    let jpeg = encoded(photo(1), ImageFormat::Jpeg);
    let long = format!("{}/9.png", "folder".repeat(20));
    let long_mask = long.replace(".png", ".mask.png");
    folder.tar(
        "in.tar",
        &[
            ("./a/0.png", &png(0)),
            ("./a/0.mask.png", &mask()),
            ("a/1.json", b"{\"caption\": 1}"),
            ("a/1.mask.png", &mask()),
            ("a/1.jpg", &jpeg),
            (&long, &png(9)),
            (&long_mask, &mask()),
            ("a/.hidden", b"x"),
        ],
    );
    let run = folder.run("in.tar -o new/out.tar --jobs 2 --json").success();
    run.stderr(contains("3 photos: 3 filled")).stdout(contains("\"image\":\"in.tar/a/1.jpg\""));
    let filled = members(&folder.at("new/out.tar"));
    let expected = ["a/0.png", "a/0.mask.png", "a/1.json", "a/1.mask.png", "a/1.jpg", &long, &long_mask];
    assert_eq!(filled.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!((&filled[1].1, filled[2].1.as_slice()), (&mask(), b"{\"caption\": 1}".as_slice()));
    // The same as from files.
    fs::write(folder.at("1.jpg"), jpeg).unwrap();
    fs::write(folder.at("mask.png"), mask()).unwrap();
    folder.run("1.jpg mask.png -o 1-filled.jpg").success();
    assert_eq!(filled[4].1, fs::read(folder.at("1-filled.jpg")).unwrap());
    let (before, after) = (photo(0), image::load_from_memory(&filled[0].1).unwrap().to_rgb8());
    let is_kept = |(x, y, pixel): (u32, u32, &Rgb<u8>)| in_hole(x, y) || pixel == after.get_pixel(x, y);
    assert!(before.enumerate_pixels().all(is_kept) && before != after);
    // The same bytes with any number of jobs, and the same time stamps and permissions.
    folder.run("in.tar -o again.tar").success();
    assert!(fs::read(folder.at("again.tar")).unwrap() == fs::read(folder.at("new/out.tar")).unwrap());
    let mut archive = tar::Archive::new(File::open(folder.at("again.tar")).unwrap());
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!((entry.header().mtime().unwrap(), entry.header().mode().unwrap()), (1_700_000_000, 0o640));
}

#[test]
fn bad_samples_are_reported_and_left_out() {
    let folder = Folder::new();
    let mut builder = tar::Builder::new(File::create(folder.at("in.tar")).unwrap());
    append(&mut builder, "good.png", &png(0));
    append(&mut builder, "good.mask.png", &mask());
    append(&mut builder, "broken.png", b"not a picture");
    append(&mut builder, "broken.mask.png", &mask());
    append(&mut builder, "alone.png", &png(1));
    append(&mut builder, "text.json", b"{}");
    append(&mut builder, "two.png", &png(2));
    append(&mut builder, "two.jpg", &encoded(photo(2), ImageFormat::Jpeg));
    append(&mut builder, "two.mask.png", &mask());
    for name in [b"../evil.png".as_slice(), b"../evil.mask.png", b"/evil.png"] {
        append_raw(&mut builder, name, EntryType::Regular, &png(3));
    }
    append_raw(&mut builder, b"bad-\xff.png", EntryType::Regular, &png(3));
    append_raw(&mut builder, b"link.png", EntryType::Symlink, b"");
    append(&mut builder, "link.mask.png", &mask());
    append_raw(&mut builder, b"hard.png", EntryType::Link, b"");
    append_raw(&mut builder, b"pipe.png", EntryType::Fifo, b"");
    append_raw(&mut builder, b"folder", EntryType::Directory, b"");
    append(&mut builder, "last.png", &png(4));
    append(&mut builder, "last.mask.png", &mask());
    builder.finish().unwrap();
    drop(builder);
    let run = folder.run("in.tar -o out.tar --jobs 3").code(3);
    let stderr = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    for words in [
        "in.tar/broken.png: failed: ",
        "in.tar/alone: failed: no mask",
        "in.tar/text: failed: no photo",
        "in.tar/two: failed: two photos: two.png and two.jpg",
        "in.tar/../evil: failed: the name \"../evil.png\" leads out of",
        "in.tar//evil: failed: the name \"/evil.png\" leads out of",
        "is not UTF-8",
        "in.tar/link: failed: link.png is not a file but a link",
        "in.tar/hard: failed: hard.png is not a file but a link",
        "in.tar/pipe: failed: pipe.png is not a file but a pipe",
        "12 photos: 2 filled, 10 failed",
    ] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    assert_eq!(names(&folder.at("out.tar")), ["good.png", "good.mask.png", "last.png", "last.mask.png"]);
    assert_eq!(folder.files(), ["in.tar", "out.tar"], "nothing was extracted");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 1, "nor beside the folder");
}

#[test]
fn a_damaged_tar_file_leaves_nothing() {
    let folder = Folder::new();
    folder.tar(
        "in.tar",
        &[("a.png", &png(0)), ("a.mask.png", &mask()), ("b.png", &png(1)), ("b.mask.png", &mask())],
    );
    let whole = fs::read(folder.at("in.tar")).unwrap();
    let last = whole.windows(b"b.mask.png".len()).position(|window| window == b"b.mask.png").unwrap();
    fs::write(folder.at("cut.tar"), &whole[..last + 600]).unwrap();
    let mut changed = whole.clone();
    changed[last] = b'x';
    fs::write(folder.at("changed.tar"), changed).unwrap();
    fs::write(folder.at("text.tar"), "not a tar file ".repeat(100)).unwrap();
    fs::write(folder.at("empty.tar"), "").unwrap();
    let before = folder.files();
    for (name, words) in [
        ("cut.tar", "b.mask.png has"),
        ("changed.tar", "checksum"),
        ("text.tar", "damaged tar file"),
        ("empty.tar", "empty.tar has no files"),
        ("gone.tar", "cannot read gone.tar"),
    ] {
        folder.run(&format!("{name} -o out.tar")).code(1).stderr(contains(words));
        assert_eq!(folder.files(), before, "{name}");
    }
}

#[test]
fn a_killed_run_leaves_no_tar_file() {
    let folder = Folder::new();
    let samples: Vec<(String, Vec<u8>)> = (0..30)
        .flat_map(|number| [(format!("{number}.png"), png(number)), (format!("{number}.mask.png"), mask())])
        .collect();
    let samples: Vec<(&str, &[u8])> =
        samples.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    folder.tar("in.tar", &samples);
    let mut child = folder.command("in.tar -o out.tar").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().starts_with("[3] ")).unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.at("out.tar").exists());
    folder.run("in.tar -o out.tar").success().stderr(contains("30 photos: 30 filled"));
    assert_eq!(names(&folder.at("out.tar")).len(), 60);
}

#[test]
fn limits_hold_for_each_sample() {
    let folder = Folder::new();
    folder.tar(
        "in.tar",
        &[
            ("a.bin", &[0; 20_000]),
            ("a.png", &png(0)),
            ("a.mask.png", &mask()),
            ("b.bin", &[0; 9_000]),
            ("b.more", &[0; 9_000]),
            ("b.png", &png(0)),
            ("b.mask.png", &mask()),
            ("c.png", &png(0)),
            ("c.mask.png", &mask()),
        ],
    );
    let run = folder.run("in.tar -o out.tar --max-bytes 16K").code(3);
    let together = contains("b.more: the file has").and(contains("with the files of the same key before it"));
    run.stderr(
        contains(
            "in.tar/a: failed: a.bin: the file has 20000 bytes: at most 16384 are allowed (--max-bytes)",
        )
        .and(together)
        .and(contains("3 photos: 1 filled, 2 failed")),
    );
    // A name that would fill the memory.
    let mut builder = tar::Builder::new(File::create(folder.at("long.tar")).unwrap());
    append_raw(&mut builder, b"././@LongLink", EntryType::GNULongName, &vec![b'x'; 4 << 20]);
    append(&mut builder, "a.png", &png(0));
    builder.finish().unwrap();
    folder.run("long.tar -o none.tar").code(1).stderr(contains("more than 1 MiB of names and attributes"));
    assert!(!folder.at("none.tar").exists());
}

#[test]
fn options_that_folders_have() {
    let folder = Folder::new();
    fs::write(folder.at("mask.png"), mask()).unwrap();
    let clear = RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        Rgba([x as u8, y as u8, 9, if in_hole(x, y) { 0 } else { 255 }])
    });
    folder.tar("clear.tar", &[("a.png", &encoded(clear, ImageFormat::Png)), ("b.png", &png(1))]);
    folder.run("clear.tar --mask-from alpha -o out.tar").code(3).stderr(contains("1 filled, 1 failed"));
    folder
        .run("clear.tar mask.png -o out.tar")
        .code(1)
        .stderr(contains("out.tar exists (--overwrite replaces it)"));
    folder.run("clear.tar mask.png -o out.tar --overwrite --format webp").success();
    assert_eq!(names(&folder.at("out.tar")), ["a.webp", "b.webp"]);
    fs::remove_file(folder.at("out.tar")).unwrap();
    fs::create_dir(folder.at("folder")).unwrap();
    let planned = folder.run("clear.tar mask.png -o folder --dry-run --json").success();
    planned.stdout(contains("\"status\":\"planned\"").and(contains("folder/clear.tar/b.png")));
    assert_eq!(folder.files(), ["clear.tar", "folder", "mask.png"], "a dry run writes nothing");
    assert_eq!(fs::read_dir(folder.at("folder")).unwrap().count(), 0);
    fs::write(folder.at("a.tar.gz"), "x").unwrap();
    for (args, words) in [
        ("clear.tar mask.png -o out.png", "out.png does not end in .tar"),
        ("clear.tar folder -o out.tar", "folder is a folder, clear.tar a tar file"),
        ("clear.tar mask.png -o out.tar --resume", "a tar file is written as a whole"),
        ("clear.tar mask.png --mask-from alpha -o out.tar", "takes no mask"),
        ("a.tar.gz -o out.tar", "a.tar.gz is a compressed tar file; only plain ones are read"),
    ] {
        folder.run(args).code(2).stderr(contains(words));
    }
}
