//! `lacuna web`: the folder that it writes, in a real browser and behind a server that only serves files.
//!
//! The module is built by `cargo build --release --target wasm32-unknown-unknown -p lacuna-web`; `.ci/run` does so.
#![cfg(feature = "serve")]

use std::fs;
use std::path::Path;

use assert_cmd::cargo::cargo_bin_cmd;
use image::{Rgb, RgbImage};
use predicates::str::contains;
use testkit::browser::Page;
use testkit::file_server::FileServer;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
const READY: &str = "document.documentElement.dataset.state === 'ready'";

/// Where the host has the page.
const PLACE: &str = "/sub/folder/";

/// The files of the page, with their paths.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for part in ["", "assets/", "example/"] {
        for entry in fs::read_dir(folder.join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let name = entry.file_name().into_string().unwrap();
                files.push((format!("{part}{name}"), fs::read(entry.path()).unwrap()));
            }
        }
    }
    files
}

/// The page without a server, opened in a browser.
struct Desk {
    page: Page,
    host: FileServer,
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Option<Self> {
        let module = testkit::wasm::module()?;
        let page = Page::new(1200, 800)?;
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("pages");
        cargo_bin_cmd!("lacuna")
            .args(["web", "-o"])
            .arg(&pages)
            .arg("--module")
            .arg(module)
            .assert()
            .success()
            .stderr(contains(" files, "));
        let host = FileServer::folder(PLACE, files(&pages));
        page.download_to(folder.path());
        let desk = Self { page, host, folder };
        desk.open();
        Some(desk)
    }

    fn open(&self) {
        self.page.go(&format!("{}{PLACE}", self.host.url()));
        self.page.wait_for("document.getElementById('method').options.length > 0");
        self.page.ask("document.getElementById('at-once').checked = false");
    }

    fn set(&self, id: &str, value: &str) {
        self.page.ask(&format!(
            "(() => {{ const control = document.getElementById('{id}'); control.value = '{value}'; \
             control.dispatchEvent(new Event('input')); control.dispatchEvent(new Event('change')); }})()"
        ));
    }

    fn open_example(&self) {
        self.page.click("#example");
        self.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
    }

    /// Fills, and waits for the result.
    fn fill(&self) {
        self.page.click("#fill");
        let changed = "document.querySelectorAll('#history li').length > 1";
        self.page.wait_for(&format!("{READY} && {changed} && !document.getElementById('another').hidden"));
    }

    fn download(&self, name: &str) -> Vec<u8> {
        let path = self.folder.path().join(name);
        let _ = fs::remove_file(&path);
        self.page.ask("document.getElementById('download').click()");
        for _ in 0..3000 {
            if let Some(bytes) = fs::read(&path).ok().filter(|bytes| !bytes.is_empty()) {
                return bytes;
            }
            self.page.ask("new Promise((resolve) => setTimeout(resolve, 10))");
        }
        panic!("{name} was not downloaded");
    }
}

#[test]
fn fills_have_the_programs_bytes_and_leave_the_host_alone() {
    let Some(desk) = Desk::new() else { return };
    let promise = desk.page.ask("document.body.innerText.includes('nothing is uploaded')");
    assert_eq!(promise, true);
    desk.set("format", "png");
    for method in ["guided", "patchmatch", "network"] {
        desk.open();
        desk.set("method", method);
        desk.open_example();
        desk.fill();
        let found = desk.download("photo-inpainted.png");
        let expected = desk.folder.path().join(format!("{method}.png"));
        cargo_bin_cmd!("lacuna")
            .current_dir(EXAMPLES)
            .args(["inpaint", "savanna.jpg", "savanna-mask.png", "--method", method, "-o"])
            .arg(&expected)
            .env("LACUNA_ISA", "portable")
            .assert()
            .success();
        let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().to_rgb8();
        assert!(pixels(&found) == pixels(&fs::read(&expected).unwrap()), "{method}");
    }
    let own = format!("{}{PLACE}", desk.host.url());
    let local = |url: &String| url.starts_with(&own) || url.starts_with("blob:") || url.starts_with("data:");
    let outside: Vec<_> = desk.page.requests().into_iter().filter(|url| !local(url)).collect();
    assert!(outside.is_empty(), "{outside:?}");
    let refused = "fetch('http://127.0.0.1:1/').then(() => 'sent', (error) => error.name)";
    let policy = format!(
        "new Promise((resolve) => {{ addEventListener('securitypolicyviolation', (event) => resolve(event.violatedDirective)); {refused}; }})"
    );
    assert_eq!(desk.page.ask(&policy), "connect-src");
}

#[test]
fn it_opens_and_fills_without_a_connection() {
    let Some(desk) = Desk::new() else { return };
    desk.page.wait_for("navigator.serviceWorker.controller !== null");
    let kept = "caches.open('lacuna-page').then((cache) => cache.keys()).then((keys) => keys.some((key) => key.url.endsWith('lacuna.wasm')))";
    assert_eq!(desk.page.ask(kept), true);
    desk.host.stop();
    desk.open();
    desk.open_example();
    desk.set("method", "patchmatch");
    desk.fill();
}

/// A photo of 12 megapixels: its fill shows progress, can be cancelled, and succeeds afterwards.
#[test]
fn a_photo_of_a_phone_is_filled_and_cancelled() {
    let Some(desk) = Desk::new() else { return };
    let pixel = |x: u32, y: u32| Rgb([(x / 16) as u8, (y / 12) as u8, ((x ^ y) & 63) as u8 + 90]);
    let path = desk.folder.path().join("phone.jpg");
    RgbImage::from_fn(4000, 3000, pixel).save(&path).unwrap();
    desk.page.choose_file("#open-input", &path);
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
    let at = |x: f64, y: f64| {
        let script = format!(
            "(() => {{ const box = document.getElementById('canvas').getBoundingClientRect(); \
             return JSON.stringify([box.x + {x} * box.width, box.y + {y} * box.height]); }})()"
        );
        let [x, y]: [f64; 2] = serde_json::from_str(desk.page.ask(&script).as_str().unwrap()).unwrap();
        (x, y)
    };
    desk.page.drag(&[at(0.4, 0.4), at(0.6, 0.6)]);
    desk.page.click("#fill");
    desk.page.wait_for("document.getElementById('progress').value > 0.02");
    desk.page.click("#cancel");
    desk.page.wait_for(READY);
    assert_eq!(desk.page.ask("document.querySelectorAll('#history li').length"), 1);
    desk.fill();
    let filled = image::load_from_memory(&desk.download("phone-inpainted.jpg")).unwrap();
    assert_eq!((filled.width(), filled.height()), (4000, 3000));
}

#[test]
fn broken_files_get_a_message_and_the_page_goes_on() {
    let Some(desk) = Desk::new() else { return };
    let path = desk.folder.path().join("broken.tif");
    fs::write(&path, b"II*\0\x08\0\0\0not a photo").unwrap();
    desk.page.choose_file("#open-input", &path);
    desk.page.wait_for("document.querySelector('#messages p')?.textContent.includes('broken.tif')");
    desk.open_example();
    desk.set("method", "patchmatch");
    desk.fill();
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let web = |args: &str| {
        cargo_bin_cmd!("lacuna").current_dir(folder.path()).arg("web").args(args.split_whitespace()).assert()
    };
    if !cfg!(feature = "web") {
        web("-o pages").code(2).stderr(contains("without the feature web: give --module FILE"));
    }
    fs::write(folder.path().join("a.wasm"), "GIF8").unwrap();
    web("-o pages --module a.wasm").code(1).stderr(contains("a.wasm: it is no WebAssembly module"));
    web("-o pages --module b.wasm").code(1).stderr(contains("cannot read b.wasm"));
    fs::write(folder.path().join("a.wasm"), b"\0asm").unwrap();
    web("-o . --module a.wasm").code(1).stderr(contains("holds a.wasm, which is not of the page"));
    web("-o a.wasm --module a.wasm").code(1).stderr(contains("is a file, expected a folder"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was written");
    web("-o pages --module a.wasm").success();
    web("-o pages --module a.wasm").success();
    assert!(folder.path().join("pages/assets/lacuna.wasm").exists());
}
