//! Downloads of published files: resumed, verified, with fallback URLs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use indicatif::HumanCount;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::progress::Progress;

/// Bytes written at a time.
const BLOCK: usize = 1 << 16;
/// Timeout for connecting to a server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout for a silent server, before and within its response.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

/// A published file.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its URLs, in the order in which they are tried.
    pub urls: Vec<String>,
    /// Its length, if known beforehand.
    pub bytes: Option<u64>,
    /// Size of the converted file, which also needs disk space.
    pub converted_bytes: u64,
}

/// Downloads a file into a folder and verifies it there. An existing file is only verified; an interrupted download is
/// resumed. A file that `check` refuses is removed, and the next URL is tried.
///
/// # Errors
/// If no URL provides a file that `check` accepts, with the reason for each. Incomplete downloads are kept.
pub fn fetch<'a, T>(remote: &Remote, file: &'a Path, check: impl Fn(&'a Path) -> Result<T>) -> Result<T> {
    let check = |file: &'a Path| {
        check(file).or_else(|problem| {
            fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
            Err(problem)
        })
    };
    if file.exists() {
        match check(file) {
            Ok(checked) => return Ok(checked),
            Err(problem) => eprintln!("{problem:#}; downloading it again"),
        }
    }
    let part = Part::open(file)?;
    let agent = agent();
    let mut failures = Vec::new();
    for url in &remote.urls {
        match part.download(&agent, url, remote).and_then(|()| check(file)) {
            Ok(checked) => return Ok(checked),
            Err(problem) => {
                failures.push(format!("{problem:#}"));
                if failures.len() < remote.urls.len() {
                    eprintln!("{problem:#}; trying the next URL");
                }
            }
        }
    }
    part.remove_empty();
    bail!("{}", failures.join("; "))
}

/// An HTTP client that uses the proxy of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
fn agent() -> Agent {
    Agent::config_builder()
        .user_agent(concat!("lacuna/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(SILENCE_TIMEOUT))
        .timeout_per_read(Some(SILENCE_TIMEOUT))
        .build()
        .into()
}

/// An incomplete download. It is locked, because two programs that write one file would corrupt it.
struct Part<'a> {
    /// The complete file.
    file: &'a Path,
    path: PathBuf,
    _lock: File,
}

/// A server's response.
struct Answer {
    response: Response<Body>,
    /// Offset of the first byte that it sends.
    start: u64,
    /// Length of the whole file, if the server states it.
    total: Option<u64>,
}

impl<'a> Part<'a> {
    fn open(file: &'a Path) -> Result<Self> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let beside = |suffix: &str| {
            let mut path = file.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let path = beside(".part");
        let lock = OpenOptions::new().create(true).append(true).open(&path);
        let lock = lock.with_context(|| format!("cannot write {}", path.display()))?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                bail!("another program is downloading {}: wait for it", file.display())
            }
            // Some file systems do not support locks; the hash would reveal the damage.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        Ok(Self { file, path, _lock: lock })
    }

    /// Removes an empty download.
    fn remove_empty(&self) {
        if self.path.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // An empty file does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Downloads what is missing, then renames the file.
    fn download(&self, agent: &Agent, url: &str, remote: &Remote) -> Result<()> {
        let there = self.path.metadata().map_or(0, |metadata| metadata.len());
        if remote.bytes != Some(there) {
            let there = if remote.bytes.is_some_and(|bytes| there > bytes) { 0 } else { there };
            match request(agent, url, there, remote.bytes)? {
                Some(answer) => self.receive(answer, url, remote)?,
                // The server has no more bytes: the file is complete unless the known length says otherwise.
                None if remote.bytes.is_none() => {}
                None => bail!("{url} has fewer bytes than the published file"),
            }
        }
        fs::rename(&self.path, self.file).with_context(|| format!("cannot rename {}", self.path.display()))
    }

    fn receive(&self, mut answer: Answer, url: &str, remote: &Remote) -> Result<()> {
        let Answer { start, total, .. } = answer;
        if let (Some(total), Some(bytes)) = (total, remote.bytes) {
            ensure!(total == bytes, "{url} has {total} bytes, the published file has {bytes}");
        }
        let total = total.or(remote.bytes);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        // If the file system does not report its free space, try anyway.
        if let (Some(total), Ok(free)) = (total, fs4::available_space(folder)) {
            check_room(total - start + remote.converted_bytes, free, folder)?;
        }
        let written = || format!("cannot write {}", self.path.display());
        let mut output = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path)
            .with_context(written)?;
        output.set_len(start).with_context(written)?;
        std::io::Seek::seek(&mut output, std::io::SeekFrom::End(0)).with_context(written)?;
        let broke_off = |at: u64| {
            let of = total.map_or_else(String::new, |total| format!(" of {total}"));
            format!("{url} broke off after {at}{of} bytes; run the same command again to resume")
        };
        let mut progress = Progress::new(url, start, total);
        let (mut body, mut block, mut at) = (answer.response.body_mut().as_reader(), vec![0; BLOCK], start);
        loop {
            let read = body.read(&mut block).with_context(|| broke_off(at))?;
            if read == 0 {
                break;
            }
            at += read as u64;
            if let Some(bytes) = remote.bytes.filter(|&bytes| at > bytes) {
                bail!("{url} sends more than the {bytes} bytes of the published file");
            }
            output.write_all(&block[..read]).with_context(written)?;
            progress.reach(at);
        }
        progress.finish();
        ensure!(total.is_none_or(|total| at == total), "{}", broke_off(at));
        output.sync_all().with_context(written)
    }
}

/// Requests a file from an offset on; none if the server has no such byte.
fn request(agent: &Agent, url: &str, from: u64, bytes: Option<u64>) -> Result<Option<Answer>> {
    let mut request = agent.get(url);
    if from > 0 {
        request = request.header(header::RANGE, format!("bytes={from}-"));
    }
    let response = request.call().with_context(|| format!("cannot get {url}"))?;
    match response.status() {
        StatusCode::OK => {
            if from > 0 {
                eprintln!("{url} cannot be resumed; starting again");
            }
            let total = response.body().content_length();
            Ok(Some(Answer { response, start: 0, total }))
        }
        StatusCode::PARTIAL_CONTENT if from > 0 => {
            let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
            match range.and_then(content_range) {
                Some((start, total)) if start == from => Ok(Some(Answer { response, start, total })),
                // A different range than requested: only the whole file is useful.
                _ => self::request(agent, url, 0, bytes),
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 && bytes.is_some() => {
            self::request(agent, url, 0, bytes)
        }
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => Ok(None),
        status => bail!("{url} answered {status}"),
    }
}

/// First byte and total length, if given, of `bytes 5-9/10` or `bytes 5-9/*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    Some((start, if total == "*" { None } else { Some(total.parse().ok()?) }))
}

fn check_room(needed: u64, free: u64, folder: &Path) -> Result<()> {
    ensure!(
        needed <= free,
        "{} needs {} bytes of free space, but has {}",
        folder.display(),
        HumanCount(needed),
        HumanCount(free)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for text in ["", "bytes */10", "5-9/10", "bytes 5-9", "bytes 5-9/x", "bytes -9/10"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }

    #[test]
    fn a_full_disk_is_refused_with_both_values() {
        let folder = Path::new("models");
        assert!(check_room(2048, 2048, folder).is_ok());
        let error = check_room(2049, 2048, folder).unwrap_err().to_string();
        assert_eq!(error, "models needs 2,049 bytes of free space, but has 2,048");
    }

    #[test]
    fn two_programs_do_not_write_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let first = Part::open(&file).unwrap();
        let second = Part::open(&file).err().map(|error| error.to_string());
        assert!(second.unwrap().contains("another program is downloading"));
        drop(first);
        assert!(Part::open(&file).is_ok());
    }
}
