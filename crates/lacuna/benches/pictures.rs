//! Reading and writing a 12-megapixel photo in each format.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use image::{DynamicImage, ImageBuffer, Rgb};
use lacuna::Picture;
use lacuna::picture::{Format, Limits, SaveOptions};

/// A photo of 4000 x 3000 pixels: slopes, edges and some noise.
fn photo() -> Picture {
    let pixels = ImageBuffer::from_fn(4000, 3000, |x, y| {
        let noise = x.wrapping_mul(7919).wrapping_add(y.wrapping_mul(104_729)) % 9;
        let edge = if (x / 400 + y / 300) % 2 == 0 { 60 } else { 0 };
        Rgb([(x / 20 + edge + noise) as u8, (y / 15 + noise) as u8, (edge + noise) as u8])
    });
    Picture::from_pixels("photo", DynamicImage::ImageRgb8(pixels), Format::Png)
}

fn pictures(criterion: &mut Criterion) {
    let photo = photo();
    let mut group = criterion.benchmark_group("pictures");
    group.sample_size(10).throughput(Throughput::Elements((photo.width() * photo.height()) as u64));
    for format in [Format::Png, Format::Jpeg, Format::WebP, Format::Tiff, Format::Bmp] {
        let options = SaveOptions { format: Some(format), quality: None };
        let bytes = photo.encode(&options).expect("a photo that every format holds");
        group.bench_function(format!("encode {format}"), |bench| bench.iter(|| photo.encode(&options)));
        group.bench_function(format!("decode {format}"), |bench| {
            bench.iter(|| Picture::decode(&bytes, "photo", &Limits::default()));
        });
    }
    group.finish();
}

criterion_group!(benches, pictures);
criterion_main!(benches);
