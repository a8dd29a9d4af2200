//! An HTTP client for server tests: one request per connection, with control over every byte.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Timeout: no test takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Boundary of forms.
const BOUNDARY: &str = "X";

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    head: String,
    body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Names in lower case, with values.
    pub headers: Vec<(String, String)>,
    /// The complete body.
    pub body: Vec<u8>,
}

/// A part of a form.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The field.
    pub name: &'a str,
    /// The file's name, for files.
    pub file: Option<&'a str>,
    /// The value.
    pub bytes: &'a [u8],
}

impl<'a> Part<'a> {
    /// A file.
    pub fn file(name: &'a str, file: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, file: Some(file), bytes }
    }

    /// A value.
    pub fn value(name: &'a str, value: &'a str) -> Self {
        Self { name, file: None, bytes: value.as_bytes() }
    }
}

impl Request {
    /// A request without a body, for the host `localhost`.
    pub fn new(method: &str, path: &str) -> Self {
        Self { head: format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n"), body: Vec::new() }
    }

    /// A form request.
    pub fn form(path: &str, parts: &[Part<'_>]) -> Self {
        let mut body = Vec::new();
        for part in parts {
            let file = part.file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"{file}\r\n\r\n",
                part.name
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(part.bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        Self::new("POST", path).header("Content-Type", &kind).body(body)
    }

    /// A JSON request.
    pub fn json(path: &str, text: &str) -> Self {
        Self::new("POST", path).header("Content-Type", "application/json").body(text)
    }

    /// Adds a header; a second `Host` replaces the first.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if name == "Host" {
            self.head = self.head.replace("Host: localhost\r\n", "");
        }
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// The bytes of the request.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), b"Connection: close\r\n\r\n", &self.body].concat()
    }

    /// Sends the request and waits for the response.
    pub fn send(&self, server: SocketAddr) -> Response {
        self.send_from(server, None)
    }

    /// Length of the body in bytes.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Converts to chunked transfer encoding without a length; the body is one chunk (RFC 9112, section 7.1).
    pub fn chunked(mut self) -> Self {
        let length = format!("Content-Length: {}\r\n", self.body.len());
        self.head = self.head.replace(&length, "Transfer-Encoding: chunked\r\n");
        let head = format!("{:x}\r\n", self.body.len());
        self.body = [head.as_bytes(), &self.body, b"\r\n0\r\n\r\n"].concat();
        self
    }

    /// Sends everything before reading anything, as simple clients do.
    ///
    /// # Errors
    /// If the server closes the connection before it has read everything.
    pub fn send_all_then_read(&self, server: SocketAddr) -> std::io::Result<Response> {
        let mut stream = connect(server, None);
        stream.write_all(&self.bytes())?;
        Ok(receive(&mut stream))
    }

    /// Sends the request from an address of this machine.
    pub fn send_from(&self, server: SocketAddr, client: Option<IpAddr>) -> Response {
        let mut stream = connect(server, client);
        // A server may respond, and close, before it has read the rest of a refused request.
        let _ = stream.write_all(&self.bytes());
        receive(&mut stream)
    }
}

/// Opens a connection, from an address of this machine if one is given.
pub fn connect(server: SocketAddr, client: Option<IpAddr>) -> TcpStream {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).expect("a socket");
    if let Some(client) = client {
        socket.bind(&SocketAddr::new(client, 0).into()).expect("an address of this machine");
    }
    socket.connect(&server.into()).expect("the server listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket with a limit");
    stream.set_nodelay(true).expect("a socket without delay");
    stream
}

/// Closes the connection without a response.
pub fn hang_up(stream: &TcpStream) {
    stream.shutdown(Shutdown::Both).expect("an open connection");
}

/// Reads a response up to the end of the connection.
///
/// # Panics
/// If the response is incomplete.
pub fn receive(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    let mut block = [0; 1 << 16];
    loop {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&block[..length]),
            // The server closed while bytes of a refused request were still in flight.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset && !bytes.is_empty() => break,
            Err(error) => panic!("no answer: {error}"),
        }
    }
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Response {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of a head");
    let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = Response { status, headers, body: bytes[end + 4..].to_vec() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = unchunked(&response.body);
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().expect("a length");
        assert_eq!(response.body.len(), length, "bytes of the body");
    }
    response
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").expect("the length of a chunk");
        let length =
            std::str::from_utf8(&bytes[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let length = length.expect("a length in hexadecimal");
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..][..length]);
        bytes = &bytes[end + 2 + length + 2..];
    }
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole() {
        let chunked =
            parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        assert_eq!((chunked.status, chunked.text()), (200, "abcde"));
        let plain = parse(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno");
        assert_eq!((plain.status, plain.text(), plain.header("x-a")), (404, "no", Some("b")));
    }
}
