//! What a fill changes and keeps, and its parameters.

use std::io::{Cursor, Read as _};
use std::sync::Arc;

use image::{DynamicImage, GrayImage, ImageFormat, Luma};
use lacuna::{Mask, Planes, Predictor, Sides, Watch};
use testkit::http::{Part, Request, Response};
use zip::ZipArchive;

use crate::server::{Running, config, draughtsman, encode, mask, models, photo, png};
use crate::support::{code, fill, json};

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

/// A photo of each format that is read but not written: its file, and the format's name.
const READ_ONLY: &[(&str, &str)] = &[
    ("photo.heic", "HEIC"),
    #[cfg(feature = "avif")]
    ("avif/photo.avif", "AVIF"),
    #[cfg(feature = "jxl")]
    ("jxl/photo.jxl", "JPEG XL"),
];

#[test]
fn photos_of_phones_become_png_or_jpeg() {
    let server = Running::plain();
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/converted");
    for (file, format) in READ_ONLY {
        let photo = std::fs::read(fixtures.join(file)).unwrap();
        let hole = png(mask(64, 48));
        let files = [Part::file("image", "IMG_1.X", &photo), Part::file("mask", "m.png", &hole)];
        for (more, media_type, extension) in
            [(vec![], "image/png", "png"), (vec![Part::value("format", "jpeg")], "image/jpeg", "jpg")]
        {
            let response = Request::form("/v1/inpaint", &[&files[..], &more].concat()).send(server.address);
            assert_eq!(response.status, 200, "{}", response.text());
            assert_eq!(response.header("content-type"), Some(media_type));
            let name = response.header("content-disposition").unwrap();
            assert!(name.contains(&format!("IMG_1-inpainted.{extension}")), "{name}");
            let filled = image::load_from_memory(&response.body).unwrap();
            assert_eq!((filled.width(), filled.height()), (64, 48));
        }
        let preview = Request::form("/v1/preview", &files[..1]).send(server.address);
        assert_eq!(preview.status, 200, "{}", preview.text());
        // Half of a file is the client's mistake, with a reason.
        let half = [Part::file("image", "a.x", &photo[..photo.len() / 2]), files[1]];
        let response = Request::form("/v1/inpaint", &half).send(server.address);
        assert!(
            (400..500).contains(&response.status) && response.text().contains(format),
            "{}",
            response.text()
        );
    }
}

#[test]
#[cfg(not(feature = "avif"))]
fn a_format_without_its_reader_is_named() {
    let server = Running::plain();
    let photo = std::fs::read(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/converted/avif/photo.avif"),
    )
    .unwrap();
    let preview = Request::form("/v1/preview", &[Part::file("image", "a.avif", &photo)]).send(server.address);
    assert_eq!(preview.status, 422, "{}", preview.text());
    assert!(preview.text().contains("this build cannot read AVIF photos"), "{}", preview.text());
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
fn a_hint_steers_models_that_take_one() {
    let server = Running::start(config(), draughtsman());
    let models = json(&Request::new("GET", "/v1/models").send(server.address));
    assert_eq!(models["models"][0]["hint"], "lines");
    let (photo, hole) = (png(photo(96, 72)), png(mask(96, 72)));
    let lines = png(GrayImage::from_fn(96, 72, |x, _| Luma([if x % 2 == 0 { 255 } else { 0 }])));
    let hint = || Part::file("hint", "lines.png", &lines);
    let place = (0..96 * 72).find(|&at| {
        let hole = image::load_from_memory(&hole).unwrap().to_luma8();
        hole.get_pixel(at % 96, at / 96)[0] > 0 && at % 2 == 0
    });
    let (x, y) = place.map(|at| (at % 96, at / 96)).unwrap();
    let line = |more: &[Part<'_>]| pixel(&fill(&photo, &hole, more).send(server.address), x, y);
    assert_eq!(line(&[]), [0, 0, 0]);
    assert_eq!(line(&[hint()]), [255, 255, 255]);
    assert_eq!(line(&[hint(), Part::value("hint_strength", "0.2")]), [51, 51, 51]);
    let wrong = fill(&photo, &hole, &[hint(), Part::value("hint_strength", "9")]).send(server.address);
    assert_eq!((wrong.status, code(&wrong).as_str()), (422, "field-invalid"), "{}", wrong.text());
    assert!(wrong.text().contains("possible are 0 to 2"), "{}", wrong.text());
    let refused = fill(&photo, &hole, &[hint(), Part::value("method", "patchmatch")]).send(server.address);
    assert!(refused.status == 422 && refused.text().contains("takes no hint"), "{}", refused.text());
}

#[test]
fn several_answers_come_as_a_zip_file() {
    let server = Running::plain();
    let (photo, mask) = (png(photo(96, 72)), png(mask(96, 72)));
    let ask = |more: &[(&str, &str)]| {
        let more: Vec<_> = more.iter().map(|&(name, value)| Part::value(name, value)).collect();
        fill(&photo, &mask, &more).send(server.address)
    };
    let response = ask(&[("seed", "5"), ("samples", "3")]);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/zip"));
    assert!(response.header("content-disposition").unwrap().contains("filename=\"photo-inpainted.zip\""));
    assert_eq!((response.header("x-seed"), response.header("x-lacuna-hole")), (Some("5"), Some("768")));
    let mut archive = ZipArchive::new(Cursor::new(response.body)).unwrap();
    assert_eq!(archive.len(), 3);
    for answer in 0..3 {
        let mut bytes = Vec::new();
        let mut file = archive.by_index(answer).unwrap();
        assert_eq!(file.name().unwrap(), format!("photo-inpainted-{}.png", answer + 1));
        file.read_to_end(&mut bytes).unwrap();
        let alone = ask(&[("seed", &(5 + answer).to_string()), ("samples", "1")]);
        assert_eq!(alone.header("content-type"), Some("image/png"));
        assert!(bytes == alone.body, "answer {answer} depends on the seed and its number alone");
    }
    let refused = ask(&[("samples", "10")]);
    assert_eq!((refused.status, code(&refused).as_str()), (422, "field-invalid"));
}

#[test]
fn methods_with_one_answer_refuse_several() {
    struct OneAnswer;
    impl Predictor for OneAnswer {
        fn name(&self) -> String {
            "one".into()
        }

        fn predict_watched(&self, image: &Planes, _: &Mask, _: u64, _: &Watch) -> lacuna::Result<Planes> {
            Ok(image.clone())
        }

        fn sides(&self) -> Sides {
            Sides::any(4096)
        }

        fn forecast_bytes(&self, _: usize, _: usize) -> u64 {
            0
        }

        fn forecast_seconds(&self, _: usize, _: usize, _: usize) -> f64 {
            0.0
        }

        fn uses_seed(&self) -> bool {
            false
        }
    }
    let server = Running::start(config(), models(Arc::new(OneAnswer)));
    let (photo, mask) = (png(photo(96, 72)), png(mask(96, 72)));
    let ask = |samples: &str| fill(&photo, &mask, &[Part::value("samples", samples)]).send(server.address);
    let refused = ask("3");
    assert_eq!((refused.status, code(&refused).as_str()), (422, "field-invalid"));
    assert!(refused.text().contains("one has one answer for each hole, samples is 3"), "{}", refused.text());
    assert_eq!(ask("1").status, 200);
}
