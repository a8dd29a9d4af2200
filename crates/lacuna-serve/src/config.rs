//! The configuration of a server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lacuna::Budget;
use lacuna::picture::Limits;

use crate::token::Token;

/// The address, access rules and limits of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 selects a free one.
    pub address: SocketAddr,
    /// Who may use the API.
    pub access: Access,
    /// Accepted host names besides localhost and IP addresses, such as the public name of a reverse proxy.
    pub hosts: Vec<String>,
    /// Origins (`https://example.org`) whose pages may use the API.
    pub origins: Vec<String>,
    /// Take the client's address from the last entry of `X-Forwarded-For`; only behind a proxy that sets it.
    pub trust_forwarded_for: bool,
    /// The path below which everything is served, such as `/lacuna`; empty for the root.
    pub base_path: String,
    /// The limits.
    pub bounds: Bounds,
}

/// Who may use the API.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everyone who can reach the address.
    Open,
    /// Clients with the token.
    Token(Token),
}

/// Limits for requests, clients and the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a request body; 413 beyond.
    pub body_bytes: usize,
    /// Pixels of an image; 422 beyond.
    pub pixels: u64,
    /// Width and height of an image in pixels; 422 beyond.
    pub side: u32,
    /// Waiting jobs; 429 beyond.
    pub queue: usize,
    /// Waiting and running jobs of one client; 429 beyond.
    pub per_client: usize,
    /// Open connections; further ones wait to be accepted.
    pub connections: usize,
    /// Run time of a job; 504 beyond.
    pub job: Duration,
    /// Time for a request's headers to arrive; 408 beyond.
    pub head: Duration,
    /// Time without progress of a body. A stalled request body gets 408; a connection whose client does not read the
    /// response is closed.
    pub stall: Duration,
    /// Time after the last job in which clients may fetch results during shutdown.
    pub grace: Duration,
    /// Forecast memory of a job in bytes; 422 beyond.
    pub memory: Option<u64>,
}

impl Default for Bounds {
    /// 64 MiB hold a JPEG or HEIC photo of any camera (a 16-bit TIFF of 12 megapixels has 73 MB: raise the limit for
    /// those). The side limit is that of files. The queue is short enough for a person to wait, and one client may use
    /// at most half of it.
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
    /// Limits on reading images.
    pub fn limits(&self) -> Limits {
        // A decoded pixel has up to eight bytes.
        let memory = self.memory.map(|total| Budget::new(total, 0));
        Limits { side: self.side, pixels: self.pixels, bytes: self.pixels.saturating_mul(8), memory }
    }
}

/// An invalid configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Other machines can reach the address, and nothing restricts access.
    #[error("other machines can reach {0}: set a --token, or allow open access with --insecure-no-token")]
    NoToken(IpAddr),
    /// An invalid origin.
    #[error("{0} is not an origin (such as https://example.org, without a path)")]
    Origin(String),
    /// An invalid base path.
    #[error(
        "base path {0:?} is invalid: expected a path such as /lacuna, of letters, digits, '-', '_', '.' and '/'"
    )]
    BasePath(String),
    /// A limit of zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
}

impl Config {
    /// A server on an address with default limits and open access.
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

    /// Checks what argument parsing cannot. `insecure` allows other machines access without a token.
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

/// Whether a path is empty, or consists of slashes each followed by a segment of unreserved characters (RFC 3986,
/// section 2.3).
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
