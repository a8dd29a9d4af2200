//! IOPaint's clients, previews, models and the API's description.

use std::collections::BTreeMap;
use std::sync::Arc;

use image::{DynamicImage, ImageFormat};
use lacuna::patchmatch::PatchMatch;
use lacuna::{Mask, Picture, Planes, Watch};
use lacuna_serve::{LatentView, Method, Model, Models};
use testkit::http::{Part, Request};

use crate::server::{Running, config, encode, mask, photo, png};
use crate::support::{Before, code, form, json};

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
