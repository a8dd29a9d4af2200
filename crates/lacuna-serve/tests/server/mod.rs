//! A server on a free port of this process, and inputs for it.

#![allow(dead_code, reason = "each test program uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GrayImage, ImageEncoder as _, ImageFormat, Luma, Rgb, RgbImage};
use lacuna::hint::FrameHint;
use lacuna::patchmatch::PatchMatch;
use lacuna::predictor::Scene;
use lacuna::{HintKind, Mask, Method, Planes, Predictor, Sides, Watch};
use lacuna_serve::{Config, Model, Models, Server};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running server, which stops when dropped.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    runtime: Runtime,
}

impl Running {
    pub fn start(config: Config, models: Models) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(Server::bind(config, models)).unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { address, stop: Some(stop), task: Some(task), runtime }
    }

    /// A server with PatchMatch and no networks.
    pub fn plain() -> Self {
        Self::start(config(), models(Arc::new(PatchMatch::default())))
    }

    /// Requests shutdown.
    pub fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until it has stopped.
    pub fn wait(mut self) {
        let task = self.task.take().unwrap();
        self.runtime.block_on(task).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

pub fn config() -> Config {
    Config::new("127.0.0.1:0".parse().unwrap())
}

pub fn models(patchmatch: Arc<dyn Predictor>) -> Models {
    Models::new(patchmatch, Vec::new())
}

/// A model that draws the lines of its hint in white on black.
pub fn draughtsman() -> Models {
    let model = Model {
        id: "draughtsman".into(),
        label: None,
        method: Method::NETWORK,
        device: "cpu".into(),
        parameters: 1,
        network: Arc::new(Draughtsman),
        latent: None,
    };
    Models::new(Arc::new(PatchMatch::default()), vec![model])
}

struct Draughtsman;

impl Predictor for Draughtsman {
    fn name(&self) -> String {
        "draughtsman".into()
    }

    fn hint_kind(&self) -> Option<HintKind> {
        Some(HintKind::Lines)
    }

    fn predict_watched(
        &self,
        image: &Planes,
        mask: &Mask,
        seed: u64,
        watch: &Watch,
    ) -> lacuna::Result<Planes> {
        self.predict_scene(&Scene::new(image, mask, seed), watch)
    }

    fn predict_scene(&self, scene: &Scene<'_>, _: &Watch) -> lacuna::Result<Planes> {
        let (width, height) = (scene.image.width(), scene.image.height());
        let shade = match scene.hint {
            Some((FrameHint::Lines(lines), strength)) => {
                lines.hole().iter().map(|&line| strength.get() * f32::from(line)).collect()
            }
            _ => vec![0.0; width * height],
        };
        Ok(Planes::new(width, height, shade.repeat(3)))
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
}

/// An image with a pattern.
pub fn photo(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x / 4 + y / 4) % 2 * 200) as u8])
    })
}

/// A mask with a centred hole, a ninth of the image.
pub fn mask(width: u32, height: u32) -> GrayImage {
    let inside = |at: u32, size: u32| (size / 3..size - size / 3).contains(&at);
    GrayImage::from_fn(width, height, |x, y| {
        Luma([if inside(x, width) && inside(y, height) { 255 } else { 0 }])
    })
}

/// A GIF file of one frame.
pub fn gif(image: RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let frame = image::Frame::new(DynamicImage::ImageRgb8(image).to_rgba8());
    GifEncoder::new(&mut bytes).encode_frame(frame).unwrap();
    bytes
}

/// A JPEG file as a phone writes it: several megabytes, rotated (EXIF orientation 6).
pub fn phone_jpeg(width: u32, height: u32) -> Vec<u8> {
    const ORIENTATION_6: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut noise = 1_u32;
    let pixels = RgbImage::from_fn(width, height, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (noise >> 28) as u8;
        Rgb([(x / 32 % 200) as u8 + grain, (y / 32 % 200) as u8 + grain, 90 + grain])
    });
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 92);
    encoder.set_exif_metadata(ORIENTATION_6.to_vec()).unwrap();
    pixels.write_with_encoder(encoder).unwrap();
    bytes
}

/// An image as a file.
pub fn encode(pixels: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn png(pixels: impl Into<DynamicImage>) -> Vec<u8> {
    encode(pixels, ImageFormat::Png)
}
