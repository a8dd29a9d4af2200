//! Grids of example images: the network's input and output, and the damage of its latent.

use image::RgbImage;
use lacuna::{Mask, Planes};
use lacuna_eval::report::sheet::{arrange, masked};
use lacuna_nets::latent::{decoded_difference, without_control};
use lacuna_nets::tensors::{device_of, download, upload};
use lacuna_nets::{Network, Prediction};

use crate::Result;
use crate::config::Task;

/// A grid with one row per example: photo, masked photo, prediction, inpainted photo, and the decoded difference of
/// latents (thesis, eq. 4.1). An autoencoder's row has photo and prediction, a context encoder's photo, masked photo and
/// inpainted photo; that of a network with several answers has photo, masked photo and the inpainted photos of the first four
/// seeds.
///
/// # Errors
/// If the network fails.
pub fn sheet(task: Task, network: &Network, examples: &[(Planes, Mask)]) -> Result<RgbImage> {
    let rows: Vec<Vec<Planes>> =
        examples.iter().map(|(photo, mask)| row(task, network, photo, mask)).collect::<Result<_>>()?;
    Ok(arrange(&rows))
}

/// Answers in a row.
const ANSWERS: u64 = 4;

fn row(task: Task, network: &Network, photo: &Planes, mask: &Mask) -> Result<Vec<Planes>> {
    let (image, hole) = upload(photo, mask, &device_of(network));
    let generator = match network {
        Network::Generator(generator) => generator,
        Network::ContextEncoder(network) => {
            let inpainted = network.fill(image, hole)?;
            return Ok(vec![photo.clone(), masked(photo, mask), download(inpainted)?]);
        }
    };
    if task == Task::Autoencoder {
        let latent = generator.encode(image, hole.zeros_like())?;
        return Ok(vec![photo.clone(), download(generator.decode(latent))?]);
    }
    if generator.modulation.is_some() {
        let mut row = vec![photo.clone(), masked(photo, mask)];
        for seed in 0..ANSWERS {
            row.push(download(generator.answer_of(image.clone(), hole.clone(), &[seed])?.inpainted)?);
        }
        return Ok(row);
    }
    let Prediction { predicted, inpainted, .. } = generator.forward(image.clone(), hole.clone())?;
    let plain = without_control(generator);
    let (truth, damaged) = (plain.encode(image.clone(), hole.zeros_like())?, plain.encode(image, hole)?);
    Ok(vec![
        photo.clone(),
        masked(photo, mask),
        download(predicted)?,
        download(inpainted)?,
        download(decoded_difference(&plain, truth, damaged))?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small_generator;
    use burn::tensor::Device;
    use image::Rgb;
    use lacuna_eval::report::sheet::{BACKGROUND, to_byte};
    use testkit::pictures;

    #[test]
    fn sheets_show_the_photo_first() {
        let generator = Network::from(small_generator(3, true, &Device::flex()));
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
