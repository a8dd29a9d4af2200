//! What is refused: files, parameters, limits, memory, slow requests.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use image::{DynamicImage, GrayImage, Luma};
use lacuna::patchmatch::PatchMatch;
use lacuna_serve::{Bounds, Config};
use testkit::http::{Part, Request, connect, receive};

use crate::server::{Running, config, mask, models, photo, png};
use crate::support::{code, fill, form, json, small};

#[test]
fn what_cannot_be_used_is_named() {
    let server = Running::plain();
    let (image, hole) = (png(photo(48, 40)), png(mask(48, 40)));
    let all = png(GrayImage::from_pixel(48, 40, Luma([255])));
    let alpha = png(DynamicImage::ImageRgb8(photo(48, 40)).to_rgba8());
    let cut = &image[..image.len() / 2];
    for (request, status, expected, words) in [
        (fill(b"hello", &hole, &[]), 422, "image-invalid", "not a PNG"),
        (fill(cut, &hole, &[]), 422, "image-invalid", "photo.png"),
        (fill(b"", &hole, &[]), 422, "image-invalid", "empty"),
        (fill(&image, b"GIF89a", &[]), 422, "mask-invalid", "mask.png"),
        (fill(&image, &png(mask(40, 48)), &[]), 422, "mask-size", "40 x 48"),
        (fill(&image, &all, &[]), 422, "no-known-pixels", "covers the whole image"),
        (fill(&alpha, &hole, &[Part::value("format", "jpeg")]), 422, "format-unfit", "transparency"),
        (fill(&image, &hole, &[Part::value("quality", "80")]), 422, "format-unfit", "JPEG"),
        (fill(&image, &hole, &[Part::value("file", "/etc/passwd")]), 422, "field-unknown", "\"file\""),
        (fill(&image, &hole, &[Part::value("seed", "x")]), 422, "field-invalid", "\"x\""),
        (fill(&image, &hole, &[Part::value("method", "network")]), 422, "field-invalid", "none is loaded"),
        (Request::form("/v1/inpaint", &[Part::file("image", "a", &image)]), 422, "field-missing", "mask"),
        (Request::form("/v1/inpaint", &[Part::file("mask", "a", &hole)]), 422, "field-missing", "image"),
        (Request::new("POST", "/v1/inpaint"), 415, "media-type", "no Content-Type"),
        (Request::json("/v1/inpaint", "{}"), 415, "media-type", "application/json"),
        (form("/v1/inpaint?path=x", &image, &hole, &[]), 422, "field-unknown", "path=x"),
        (Request::new("GET", "/v1/inpaint"), 405, "method-not-allowed", "method"),
        (Request::new("GET", "/../../etc/passwd"), 404, "not-found", "nothing"),
        (Request::new("GET", "/assets/..%2f..%2fCargo.toml"), 404, "not-found", "no such file"),
        (Request::new("GET", "/v1/jobs/0123"), 404, "job-unknown", "no such job"),
        (Request::new("DELETE", "/v1/jobs/0123"), 404, "job-unknown", "no such job"),
        (form("/v1/latent", &image, &hole, &[]), 501, "latent-unavailable", "no network"),
        (Request::json("/api/v1/inpaint", "[]"), 400, "malformed", "expected"),
        (Request::json("/api/v1/inpaint", "{}"), 422, "field-missing", "image"),
    ] {
        let response = request.send(server.address);
        assert_eq!((response.status, code(&response).as_str()), (status, expected), "{}", response.text());
        let detail = json(&response)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{detail}");
    }
}

#[test]
fn limits_have_their_statuses() {
    let bounds = Bounds { body_bytes: 20_000, pixels: 5000, side: 100, ..Bounds::default() };
    let server = Running::start(Config { bounds, ..config() }, models(Arc::new(PatchMatch::default())));
    let of = |width, height| {
        let response = fill(&png(photo(width, height)), &png(mask(width, height)), &[]).send(server.address);
        if response.status == 200 {
            String::new()
        } else {
            format!("{} {}", response.status, code(&response))
        }
    };
    assert_eq!(of(100, 50), "");
    assert_eq!(of(101, 20), "422 image-too-large");
    assert_eq!(of(100, 51), "422 image-too-large");
    let long = Request::form("/v1/inpaint", &[Part::file("image", "a", &[0; 20_000])]);
    let response = long.send(server.address);
    assert_eq!((response.status, code(&response).as_str()), (413, "body-too-large"));
    // A body without a stated length.
    let mut stream = connect(server.address, None);
    let head = "POST /v1/inpaint HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\
                Content-Type: multipart/form-data; boundary=X\r\n\r\n";
    let start = "--X\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let body = chunk(start) + &chunk(&"7".repeat(20_000));
    stream.write_all((head.to_owned() + &body).as_bytes()).unwrap();
    let response = receive(&mut stream);
    assert_eq!((response.status, code(&response).as_str()), (413, "body-too-large"));
}

#[test]
fn memory_is_refused_before_it_is_taken() {
    let bounds = Bounds { memory: Some(32 << 20), ..Bounds::default() };
    let server = Running::start(Config { bounds, ..config() }, models(Arc::new(PatchMatch::default())));
    let response = small().send(server.address);
    assert_eq!(response.status, 200, "{}", response.text());
    let large = fill(&png(photo(2000, 1600)), &png(mask(2000, 1600)), &[]).send(server.address);
    assert_eq!((large.status, code(&large).as_str()), (422, "memory"));
    assert!(large.text().contains("MiB are allowed"), "{}", large.text());
}

#[test]
fn slow_requests_are_given_up() {
    let short = Duration::from_millis(300);
    let bounds = Bounds { head: short, stall: short, ..Bounds::default() };
    let server = Running::start(Config { bounds, ..config() }, models(Arc::new(PatchMatch::default())));
    let bytes = small().bytes();
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    // Three bytes of the headers; half of the headers; half of the body.
    for length in [3, head / 2, head + 100] {
        let mut stream = connect(server.address, None);
        stream.write_all(&bytes[..length]).unwrap();
        let response = receive(&mut stream);
        assert_eq!((response.status, code(&response).as_str()), (408, "request-timeout"), "{length} bytes");
    }
}
