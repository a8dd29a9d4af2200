//! Specks and scratches of a scan: filled in small windows, and nothing that a person would see of it is left.

use std::sync::{Arc, OnceLock};

use image::{DynamicImage, GrayImage, ImageBuffer, Luma};
use lacuna::patchmatch::PatchMatch;
use lacuna::picture::Format;
use lacuna::{Hole, HoleOptions, Inpainter, Mask, Picture, Strategy};
use rand::{RngExt, SeedableRng};

/// Four fields of this size: flat white, a screentone, grain on grey, and a ramp.
const FIELD: (u32, u32) = (1300, 1000);

/// Standard deviation of the grain, in 8-bit steps.
const GRAIN: f64 = 12.0;

/// Pixels from another field within which it shows through: two patches.
const BORDER: u32 = 14;

/// Columns and rows of specks in each field: so many that small windows are used.
const SPECKS: (u32, u32) = (6, 5);

struct Film {
    clean: GrayImage,
    filled: GrayImage,
    mask: GrayImage,
    strategy: String,
}

/// The scan is filled once for all tests.
fn film() -> &'static Film {
    static FILM: OnceLock<Film> = OnceLock::new();
    FILM.get_or_init(|| {
        let (clean, mask) = (clean(), mask());
        let hole = mask.pixels().map(|pixel| pixel[0] > 0).collect();
        let hole = Mask::new(mask.width() as usize, mask.height() as usize, hole);
        let hole = Hole::new(&hole, &HoleOptions::default()).unwrap();
        let mut scan = clean.clone();
        for (pixel, mask) in scan.pixels_mut().zip(mask.pixels()) {
            if mask[0] > 0 {
                *pixel = Luma([40]);
            }
        }
        let mut picture = Picture::from_pixels("scan", DynamicImage::ImageLuma8(scan), Format::Png);
        let inpainter = Inpainter::new(Arc::new(PatchMatch::default()), Strategy::Auto);
        let plan = inpainter.inpaint(&mut picture, &hole, 1).unwrap().unwrap();
        let filled = picture.pixels().as_luma8().unwrap().clone();
        Film { clean, filled, mask, strategy: plan.strategy }
    })
}

fn field(x: u32, y: u32) -> (u32, u32) {
    (x / FIELD.0, y / FIELD.1)
}

fn clean() -> GrayImage {
    let mut random = rand_pcg::Pcg64::seed_from_u64(1);
    ImageBuffer::from_fn(2 * FIELD.0, 2 * FIELD.1, |x, y| {
        // The sum of twelve uniform values has a variance of 1.
        let mut grain = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        Luma([match field(x, y) {
            (0, 0) => 255,
            (1, 0) => u8::from((x % 6).abs_diff(3) + (y % 6).abs_diff(3) < 3) * 255,
            (0, 1) => (128.0 + GRAIN * grain()) as u8,
            _ => (40 + (x - FIELD.0) / 8) as u8,
        }])
    })
}

/// Specks up to 15 wide, single pixels between them, and a scratch of three pixels down each half.
fn mask() -> GrayImage {
    let step = (FIELD.0 / SPECKS.0, FIELD.1 / SPECKS.1);
    ImageBuffer::from_fn(2 * FIELD.0, 2 * FIELD.1, |x, y| {
        let (column, row) = (x % FIELD.0 / step.0, y % FIELD.1 / step.1);
        let (dx, dy) = ((x % FIELD.0 % step.0).abs_diff(100), (y % FIELD.1 % step.1).abs_diff(90));
        let radius = 2 + (column + row) % 6;
        let is_speck = dx * dx + dy * dy <= radius * radius;
        let is_dot = (x % FIELD.0 % step.0, y % FIELD.1 % step.1) == (30, 150);
        let is_scratch = (x % FIELD.0).abs_diff(640 + y / 40) < 2;
        Luma([if is_speck || is_dot || is_scratch { 255 } else { 0 }])
    })
}

/// The clean and filled values of the hole in a field, with their places.
fn hole(column: u32, row: u32) -> impl Iterator<Item = (u32, u32, i32, i32)> {
    let film = film();
    let pixels = film
        .mask
        .enumerate_pixels()
        .filter(move |(x, y, mask)| mask[0] > 0 && field(*x, *y) == (column, row));
    pixels.map(|(x, y, _)| (x, y, i32::from(film.clean[(x, y)][0]), i32::from(film.filled[(x, y)][0])))
}

#[test]
fn specks_and_scratches_get_small_windows() {
    let strategy = &film().strategy;
    assert!(strategy.contains("small windows"), "{strategy}");
}

#[test]
fn flat_white_stays_white() {
    let inner = hole(0, 0).filter(|&(x, y, ..)| x + BORDER < FIELD.0 && y + BORDER < FIELD.1);
    let wrong: Vec<_> = inner.filter(|(.., filled)| *filled != 255).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_screentone_keeps_its_phase() {
    let inner = hole(1, 0).filter(|&(x, y, ..)| x > FIELD.0 + BORDER && y + BORDER < FIELD.1);
    let (mut wrong, mut count) = (0, 0);
    for (_, _, clean, filled) in inner {
        wrong += usize::from(clean.abs_diff(filled) > 8);
        count += 1;
    }
    assert!(wrong * 100 <= count, "{wrong} of {count} pixels are wrong");
}

/// How rough pixels are against the mean of their four neighbours.
fn roughness(image: &GrayImage, places: impl Iterator<Item = (u32, u32)>) -> f64 {
    let squares: Vec<f64> = places
        .map(|(x, y)| {
            let at = |x, y| f64::from(image[(x, y)][0]);
            let around = (at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1)) / 4.0;
            (at(x, y) - around).powi(2)
        })
        .collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

#[test]
fn grain_is_kept() {
    let film = film();
    let places = || hole(0, 1).map(|(x, y, ..)| (x, y)).filter(|&(x, y)| x > 0 && y + 1 < 2 * FIELD.1);
    let (clean, filled) = (roughness(&film.clean, places()), roughness(&film.filled, places()));
    assert!(filled > 0.75 * clean, "{filled} instead of {clean}");
}

#[test]
fn a_ramp_goes_on_and_single_pixels_are_closed() {
    let largest = hole(1, 1).map(|(_, _, clean, filled)| clean.abs_diff(filled)).max().unwrap();
    assert!(largest <= 6, "off by {largest}");
    let is_dot = |x: u32, y: u32| (x % FIELD.0 % 216, y % FIELD.1 % 200) == (30, 150);
    let dots: Vec<_> = hole(1, 1).filter(|&(x, y, ..)| is_dot(x, y)).collect();
    assert_eq!(dots.len(), 30);
    assert!(dots.iter().all(|(_, _, clean, filled)| clean.abs_diff(*filled) <= 1), "{dots:?}");
}
