//! Images and masks as tensors on a device, and back.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::{Mask, Planes};

use crate::Result;
use crate::weights::read_tensor;

/// An image and its mask as a batch of one.
///
/// # Shapes
/// - image: `[1, 3, height, width]` in `[0, 1]`
/// - mask: `[1, 1, height, width]`, 1 = hole
///
/// # Panics
/// If the mask has another size than the image.
pub fn upload(image: &Planes, mask: &Mask, device: &Device) -> (Tensor<4>, Tensor<4>) {
    let (width, height) = (image.width(), image.height());
    assert_eq!((mask.width(), mask.height()), (width, height), "sizes of mask and image");
    let tensor = |values: Vec<f32>, channels: usize| {
        Tensor::from_data(TensorData::new(values, [1, channels, height, width]), device)
    };
    let hole = mask.hole().iter().map(|&hole| if hole { 1.0 } else { 0.0 }).collect();
    (tensor(image.values().to_vec(), 3), tensor(hole, 1))
}

/// The image of a tensor `[1, 3, height, width]`.
///
/// # Errors
/// If the tensor cannot be read from its device.
pub fn download(image: Tensor<4>) -> Result<Planes> {
    let [_, _, height, width] = image.dims();
    Ok(Planes::new(width, height, read_tensor(image)?.values))
}

/// The device of a network.
pub fn device_of<M: Module>(network: &M) -> Device {
    network.devices().first().cloned().unwrap_or_else(Device::flex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_and_masks_are_one_in_the_hole() {
        let image = Planes::new(2, 1, vec![0.0, 0.1, 0.2, 0.3, 0.4, 0.5]);
        let (tensor, hole) = upload(&image, &Mask::new(2, 1, vec![false, true]), &Device::flex());
        assert_eq!((tensor.dims(), hole.dims()), ([1, 3, 1, 2], [1, 1, 1, 2]));
        assert_eq!(download(tensor).unwrap(), image);
        assert_eq!(read_tensor(hole).unwrap().values, [0.0, 1.0]);
    }
}
