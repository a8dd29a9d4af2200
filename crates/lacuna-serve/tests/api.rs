//! The API on loopback: results, refusals, and behaviour under load.

mod server;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use lacuna::patchmatch::PatchMatch;
use lacuna::{Mask, Picture, Planes, Predictor, Sides, Watch};
use lacuna_serve::{Access, Bounds, Config, LatentView, Method, Model, Models, Token};
use serde_json::Value;
use testkit::http::{Part, Request, Response, connect, hang_up, receive};

use server::{Running, config, encode, mask, models, photo, png};

fn fill(image: &[u8], mask: &[u8], more: &[Part<'_>]) -> Request {
    form("/v1/inpaint", image, mask, more)
}

fn form(path: &str, image: &[u8], mask: &[u8], more: &[Part<'_>]) -> Request {
    let files = [Part::file("image", "photo.png", image), Part::file("mask", "mask.png", mask)];
    Request::form(path, &[&files[..], more].concat())
}

/// A request that every server can fill.
fn small() -> Request {
    fill(&png(photo(48, 40)), &png(mask(48, 40)), &[])
}

/// A request whose seed makes it differ from others.
fn seeded(seed: usize) -> Request {
    let seed = seed.to_string();
    fill(&png(photo(48, 40)), &png(mask(48, 40)), &[Part::value("seed", &seed)])
}

/// The code of a problem document; panics if it is not one.
fn code(response: &Response) -> String {
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    let document: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(document["status"], response.status, "{document}");
    let code = document["code"].as_str().unwrap().to_owned();
    assert_eq!(document["type"], format!("/docs#{code}"));
    assert!(document["title"].is_string() && document["detail"].is_string());
    code
}

fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// A predictor that runs `work`, then behaves like PatchMatch.
struct Before<F>(F);

impl<F: Fn(&Watch) -> lacuna::Result<()> + Send + Sync> Predictor for Before<F> {
    fn name(&self) -> String {
        "before".into()
    }

    fn predict_watched(
        &self,
        image: &Planes,
        mask: &Mask,
        seed: u64,
        watch: &Watch,
    ) -> lacuna::Result<Planes> {
        (self.0)(watch)?;
        PatchMatch::default().predict(image, mask, seed)
    }

    fn sides(&self) -> Sides {
        Sides::any(4096)
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        (width * height * 100) as u64
    }

    fn forecast_seconds(&self, _: usize, _: usize, _: usize) -> f64 {
        1.0
    }
}

/// A server whose fills signal their start, and continue only when released, or end when cancelled.
struct Gated {
    server: Running,
    running: mpsc::Receiver<()>,
    open: mpsc::Sender<()>,
    stopped: Arc<AtomicUsize>,
}

impl Gated {
    fn start(bounds: Bounds) -> Self {
        let (says_running, running) = mpsc::channel();
        let (open, opened) = mpsc::channel();
        let opened = Mutex::new(opened);
        let stopped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&stopped);
        let gate = Before(move |watch: &Watch| {
            says_running.send(()).unwrap();
            loop {
                if opened.lock().unwrap().recv_timeout(Duration::from_millis(1)).is_ok() {
                    return Ok(());
                }
                watch.reached(0.25).inspect_err(|_| {
                    count.fetch_add(1, Ordering::SeqCst);
                })?;
            }
        });
        let server = Running::start(Config { bounds, ..config() }, models(Arc::new(gate)));
        Self { server, running, open, stopped }
    }

    fn wait_for_running(&self) {
        self.running.recv_timeout(Duration::from_secs(60)).expect("a fill begins");
    }
}

/// Waits for an expected value.
fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if is_true() {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("{what} never came");
}

#[test]
fn a_fill_changes_the_hole_and_nothing_else() {
    let server = Running::plain();
    let (photo, mask) = (photo(96, 72), mask(96, 72));
    let response = fill(&png(photo.clone()), &png(mask.clone()), &[]).send(server.address);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("image/png"));
    assert_eq!(
        response.header("content-disposition"),
        Some("attachment; filename=\"photo-inpainted.png\"; filename*=UTF-8''photo-inpainted.png")
    );
    assert_eq!(response.header("x-lacuna-method"), Some("patchmatch"));
    assert_eq!(response.header("x-lacuna-strategy"), Some("full"));
    assert_eq!(response.header("x-lacuna-hole"), Some("768"));
    let filled = image::load_from_memory(&response.body).unwrap().to_rgb8();
    let mut changed = 0;
    for (x, y, pixel) in filled.enumerate_pixels() {
        if mask.get_pixel(x, y)[0] == 0 {
            assert_eq!(pixel, photo.get_pixel(x, y), "{x}, {y}");
        } else if pixel != photo.get_pixel(x, y) {
            changed += 1;
        }
    }
    assert!(changed > 100, "{changed} pixels of the hole are others");
}

#[test]
fn what_a_file_is_stays() {
    let server = Running::plain();
    let deep = DynamicImage::ImageRgba16(DynamicImage::ImageRgb8(photo(40, 30)).to_rgba16());
    let jpeg = encode(photo(40, 30), ImageFormat::Jpeg);
    for (file, name, more, media_type, colour) in [
        (png(deep.clone()), "a.PNG", vec![], "image/png", image::ColorType::Rgba16),
        (encode(deep, ImageFormat::Tiff), "a.tif", vec![], "image/tiff", image::ColorType::Rgba16),
        (jpeg.clone(), "a.jpg", vec![], "image/jpeg", image::ColorType::Rgb8),
        (jpeg, "a.jpg", vec![Part::value("format", "webp")], "image/webp", image::ColorType::Rgb8),
    ] {
        let mask = png(mask(40, 30));
        let files = [Part::file("image", name, &file), Part::file("mask", "m.png", &mask)];
        let response = Request::form("/v1/inpaint", &[&files[..], &more].concat()).send(server.address);
        assert_eq!(response.header("content-type"), Some(media_type), "{}", response.status);
        assert_eq!(image::load_from_memory(&response.body).unwrap().color(), colour);
        let extension = if more.is_empty() { name.rsplit_once('.').unwrap().1 } else { "webp" };
        let expected = format!("filename=\"a-inpainted.{extension}\"");
        assert!(response.header("content-disposition").unwrap().contains(&expected));
    }
}

#[test]
fn an_empty_mask_gives_the_very_file_back() {
    let server = Running::plain();
    let jpeg = encode(photo(40, 30), ImageFormat::Jpeg);
    let response = fill(&jpeg, &png(GrayImage::new(40, 30)), &[]).send(server.address);
    assert_eq!((response.status, response.header("x-lacuna-hole")), (200, Some("0")));
    assert_eq!(response.body, jpeg);
}

#[test]
fn parameters_are_obeyed() {
    let server = Running::plain();
    let (image, hole) = (png(photo(96, 72)), png(mask(96, 72)));
    let of = |more: &[Part<'_>]| {
        let response = fill(&image, &hole, more).send(server.address);
        assert_eq!(response.status, 200, "{}", response.text());
        response
    };
    let plain = of(&[]);
    assert_eq!(of(&[Part::value("seed", "0")]).body, plain.body, "the same seed, the same picture");
    assert_eq!(of(&[Part::value("method", "patchmatch")]).body, plain.body);
    let resized = of(&[Part::value("strategy", "resize"), Part::value("long_side", "48")]);
    assert_eq!(resized.header("x-lacuna-strategy"), Some("resize to 48"));
    assert!(of(&[Part::value("strategy", "crop")]).header("x-lacuna-strategy").unwrap().starts_with("crop"));
    assert_ne!(of(&[Part::value("expand", "5")]).body, plain.body);
    let inverted = GrayImage::from_fn(96, 72, |x, y| Luma([255 - mask(96, 72).get_pixel(x, y)[0]]));
    let response = fill(&image, &png(inverted), &[Part::value("invert", "true")]).send(server.address);
    assert_eq!(response.body, plain.body);
}

/// The pixel at a place of a PNG response.
fn pixel(response: &Response, x: u32, y: u32) -> [u8; 3] {
    assert_eq!(response.status, 200, "{}", response.text());
    image::load_from_memory(&response.body).unwrap().to_rgb8()[(x, y)].0
}

#[test]
fn masks_come_from_alpha_from_other_sizes_and_from_anchors() {
    let server = Running::plain();
    let send = |files: &[Part<'_>]| Request::form("/v1/inpaint", files).send(server.address);
    let cut_out = image::RgbaImage::from_fn(96, 72, |x, y| {
        let is_clear = (40..56).contains(&x) && (30..46).contains(&y);
        image::Rgba([200, 90, 40, if is_clear { 0 } else { 255 }])
    });
    let cut_out = png(cut_out);
    let image = Part::file("image", "photo.png", &cut_out);
    let response = send(&[image, Part::value("mask_from", "alpha")]);
    assert_eq!(pixel(&response, 48, 38), [200, 90, 40]);
    assert_eq!(response.header("x-lacuna-hole"), Some("256"));
    assert!(!image::load_from_memory(&response.body).unwrap().color().has_alpha());
    assert_eq!(code(&send(&[image])), "field-missing");
    let half = png(GrayImage::from_fn(48, 36, |x, y| Luma([if x < 8 && y < 8 { 255 } else { 0 }])));
    let mask = Part::file("mask", "mask.png", &half);
    assert_eq!(code(&send(&[image, mask, Part::value("mask_from", "alpha")])), "field-invalid");

    let photo = png(photo(96, 72));
    let image = Part::file("image", "photo.png", &photo);
    let refused = send(&[image, mask]);
    assert!(code(&refused) == "mask-size" && refused.text().contains("fit_mask"), "{}", refused.text());
    let fitted = send(&[image, mask, Part::value("fit_mask", "true")]);
    assert_eq!(fitted.header("x-lacuna-hole"), Some("256"));
    assert!(fitted.header("x-lacuna-notes").unwrap().contains("scaled from 48 x 36"));
    let placed = send(&[image, mask, Part::value("anchor", "bottom-right")]);
    assert_eq!(placed.header("x-lacuna-hole"), Some("64"));
    let square = png(GrayImage::from_pixel(10, 10, Luma([255])));
    let square = Part::file("mask", "mask.png", &square);
    let refused = send(&[image, square, Part::value("fit_mask", "true")]);
    assert!(code(&refused) == "mask-size" && refused.text().contains("anchor"), "{}", refused.text());
}

#[test]
fn what_is_avoided_is_not_copied_and_soft_edges_are_noted() {
    let server = Running::plain();
    // Only the last columns are green; the rest is two shades of grey.
    let photo = png(image::RgbImage::from_fn(96, 72, |x, y| {
        let shade = 90 + 40 * (((x * 7 + y * 13) / 5 % 2) as u8);
        image::Rgb(if x >= 70 { [0, 255, 0] } else { [shade; 3] })
    }));
    let hole = png(GrayImage::from_fn(96, 72, |x, y| {
        Luma([if (30..40).contains(&x) && (30..40).contains(&y) { 255 } else { 0 }])
    }));
    let grey = png(GrayImage::from_fn(96, 72, |x, _| Luma([if x < 70 { 255 } else { 0 }])));
    let avoid = [Part::file("avoid", "avoid.png", &grey)];
    let filled = fill(&photo, &hole, &avoid).send(server.address);
    assert!(pixel(&filled, 35, 35)[1] > 200, "{:?}", pixel(&filled, 35, 35));
    let filled = fill(&photo, &hole, &[]).send(server.address);
    assert!(pixel(&filled, 35, 35)[1] < 200, "{:?}", pixel(&filled, 35, 35));
    let auto = fill(&photo, &hole, &[Part::value("expand", "auto")]).send(server.address);
    assert!(auto.header("x-lacuna-notes").unwrap().contains("expanded by "));
    let inverted = png(GrayImage::from_fn(96, 72, |x, y| Luma([if (x, y) == (40, 40) { 0 } else { 255 }])));
    let inverted = fill(&photo, &inverted, &[]).send(server.address);
    assert!(inverted.header("x-lacuna-notes").unwrap().contains("nearly the whole mask"));
}

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
    let large = fill(&png(photo(1000, 800)), &png(mask(1000, 800)), &[]).send(server.address);
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

#[test]
fn a_full_queue_says_when_to_come_back() {
    let gated = Gated::start(Bounds { queue: 2, per_client: 2, ..Bounds::default() });
    let address = gated.server.address;
    let from = |last: u8| Some(IpAddr::from(Ipv4Addr::new(127, 0, 0, last)));
    let send = |seed: usize, last: u8| {
        let mut stream = connect(address, from(last));
        stream.write_all(&seeded(seed).bytes()).unwrap();
        stream
    };
    let waiting = |count: usize| {
        eventually("the queue's length", || {
            json(&Request::new("GET", "/v1/health").send(address))["queued"] == count
        });
    };
    let mut streams = vec![send(1, 1)];
    gated.wait_for_running();
    streams.push(send(2, 1));
    waiting(1);
    let busy = seeded(3).send_from(address, from(1));
    assert_eq!((busy.status, code(&busy).as_str()), (429, "client-busy"));
    streams.push(send(4, 2));
    waiting(2);
    let full = seeded(5).send_from(address, from(3));
    assert_eq!((full.status, code(&full).as_str()), (429, "queue-full"));
    for refused in [busy, full] {
        let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=120).contains(&seconds));
    }
    (0..3).for_each(|_| gated.open.send(()).unwrap());
    for mut stream in streams {
        assert_eq!(receive(&mut stream).status, 200);
    }
}

#[test]
fn a_job_has_its_time() {
    let gated = Gated::start(Bounds { job: Duration::from_millis(200), ..Bounds::default() });
    let response = small().send(gated.server.address);
    assert_eq!((response.status, code(&response).as_str()), (504, "job-timeout"));
    eventually("the end of the work", || gated.stopped.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_client_that_goes_away_cancels_its_job() {
    let gated = Gated::start(Bounds::default());
    let mut stream = connect(gated.server.address, None);
    stream.write_all(&small().bytes()).unwrap();
    gated.wait_for_running();
    hang_up(&stream);
    eventually("the end of the work", || gated.stopped.load(Ordering::SeqCst) == 1);
    eventually("the count of the cancelled request", || {
        let metrics = Request::new("GET", "/v1/metrics").send(gated.server.address);
        metrics.text().contains("lacuna_requests_total{route=\"/v1/inpaint\",status=\"499\"} 1")
    });
    // The worker is free for others.
    gated.open.send(()).unwrap();
    assert_eq!(seeded(7).send(gated.server.address).status, 200);
}

#[test]
fn equal_requests_in_flight_are_computed_once() {
    let gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let mut streams: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = connect(address, None);
            stream.write_all(&small().bytes()).unwrap();
            stream
        })
        .collect();
    gated.wait_for_running();
    eventually("two that joined", || {
        Request::new("GET", "/v1/metrics").send(address).text().contains("lacuna_jobs_shared_total 2")
    });
    // The first client to disconnect does not affect the others.
    hang_up(&streams.remove(0));
    gated.open.send(()).unwrap();
    let bodies: Vec<_> = streams.iter_mut().map(|stream| receive(stream).body).collect();
    assert!(bodies[0] == bodies[1] && !bodies[0].is_empty());
    assert!(gated.running.try_recv().is_err(), "one fill for all");
}

#[test]
fn a_job_is_followed_and_fetched() {
    let gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let asked = form("/v1/inpaint?async", &png(photo(48, 40)), &png(mask(48, 40)), &[]).send(address);
    assert_eq!(asked.status, 202);
    let id = json(&asked)["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/jobs/{id}");
    assert_eq!(asked.header("location"), Some(path.as_str()));
    gated.wait_for_running();
    let get = |rest: &str| Request::new("GET", &format!("{path}{rest}")).send(address);
    eventually("progress", || json(&get(""))["progress"].as_f64() == Some(0.25));
    assert_eq!(json(&get(""))["state"], "running");
    assert_eq!(code(&get("/result")), "job-unfinished");
    let mut events = connect(address, None);
    events.write_all(&Request::new("GET", &format!("{path}/events")).bytes()).unwrap();
    gated.open.send(()).unwrap();
    let events = receive(&mut events);
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let states: Vec<Value> = events
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(states.last().unwrap()["state"], "done", "{states:?}");
    assert_eq!(states.last().unwrap()["progress"], 1.0);
    let result = get("/result");
    assert_eq!(result.status, 200);
    assert!(image::load_from_memory(&result.body).is_ok());
    assert_eq!(Request::new("DELETE", &path).send(address).status, 204);
    assert_eq!(code(&get("")), "job-unknown");
}

#[test]
fn a_job_is_cancelled() {
    let gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let ask = |seed: usize| {
        let seed = seed.to_string();
        let more = [Part::value("seed", &seed)];
        let asked = form("/v1/inpaint?async", &png(photo(48, 40)), &png(mask(48, 40)), &more).send(address);
        format!("/v1/jobs/{}", json(&asked)["id"].as_str().unwrap())
    };
    let running = ask(1);
    gated.wait_for_running();
    let waiting = ask(2);
    let position = json(&Request::new("GET", &waiting).send(address));
    assert_eq!((position["state"].as_str(), position["position"].as_u64()), (Some("queued"), Some(0)));
    // A client that follows the job is informed.
    let mut events = connect(address, None);
    events.write_all(&Request::new("GET", &format!("{running}/events")).bytes()).unwrap();
    assert_eq!(Request::new("DELETE", &waiting).send(address).status, 204);
    assert_eq!(Request::new("DELETE", &running).send(address).status, 204);
    let response = receive(&mut events);
    // Either it arrived before the end, or the job no longer exists.
    assert!(response.status == 404 || response.text().contains("\"cancelled\""), "{}", response.text());
    eventually("the end of the work", || gated.stopped.load(Ordering::SeqCst) == 1);
}

#[test]
fn a_panic_answers_with_a_name_and_the_worker_lives_on() {
    let first = AtomicUsize::new(0);
    let panics = Before(move |_: &Watch| {
        assert!(first.fetch_add(1, Ordering::SeqCst) > 0, "the secret of /home");
        Ok(())
    });
    let server = Running::start(config(), models(Arc::new(panics)));
    let response = small().send(server.address);
    assert_eq!((response.status, code(&response).as_str()), (500, "internal"));
    let document = json(&response);
    assert_eq!(document["id"].as_str().unwrap().len(), 32);
    assert!(!response.text().contains("secret") && !response.text().contains(".rs"), "{document}");
    assert_eq!(seeded(1).send(server.address).status, 200);
}

#[test]
fn a_stop_finishes_accepted_jobs_and_refuses_new_ones() {
    let mut gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let mut running = connect(address, None);
    running.write_all(&seeded(1).bytes()).unwrap();
    gated.wait_for_running();
    let mut waiting = connect(address, None);
    waiting.write_all(&seeded(2).bytes()).unwrap();
    eventually("the second job", || json(&Request::new("GET", "/v1/health").send(address))["queued"] == 1);
    gated.server.ask_to_stop();
    eventually("the stop", || json(&Request::new("GET", "/v1/health").send(address))["status"] == "stopping");
    let refused = seeded(3).send(address);
    assert_eq!((refused.status, code(&refused).as_str()), (503, "stopping"));
    (0..2).for_each(|_| gated.open.send(()).unwrap());
    assert_eq!(receive(&mut running).status, 200);
    assert_eq!(receive(&mut waiting).status, 200);
    gated.server.wait();
    assert!(std::net::TcpStream::connect(address).is_err(), "the listener is closed");
}

#[test]
fn results_can_be_fetched_after_a_stop() {
    let mut gated = Gated::start(Bounds::default());
    let address = gated.server.address;
    let asked = form("/v1/inpaint?async", &png(photo(48, 40)), &png(mask(48, 40)), &[]).send(address);
    let path = asked.header("location").unwrap().to_owned();
    gated.wait_for_running();
    let mut events = connect(address, None);
    events.write_all(&Request::new("GET", &format!("{path}/events")).bytes()).unwrap();
    gated.server.ask_to_stop();
    gated.open.send(()).unwrap();
    assert!(receive(&mut events).text().contains("\"done\""));
    assert_eq!(Request::new("GET", &format!("{path}/result")).send(address).status, 200);
    // All results were fetched, so the server does not wait for the rest of the grace period.
    gated.server.wait();
}

#[test]
fn everything_is_served_below_the_base_path() {
    let access = Access::Token(Token::new("open-sesame"));
    let config = Config { base_path: "/tools/lacuna".into(), access, ..config() };
    let server = Running::start(config, models(Arc::new(PatchMatch::default())));
    let get = |path: &str| Request::new("GET", path).send(server.address);
    let moved = get("/tools/lacuna");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/tools/lacuna/")));
    for (path, status) in [
        ("/tools/lacuna/", 200),
        ("/tools/lacuna/docs", 200),
        ("/tools/lacuna/assets/main.js", 200),
        ("/tools/lacuna/v1/health", 200),
        ("/tools/lacuna/v1/models", 401),
        ("/tools/lacuna/nothing", 401),
        ("/", 404),
        ("/v1/health", 404),
        ("/tools/lacunav1/health", 404),
    ] {
        assert_eq!(get(path).status, status, "{path}");
    }
    let fill = form("/tools/lacuna/v1/inpaint?async", &png(photo(48, 40)), &png(mask(48, 40)), &[]);
    let asked = fill.header("Authorization", "Bearer open-sesame").send(server.address);
    assert_eq!(asked.status, 202);
    assert!(asked.header("location").unwrap().starts_with("/tools/lacuna/v1/jobs/"));
    let document = json(&get("/tools/lacuna/openapi.json"));
    assert_eq!(document["servers"][0]["url"], "/tools/lacuna");
}

#[test]
fn the_token_opens_the_api() {
    let access = Access::Token(Token::new("open-sesame"));
    let server = Running::start(Config { access, ..config() }, models(Arc::new(PatchMatch::default())));
    let get = |path: &str| Request::new("GET", path);
    for path in ["/", "/docs", "/openapi.json", "/v1/health"] {
        assert_eq!(get(path).send(server.address).status, 200, "{path} needs none");
    }
    for path in ["/v1/models", "/v1/metrics"] {
        let refused = get(path).send(server.address);
        assert_eq!((refused.status, code(&refused).as_str()), (401, "unauthorized"), "{path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        for wrong in
            ["Bearer open-sesam", "Bearer open-sesame2", "Basic open-sesame", "Bearer ", "open-sesame"]
        {
            let refused = get(path).header("Authorization", wrong).send(server.address);
            assert_eq!(refused.status, 401, "{wrong}");
        }
        let opened = get(path).header("Authorization", "Bearer open-sesame").send(server.address);
        assert_eq!(opened.status, 200);
    }
    assert_eq!(small().send(server.address).status, 401);
    for request in [
        Request::new("POST", "/inpaint"),
        Request::new("POST", "/api/v1/inpaint"),
        Request::new("POST", "/api/v1/adjust_mask"),
        get("/api/v1/server-config"),
        get("/api/v1/model"),
        get("/nothing"),
    ] {
        assert_eq!(request.send(server.address).status, 401, "{request:?}");
    }
    assert_eq!(small().header("Authorization", "bearer open-sesame").send(server.address).status, 200);
}

#[test]
fn foreign_hosts_and_origins_are_refused() {
    let config = Config { origins: vec!["https://friend.example".into()], ..config() };
    let server = Running::start(config, models(Arc::new(PatchMatch::default())));
    let rebound = Request::new("GET", "/").header("Host", "evil.example").send(server.address);
    assert_eq!((rebound.status, code(&rebound).as_str()), (421, "host-not-allowed"));
    let foreign = small().header("Origin", "https://evil.example").send(server.address);
    assert_eq!((foreign.status, code(&foreign).as_str()), (403, "origin-not-allowed"));
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let friendly = small().header("Origin", "https://friend.example").send(server.address);
    assert_eq!(friendly.status, 200);
    assert_eq!(friendly.header("access-control-allow-origin"), Some("https://friend.example"));
    let asked = Request::new("OPTIONS", "/v1/inpaint")
        .header("Origin", "https://friend.example")
        .header("Access-Control-Request-Method", "POST")
        .send(server.address);
    assert_eq!(asked.header("access-control-allow-origin"), Some("https://friend.example"));
    // Without --allow-origin no response mentions other origins.
    let closed = Running::plain();
    let response = Request::new("OPTIONS", "/v1/inpaint")
        .header("Origin", "https://friend.example")
        .send(closed.address);
    assert_eq!((response.status, response.header("access-control-allow-origin")), (403, None));
}

#[test]
fn security_headers_are_set() {
    let server = Running::plain();
    for path in ["/", "/docs", "/v1/models", "/nothing", "/example/photo.jpg"] {
        let response = Request::new("GET", path).send(server.address);
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(response.header("x-frame-options"), Some("DENY"));
        assert!(response.header("server").is_none());
    }
    for path in ["/", "/docs"] {
        let page = Request::new("GET", path).send(server.address);
        let text = page.text();
        assert!(
            !text.contains("style=\"") && !text.contains("onclick") && !text.contains("<script>"),
            "{path}"
        );
        let tag = page.header("etag").unwrap();
        let again = Request::new("GET", path).header("If-None-Match", tag).send(server.address);
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
}

#[test]
fn iopaints_clients_keep_working() {
    use base64::Engine as _;
    let server = Running::plain();
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (photo, hole) = (photo(64, 48), mask(64, 48));
    let body = serde_json::json!({
        "image": format!("data:image/png;base64,{}", base64(&png(photo.clone()))),
        "mask": base64(&png(hole.clone())),
        "hd_strategy": "Crop",
        "hd_strategy_crop_trigger_size": 50,
        "hd_strategy_crop_margin": 32,
        "sd_seed": 7,
        "sd_steps": 30,
    });
    let response = Request::json("/api/v1/inpaint", &body.to_string()).send(server.address);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!((response.header("content-type"), response.header("x-seed")), (Some("image/png"), Some("7")));
    assert!(response.header("x-lacuna-strategy").unwrap().starts_with("crop"));
    let filled = image::load_from_memory(&response.body).unwrap().to_rgb8();
    for (x, y, pixel) in filled.enumerate_pixels() {
        assert!(hole.get_pixel(x, y)[0] > 0 || pixel == photo.get_pixel(x, y));
    }
    let mut asking = body;
    asking["prompt"] = "a cat".into();
    let answered = Request::json("/api/v1/inpaint", &asking.to_string()).send(server.address);
    assert_eq!((answered.status, answered.header("x-lacuna-ignored")), (200, Some("prompt")));
    assert_eq!(answered.body, response.body);
}

#[test]
fn pictures_that_browsers_cannot_show_are_drawn_for_them() {
    let server = Running::plain();
    let deep = DynamicImage::ImageRgb8(photo(300, 200)).to_rgb16();
    let tiff = encode(DynamicImage::ImageRgb16(deep), ImageFormat::Tiff);
    let files = [Part::file("image", "a.tif", &tiff), Part::value("long_side", "150")];
    let response = Request::form("/v1/preview", &files).send(server.address);
    assert_eq!(response.status, 200, "{}", response.text());
    let drawn = image::load_from_memory(&response.body).unwrap();
    assert_eq!((drawn.width(), drawn.height(), drawn.color()), (150, 100, image::ColorType::Rgb8));
    for (name, value) in [("width", "300"), ("height", "200"), ("depth", "16"), ("format", "TIFF")] {
        assert_eq!(response.header(&format!("x-lacuna-{name}")), Some(value));
    }
    let small = Request::form("/v1/preview", &files[..1]).send(server.address);
    assert_eq!(image::load_from_memory(&small.body).unwrap().width(), 300, "never larger");
}

#[test]
fn a_network_has_its_view_and_its_name() {
    struct Half;
    impl LatentView for Half {
        fn draw(&self, photo: &Picture, _: &Mask) -> Result<Planes, String> {
            Ok(Planes::new(photo.width(), photo.height(), vec![0.5; 3 * photo.width() * photo.height()]))
        }
    }
    let network = |id: &str, latent: Option<Arc<dyn LatentView>>| Model {
        id: id.into(),
        label: None,
        method: Method::NETWORK,
        device: "cpu".into(),
        parameters: 3,
        network: Arc::new(Before(|_: &Watch| Ok(()))),
        latent,
    };
    let all = Models::new(
        Arc::new(PatchMatch::default()),
        vec![network("one", Some(Arc::new(Half))), network("two", None)],
    );
    let server = Running::start(config(), all);
    let document = json(&Request::new("GET", "/v1/models").send(server.address));
    assert_eq!(document["default"], serde_json::json!({"method": "network", "model": "one"}));
    assert_eq!(document["methods"], serde_json::json!(["guided", "patchmatch", "network"]));
    assert_eq!(document["models"][0]["latent"], true);
    let (image, hole) = (png(photo(48, 40)), png(mask(48, 40)));
    let of = |path: &str, more: &[Part<'_>]| form(path, &image, &hole, more).send(server.address);
    assert_eq!(of("/v1/inpaint", &[]).header("x-lacuna-method"), Some("before"));
    let other = of("/v1/inpaint", &[Part::value("method", "patchmatch")]);
    assert_eq!(other.header("x-lacuna-method"), Some("patchmatch"));
    let guided = of("/v1/inpaint", &[Part::value("method", "guided"), Part::value("model", "two")]);
    assert_eq!(guided.header("x-lacuna-method"), Some("patchmatch guided by before"));
    let view = of("/v1/latent", &[]);
    let drawn = image::load_from_memory(&view.body).unwrap().to_rgb8();
    assert_eq!((drawn.dimensions(), drawn.get_pixel(5, 5).0), ((48, 40), [128; 3]));
    assert_eq!(code(&of("/v1/latent", &[Part::value("model", "two")])), "latent-unavailable");
    assert_eq!(code(&of("/v1/latent", &[Part::value("model", "three")])), "field-invalid");
}

#[test]
fn the_api_describes_itself() {
    let server = Running::plain();
    let document = json(&Request::new("GET", "/openapi.json").send(server.address));
    let mut unanswered = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "0123");
            let response = Request::new(&method.to_uppercase(), &path).send(server.address);
            if matches!(response.status, 405) || (response.status == 404 && code(&response) != "job-unknown")
            {
                unanswered.insert(path, response.status);
            }
        }
    }
    assert!(unanswered.is_empty(), "{unanswered:?}");
    assert!(Request::new("GET", "/docs").send(server.address).text().contains("openapi"));
}
