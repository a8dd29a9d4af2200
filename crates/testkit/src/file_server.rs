//! A web server for tests of downloads: it answers as the test says, and remembers what it was asked for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, or `CONNECT` where the client takes this server for a proxy.
    pub method: String,
    /// The path; of `CONNECT`, host and port.
    pub target: String,
    /// The first byte of the `Range` header.
    pub from: Option<u64>,
}

/// The server; its threads end with the test's process.
#[derive(Debug)]
pub struct FileServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FileServer {
    /// A server on a free port of this machine. `answer` makes the whole answer to a `GET`, head and body: see
    /// [`file()`], [`ranged`] and [`status`]. A `CONNECT` is accepted, and answered as if this were its target.
    ///
    /// # Panics
    /// If the machine has no port left.
    pub fn start(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away in the middle is what some tests want.
                let _ = stream.and_then(|stream| serve(stream, &answer, &log));
            }
        });
        Self { address, asked }
    }

    /// Its URL, without a slash at the end.
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

/// The next request; none if the client closed the connection.
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

/// A file, sent whole by a server that does not know ranges.
pub fn file(bytes: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
    [head.as_bytes(), bytes].concat()
}

/// A file, sent from where the request says.
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

/// An answer without a body, such as `404 Not Found`; `headers` end in `\r\n` each.
pub fn status(line: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}
