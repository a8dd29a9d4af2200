//! A web server for tests of downloads, with configurable responses and a log of requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, or `CONNECT` if the client uses this server as a proxy.
    pub method: String,
    /// The path or, for `CONNECT`, host and port.
    pub target: String,
    /// First byte of the `Range` header.
    pub from: Option<u64>,
}

/// The server; its threads end with the test's process.
#[derive(Debug)]
pub struct FileServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stopped: Arc<AtomicBool>,
}

impl FileServer {
    /// Starts a server on a free port of this machine. `answer` returns the complete response to a `GET`, head and
    /// body: see [`file()`], [`ranged`] and [`status`]. A `CONNECT` is accepted, and answered as if this server were
    /// its target.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                // Browsers open connections that they do not use yet.
                std::thread::spawn(move || {
                    // Some tests need clients that disconnect halfway.
                    let _ = stream.and_then(|stream| serve(stream, &*answer, &log));
                });
            }
        });
        Self { address, asked, stopped }
    }

    /// Starts a server of a folder's files, such as `assets/main.js`, below a path such as `/photos/`. Like a plain file
    /// server it knows the types of files and nothing else.
    ///
    /// # Panics
    /// If no port is free.
    pub fn folder(path: &'static str, files: Vec<(String, Vec<u8>)>) -> Self {
        Self::start(move |asked| {
            let target = asked.target.split(['?', '#']).next().unwrap_or_default();
            let name = match target.strip_prefix(path) {
                Some("") => "index.html",
                Some(name) => name,
                None => return status("404 Not Found", ""),
            };
            match files.iter().find(|(other, _)| other == name) {
                Some((_, bytes)) => typed(media_type(name), bytes),
                None => status("404 Not Found", ""),
            }
        })
    }

    /// Stops the server: further connections are refused.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }

    /// Its URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    ///
    /// # Panics
    /// If a thread of the server panicked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no thread of the server panics").clone()
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &impl Fn(&Asked) -> Vec<u8>,
    log: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    loop {
        let Some(asked) = read_head(&mut stream)? else { return Ok(()) };
        log.lock().expect("no thread of the server panics").push(asked.clone());
        if asked.method == "CONNECT" {
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            continue;
        }
        return stream.write_all(&answer(&asked));
    }
}

/// The next request; `None` if the client closed the connection.
fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut first = head.split(' ').map(str::to_owned);
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let from = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let range = name.eq_ignore_ascii_case("range").then_some(value)?;
        range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    });
    Ok(Some(Asked { method, target, from }))
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg") => "image/jpeg",
        _ => "application/octet-stream",
    }
}

/// A complete file of a media type.
fn typed(media_type: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    [head.as_bytes(), bytes].concat()
}

/// A complete file, as from a server without support for ranges.
pub fn file(bytes: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
    [head.as_bytes(), bytes].concat()
}

/// A file from the requested offset.
pub fn ranged(bytes: &[u8], asked: &Asked) -> Vec<u8> {
    let Some(from) = asked.from else { return file(bytes) };
    let (from, total) = (from as usize, bytes.len());
    if from >= total {
        return format!("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .into_bytes();
    }
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        total - 1,
        total - from
    );
    [head.as_bytes(), &bytes[from..]].concat()
}

/// A response without a body, such as `404 Not Found`; each of `headers` ends in `\r
/// `.
pub fn status(line: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}
