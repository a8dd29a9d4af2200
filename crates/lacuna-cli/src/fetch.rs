//! `lacuna model fetch`: published weights, from their official releases.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use lacuna::atomic::write_bytes_atomically;
use lacuna::hash::sha256_of_file;
use lacuna_eval::published::{PUBLISHED, Published, Source};

use crate::Outcome;
use crate::eval::weights_folder;
use crate::output::print;

/// Arguments of `lacuna model fetch`.
#[derive(Args)]
pub struct FetchArgs {
    /// What to get
    #[arg(value_enum)]
    what: What,
    /// Folder to put it in [default: $LACUNA_METRIC_WEIGHTS, else Lacuna's cache]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Get the official files from here instead, by their names
    #[arg(long, value_name = "URL", conflicts_with = "from")]
    mirror: Option<String>,
    /// Take the official files from this folder, without a network
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

/// What can be got.
#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// LPIPS v0.1 (AlexNet, VGG16) and FID's Inception, 156 MB of 850 MB that are downloaded
    Metrics,
}

/// Where downloads are kept until they are complete.
const PARTS: &str = "downloads";
/// Bytes that are written at a time.
const BLOCK: usize = 1 << 16;

/// Runs the command.
///
/// # Errors
/// If a file cannot be got or is not the published one. What is complete stays; the same command goes on.
pub fn run(args: &FetchArgs) -> Result<Outcome> {
    let What::Metrics = args.what;
    let folder = match &args.output {
        Some(folder) => folder.clone(),
        None => weights_folder(None)?,
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for published in PUBLISHED {
        let path = folder.join(published.file);
        if path.exists() {
            let tensors = lacuna_eval::weights::read(&path)?;
            match published.check(&tensors) {
                Ok(()) => {
                    eprintln!("{} is there", path.display());
                    continue;
                }
                Err(problem) => eprintln!("{}: {problem}; getting it again", path.display()),
            }
        }
        get(args, &published, &folder).with_context(|| format!("cannot get {}", published.file))?;
        print(&path.display().to_string())?;
    }
    // Empty when all is done; if not, somebody may want what is in it.
    let _ = fs::remove_dir(folder.join(PARTS));
    Ok(Outcome::Done)
}

fn get(args: &FetchArgs, published: &Published, folder: &Path) -> Result<()> {
    let mut files = Vec::new();
    for source in published.sources {
        let file = match &args.from {
            Some(from) => from.join(source.name),
            None => folder.join(PARTS).join(source.name),
        };
        if args.from.is_none() && !file.exists() {
            let url = match &args.mirror {
                Some(mirror) => format!("{}/{}", mirror.trim_end_matches('/'), source.name),
                None => source.url.to_owned(),
            };
            download(&url, &file)?;
        }
        check(source, &file, args.from.is_none())?;
        files.push(file);
    }
    let bytes = published.convert(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    write_bytes_atomically(&folder.join(published.file), &bytes)?;
    if args.from.is_none() {
        for file in files {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
    }
    Ok(())
}

/// Checks an official file; a download that is another one is removed, to be made again.
fn check(source: &Source, file: &Path, downloaded: bool) -> Result<()> {
    let hash = sha256_of_file(file)?;
    if hash.starts_with(source.sha256) {
        return Ok(());
    }
    if downloaded {
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    bail!("{} has the SHA-256 {hash}, the official one begins with {}", file.display(), source.sha256)
}

/// Downloads a file, going on where an earlier attempt stopped.
fn download(url: &str, file: &Path) -> Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    if let Some(parent) = part.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let there = part.metadata().map_or(0, |metadata| metadata.len());
    let mut request = ureq::get(url);
    if there > 0 {
        request = request.header("Range", format!("bytes={there}-"));
    }
    let response = request.config().http_status_as_error(false).build().call();
    let mut response = response.with_context(|| format!("cannot get {url}"))?;
    let status = response.status().as_u16();
    // All of it was there already, and only its name was missing.
    if status == 416 {
        return fs::rename(&part, file).with_context(|| format!("cannot rename {}", part.display()));
    }
    ensure!(matches!(status, 200 | 206), "{url} answered {status}");
    let resumed = status == 206;
    let mut options = OpenOptions::new();
    let options = if resumed { options.append(true) } else { options.write(true).truncate(true) };
    let written = || format!("cannot write {}", part.display());
    let mut output: File = options.create(true).open(&part).with_context(written)?;
    let length = response.body().content_length();
    let bar = ProgressBar::new(length.unwrap_or(0) + if resumed { there } else { 0 });
    let style =
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}");
    let bar = bar.with_style(style.expect("a valid template")).with_message(url.to_owned());
    bar.set_position(if resumed { there } else { 0 });
    let (mut body, mut block, mut received) = (response.body_mut().as_reader(), vec![0; BLOCK], 0);
    loop {
        let read =
            body.read(&mut block).with_context(|| format!("{url} broke off; the same command goes on"))?;
        if read == 0 {
            break;
        }
        output.write_all(&block[..read]).with_context(written)?;
        received += read as u64;
        bar.inc(read as u64);
    }
    bar.finish_and_clear();
    if let Some(length) = length {
        ensure!(
            received == length,
            "{url} broke off after {received} of {length} bytes; the same command goes on"
        );
    }
    output.sync_all().with_context(written)?;
    fs::rename(&part, file).with_context(|| format!("cannot rename {}", part.display()))
}
