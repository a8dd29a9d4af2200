//! `lacuna serve`, the real program: start, shutdown, and two thousand requests.
#![cfg(feature = "serve")]

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin_cmd;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use predicates::str::contains;
use serde_json::Value;
use testkit::http::{Part, Request, Response, connect, hang_up};

/// A running program, killed when dropped.
struct Program {
    child: Child,
    address: SocketAddr,
    /// Seconds from its start until it printed its address.
    started_in: f64,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, Path::new("no models are installed"), Stdio::null())
    }

    fn start_with_log(arguments: &[&str], stderr: Stdio) -> Self {
        Self::start_with(arguments, Path::new("no models are installed"), stderr)
    }

    /// With the installed models in a folder.
    fn start_with_models(arguments: &[&str], models: &Path) -> Self {
        Self::start_with(arguments, models, Stdio::null())
    }

    fn start_with(arguments: &[&str], models: &Path, stderr: Stdio) -> Self {
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_lacuna"))
            .args(["serve", "--address", "127.0.0.1:0"])
            .args(arguments)
            .env("LACUNA_MODELS", models)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let started_in = start.elapsed().as_secs_f64();
        let address =
            line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        Self { child, address, started_in }
    }

    /// Current memory in bytes.
    fn memory(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// Peak memory in bytes.
    fn peak_memory(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    fn status_bytes(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        1024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn png(pixels: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn photo(width: u32, height: u32) -> Vec<u8> {
    png(RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7) as u8, (y * 5) as u8, ((x / 4 + y / 4) % 2 * 200) as u8])
    }))
}

fn mask(width: u32, height: u32) -> Vec<u8> {
    let inside = |at: u32, size: u32| (size / 3..size - size / 3).contains(&at);
    png(GrayImage::from_fn(width, height, |x, y| {
        Luma([if inside(x, width) && inside(y, height) { 255 } else { 0 }])
    }))
}

#[test]
fn it_starts_at_once_and_ends_when_asked_to() {
    let mut program = Program::start(&[]);
    assert!(program.started_in < 1.0, "{} seconds", program.started_in);
    assert_eq!(Request::new("GET", "/").send(program.address).status, 200);
    let models: Value =
        serde_json::from_slice(&Request::new("GET", "/v1/models").send(program.address).body).unwrap();
    assert_eq!(models["limits"]["pixels"], 50_000_000);
    assert_eq!(models["default"], serde_json::json!({"method": "guided", "model": "lacuna"}));
    program.terminate();
    assert!(program.child.wait().unwrap().success(), "a requested shutdown is not a failure");
}

#[test]
fn an_open_door_must_be_wanted() {
    let refused = |arguments: &str, code: i32, words: &str| {
        let mut program = cargo_bin_cmd!("lacuna");
        program
            .args(["serve"])
            .args(arguments.split(' '))
            .assert()
            .code(code)
            .stderr(contains(words.to_owned()));
    };
    refused("--address 0.0.0.0:0", 2, "set a --token");
    refused("--address 127.0.0.1:0 --allow-origin example.org", 2, "example.org is not an origin");
    refused("--address 127.0.0.1:0 --queue 0", 2, "--queue must be at least 1");
    refused("--address 127.0.0.1:0 --model missing.safetensors", 1, "missing.safetensors");
    refused("--address 127.0.0.1:0 --device cuda:0", 1, "cuda:0");
    refused("--address nowhere", 2, "nowhere");
    refused("--address 127.0.0.1:0 --port 80", 2, "cannot be used with");
    refused("--host nowhere", 2, "nowhere");
    refused("--port 0 --base-path lacuna", 2, "base path \"lacuna\" is invalid");
    refused("--port 0 --job-timeout 0", 2, "at least 1 second");
    refused("--port 0 --max-pixels 5X", 2, "millions");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    refused(&format!("--address {}", taken.local_addr().unwrap()), 1, "cannot listen on");
}

#[test]
fn the_token_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret-words\n").unwrap();
    for arguments in [
        vec!["--token", "s3cret-words", "--log", "debug"],
        vec!["--token-file", file.to_str().unwrap(), "--log", "debug"],
    ] {
        let log = folder.path().join("log");
        let stderr = std::fs::File::create(&log).unwrap();
        let mut program = Program::start_with_log(&arguments, stderr.into());
        let authorised = Request::new("GET", "/v1/models").header("Authorization", "Bearer s3cret-words");
        assert_eq!(authorised.send(program.address).status, 200);
        assert_eq!(Request::new("GET", "/v1/models").send(program.address).status, 401);
        program.terminate();
        assert!(program.child.wait().unwrap().success());
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("/v1/models") && text.contains("memory limit"), "{text}");
        assert!(!text.contains("s3cret") && !text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn results_can_be_fetched_after_sigterm() {
    let mut program = Program::start(&[]);
    let load =
        Load { address: program.address, photo: photo(256, 192), mask: mask(256, 192), expected: Vec::new() };
    let job = load.fill("/v1/inpaint?async", 1).send(program.address);
    let path = job.header("location").unwrap().to_owned();
    let mut events = connect(program.address, None);
    events.write_all(&Request::new("GET", &format!("{path}/events")).bytes()).unwrap();
    program.terminate();
    assert!(testkit::http::receive(&mut events).text().contains("\"done\""));
    assert_eq!(Request::new("GET", &format!("{path}/result")).send(program.address).status, 200);
    assert!(program.child.wait().unwrap().success());
}

#[test]
fn clients_that_read_nothing_are_disconnected() {
    let program = Program::start(&["--connections", "2", "--body-timeout", "1s"]);
    let (photo, mask) = (photo(3000, 2000), png(GrayImage::new(3000, 2000)));
    let files = [
        Part::file("image", "a.png", &photo),
        Part::file("mask", "m.png", &mask),
        Part::value("format", "bmp"),
    ];
    let fill = Request::form("/v1/inpaint", &files).bytes();
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = connect(program.address, None);
            stream.write_all(&fill).unwrap();
            stream
        })
        .collect();
    // Both slots are taken until the responses of 18 MB, which no client reads, are abandoned.
    assert_eq!(Request::new("GET", "/v1/health").send(program.address).status, 200);
    drop(held);
}

#[test]
fn compressed_metadata_is_within_the_memory_limit() {
    const LIMIT: u64 = 100 << 20;
    let program = Program::start(&["--max-memory", "100M"]);
    let bomb = std::fs::read(testkit::fixtures::path("serve/iccp-256mib.png")).unwrap();
    let mask = mask(8, 8);
    for (image, mask) in [(&bomb, &mask), (&mask, &bomb)] {
        let files = [Part::file("image", "a.png", image), Part::file("mask", "m.png", mask)];
        let response = Request::form("/v1/inpaint", &files).send(program.address);
        assert_eq!(response.status, 422, "{}", response.text());
    }
    let peak = program.peak_memory();
    assert!(peak <= LIMIT, "{} MiB", peak >> 20);
}

#[test]
fn a_network_is_offered_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiny.ckpt");
    let shape = testkit::checkpoints::Lama { width: 2, blocks: 1, channels_in: 4 };
    testkit::checkpoints::write_lightning_checkpoint(&file, shape, 1).unwrap();
    let named = format!("other={}", file.display());
    let program = Program::start(&["--model", file.to_str().unwrap(), "--model", &named]);
    let models: Value =
        serde_json::from_slice(&Request::new("GET", "/v1/models").send(program.address).body).unwrap();
    assert_eq!(models["default"], serde_json::json!({"method": "network", "model": "tiny"}));
    assert_eq!(models["models"][1]["id"], "other");
    let (photo, mask) = (photo(64, 48), mask(64, 48));
    let files = [Part::file("image", "a.png", &photo), Part::file("mask", "m.png", &mask)];
    let filled = Request::form("/v1/inpaint", &files).send(program.address);
    assert_eq!(filled.status, 200, "{}", filled.text());
    assert!(filled.header("x-lacuna-method").unwrap().starts_with("fourier-w2-b1"));
    let view = Request::form("/v1/latent", &files).send(program.address);
    if cfg!(feature = "burn") {
        let drawn = image::load_from_memory(&view.body).unwrap();
        assert_eq!((view.status, drawn.width(), drawn.height()), (200, 64, 48));
    } else {
        assert_eq!(view.status, 501);
    }
}

#[test]
fn an_installed_big_lama_is_offered_as_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("big-lama.safetensors");
    let shape = testkit::checkpoints::Lama { width: 2, blocks: 1, channels_in: 4 };
    testkit::torchscript::write_torchscript(&file, shape, 1).unwrap();
    let program = Program::start_with_models(&[], folder.path());
    let models: Value =
        serde_json::from_slice(&Request::new("GET", "/v1/models").send(program.address).body).unwrap();
    assert_eq!(models["default"], serde_json::json!({"method": "guided", "model": "lacuna"}));
    let offered = models["models"].as_array().unwrap();
    let labels: Vec<_> = offered.iter().map(|model| (model["id"].clone(), model["label"].clone())).collect();
    assert_eq!(labels, [("lacuna".into(), Value::Null), ("big-lama".into(), "Best".into())]);
    let (photo, mask) = (photo(64, 48), mask(64, 48));
    for (method, words) in [(None, "fourier-w2-b1"), (Some("guided"), "patchmatch guided by fourier-w2-b1")] {
        let mut fields = vec![
            Part::file("image", "a.png", &photo),
            Part::file("mask", "m.png", &mask),
            Part::value("model", "big-lama"),
        ];
        fields.extend(method.map(|method| Part::value("method", method)));
        let filled = Request::form("/v1/inpaint", &fields).send(program.address);
        assert_eq!(filled.status, 200, "{}", filled.text());
        assert!(filled.header("x-lacuna-method").unwrap().starts_with(words));
    }

    // A damaged model is skipped.
    std::fs::write(&file, "torn").unwrap();
    let program = Program::start_with_models(&[], folder.path());
    let models: Value =
        serde_json::from_slice(&Request::new("GET", "/v1/models").send(program.address).body).unwrap();
    assert_eq!(models["models"].as_array().unwrap().len(), 1);
}

/// Requests in all, clients that send them, and requests before the first memory measurement.
const REQUESTS: usize = 2000;
const CLIENTS: u8 = 32;
const WARM_UP: usize = 500;

/// Allowed memory growth after that.
const MOST_GROWTH: f64 = 0.05;

/// Different fills that are requested repeatedly; each has one correct response.
const FILLS: usize = 8;

/// Requests and their expected responses.
struct Load {
    address: SocketAddr,
    photo: Vec<u8>,
    mask: Vec<u8>,
    /// The correct image for each seed.
    expected: Vec<Vec<u8>>,
}

impl Load {
    fn new(address: SocketAddr) -> Self {
        let mut load = Self { address, photo: photo(96, 72), mask: mask(96, 72), expected: Vec::new() };
        load.expected = (0..FILLS).map(|seed| load.fill("/v1/inpaint", seed).send(address).body).collect();
        load
    }

    fn fill(&self, path: &str, seed: usize) -> Request {
        let seed = seed.to_string();
        self.form(path, &self.photo, &self.mask, &[Part::value("seed", &seed)])
    }

    fn form(&self, path: &str, photo: &[u8], mask: &[u8], more: &[Part<'_>]) -> Request {
        let files = [Part::file("image", "a.png", photo), Part::file("mask", "m.png", mask)];
        Request::form(path, &[&files[..], more].concat())
    }

    /// Sends until the server has room.
    fn patiently(&self, request: &Request, client: IpAddr) -> Response {
        loop {
            let response = request.send_from(self.address, Some(client));
            if response.status != 429 {
                return response;
            }
            assert!(response.header("retry-after").is_some());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Request number `number`; returns seconds if it was a plain fill.
    fn send(&self, number: usize, client: IpAddr) -> Option<f64> {
        let seed = number % FILLS;
        let refused = |request: Request, status: u16, code: &str| {
            let response = self.patiently(&request, client);
            let document: Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(
                (response.status, document["code"].as_str()),
                (status, Some(code)),
                "request {number}"
            );
            None
        };
        let form = |photo: &[u8], mask: &[u8], more: &[Part<'_>]| self.form("/v1/inpaint", photo, mask, more);
        match number % 16 {
            0..4 => {
                let start = Instant::now();
                let response = self.patiently(&self.fill("/v1/inpaint", seed), client);
                assert!(response.status == 200 && response.body == self.expected[seed], "request {number}");
                return Some(start.elapsed().as_secs_f64());
            }
            4 => {
                let job = self.patiently(&self.fill("/v1/inpaint?async", seed), client);
                assert_eq!(job.status, 202);
                let path = job.header("location").unwrap().to_owned();
                let get = |rest: &str| {
                    Request::new("GET", &format!("{path}{rest}")).send_from(self.address, Some(client))
                };
                assert!(get("/events").text().trim_end().ends_with('}'));
                assert!(get("/result").body == self.expected[seed], "request {number}");
                let forgotten = Request::new("DELETE", &path).send_from(self.address, Some(client));
                assert_eq!(forgotten.status, 204);
            }
            5 => {
                let preview = Request::form("/v1/preview", &[Part::file("image", "a.png", &self.photo)]);
                assert_eq!(self.patiently(&preview, client).status, 200);
            }
            6 => return refused(form(b"not a picture", &self.mask, &[]), 422, "image-invalid"),
            7 => {
                return refused(
                    form(&self.photo[..self.photo.len() / 2], &self.mask, &[]),
                    422,
                    "image-invalid",
                );
            }
            8 => return refused(form(&self.photo, &mask(72, 96), &[]), 422, "mask-size"),
            // A header that states 60,000 x 60,000 pixels.
            9 => {
                let mut huge = self.photo.clone();
                huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
                let crc = crc32(&huge[12..29]);
                huge[29..33].copy_from_slice(&crc.to_be_bytes());
                return refused(form(&huge, &self.mask, &[]), 422, "image-too-large");
            }
            10 => {
                let more = [Part::value("path", "../../etc/passwd")];
                return refused(form(&self.photo, &self.mask, &more), 422, "field-unknown");
            }
            11 => return refused(Request::json("/api/v1/inpaint", "{\"image\": 7}"), 422, "field-invalid"),
            12 => return refused(Request::new("GET", "/v1/jobs/none"), 404, "job-unknown"),
            13 => {
                let request = Request::new("POST", "/v1/inpaint")
                    .header("Content-Type", "multipart/form-data; boundary=X")
                    .header("Content-Length", "99999999999");
                return refused(request, 413, "body-too-large");
            }
            14 => {
                let rebound = self.fill("/v1/inpaint", seed).header("Host", "evil.example");
                return refused(rebound, 421, "host-not-allowed");
            }
            _ => {
                // A client that disconnects halfway.
                let bytes = self.fill("/v1/inpaint", seed).bytes();
                let mut stream = connect(self.address, Some(client));
                stream.write_all(&bytes[..bytes.len() * (1 + number % 3) / 3]).unwrap();
                hang_up(&stream);
            }
        }
        None
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn two_thousand_requests_are_answered_rightly_in_steady_memory() {
    let program = Program::start(&[]);
    let load = Load::new(program.address);
    let (next, times, warm) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(None));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (load, next, times, warm, program) = (&load, &next, &times, &warm, &program);
            scope.spawn(move || {
                // Each has an address of its own, as real clients do.
                let address = IpAddr::from(Ipv4Addr::new(127, 0, 1, client + 1));
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= REQUESTS {
                        return;
                    }
                    if number == WARM_UP {
                        *warm.lock().unwrap() = Some(program.memory());
                    }
                    if let Some(seconds) = load.send(number, address) {
                        times.lock().unwrap().push(seconds);
                    }
                }
            });
        }
    });
    let seconds = start.elapsed().as_secs_f64();
    let (before, after) = (warm.into_inner().unwrap().unwrap(), program.memory());
    let growth = after as f64 / before as f64 - 1.0;
    let mut times = times.into_inner().unwrap();
    times.sort_by(f64::total_cmp);
    let quantile = |quantile: f64| 1000.0 * times[(quantile * (times.len() - 1) as f64) as usize];
    println!(
        "{REQUESTS} requests from {CLIENTS} clients in {seconds:.1} s; fills p50 {:.0} ms, p95 {:.0} ms; memory {:.1} to {:.1} MiB",
        quantile(0.5),
        quantile(0.95),
        before as f64 / f64::from(1 << 20),
        after as f64 / f64::from(1 << 20)
    );
    assert!(growth < MOST_GROWTH, "memory grew by {:.1} %", 100.0 * growth);
    let health: Value =
        serde_json::from_slice(&Request::new("GET", "/v1/health").send(program.address).body).unwrap();
    assert_eq!(
        (health["queued"].as_u64(), health["running"].as_u64()),
        (Some(0), Some(0)),
        "nothing is left over"
    );
}
