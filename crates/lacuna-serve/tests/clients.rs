//! Requests as sent by other programs, from `fixtures/serve/`.

mod server;

use std::io::Write as _;

use image::ColorType;
use serde_json::Value;
use testkit::http::{Part, Request, Response, connect, receive};

use server::Running;

fn fixture(name: &str) -> Vec<u8> {
    let path = testkit::fixtures::path(&format!("serve/{name}"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sends raw bytes.
fn raw(server: &Running, name: &str) -> Response {
    let mut stream = connect(server.address, None);
    stream.write_all(&fixture(name)).unwrap();
    receive(&mut stream)
}

fn json(server: &Running, path: &str, name: &str) -> Response {
    Request::json(path, std::str::from_utf8(&fixture(name)).unwrap()).send(server.address)
}

#[test]
fn iopaints_clients_get_their_photo() {
    let server = Running::plain();
    for (name, ignored) in [
        ("iopaint-web-1.6.json", Some("negative_prompt")),
        ("iopaint-model-named.json", Some("model")),
        ("iopaint-upper-case-crop.json", None),
        ("iopaint-margin-196.json", None),
        ("iopaint-base64-lines.json", None),
    ] {
        let response = json(&server, "/api/v1/inpaint", name);
        assert_eq!(response.status, 200, "{name}: {}", String::from_utf8_lossy(&response.body));
        assert_eq!(response.header("content-type"), Some("image/jpeg"), "{name}");
        assert!(response.header("x-seed").is_some_and(|seed| seed.parse::<u64>().is_ok()), "{name}");
        let listed = response.header("x-lacuna-ignored");
        let listed_all = ignored.is_none_or(|field| listed.is_some_and(|list| list.contains(field)));
        assert!(listed_all, "{name}: {listed:?}");
    }
}

#[test]
fn iopaints_page_learns_what_the_server_is() {
    let server = Running::plain();
    let get = |path: &str| Request::new("GET", path).send(server.address);
    let config: Value = serde_json::from_slice(&get("/api/v1/server-config").body).unwrap();
    assert_eq!(config["plugins"], serde_json::json!([]));
    assert_eq!(config["modelInfos"][0]["name"], "patchmatch");
    let model: Value = serde_json::from_slice(&get("/api/v1/model").body).unwrap();
    assert_eq!(model["model_type"], "inpaint");
    let switched = Request::json("/api/v1/model", "{\"name\": \"lama\"}").send(server.address);
    assert_eq!(switched.status, 200);
}

#[test]
fn masks_are_adjusted_as_iopaint_does() {
    let server = Running::plain();
    let response = json(&server, "/api/v1/adjust_mask", "iopaint-adjust-mask.json");
    assert_eq!((response.status, response.header("content-type")), (200, Some("image/png")));
    let adjusted = image::load_from_memory(&response.body).unwrap();
    assert_eq!(adjusted.color(), ColorType::Rgba8);
    let hole = |image: &image::DynamicImage| image.to_luma8().pixels().filter(|pixel| pixel[0] > 126).count();
    let before = hole(&image::load_from_memory(&fixture("mask.png")).unwrap());
    let after = adjusted.to_rgba8().pixels().filter(|pixel| pixel[3] > 0).count();
    assert!(after > before, "{before} pixels grow to {after}");
}

#[test]
fn lama_cleaners_form_is_accepted() {
    let response = raw(&Running::plain(), "lama-cleaner-form.http");
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    assert!(response.header("content-type").unwrap().starts_with("image/"));
}

#[test]
fn malformed_requests_get_problem_documents() {
    let server = Running::plain();
    for (name, status, code) in [
        ("two-hosts.http", 400, "malformed"),
        ("content-encoding.http", 415, "media-type"),
        ("asset-not-utf8.http", 400, "malformed"),
    ] {
        let response = raw(&server, name);
        assert_eq!(response.status, status, "{name}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{name}");
        let document: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(document["code"], code, "{name}");
    }
    for path in
        ["/assets/%ff", "/example/%ff%fe", "/v1/jobs/%ff", "/v1/jobs/%ff/events", "/v1/jobs/%ff/result"]
    {
        let response = Request::new("GET", path).send(server.address);
        assert_eq!(
            (response.status, response.header("content-type")),
            (400, Some("application/problem+json")),
            "{path}"
        );
    }
    for encoding in ["gzip", "br", "identity, gzip"] {
        let request = Request::json("/api/v1/inpaint", "{}").header("Content-Encoding", encoding);
        assert_eq!(request.send(server.address).status, 415, "{encoding}");
    }
    let plain = Request::json("/api/v1/inpaint", "{}").header("Content-Encoding", "identity");
    assert_eq!(plain.send(server.address).status, 422);
}

#[test]
fn a_photo_in_printing_colours_is_filled() {
    let (photo, mask) = (fixture("cmyk.jpg"), fixture("mask.png"));
    let parts = [Part::file("image", "cmyk.jpg", &photo), Part::file("mask", "mask.png", &mask)];
    let response = Request::form("/v1/inpaint", &parts).send(Running::plain().address);
    assert_eq!((response.status, response.header("content-type")), (200, Some("image/jpeg")));
}
