//! Opening photos of all kinds and sizes.

use std::fs;
use std::path::Path;

use crate::desk::{Desk, HEIGHT, READY, WIDTH, on_both};
use crate::server::{self, phone_jpeg, photo, png};

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
fn tiff_files_are_shown_by_the_server_and_stay_tiff() {
    on_both(|desk| {
        let deep = image::DynamicImage::ImageRgb8(photo(WIDTH, HEIGHT)).to_rgb16();
        let bytes = server::encode(image::DynamicImage::ImageRgb16(deep), image::ImageFormat::Tiff);
        desk.page.choose_file("#open-input", &desk.write("deep.tif", bytes));
        desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
        desk.drag(&[(0.4, 0.4), (0.6, 0.6)]);
        desk.fill();
        desk.page.ask("document.getElementById('download').click()");
        let filled = image::load_from_memory(&desk.downloaded("deep-inpainted.tif")).unwrap();
        assert_eq!((filled.width(), filled.color()), (WIDTH, image::ColorType::Rgb16));
    });
}

#[test]
fn heic_photos_are_shown_by_the_server_and_become_png() {
    on_both(|desk| {
        let heic =
            fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/converted/turned.heic"))
                .unwrap();
        desk.page.choose_file("#open-input", &desk.write("IMG_1.HEIC", heic));
        desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
        desk.drag(&[(0.4, 0.6), (0.6, 0.8)]);
        desk.fill();
        desk.page.ask("document.getElementById('download').click()");
        let filled = image::load_from_memory(&desk.downloaded("IMG_1-inpainted.png")).unwrap();
        assert_eq!((filled.width(), filled.height()), (48, 64));
    });
}

/// A file that ships with the tests.
fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/photos").join(name)).unwrap()
}

/// One red pixel.
const GIF: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\xff\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b";

/// The beginning of an iPhone photo.
const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat";

#[test]
fn what_the_server_cannot_read_is_refused_when_it_is_opened() {
    let Some(desk) = Desk::new() else { return };
    let whole_jpeg = phone_jpeg(64, 64);
    let whole_png = png(photo(64, 64));
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let files = [
        ("photo.gif", GIF.to_vec()),
        ("photo.avif", fixture("photo.avif")),
        ("cmyk.jpg", fixture("cmyk.jpg")),
        ("photo.heic", HEIC.to_vec()),
        // The content decides the format: these have wrong names.
        ("avif.jpg", fixture("photo.avif")),
        ("heic.png", HEIC.to_vec()),
        ("half.jpg", half(&whole_jpeg)),
        ("half.png", half(&whole_png)),
        ("text.jpg", b"this is not a photo".to_vec()),
        ("empty.png", Vec::new()),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>".to_vec()),
    ];
    for (name, bytes) in files {
        desk.reload();
        let path = desk.write(name, bytes);
        // If the server cannot make a preview, it cannot fill either.
        desk.page.ask(&format!(
            "(window.status = 0, window.asked = new Promise((resolve) => document.getElementById('open-input').addEventListener('change', async ({{ target }}) => {{ \
             const form = new FormData(); form.append('image', target.files[0]); \
             resolve((await fetch('v1/preview', {{ method: 'POST', body: form }})).status); }}, {{ capture: true, once: true }})), '{name}')"
        ));
        desk.page.choose_file("#open-input", &path);
        let readable = desk.page.ask("window.asked") == 200;
        if readable {
            desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
            continue;
        }
        desk.page.wait_for("document.querySelector('#messages .error')");
        let message = desk.message();
        assert!(message.contains(name) && !message.contains("--"), "{message}");
        assert_eq!(desk.steps(), 0, "{name}: nothing can be painted");
    }
}

#[test]
fn usual_files_are_opened_without_asking_the_server() {
    let Some(desk) = Desk::new() else { return };
    let grey = image::DynamicImage::ImageRgb8(photo(WIDTH, HEIGHT)).to_luma8();
    for (name, bytes) in [
        ("a.jpg", phone_jpeg(64, 48)),
        ("b.png", png(photo(64, 48))),
        ("c.png", png(grey)),
        ("d.webp", server::encode(photo(64, 48), image::ImageFormat::WebP)),
    ] {
        desk.page.choose_file("#open-input", &desk.write(name, bytes));
        desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
        assert!(!desk.page.requests().iter().any(|url| url.contains("/v1/preview")), "{name}");
    }
}

#[test]
fn transparent_parts_are_masked_filled_and_opaque() {
    let Some(desk) = Desk::new() else { return };
    let pixels = photo(WIDTH, HEIGHT);
    let cut_out = image::RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let [red, green, blue] = pixels[(x, y)].0;
        let is_clear = (60..90).contains(&x) && (50..80).contains(&y);
        image::Rgba([red, green, blue, if is_clear { 0 } else { 255 }])
    });
    let bytes = server::encode(image::DynamicImage::ImageRgba8(cut_out), image::ImageFormat::Png);
    desk.page.choose_file("#open-input", &desk.write("cut.png", bytes));
    desk.page.wait_for(&format!("{READY} && document.querySelectorAll('#history li').length === 1"));
    desk.page.ask("document.getElementById('mask-transparent').click()");
    let expected = 100.0 * 900.0 / f64::from(WIDTH * HEIGHT);
    assert!((desk.masked() - expected).abs() < 0.6, "{} % of {expected} %", desk.masked());
    desk.page.ask("document.getElementById('expand-auto').click()");
    assert_eq!(desk.page.ask("document.getElementById('expand').disabled"), true);
    desk.fill();
    desk.page.ask("document.getElementById('download').click()");
    let filled = image::load_from_memory(&desk.downloaded("cut-inpainted.png")).unwrap();
    assert!(!filled.color().has_alpha(), "{:?}", filled.color());
    // A photo without transparent parts says so.
    desk.reload();
    assert_eq!(desk.page.ask("document.getElementById('expand-auto').checked"), true, "it is remembered");
    desk.open_photo();
    desk.page.ask("document.getElementById('mask-transparent').click()");
    assert!(desk.message().contains("no transparent parts"));
}
