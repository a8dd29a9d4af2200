//! Requests, answers and predictors of the tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use lacuna::patchmatch::PatchMatch;
use lacuna::{Mask, Planes, Predictor, Sides, Watch};
use lacuna_serve::{Bounds, Config};
use serde_json::Value;
use testkit::http::{Part, Request, Response};

use crate::server::{Running, config, mask, models, photo, png};

pub fn fill(image: &[u8], mask: &[u8], more: &[Part<'_>]) -> Request {
    form("/v1/inpaint", image, mask, more)
}

pub fn form(path: &str, image: &[u8], mask: &[u8], more: &[Part<'_>]) -> Request {
    let files = [Part::file("image", "photo.png", image), Part::file("mask", "mask.png", mask)];
    Request::form(path, &[&files[..], more].concat())
}

/// A request that every server can fill.
pub fn small() -> Request {
    fill(&png(photo(48, 40)), &png(mask(48, 40)), &[])
}

/// A request whose seed makes it differ from others.
pub fn seeded(seed: usize) -> Request {
    let seed = seed.to_string();
    fill(&png(photo(48, 40)), &png(mask(48, 40)), &[Part::value("seed", &seed)])
}

/// The code of a problem document; panics if it is not one.
pub fn code(response: &Response) -> String {
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    let document: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(document["status"], response.status, "{document}");
    let code = document["code"].as_str().unwrap().to_owned();
    assert_eq!(document["type"], format!("/docs#{code}"));
    assert!(document["title"].is_string() && document["detail"].is_string());
    code
}

pub fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

/// A predictor that runs `work`, then behaves like PatchMatch.
pub struct Before<F>(pub F);

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
pub struct Gated {
    pub server: Running,
    pub running: mpsc::Receiver<()>,
    pub open: mpsc::Sender<()>,
    pub stopped: Arc<AtomicUsize>,
}

impl Gated {
    pub fn start(bounds: Bounds) -> Self {
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

    pub fn wait_for_running(&self) {
        self.running.recv_timeout(Duration::from_secs(60)).expect("a fill begins");
    }
}

/// Waits for an expected value.
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if is_true() {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("{what} never came");
}
