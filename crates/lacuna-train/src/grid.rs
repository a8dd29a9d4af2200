//! Grids of example images: the network's input and output, and the damage of its latent.

use burn::tensor::{Device, Tensor, TensorData};
use image::{Rgb, RgbImage};
use lacuna::{Mask, Planes};
use lacuna_nets::weights::read_tensor;
use lacuna_nets::{Generator, Prediction};

use crate::Result;
use crate::config::Task;

/// Pixels between images.
const GAP: u32 = 4;
const BACKGROUND: Rgb<u8> = Rgb([40, 40, 40]);

/// A grid with one row per example: photo, masked photo, prediction, inpainted photo, and the decoded difference of
/// latents (thesis, eq. 4.1). An autoencoder's row has photo and prediction.
///
/// # Errors
/// If the network fails.
pub fn sheet(task: Task, generator: &Generator, examples: &[(Planes, Mask)]) -> Result<RgbImage> {
    let rows: Vec<Vec<Planes>> =
        examples.iter().map(|(photo, mask)| row(task, generator, photo, mask)).collect::<Result<_>>()?;
    Ok(arrange(&rows))
}

/// A photo with a black hole.
pub fn masked(photo: &Planes, mask: &Mask) -> Planes {
    let hole = mask.hole().iter().cycle();
    let values = photo.values().iter().zip(hole).map(|(&value, &hole)| if hole { 0.0 } else { value });
    Planes::new(photo.width(), photo.height(), values.collect())
}

/// Arranges images of one size in rows and columns.
pub fn arrange(rows: &[Vec<Planes>]) -> RgbImage {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let (width, height) =
        rows.iter().flatten().next().map_or((0, 0), |first| (first.width() as u32, first.height() as u32));
    let along = |count: u32, side: u32| GAP + count * (side + GAP);
    let mut sheet = RgbImage::from_pixel(along(columns, width), along(rows.len() as u32, height), BACKGROUND);
    for (down, row) in rows.iter().enumerate() {
        for (right, picture) in row.iter().enumerate() {
            let (left, top) = (along(right as u32, width), along(down as u32, height));
            let pixels = picture.width() * picture.height();
            for (index, pixel) in (0..pixels).map(|index| (index as u32, index)) {
                let colour = [0, 1, 2].map(|channel| to_byte(picture.values()[channel * pixels + pixel]));
                sheet.put_pixel(left + index % width, top + index / width, Rgb(colour));
            }
        }
    }
    sheet
}

fn to_byte(value: f32) -> u8 {
    (255.0 * value.clamp(0.0, 1.0)).round() as u8
}

fn row(task: Task, generator: &Generator, photo: &Planes, mask: &Mask) -> Result<Vec<Planes>> {
    let device = generator_device(generator);
    let (image, hole) = upload(photo, mask, &device);
    let planes = |tensor: Tensor<4>| -> Result<Planes> {
        Ok(Planes::new(photo.width(), photo.height(), read_tensor(tensor)?.values))
    };
    if task == Task::Autoencoder {
        let latent = generator.encode(image, hole.zeros_like())?;
        return Ok(vec![photo.clone(), planes(generator.decode(latent))?]);
    }
    let Prediction { predicted, inpainted, .. } = generator.forward(image.clone(), hole.clone())?;
    let mut plain = generator.clone();
    plain.control = None;
    let difference = plain.encode(image.clone(), hole.zeros_like())? - plain.encode(image, hole)?;
    Ok(vec![
        photo.clone(),
        masked(photo, mask),
        planes(predicted)?,
        planes(inpainted)?,
        planes(plain.decode(difference))?,
    ])
}

/// Uploads a photo and its mask as a batch of one.
pub(crate) fn upload(photo: &Planes, mask: &Mask, device: &Device) -> (Tensor<4>, Tensor<4>) {
    let (width, height) = (photo.width(), photo.height());
    let hole: Vec<f32> = mask.hole().iter().map(|&hole| if hole { 1.0 } else { 0.0 }).collect();
    let tensor = |values: Vec<f32>, channels: usize| {
        Tensor::from_data(TensorData::new(values, [1, channels, height, width]), device)
    };
    (tensor(photo.values().to_vec(), 3), tensor(hole, 1))
}

/// The device of a network without autodiff.
pub(crate) fn generator_device(generator: &Generator) -> Device {
    use burn::module::Module;
    generator.devices().first().cloned().unwrap_or_else(Device::flex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small_generator;
    use testkit::pictures;

    #[test]
    fn sheets_show_the_photo_first() {
        let generator = small_generator(3, true, &Device::flex());
        let photo = Planes::new(24, 16, pictures::picture(24, 16));
        let mask = Mask::new(24, 16, pictures::hole(24, 16));
        let examples = [(photo.clone(), mask.clone()), (photo.clone(), mask.clone())];
        for (task, columns) in [(Task::Inpainting, 5), (Task::Autoencoder, 2)] {
            let sheet = sheet(task, &generator, &examples).unwrap();
            assert_eq!(sheet.dimensions(), (4 + columns * 28, 4 + 2 * 20));
            assert_eq!(sheet.get_pixel(0, 0), &BACKGROUND);
            for (x, y) in [(0, 0), (23, 15)] {
                let expected = [0, 1, 2].map(|channel| to_byte(photo.values()[channel * 384 + y * 24 + x]));
                assert_eq!(sheet.get_pixel(4 + x as u32, 24 + y as u32), &Rgb(expected));
            }
        }
        let masked = sheet(Task::Inpainting, &generator, &examples).unwrap();
        let hole = mask.hole().iter().position(|&hole| hole).unwrap();
        assert_eq!(masked.get_pixel(32 + (hole % 24) as u32, 4 + (hole / 24) as u32), &Rgb([0, 0, 0]));
    }
}
