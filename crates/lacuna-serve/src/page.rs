//! The page and its files, embedded in the program.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::problem::{Code, Problem};
use crate::segment::Segment;

/// The files of `page/`.
#[derive(RustEmbed)]
#[folder = "page/"]
pub(crate) struct Files;

/// The example photo of the page; its credits are in examples/CREDITS.md.
pub(crate) const PHOTO: &[u8] = include_bytes!("../../../examples/savanna.jpg");
pub(crate) const MASK: &[u8] = include_bytes!("../../../examples/savanna-mask.png");

/// Content security policy: pages may only load themselves and use this server. Photos are shown from memory (`blob:`).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The service worker, which caches the page's files so that the page opens without a connection.
const SERVICE_WORKER: &str = "sw.js";

/// `GET /`
pub async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers)
}

/// `GET /docs`
pub async fn docs(headers: HeaderMap) -> Response {
    file("docs.html", &headers)
}

/// `GET /assets/{name}`
pub async fn asset(Segment(name): Segment, headers: HeaderMap) -> Response {
    file(&name, &headers)
}

/// `GET /example/{name}`
pub async fn example(Segment(name): Segment) -> Response {
    let (bytes, media_type) = match name.as_str() {
        "photo.jpg" => (PHOTO, "image/jpeg"),
        "mask.png" => (MASK, "image/png"),
        _ => return nothing().into_response(),
    };
    ([(header::CONTENT_TYPE, media_type)], Bytes::from_static(bytes)).into_response()
}

fn nothing() -> Problem {
    Problem::new(Code::NotFound, "there is no such file")
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

/// A file of the page, or 304 if the browser has it already.
fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(EmbeddedFile { data, metadata }) = Files::get(name) else { return nothing().into_response() };
    let hash: String = metadata.sha256_hash()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{hash}\"");
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, media_type(name))], data.into_owned()).into_response()
    };
    let headers = response.headers_mut();
    // Allows the service worker to control the page, which is above its own folder.
    if name == SERVICE_WORKER {
        headers.insert("service-worker-allowed", HeaderValue::from_static("../"));
    }
    // Revalidated on each load, downloaded again when the program has changed.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limit of what a phone loads before anything is shown.
    const MOST_BYTES: usize = 300_000;

    #[test]
    fn the_page_is_small_and_of_known_types() {
        let mut bytes = PHOTO.len() + MASK.len();
        for name in Files::iter() {
            assert_ne!(media_type(&name), "application/octet-stream", "{name}");
            bytes += Files::get(&name).unwrap().data.len();
        }
        assert!(bytes <= MOST_BYTES, "{bytes} bytes");
        assert!(Files::get("index.html").is_some() && Files::get("docs.html").is_some());
    }

    #[test]
    fn the_service_worker_keeps_every_file_of_the_page() {
        let worker = Files::get(SERVICE_WORKER).unwrap().data;
        let worker = std::str::from_utf8(&worker).unwrap();
        let not_kept = ["index.html", "docs.html", "docs.js", SERVICE_WORKER];
        for name in Files::iter().filter(|name| !not_kept.contains(&name.as_ref())) {
            assert!(worker.contains(&format!("\"{name}\"")), "{name} is not in the list of {SERVICE_WORKER}");
        }
    }
}
