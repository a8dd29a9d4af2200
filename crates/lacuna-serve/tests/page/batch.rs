//! Filling many photos.

use std::io::Cursor;
use std::path::PathBuf;

use image::{GrayImage, Luma, Rgb, RgbImage};

use crate::desk::{Desk, HEIGHT, WIDTH, on_both};
use crate::server::{mask, photo, png};

/// The photos of a downloaded archive.
fn photos_of(archive: Vec<u8>) -> Vec<RgbImage> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let count = archive.len();
    let read = |index| {
        let mut bytes = Vec::new();
        std::io::copy(&mut archive.by_index(index).unwrap(), &mut bytes).unwrap();
        image::load_from_memory(&bytes).unwrap().to_rgb8()
    };
    (0..count).map(read).collect()
}

/// Bounds of the pixels in which two images differ: left, top, right, bottom.
fn changed(before: &RgbImage, after: &RgbImage) -> Option<[u32; 4]> {
    let places = after.enumerate_pixels().filter(|(x, y, pixel)| *pixel != before.get_pixel(*x, *y));
    places.fold(None, |bounds, (x, y, _)| {
        let [left, top, right, bottom] = bounds.unwrap_or([x, y, x + 1, y + 1]);
        Some([left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)])
    })
}

#[test]
fn many_photos_become_one_zip_file() {
    on_both(|desk| {
        let photos: Vec<_> = ["a.png", "b.png", "none.png"]
            .iter()
            .map(|name| desk.write(name, png(photo(60, 40))))
            .chain(["a_mask.png", "b_mask_soft.png"].iter().map(|name| desk.write(name, png(mask(60, 40)))))
            .collect();
        desk.page.choose_files("#open-input", &photos);
        desk.page.wait_for("document.getElementById('batch-dialog').open");
        desk.page.click("#batch-start");
        let archive = desk.downloaded("lacuna.zip");
        let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
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
    });
}

#[test]
fn the_page_tells_masks_from_photos_as_the_program_does() {
    let Some(desk) = Desk::new() else { return };
    let names =
        ["x", "x_mask", "x_mask000", "x_mask_soft", "x_masked", "x_mask_mask001", "_mask000", "xmask"];
    let files: Vec<PathBuf> =
        names.iter().map(|name| desk.write(&format!("{name}.png"), png(photo(16, 16)))).collect();
    desk.page.choose_files("#open-input", &files);
    desk.page.wait_for("document.getElementById('batch-dialog').open");
    let listed = desk.page.ask(
        "[...document.querySelectorAll('#batch-list span:first-child')].map((name) => name.textContent).join()",
    );
    let photos = names.iter().filter(|name| lacuna::pairs::photo_name(name).is_none());
    let expected: Vec<String> = photos.map(|name| format!("{name}.png")).collect();
    assert_eq!(listed, expected.join(","));
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

#[test]
fn the_last_mask_fills_a_batch() {
    let Some(desk) = Desk::new() else { return };
    let original = desk.open_photo();
    desk.page.click("#tool-rectangle");
    desk.drag(&[(0.3, 0.3), (0.6, 0.6)]);
    let hole = desk.export_mask();
    desk.fill();
    let more: Vec<PathBuf> = ["a.png", "b.png"].map(|name| desk.write(name, png(original.clone()))).to_vec();
    desk.page.choose_files("#open-input", &more);
    desk.page.wait_for("document.getElementById('batch-dialog').open");
    desk.page.click("#batch-current");
    desk.page.click("#batch-start");
    let archive = desk.downloaded("lacuna.zip");
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    assert_eq!(archive.len(), 2);
    for index in 0..2 {
        let mut bytes = Vec::new();
        std::io::copy(&mut archive.by_index(index).unwrap(), &mut bytes).unwrap();
        let filled = image::load_from_memory(&bytes).unwrap().to_rgb8();
        let changed = filled.enumerate_pixels().filter(|(x, y, pixel)| *pixel != original.get_pixel(*x, *y));
        let changed: Vec<_> = changed.map(|(x, y, _)| hole.get_pixel(x, y)[0]).collect();
        assert!(changed.len() > 1000 && changed.iter().all(|&value| value == 255), "{}", changed.len());
    }
}

/// A photo whose every pixel is a surprise, so that a fill is seen.
fn noise(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let bits = (x.wrapping_mul(0x9e37_79b9) ^ y.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0x2c1b_3c6d);
        Rgb([8, 16, 24].map(|shift| (bits >> shift) as u8))
    })
}

/// Opens photos of two sizes as a batch.
fn open_two_sizes(desk: &Desk) -> [RgbImage; 2] {
    let photos = [noise(WIDTH + 60, HEIGHT + 40), noise(120, 90)];
    let files = [("a.png", &photos[0]), ("b.png", &photos[1])];
    let files: Vec<PathBuf> =
        files.iter().map(|(name, photo)| desk.write(name, png((*photo).clone()))).collect();
    desk.page.choose_files("#open-input", &files);
    desk.page.wait_for("document.getElementById('batch-dialog').open");
    photos
}

fn is_hidden(desk: &Desk, id: &str) -> bool {
    desk.page.ask(&format!("!document.getElementById('{id}').offsetParent")) == true
}

#[test]
fn a_watermark_is_removed_at_its_corner_from_photos_of_many_sizes() {
    let Some(desk) = Desk::new() else { return };
    let photos = open_two_sizes(&desk);
    assert!(is_hidden(&desk, "batch-anchor"), "each photo's own mask needs no place");
    let logo = desk.write("logo.png", png(GrayImage::from_pixel(30, 20, Luma([255]))));
    desk.page.choose_file("#batch-mask-input", &logo);
    desk.page.wait_for("document.getElementById('batch-anchor').offsetParent");
    assert!(is_hidden(&desk, "batch-scale"), "a stretched mask has the photo's size");
    desk.set("batch-anchor", "bottom-right");
    assert!(!is_hidden(&desk, "batch-scale"));
    desk.page.click("#batch-start");
    let filled = photos_of(desk.downloaded("lacuna.zip"));
    for (before, after) in photos.iter().zip(&filled) {
        let (width, height) = before.dimensions();
        let [left, top, right, bottom] = changed(before, after).unwrap();
        assert!(left >= width - 30 && top >= height - 20, "{left}, {top} of {width} x {height}");
        assert!(right > width - 4 && bottom > height - 4, "{right}, {bottom} of {width} x {height}");
    }
    let notes = desk.page.ask("document.querySelector('#batch-list li ul').textContent");
    assert_eq!(notes, "The mask was put here: Bottom right corner, 30 × 20 pixels");
    // The choice is remembered, as watermarks come again.
    desk.reload();
    assert_eq!(desk.page.ask("document.getElementById('batch-anchor').value"), "bottom-right");
}

#[test]
fn the_last_mask_is_placed_stretched_or_scaled_in_photos_of_other_sizes() {
    let Some(desk) = Desk::new() else { return };
    desk.open_photo();
    desk.page.click("#tool-rectangle");
    desk.drag(&[(0.75, 0.75), (1.0, 1.0)]);
    desk.fill();
    // A quarter of the sides of the drawn photo: 60 x 40 pixels.
    let small = |side: u32, of: u32| f64::from(side) / f64::from(of);
    for (anchor, scale, parts) in [
        ("bottom-right", "none", [small(60, WIDTH + 60), small(60, 120)]),
        ("", "none", [0.25, 0.25]),
        ("bottom-right", "width", [0.25, 0.25]),
    ] {
        let _ = std::fs::remove_file(desk.folder.path().join("lacuna.zip"));
        let photos = open_two_sizes(&desk);
        desk.page.click("#batch-current");
        desk.set("batch-anchor", anchor);
        desk.set("batch-scale", scale);
        desk.page.click("#batch-start");
        let filled = photos_of(desk.downloaded("lacuna.zip"));
        for ((before, after), part) in photos.iter().zip(&filled).zip(parts) {
            let [left, _, right, bottom] = changed(before, after).unwrap();
            let (width, height) = before.dimensions();
            let expected = f64::from(width) * (1.0 - part);
            assert!((f64::from(left) - expected).abs() < 4.0, "{anchor} {scale}: {left} for {expected}");
            assert!(right > width - 4 && bottom > height - 4, "{anchor} {scale}: {right}, {bottom}");
        }
        desk.page.wait_for("!document.getElementById('batch-start').disabled");
        desk.page.click("#batch-cancel");
    }
}

#[test]
fn a_phone_has_room_for_a_batch() {
    let Some(desk) = Desk::new() else { return };
    desk.page.be_a_phone(360, 640);
    desk.reload();
    open_two_sizes(&desk);
    let logo = desk.write("logo.png", png(GrayImage::from_pixel(30, 20, Luma([255]))));
    desk.page.choose_file("#batch-mask-input", &logo);
    desk.set("batch-anchor", "center");
    let beyond = desk.page.ask(
        "[...document.querySelectorAll('#batch-dialog select, #batch-dialog button')].filter((element) => { \
         element.scrollIntoView({ block: 'nearest' }); const { left, right, bottom } = element.getBoundingClientRect(); \
         return !element.offsetParent || left < 0 || right > innerWidth || bottom > innerHeight; }).map((element) => element.id).join()",
    );
    assert_eq!(beyond, "");
}
