//! A page in a browser with its server, and the actions of a person using it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use image::{GrayImage, RgbImage};
use lacuna::patchmatch::PatchMatch;
use lacuna_serve::{Models, static_page};
use testkit::browser::{Held, Page};
use testkit::file_server::FileServer;

use crate::server::{Running, config, models, photo, png};

/// Nothing is running, and a photo can be edited.
pub const READY: &str = "document.documentElement.dataset.state === 'ready'";

/// Pixels of the photo that the tests open.
pub const WIDTH: u32 = 240;
pub const HEIGHT: u32 = 160;

/// Where the page comes from.
pub enum Site {
    /// From Lacuna's server, which fills.
    Served(Running),
    /// From a plain file server: the browser fills.
    Static(FileServer),
}

/// A page with its server and a folder for files.
pub struct Desk {
    pub page: Page,
    pub site: Site,
    /// The page's address.
    pub address: String,
    pub folder: tempfile::TempDir,
}

/// The folder of the static page on its server.
const FOLDER: &str = "/tools/lacuna/";

/// Runs a test on the page of a server, and on the static page.
pub fn on_both(test: impl Fn(&Desk)) {
    on_both_with(|| models(Arc::new(PatchMatch::default())), test);
}

/// [`on_both`], with a server that has these models.
pub fn on_both_with(models: impl Fn() -> Models, test: impl Fn(&Desk)) {
    for desk in [Desk::with(models()), Desk::on_static_page()].into_iter().flatten() {
        test(&desk);
    }
}

impl Desk {
    /// The page in its initial state; `None` without a browser.
    pub fn new() -> Option<Self> {
        Self::with(models(Arc::new(PatchMatch::default())))
    }

    pub fn with(models: Models) -> Option<Self> {
        let server = Running::start(config(), models);
        let address = format!("http://{}/", server.address);
        Self::at(Site::Served(server), address)
    }

    /// The page without a server, in a folder of a plain file server; `None` without a browser or the module.
    pub fn on_static_page() -> Option<Self> {
        let module = fs::read(testkit::wasm::module()?).unwrap();
        let files = static_page::files(module).unwrap();
        let files = files.into_iter().map(|(path, bytes)| (path, bytes.into_owned())).collect();
        let server = FileServer::folder(FOLDER, files);
        let address = server.url() + FOLDER;
        Self::at(Site::Static(server), address)
    }

    fn at(site: Site, address: String) -> Option<Self> {
        let desk = Self { page: Page::new(1200, 800)?, site, address, folder: tempfile::tempdir().unwrap() };
        desk.page.download_to(desk.folder.path());
        desk.reload();
        Some(desk)
    }

    /// Stops the server.
    pub fn stop_server(&mut self) {
        match &mut self.site {
            Site::Served(server) => server.ask_to_stop(),
            Site::Static(server) => server.stop(),
        }
        self.page.wait_for(
            "fetch('gone').then(() => false, () => true).then((gone) => gone && (window.gone = true)), window.gone",
        );
    }

    pub fn reload(&self) {
        self.page.go(&self.address);
        self.page.wait_for("document.getElementById('method').options.length > 0");
        // Most tests draw in several strokes.
        self.page.ask("document.getElementById('at-once').checked = false");
    }

    /// Sets a control and notifies the page, as a person's input does.
    pub fn set(&self, id: &str, value: &str) {
        self.page.ask(&format!(
            "(() => {{ const control = document.getElementById('{id}'); control.value = '{value}'; \
             control.dispatchEvent(new Event('input')); control.dispatchEvent(new Event('change')); }})()"
        ));
    }

    /// The text of the visible message.
    pub fn message(&self) -> String {
        self.page.wait_for("document.querySelector('#messages p')");
        self.page.ask("document.querySelector('#messages p').textContent").as_str().unwrap().to_owned()
    }

    /// The fraction of the mask that is set in a part of the photo, given as fractions of its sides: left, top, right,
    /// bottom.
    pub fn masked_within(&self, [left, top, right, bottom]: [f64; 4]) -> f64 {
        let mask = self.export_mask();
        let inside = |at: u32, side: u32, from: f64, to: f64| {
            let at = f64::from(at) / f64::from(side);
            at >= from && at < to
        };
        let part = mask
            .enumerate_pixels()
            .filter(|(x, y, _)| inside(*x, WIDTH, left, right) && inside(*y, HEIGHT, top, bottom));
        let (set, all) =
            part.fold((0, 0), |(set, all), (.., pixel)| (set + u32::from(pixel[0] > 0), all + 1));
        f64::from(set) / f64::from(all)
    }

    pub fn write(&self, name: &str, bytes: Vec<u8>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Opens a test photo.
    pub fn open_photo(&self) -> RgbImage {
        let photo = photo(WIDTH, HEIGHT);
        let path = self.write("dots.png", png(photo.clone()));
        self.page.choose_file("#open-input", &path);
        self.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
        photo
    }

    /// A point of the photo on the screen, given as fractions of its sides.
    pub fn point(&self, x: f64, y: f64) -> (f64, f64) {
        let script = format!(
            "(() => {{ const box = document.getElementById('canvas').getBoundingClientRect(); \
             const room = (side) => side - 2 * Math.min(24, side / 20); \
             const scale = Math.min(room(box.width) / {WIDTH}, room(box.height) / {HEIGHT}, 4); \
             return JSON.stringify([box.x + (box.width - {WIDTH} * scale) / 2 + {x} * {WIDTH} * scale, \
             box.y + (box.height - {HEIGHT} * scale) / 2 + {y} * {HEIGHT} * scale]); }})()"
        );
        let text = self.page.ask(&script);
        let [x, y]: [f64; 2] = serde_json::from_str(text.as_str().unwrap()).unwrap();
        (x, y)
    }

    /// The centre of the canvas on the screen.
    pub fn center(&self) -> (f64, f64) {
        let script = "(() => { const box = document.getElementById('canvas').getBoundingClientRect(); \
             return JSON.stringify([box.x + box.width / 2, box.y + box.height / 2]); })()";
        let [x, y]: [f64; 2] = serde_json::from_str(self.page.ask(script).as_str().unwrap()).unwrap();
        (x, y)
    }

    pub fn drag(&self, points: &[(f64, f64)]) {
        self.drag_holding(Held::Nothing, points);
    }

    pub fn drag_holding(&self, held: Held, points: &[(f64, f64)]) {
        let points: Vec<_> = points.iter().map(|&(x, y)| self.point(x, y)).collect();
        self.page.drag_holding(held, &points);
    }

    /// The percentage of the photo that is masked, from the label for screen readers, in any language.
    pub fn masked(&self) -> f64 {
        let label = self.page.ask("document.getElementById('canvas').getAttribute('aria-label')");
        let label = label.as_str().unwrap();
        let percentage = label.split_once(" %").and_then(|(before, _)| before.rsplit(' ').next());
        percentage.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{label}"))
    }

    pub fn steps(&self) -> u64 {
        self.page.ask("document.querySelectorAll('#history li').length").as_u64().unwrap()
    }

    /// Starts a fill and waits for it.
    pub fn fill(&self) {
        let steps = self.steps();
        self.page.click("#fill");
        self.page.wait_for(&format!("document.querySelectorAll('#history li').length > {steps} && {READY}"));
    }

    /// Fills the same hole again, and waits for it.
    pub fn fill_again(&self) {
        let results =
            self.page.ask("document.querySelectorAll('#variants li').length").as_u64().unwrap().max(1);
        self.page.click("#another");
        self.page
            .wait_for(&format!("{READY} && document.querySelectorAll('#variants li').length > {results}"));
    }

    /// Waits for a download and reads it.
    pub fn downloaded(&self, name: &str) -> Vec<u8> {
        let path = self.folder.path().join(name);
        for _ in 0..6000 {
            // Unfinished downloads have another name.
            if let Some(bytes) = fs::read(&path).ok().filter(|bytes| !bytes.is_empty()) {
                return bytes;
            }
            self.page.ask("new Promise((resolve) => setTimeout(resolve, 10))");
        }
        panic!(
            "{name} was not downloaded: {:?}",
            fs::read_dir(self.folder.path()).unwrap().collect::<Vec<_>>()
        );
    }

    pub fn export_mask(&self) -> GrayImage {
        let _ = fs::remove_file(self.folder.path().join("mask.png"));
        self.page.ask("document.getElementById('mask-export').click()");
        image::load_from_memory(&self.downloaded("mask.png")).unwrap().to_luma8()
    }
}
