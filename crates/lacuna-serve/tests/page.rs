//! The page in a real browser, against a real server.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{GrayImage, Luma, RgbImage};
use lacuna::patchmatch::PatchMatch;
use lacuna::{Mask, Picture, Planes};
use lacuna_serve::{Access, Config, LatentView, Method, Model, Models, Token};
use testkit::browser::{Page, not_tested};

use server::{Running, config, mask, models, phone_jpeg, photo, png};

const READY: &str = "document.documentElement.dataset.state === 'ready'";

/// Pixels of the photo that the tests open.
const WIDTH: u32 = 240;
const HEIGHT: u32 = 160;

/// A page with its server and a folder for files.
struct Desk {
    page: Page,
    server: Running,
    folder: tempfile::TempDir,
}

impl Desk {
    /// The page in its start state; none without a browser.
    fn new() -> Option<Self> {
        Self::with(models(Arc::new(PatchMatch::default())))
    }

    fn with(models: Models) -> Option<Self> {
        let desk = Self {
            page: Page::new(1200, 800)?,
            server: Running::start(config(), models),
            folder: tempfile::tempdir().unwrap(),
        };
        desk.page.download_to(desk.folder.path());
        desk.reload();
        Some(desk)
    }

    fn reload(&self) {
        self.page.go(&format!("http://{}/", self.server.address));
        self.page.wait_for("document.getElementById('method').options.length > 0");
    }

    fn write(&self, name: &str, bytes: Vec<u8>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Opens a photo of the tests.
    fn open_photo(&self) -> RgbImage {
        let photo = photo(WIDTH, HEIGHT);
        let path = self.write("dots.png", png(photo.clone()));
        self.page.choose_file("#open-input", &path);
        self.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
        photo
    }

    /// A point of the photo on the screen, by shares of its sides.
    fn point(&self, x: f64, y: f64) -> (f64, f64) {
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

    /// The middle of the canvas on the screen.
    fn center(&self) -> (f64, f64) {
        let script = "(() => { const box = document.getElementById('canvas').getBoundingClientRect(); \
             return JSON.stringify([box.x + box.width / 2, box.y + box.height / 2]); })()";
        let [x, y]: [f64; 2] = serde_json::from_str(self.page.ask(script).as_str().unwrap()).unwrap();
        (x, y)
    }

    fn drag(&self, points: &[(f64, f64)]) {
        let points: Vec<_> = points.iter().map(|&(x, y)| self.point(x, y)).collect();
        self.page.drag(&points);
    }

    /// The share of the photo that is masked, in percent, as screen readers are told.
    fn masked(&self) -> f64 {
        let label = self.page.ask("document.getElementById('canvas').getAttribute('aria-label')");
        let label = label.as_str().unwrap();
        let share = label.rsplit(' ').nth(2).unwrap();
        share.parse().unwrap_or_else(|_| panic!("{label}"))
    }

    fn steps(&self) -> u64 {
        self.page.ask("document.querySelectorAll('#history li').length").as_u64().unwrap()
    }

    /// Asks for a fill and waits for it.
    fn fill(&self) {
        let steps = self.steps();
        self.page.click("#fill");
        self.page.wait_for(&format!("document.querySelectorAll('#history li').length > {steps} && {READY}"));
    }

    /// Waits for a download and reads it.
    fn downloaded(&self, name: &str) -> Vec<u8> {
        let path = self.folder.path().join(name);
        for _ in 0..6000 {
            // Unfinished ones have another name.
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

    fn export_mask(&self) -> GrayImage {
        let _ = fs::remove_file(self.folder.path().join("mask.png"));
        self.page.ask("document.getElementById('mask-export').click()");
        image::load_from_memory(&self.downloaded("mask.png")).unwrap().to_luma8()
    }
}

#[test]
fn the_example_is_filled_with_two_clicks() {
    let Some(desk) = Desk::new() else { return };
    assert_eq!(desk.page.ask("document.documentElement.dataset.state"), "empty");
    desk.page.click("#example");
    desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
    assert!(desk.masked() > 2.0);
    desk.fill();
    assert_eq!(desk.masked(), 0.0, "the hole is no longer there");
    let own = format!("http://{}/", desk.server.address);
    let outside: Vec<_> = desk
        .page
        .requests()
        .into_iter()
        .filter(|url| !url.starts_with(&own) && !url.starts_with("blob:") && !url.starts_with("data:"))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn what_is_drawn_is_filled_and_nothing_else_is_touched() {
    let Some(desk) = Desk::new() else { return };
    let photo = desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5), (0.7, 0.4)]);
    let drawn = desk.masked();
    assert!(drawn > 1.0 && drawn < 30.0, "{drawn} %");
    let hole = desk.export_mask();
    assert_eq!(hole.dimensions(), (WIDTH, HEIGHT));
    assert_eq!(hole.get_pixel(WIDTH / 2, HEIGHT / 2)[0], 255);
    assert!(hole.pixels().all(|pixel| pixel[0] == 0 || pixel[0] == 255));
    desk.fill();

    desk.page.ask("document.getElementById('download').click()");
    let filled = image::load_from_memory(&desk.downloaded("dots-inpainted.png")).unwrap().to_rgb8();
    let mut changed = 0;
    for (x, y, pixel) in filled.enumerate_pixels() {
        let same = pixel == photo.get_pixel(x, y);
        assert!(hole.get_pixel(x, y)[0] == 255 || same, "a known pixel at {x}, {y}");
        changed += usize::from(!same);
    }
    assert!(changed > 100, "{changed}");

    // Two more, and back over all of them: the far ones were put aside.
    for _ in 0..2 {
        desk.drag(&[(0.2, 0.8), (0.4, 0.8)]);
        desk.fill();
    }
    let current = |step: u32| {
        desk.page.wait_for(&format!(
            "document.querySelector('#history [aria-current]').matches('#history li:nth-child({step}) button')"
        ));
    };
    desk.page.ask("document.querySelector('#history li:first-child button').click()");
    current(1);
    assert_eq!(desk.masked(), drawn, "its mask is still there");
    desk.page.ask("document.querySelector('#history li:nth-child(2) button').click()");
    current(2);

    // Undo goes back to the photo with its mask, redo to the result.
    desk.page.click("#undo");
    current(1);
    assert_eq!(desk.masked(), drawn);
    desk.page.click("#redo");
    current(2);

    // Before and after, by slider and by holding a key.
    desk.page.ask(
        "(() => { const slider = document.getElementById('compare'); slider.value = 50; slider.dispatchEvent(new Event('input')); })()",
    );
    desk.page.wait_for("document.documentElement.dataset.state === 'comparing'");
    let key = |kind: &str| {
        desk.page.ask(&format!(
            "document.dispatchEvent(new KeyboardEvent('{kind}', {{ key: 'c', bubbles: true }}))"
        ))
    };
    desk.page.ask("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'c', bubbles: true }))");
    desk.page.wait_for("document.getElementById('compare').value === '100'");
    key("keyup");
    desk.page.wait_for("document.getElementById('compare').value === '0'");
}

#[test]
fn every_tool_changes_the_mask_and_undo_takes_it_back() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    let mut shares = vec![desk.masked()];
    let mut then = |what: &str, larger: Option<bool>| {
        let (before, now) = (shares[shares.len() - 1], desk.masked());
        match larger {
            Some(true) => assert!(now > before, "{what}: {before} to {now}"),
            Some(false) => assert!(now < before, "{what}: {before} to {now}"),
            None => assert!((now - (100.0 - before)).abs() < 0.2, "{what}: {before} to {now}"),
        }
        shares.push(now);
    };
    desk.page.click("#tool-rectangle");
    desk.drag(&[(0.2, 0.2), (0.4, 0.6)]);
    then("rectangle", Some(true));
    desk.page.click("#tool-lasso");
    desk.drag(&[(0.6, 0.2), (0.9, 0.2), (0.9, 0.8)]);
    then("lasso", Some(true));
    desk.page.click("#tool-eraser");
    desk.drag(&[(0.2, 0.3), (0.4, 0.3)]);
    then("eraser", Some(false));
    desk.page.click("#tool-brush");
    desk.drag(&[(0.1, 0.9), (0.5, 0.9)]);
    then("brush", Some(true));
    desk.page.click("#grow");
    then("grow", Some(true));
    desk.page.click("#shrink");
    then("shrink", Some(false));
    desk.page.click("#invert");
    then("invert", None);
    desk.page.click("#clear");
    then("clear", Some(false));
    for expected in shares.iter().rev().skip(1) {
        desk.page.click("#undo");
        assert_eq!(desk.masked(), *expected);
    }
    assert_eq!(desk.page.ask("document.getElementById('undo').disabled"), true);
    for expected in shares.iter().skip(1) {
        desk.page.click("#redo");
        assert_eq!(desk.masked(), *expected);
    }
}

#[test]
fn fifty_steps_are_taken_back() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    for _ in 0..60 {
        desk.page.ask("document.getElementById('invert').click()");
    }
    let back = desk.page.ask(
        "(() => { let steps = 0; while (!document.getElementById('undo').disabled) { document.getElementById('undo').click(); steps++; } return steps; })()",
    );
    assert_eq!(back, 60);
    assert_eq!(desk.masked(), 0.0);
}

#[test]
fn masks_are_imported_of_any_polarity_and_size() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    let hole = mask(WIDTH, HEIGHT);
    let share = 100.0 * hole.pixels().filter(|pixel| pixel[0] > 0).count() as f64 / f64::from(WIDTH * HEIGHT);
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 0.6, "{found} for {expected}");
    desk.page.choose_file("#mask-import-input", &desk.write("m.png", png(hole.clone())));
    desk.page.wait_for("!document.getElementById('undo').disabled");
    close(desk.masked(), share);
    assert_eq!(desk.export_mask(), hole, "exactly the file's");

    let open = "document.getElementById('ask-dialog').open";
    let answer = |value: &str| {
        desk.page.wait_for(open);
        desk.page.ask(&format!("document.querySelector('#ask-answers button[value=\"{value}\"]').click()"));
        desk.page.wait_for(&format!("!{open}"));
    };
    let masked = |expected: f64| {
        desk.page.wait_for(&format!(
            "Math.abs(parseFloat(document.getElementById('canvas').getAttribute('aria-label').split(', ')[1]) - {expected}) < 0.6"
        ));
    };
    desk.page.click("#clear");
    // The hole is dark here: which part is meant is asked.
    let inverted = GrayImage::from_fn(WIDTH, HEIGHT, |x, y| Luma([255 - hole.get_pixel(x, y)[0]]));
    desk.page.choose_file("#mask-import-input", &desk.write("i.png", png(inverted)));
    answer("dark");
    masked(share);
    desk.page.click("#clear");
    // Half the size: whether to scale is asked.
    desk.page.choose_file("#mask-import-input", &desk.write("s.png", png(mask(WIDTH / 2, HEIGHT / 2))));
    answer("yes");
    masked(share);
    // No picture: said so.
    desk.page.choose_file("#mask-import-input", &desk.write("n.png", b"nothing".to_vec()));
    desk.page.wait_for("document.querySelector('#messages .error')?.textContent.includes('n.png')");
}

#[test]
fn the_keyboard_suffices() {
    let Some(desk) = Desk::new() else { return };
    let focused = |id: &str| {
        desk.page.wait_for(&format!("document.activeElement.id === '{id}'"));
    };
    // From the top of the page to the example.
    for _ in 0..40 {
        desk.page.press("Tab");
        if desk.page.ask("document.activeElement.id") == "example" {
            break;
        }
    }
    focused("example");
    desk.page.press("Enter");
    desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
    focused("canvas");
    desk.page.press("Delete");
    assert_eq!(desk.masked(), 0.0);
    // A dab, then a line with the pen down.
    desk.page.press("ArrowRight");
    desk.page.press(" ");
    desk.page.wait_for("!document.getElementById('canvas').getAttribute('aria-label').includes(' 0.0 %')");
    let dab = desk.masked();
    desk.page.press("Enter");
    for _ in 0..6 {
        desk.page.press("ArrowDown");
    }
    desk.page.press("Enter");
    let line = desk.masked();
    assert!(line > dab, "{dab} to {line}");
    // A rectangle from corner to corner.
    desk.page.press("r");
    desk.page.press("Enter");
    for _ in 0..8 {
        desk.page.press("ArrowRight");
        desk.page.press("ArrowDown");
    }
    desk.page.press("Enter");
    assert!(desk.masked() > line);
    desk.page.press("f");
    desk.page.wait_for("document.querySelectorAll('#history li').length === 2");
    desk.page.wait_for(READY);
    desk.page.press("d");
    assert!(!desk.downloaded("photo-inpainted.jpg").is_empty());
    desk.page.press("?");
    desk.page.wait_for("document.getElementById('keys-dialog').open");
    desk.page.press("Escape");
    desk.page.wait_for("!document.getElementById('keys-dialog').open");
}

#[test]
fn one_click_paints_a_disc() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.page.ask("document.getElementById('size').value = 40; document.getElementById('size').dispatchEvent(new Event('input'))");
    desk.drag(&[(0.5, 0.5)]);
    desk.page.wait_for("!document.getElementById('canvas').getAttribute('aria-label').includes(' 0.0 %')");
    let exported = desk.export_mask();
    let hole: Vec<(u32, u32)> =
        exported.enumerate_pixels().filter(|(.., p)| p[0] > 0).map(|(x, y, _)| (x, y)).collect();
    let width = hole.iter().map(|p| p.0).max().unwrap() - hole.iter().map(|p| p.0).min().unwrap() + 1;
    let height = hole.iter().map(|p| p.1).max().unwrap() - hole.iter().map(|p| p.1).min().unwrap() + 1;
    assert!(width.abs_diff(height) <= 1, "{width} x {height}");
    let disc = std::f64::consts::PI / 4.0 * f64::from(width * height);
    assert!((hole.len() as f64 / disc - 1.0).abs() < 0.1, "{} pixels in {width} x {height}", hole.len());
}

#[test]
fn a_cancelled_stroke_leaves_no_trace() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.2, 0.2), (0.4, 0.2)]);
    let drawn = desk.masked();
    assert!(drawn > 0.0);
    let begin_and_escape = "(() => { const canvas = document.getElementById('canvas'); \
         const box = canvas.getBoundingClientRect(); \
         const at = (x, y) => ({ bubbles: true, pointerId: 1, button: 0, clientX: box.x + x * box.width, clientY: box.y + y * box.height }); \
         canvas.setPointerCapture = () => {}; \
         canvas.dispatchEvent(new PointerEvent('pointerdown', at(0.5, 0.5))); \
         canvas.dispatchEvent(new PointerEvent('pointermove', at(0.6, 0.6))); \
         canvas.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, key: 'Escape', code: 'Escape' })); \
         canvas.dispatchEvent(new PointerEvent('pointerup', at(0.6, 0.6))); })()";
    desk.page.ask(begin_and_escape);
    assert_eq!(desk.masked(), drawn);
    assert_eq!(desk.page.ask("document.getElementById('redo').disabled"), true);
    // What could be redone before still can.
    desk.page.click("#undo");
    assert_eq!(desk.masked(), 0.0);
    desk.page.ask(begin_and_escape);
    assert_eq!(desk.masked(), 0.0);
    desk.page.click("#redo");
    assert_eq!(desk.masked(), drawn);
}

#[test]
fn shortcuts_work_on_cyrillic_layouts() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.2, 0.2), (0.4, 0.2)]);
    let drawn = desk.masked();
    let press = |key: &str, code: &str, ctrl: bool| {
        desk.page.ask(&format!(
            "document.getElementById('canvas').dispatchEvent(new KeyboardEvent('keydown', \
             {{ key: '{key}', code: '{code}', ctrlKey: {ctrl}, bubbles: true, cancelable: true }}))"
        ));
    };
    press("я", "KeyZ", true);
    assert_eq!(desk.masked(), 0.0);
    press("н", "KeyY", true);
    assert_eq!(desk.masked(), drawn);
    press("у", "KeyE", false);
    assert_eq!(desk.page.ask("document.getElementById('tool-eraser').getAttribute('aria-pressed')"), "true");
    let size = desk.page.ask("Number(document.getElementById('size').value)").as_f64().unwrap();
    press("ї", "BracketRight", false);
    assert!(desk.page.ask("Number(document.getElementById('size').value)").as_f64().unwrap() > size);
    // On a Latin layout the letter counts, not its place: AZERTY has Z where QWERTY has W.
    press("z", "KeyW", true);
    assert_eq!(desk.masked(), 0.0);
}

#[test]
fn the_mask_of_the_last_fill_can_be_used_again() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.drag(&[(0.3, 0.5), (0.5, 0.5)]);
    desk.fill();
    assert_eq!(desk.masked(), 0.0);
    let more: Vec<PathBuf> =
        ["a.png", "b.png"].map(|name| desk.write(name, png(photo(WIDTH, HEIGHT)))).to_vec();
    desk.page.choose_files("#open-input", &more);
    desk.page.wait_for("document.getElementById('batch-dialog').open");
    assert_eq!(desk.page.ask("document.getElementById('batch-current').disabled"), false);
}

/// 12, 24 and 48 megapixels, of several megabytes each.
#[test]
fn photos_of_phones_are_opened_and_filled() {
    let Some(desk) = Desk::new() else { return };
    for (width, height) in [(4032, 3024), (6000, 4000), (8064, 6048)] {
        let path = desk.write("phone.jpg", phone_jpeg(width, height));
        desk.reload();
        desk.page.choose_file("#open-input", &path);
        desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
        let label = desk.page.ask("document.getElementById('canvas').getAttribute('aria-label')");
        let label = label.as_str().unwrap();
        assert!(label.contains(&height.to_string()) && label.contains(&width.to_string()), "{label}");
        desk.page.ask("document.getElementById('size').value = 8; document.getElementById('size').dispatchEvent(new Event('input'))");
        let (x, y) = desk.center();
        desk.page.drag(&[(x, y)]);
        desk.fill();
    }
}

#[test]
fn a_phone_has_room_for_everything() {
    let Some(desk) = Desk::new() else { return };
    desk.page.be_a_phone(360, 640);
    desk.reload();
    desk.page.click("#example");
    desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
    let wide = desk.page.ask("document.documentElement.scrollWidth");
    assert_eq!(wide, 360, "nothing is wider than the screen");
    let small = desk.page.ask(
        "[...document.querySelectorAll('header button, #tools button, #fill')].filter((button) => button.offsetParent && \
         (button.offsetWidth < 44 || button.offsetHeight < 44)).map((button) => button.id).join()",
    );
    assert_eq!(small, "", "fingers need 44 pixels");
    desk.page.click("#show-settings");
    desk.page.wait_for("document.getElementById('show-settings').getAttribute('aria-expanded') === 'true'");
    desk.page.click("#hide-settings");
    desk.page.wait_for("getComputedStyle(document.getElementById('settings')).visibility === 'hidden'");
    desk.fill();
}

#[test]
fn many_photos_become_one_zip_file() {
    let Some(desk) = Desk::new() else { return };
    let photos: Vec<_> = ["a.png", "b.png", "none.png"]
        .iter()
        .map(|name| desk.write(name, png(photo(60, 40))))
        .chain(["a_mask.png", "b_mask000.png"].iter().map(|name| desk.write(name, png(mask(60, 40)))))
        .collect();
    desk.page.choose_files("#open-input", &photos);
    desk.page.wait_for("document.getElementById('batch-dialog').open");
    desk.page.click("#batch-start");
    let archive = desk.downloaded("lacuna.zip");
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["a-inpainted.png", "b-inpainted.png"]);
    for index in 0..2 {
        // Reading checks the CRC.
        let mut bytes = Vec::new();
        std::io::copy(&mut archive.by_index(index).unwrap(), &mut bytes).unwrap();
        assert_eq!(image::load_from_memory(&bytes).unwrap().width(), 60);
    }
    let states = desk.page.ask("[...document.querySelectorAll('#batch-list span:last-child')].map((state) => state.textContent).join()");
    assert_eq!(states, "done,done,no mask");
}

#[test]
fn tiff_files_are_shown_by_the_server_and_stay_tiff() {
    let Some(desk) = Desk::new() else { return };
    let deep = image::DynamicImage::ImageRgb8(photo(WIDTH, HEIGHT)).to_rgb16();
    let bytes = server::encode(image::DynamicImage::ImageRgb16(deep), image::ImageFormat::Tiff);
    desk.page.choose_file("#open-input", &desk.write("deep.tif", bytes));
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
    desk.drag(&[(0.4, 0.4), (0.6, 0.6)]);
    desk.fill();
    desk.page.ask("document.getElementById('download').click()");
    let filled = image::load_from_memory(&desk.downloaded("deep-inpainted.tif")).unwrap();
    assert_eq!((filled.width(), filled.color()), (WIDTH, image::ColorType::Rgb16));
}

#[test]
fn the_latent_view_lies_over_the_photo() {
    struct Grey;
    impl LatentView for Grey {
        fn draw(&self, _: &Picture, mask: &Mask) -> Result<Planes, String> {
            assert!(mask.count() > 0);
            Ok(Planes::new(WIDTH as usize, HEIGHT as usize, vec![0.5; (3 * WIDTH * HEIGHT) as usize]))
        }
    }
    let network = Model {
        id: "one".into(),
        label: None,
        method: Method::NETWORK,
        device: "cpu".into(),
        parameters: 1,
        network: Arc::new(PatchMatch::default()),
        latent: Some(Arc::new(Grey)),
    };
    let patchmatch = Arc::new(PatchMatch::default());
    let Some(desk) = Desk::with(Models::new(patchmatch, vec![network])) else { return };
    desk.open_photo();
    desk.drag(&[(0.3, 0.3), (0.5, 0.5)]);
    desk.page.click("#latent");
    let shown = |is: bool| {
        desk.page.wait_for(&format!("{READY} && document.getElementById('latent').ariaPressed === '{is}'"));
    };
    shown(true);
    desk.page.click("#latent");
    shown(false);
    // Drawing takes it away too.
    desk.page.click("#latent");
    shown(true);
    desk.page.click("#grow");
    shown(false);
}

#[test]
fn the_token_comes_with_the_address_or_is_asked_for() {
    let Some(page) = Page::new(1000, 700) else { return };
    let access = Access::Token(Token::new("open-sesame"));
    let server = Running::start(Config { access, ..config() }, models(Arc::new(PatchMatch::default())));
    let loaded = "document.getElementById('method').options.length > 0";
    page.go(&format!("http://{}/#token=open-sesame", server.address));
    page.wait_for(loaded);
    assert_eq!(page.ask("location.hash"), "");
    page.ask("sessionStorage.clear()");
    page.go(&format!("http://{}/?again", server.address));
    page.wait_for("document.getElementById('token-dialog').open");
    page.ask("document.getElementById('token').value = 'open-sesame'; document.querySelector('#token-dialog button[value=ok]').click()");
    page.wait_for(loaded);
}

#[test]
fn two_languages_have_the_same_texts() {
    let Some(desk) = Desk::new() else { return };
    assert_eq!(desk.page.ask("document.getElementById('fill').textContent.trim()"), "Fill");
    desk.page.click("#language");
    assert_eq!(desk.page.ask("document.getElementById('fill').textContent.trim()"), "Заповнити");
    assert_eq!(desk.page.ask("document.documentElement.lang"), "uk");
    desk.reload();
    assert_eq!(desk.page.ask("document.documentElement.lang"), "uk", "it is remembered");
}

/// What axe-core finds that is serious or worse.
fn findings(page: &Page, axe: &str) -> Vec<String> {
    page.tab.evaluate(axe, false).unwrap();
    let found = page.ask(
        "axe.run().then((result) => JSON.stringify(result.violations.filter((one) => ['serious', 'critical'].includes(one.impact))\
         .map((one) => one.id + ': ' + one.nodes.map((node) => node.html).join(' '))))",
    );
    serde_json::from_str(found.as_str().unwrap_or("[]")).unwrap()
}

#[test]
fn nobody_is_left_out() {
    // CARGO_MANIFEST_DIR is crates/lacuna-serve.
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/axe-core/axe.min.js");
    let path = std::env::var_os("LACUNA_AXE").map_or(usual, PathBuf::from);
    let Ok(axe) = fs::read_to_string(&path) else {
        return not_tested("no axe-core (tools/fetch_axe.sh gets it), the page was not scanned for barriers");
    };
    let Some(desk) = Desk::new() else { return };
    let none = Vec::<String>::new();
    desk.page.go(&format!("http://{}/docs", desk.server.address));
    desk.page.wait_for("document.querySelectorAll('#content h2').length > 5");
    assert_eq!(findings(&desk.page, &axe), none, "the page of the API");
    desk.reload();
    assert_eq!(findings(&desk.page, &axe), none, "empty");
    desk.page.click("#example");
    desk.page.wait_for(&format!("{READY} && !document.getElementById('undo').disabled"));
    assert_eq!(findings(&desk.page, &axe), none, "ready");
    desk.fill();
    assert_eq!(findings(&desk.page, &axe), none, "filled");
    desk.page.click("#show-keys");
    assert_eq!(findings(&desk.page, &axe), none, "the list of keys");
    desk.page.press("Escape");
    desk.page.click("#language");
    assert_eq!(findings(&desk.page, &axe), none, "in Ukrainian");
    desk.page.be_a_phone(360, 640);
    desk.page.click("#show-settings");
    assert_eq!(findings(&desk.page, &axe), none, "on a phone");
}
