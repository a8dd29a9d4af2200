//! Every limit on what a client sends, at the limit and one beyond it, and photos of phones' sizes.

mod server;

use std::sync::Arc;

use image::{GrayImage, Luma};
use lacuna::patchmatch::PatchMatch;
use lacuna_serve::{Bounds, Config};
use serde_json::Value;
use testkit::http::{Part, Request, Response};

use server::{Running, config, mask, models, phone_jpeg, photo, png};

/// The default body limit in bytes, as documented in docs/serve.md.
const BODY: usize = 64 << 20;

fn code(response: &Response) -> String {
    let document: Value = serde_json::from_slice(&response.body).expect("a problem document");
    document["code"].as_str().unwrap().to_owned()
}

fn detail(response: &Response) -> String {
    let document: Value = serde_json::from_slice(&response.body).expect("a problem document");
    document["detail"].as_str().unwrap().to_owned()
}

/// A form of exactly `size` bytes: the photo is followed by zeros, which decoders ignore.
fn form_of(path: &str, size: usize) -> Request {
    let (image, mask) = (png(photo(48, 40)), png(mask(48, 40)));
    let request = |image: &[u8]| {
        let mut parts = vec![Part::file("image", "photo.png", image)];
        if path == "/v1/inpaint" {
            parts.push(Part::file("mask", "mask.png", &mask));
        }
        Request::form(path, &parts)
    };
    let spare = size - request(&image).body_len();
    let request = request(&[&image[..], &vec![0; spare]].concat());
    assert_eq!(request.body_len(), size);
    request
}

/// IOPaint's JSON of exactly `size` bytes.
fn json_of(size: usize) -> Request {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let text = format!(
        "{{\"image\":\"{}\",\"mask\":\"{}\",\"prompt\":\"\"}}",
        encode(&png(photo(48, 40))),
        encode(&png(mask(48, 40)))
    );
    let text = text.replace("\"prompt\":\"\"", &format!("\"prompt\":\"{}\"", "a".repeat(size - text.len())));
    assert_eq!(text.len(), size);
    Request::json("/api/v1/inpaint", &text)
}

#[test]
fn bodies_are_taken_up_to_the_limit() {
    let server = Running::plain();
    for size in [(2 << 20) - 1, 2 << 20, (2 << 20) + 1, BODY] {
        for request in [form_of("/v1/inpaint", size), form_of("/v1/preview", size), json_of(size)] {
            let response = request.send(server.address);
            assert_eq!(response.status, 200, "{size} bytes: {:?}", response.status);
        }
    }
    for request in [form_of("/v1/inpaint", BODY + 1), form_of("/v1/preview", BODY + 1), json_of(BODY + 1)] {
        let response = request.send(server.address);
        assert_eq!((response.status, code(&response).as_str()), (413, "body-too-large"));
        let detail = detail(&response);
        assert!(detail.contains("67108865") && detail.contains("67108864"), "{detail}");
    }
}

#[test]
fn a_client_that_sends_everything_before_it_reads_gets_the_refusal() {
    let bounds = Bounds { body_bytes: 1 << 20, ..Bounds::default() };
    let server = Running::start(Config { bounds, ..config() }, models(Arc::new(PatchMatch::default())));
    let too_long = form_of("/v1/preview", 32 << 20);
    for request in [too_long.clone(), too_long.chunked()] {
        let response = request.send_all_then_read(server.address).expect("the connection holds");
        assert_eq!((response.status, code(&response).as_str()), (413, "body-too-large"));
    }
    // Independent of the reason for the refusal.
    let text =
        Request::new("POST", "/v1/inpaint").header("Content-Type", "text/plain").body(vec![b'a'; 32 << 20]);
    let response = text.send_all_then_read(server.address).expect("the connection holds");
    assert_eq!(code(&response), "media-type");
}

#[test]
fn pictures_are_taken_up_to_the_limits() {
    let server = Running::plain();
    let preview = |width: u32, height: u32| {
        let image = png(GrayImage::from_pixel(width, height, Luma([7])));
        let parts = [Part::file("image", "flat.png", &image), Part::value("long_side", "64")];
        Request::form("/v1/preview", &parts).send(server.address)
    };
    for (width, height) in [(16_384, 1), (1, 16_384), (10_000, 5_000)] {
        assert_eq!(preview(width, height).status, 200, "{width} x {height}");
    }
    for (width, height, words) in
        [(16_385, 1, "16384"), (1, 16_385, "16384"), (3_846, 13_001, "50001846 pixels: at most 50000000")]
    {
        let response = preview(width, height);
        assert_eq!((response.status, code(&response).as_str()), (422, "image-too-large"));
        assert!(detail(&response).contains(words), "{}", detail(&response));
    }
}

/// 12, 24 and 48 megapixels, of several megabytes each, as phones write them.
#[test]
fn photos_of_phones_are_filled() {
    let server = Running::plain();
    for (width, height) in [(4032, 3024), (6000, 4000), (8064, 6048)] {
        let image = phone_jpeg(width, height);
        assert!(image.len() > 3 << 20, "{} bytes", image.len());
        // Upright as displayed: the stored photo is rotated.
        let mut hole = GrayImage::new(height, width);
        for y in 1000..1040 {
            for x in 1000..1040 {
                hole.put_pixel(x, y, Luma([255]));
            }
        }
        let hole = png(hole);
        let parts = [Part::file("image", "phone.jpg", &image), Part::file("mask", "mask.png", &hole)];
        let response = Request::form("/v1/inpaint", &parts).send(server.address);
        assert_eq!(response.status, 200, "{width} x {height}: {}", String::from_utf8_lossy(&response.body));
        assert_eq!(response.header("content-type"), Some("image/jpeg"));
        assert_eq!(response.header("x-lacuna-hole"), Some("1600"));
        let size =
            image::ImageReader::new(std::io::Cursor::new(&response.body)).with_guessed_format().unwrap();
        assert_eq!(size.into_dimensions().unwrap(), (width, height));
    }
}
