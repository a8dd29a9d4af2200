//! What a server is told when it starts.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lacuna::Budget;
use lacuna::picture::Limits;

use crate::token::Token;

/// How a server listens, whom it answers, and what it takes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub address: SocketAddr,
    /// Who may ask.
    pub access: Access,
    /// Names besides localhost and addresses under which it may be asked for: what a reverse proxy passes on.
    pub hosts: Vec<String>,
    /// Origins (`https://example.org`) whose pages may ask.
    pub origins: Vec<String>,
    /// Take the client's address from the last entry of `X-Forwarded-For`: only behind a proxy that sets it.
    pub trust_forwarded_for: bool,
    /// The path below which everything is served, such as `/lacuna`; empty for none.
    pub base_path: String,
    /// What it takes.
    pub bounds: Bounds,
}

/// Who may ask.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever reaches the address.
    Open,
    /// Whoever has the token.
    Token(Token),
}

/// What a server takes of a request, a client, and all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a request's body; more are answered by 413.
    pub body_bytes: usize,
    /// Pixels of a picture; more are answered by 422.
    pub pixels: u64,
    /// Pixels a side; more are answered by 422.
    pub side: u32,
    /// Jobs that wait; more are answered by 429.
    pub queue: usize,
    /// Jobs, waiting or running, of one client; more are answered by 429.
    pub per_client: usize,
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// The time that a job may run; longer ones are answered by 504.
    pub job: Duration,
    /// The time in which a request's head must arrive; later ones are answered by 408.
    pub head: Duration,
    /// The time without any progress of a body. A request's body that stalls is answered by 408; a connection whose client
    /// reads nothing of its answer is closed.
    pub stall: Duration,
    /// The time after the last job in which clients may fetch results from a server that is told to stop.
    pub grace: Duration,
    /// Bytes of memory that a job may take, by its forecast; more are answered by 422.
    pub memory: Option<u64>,
}

impl Default for Bounds {
    /// 64 MiB hold a JPEG or HEIC photo of any camera (a 16-bit TIFF of 12 megapixels has 73 MB: raise it for those); a side
    /// as for files; a queue short enough for a person to wait, of which one client takes at most half.
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            pixels: 50_000_000,
            side: Limits::default().side,
            queue: 16,
            per_client: 8,
            connections: 256,
            job: Duration::from_secs(120),
            head: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            grace: Duration::from_secs(30),
            memory: None,
        }
    }
}

impl Bounds {
    /// What a picture may ask for.
    pub fn limits(&self) -> Limits {
        // Decoded pixels have up to eight bytes.
        let memory = self.memory.map(|total| Budget::new(total, 0));
        Limits { side: self.side, pixels: self.pixels, bytes: self.pixels.saturating_mul(8), memory }
    }
}

/// Why a server does not start as it was told.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Others reach the address and nothing keeps them out.
    #[error(
        "{0} is reached by other machines: give a --token, or say --insecure-no-token if whoever reaches it may use it"
    )]
    NoToken(IpAddr),
    /// An origin that is none.
    #[error("{0} is no origin (such as https://example.org, without a path)")]
    Origin(String),
    /// A base path that cannot be one.
    #[error(
        "base path {0:?} is invalid: expected a path such as /lacuna, of letters, digits, '-', '_', '.' and '/'"
    )]
    BasePath(String),
    /// A bound of zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
}

impl Config {
    /// A server on an address with default bounds, for whoever reaches it.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            access: Access::Open,
            hosts: Vec::new(),
            origins: Vec::new(),
            trust_forwarded_for: false,
            base_path: String::new(),
            bounds: Bounds::default(),
        }
    }

    /// Checks what the program's words cannot; `insecure` allows an open door to other machines.
    ///
    /// # Errors
    /// As [`ConfigError`] says.
    pub fn check(&self, insecure: bool) -> Result<(), ConfigError> {
        let address = self.address.ip();
        if matches!(self.access, Access::Open) && !address.is_loopback() && !insecure {
            return Err(ConfigError::NoToken(address));
        }
        for origin in &self.origins {
            let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let host = |rest: &str| !rest.is_empty() && !rest.contains(['/', '?', '#', '@', '*', ' ']);
            if !rest.is_some_and(host) {
                return Err(ConfigError::Origin(origin.clone()));
            }
        }
        if !is_base_path(&self.base_path) {
            return Err(ConfigError::BasePath(self.base_path.clone()));
        }
        let bounds = &self.bounds;
        let counts = [
            ("--max-body", bounds.body_bytes),
            ("--queue", bounds.queue),
            ("--per-client", bounds.per_client),
            ("--connections", bounds.connections),
        ];
        let zero = counts.into_iter().find(|&(_, count)| count == 0);
        zero.map_or(Ok(()), |(name, _)| Err(ConfigError::Zero(name)))
    }
}

/// Whether a path is empty, or slashes each followed by a segment of unreserved characters (RFC 3986, section 2.3).
fn is_base_path(path: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let segment = |segment: &str| {
        !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(unreserved)
    };
    path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str) -> Config {
        Config::new(address.parse().unwrap())
    }

    #[test]
    fn other_machines_need_a_token() {
        for (address, alone) in [
            ("127.0.0.1:0", true),
            ("127.8.8.8:0", true),
            ("[::1]:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("192.168.1.5:80", false),
        ] {
            let open = config(address);
            assert_eq!(open.check(false).is_ok(), alone, "{address}");
            assert_eq!(open.check(true), Ok(()));
            let locked = Config { access: Access::Token(Token::new("secret")), ..open };
            assert_eq!(locked.check(false), Ok(()));
        }
    }

    #[test]
    fn origins_are_origins() {
        for (origin, good) in [
            ("https://example.org", true),
            ("http://localhost:3000", true),
            ("*", false),
            ("null", false),
            ("https://*.example.org", false),
            ("https://example.org/", false),
            ("example.org", false),
        ] {
            let config = Config { origins: vec![origin.into()], ..config("127.0.0.1:0") };
            assert_eq!(config.check(false).is_ok(), good, "{origin}");
        }
    }

    #[test]
    fn base_paths_are_paths() {
        for (path, good) in [
            ("", true),
            ("/lacuna", true),
            ("/tools/lacuna-1.0", true),
            ("lacuna", false),
            ("/", false),
            ("/lacuna/", false),
            ("/a//b", false),
            ("/../a", false),
            ("/{id}", false),
            ("/a?b", false),
        ] {
            let config = Config { base_path: path.into(), ..config("127.0.0.1:0") };
            assert_eq!(config.check(false).is_ok(), good, "{path:?}");
        }
    }

    #[test]
    fn nothing_is_bounded_to_nothing() {
        let mut config = config("127.0.0.1:0");
        config.bounds.queue = 0;
        assert_eq!(config.check(false), Err(ConfigError::Zero("--queue")));
    }
}
