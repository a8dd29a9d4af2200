//! Access control (hosts, origins, tokens), request log, and headers of all responses.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::App;
use crate::client::{Client, forwarded};
use crate::config::{Access, Config};
use crate::page::CONTENT_SECURITY_POLICY;
use crate::problem::{Code, Problem};
use lacuna::form::excerpt;

/// The address that a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Headers of all responses.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Response headers that pages of allowed origins may read.
const EXPOSED: [HeaderName; 14] = [
    header::CONTENT_DISPOSITION,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("x-lacuna-method"),
    HeaderName::from_static("x-lacuna-strategy"),
    HeaderName::from_static("x-lacuna-hole"),
    HeaderName::from_static("x-lacuna-seconds"),
    HeaderName::from_static("x-lacuna-width"),
    HeaderName::from_static("x-lacuna-height"),
    HeaderName::from_static("x-lacuna-depth"),
    HeaderName::from_static("x-lacuna-format"),
    HeaderName::from_static(crate::fill::NOTES),
    HeaderName::from_static("x-seed"),
    crate::iopaint::IGNORED,
];

/// Counts and logs every request, including those whose client disconnects before the response, and adds the headers of
/// all responses.
pub async fn account(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut record = Record::new(app, &request);
    let mut response = next.run(request).await;
    record.status = response.status().as_u16();
    drop(record);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The status that is counted and logged for a client that disconnected before the response, as in nginx.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request in progress. It is counted and logged when dropped, which also happens when its client disconnects.
struct Record {
    app: App,
    start: Instant,
    method: Method,
    route: String,
    bytes: String,
    status: u16,
}

impl Record {
    fn new(app: App, request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().map_or("none", |path| path.as_str());
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        Self {
            app,
            start: Instant::now(),
            method: request.method().clone(),
            route: route.to_owned(),
            bytes: length.map(excerpt).unwrap_or_default(),
            status: CLIENT_CLOSED_REQUEST,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Self { method, route, bytes, status, .. } = self;
        self.app.metrics.request(route, *status);
        let ms = self.start.elapsed().as_millis() as u64;
        if *status == CLIENT_CLOSED_REQUEST {
            tracing::info!(%method, route, status, ms, %bytes, "the client disconnected");
        } else {
            tracing::info!(%method, route, status, ms, %bytes, "answered");
        }
    }
}

/// Refuses requests for other host names. A foreign name that resolves to this machine is how a web page in a local browser
/// would reach a server on loopback (DNS rebinding).
pub async fn host(State(app): State<App>, request: Request, next: Next) -> Response {
    match check_host(request.headers(), &app.config) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check_host(headers: &HeaderMap, config: &Config) -> Result<(), Problem> {
    // RFC 9112, section 3.2: a request with more than one Host field is malformed.
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|value| value.to_str().ok()), hosts.next()) else {
        let count = headers.get_all(header::HOST).iter().count();
        return Err(Problem::new(
            Code::Malformed,
            format!("the request has {count} valid Host fields, expected 1"),
        ));
    };
    let name = host_name(host);
    let name_is = |allowed: &String| allowed.eq_ignore_ascii_case(name);
    if name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok()
        || config.hosts.iter().any(name_is)
    {
        return Ok(());
    }
    let name = excerpt(name);
    let detail = format!("this server does not answer for the host {name:?} (--allow-host permits it)");
    Err(Problem::new(Code::HostNotAllowed, detail))
}

/// A host without its port, an IPv6 address without its brackets.
fn host_name(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Refuses pages of other origins and requests without the token, and identifies the client.
pub async fn access(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if let Err(problem) =
        check_origin(request.headers(), &app.config).and_then(|()| check_token(&request, &app))
    {
        return problem.into_response();
    }
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0);
    let client: Client =
        if app.config.trust_forwarded_for { forwarded(peer, request.headers()) } else { peer.into() };
    request.extensions_mut().insert(client);
    next.run(request).await
}

/// Browsers let pages of any origin send forms here, even if the page cannot read the response.
fn check_origin(headers: &HeaderMap, config: &Config) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("null");
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let own = origin.split_once("://").is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host));
    if own || config.origins.iter().any(|allowed| allowed == origin) {
        return Ok(());
    }
    let origin = excerpt(origin);
    let detail =
        format!("pages of the origin {origin:?} may not use this server (--allow-origin permits it)");
    Err(Problem::new(Code::OriginNotAllowed, detail))
}

/// Whether a path needs no token: the page's own files and documents, and the health check. Everything else needs the
/// token, if there is one.
fn is_public(path: &str) -> bool {
    matches!(path, "/" | "/docs" | "/openapi.json" | "/v1/health")
        || path.starts_with("/assets/")
        || path.starts_with("/example/")
}

fn check_token(request: &Request, app: &App) -> Result<(), Problem> {
    let Access::Token(token) = &app.config.access else { return Ok(()) };
    let guarded = !is_public(request.uri().path());
    let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let words = given.and_then(|value| {
        let (scheme, words) = value.split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(words)
    });
    if !guarded || words.is_some_and(|words| token.is(words)) {
        return Ok(());
    }
    let detail = match given {
        None => "send the token as Authorization: Bearer TOKEN",
        Some(_) => "the token is wrong",
    };
    Err(Problem::new(Code::Unauthorized, detail))
}

/// CORS headers for the allowed origins; `None` without any.
pub fn cors(config: &Config) -> Option<CorsLayer> {
    if config.origins.is_empty() {
        return None;
    }
    let origins = config.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
            .expose_headers(EXPOSED),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let config = Config::new("127.0.0.1:0".parse().unwrap());
        Config {
            hosts: vec!["photos.example".into()],
            origins: vec!["https://friend.example".into()],
            ..config
        }
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_own_names_are_answered() {
        for (host, allowed) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:8080", true),
            ("192.168.1.7", true),
            ("[::1]:8080", true),
            ("photos.example", true),
            ("Photos.Example:443", true),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            let found = check_host(&headers(&[(header::HOST, host)]), &config());
            assert_eq!(found.is_ok(), allowed, "{host:?}");
        }
        assert_eq!(check_host(&HeaderMap::new(), &config()).unwrap_err().code, Code::Malformed);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        for (origin, allowed) in [
            ("http://localhost:8080", true),
            ("https://localhost:8080", true),
            ("https://friend.example", true),
            ("http://localhost:9000", false),
            ("http://friend.example", false),
            ("https://evil.example", false),
            ("null", false),
        ] {
            let found = headers(&[(header::HOST, "localhost:8080"), (header::ORIGIN, origin)]);
            assert_eq!(check_origin(&found, &config()).is_ok(), allowed, "{origin}");
        }
        assert!(check_origin(&headers(&[(header::HOST, "localhost:8080")]), &config()).is_ok());
    }
}
