//! Current matrix-product speed of a device, which scales forecasts of time.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};

/// Rows and columns of the matrices: enough to keep every core busy, 10 ms on two fast ones.
const SIDE: usize = 1024;

/// The first product also starts threads or compiles kernels; the best of the others counts.
const PRODUCTS: usize = 4;

/// Operations of a product: a multiplication and its addition count as two.
const OPERATIONS: f64 = 2.0 * (SIDE * SIDE * SIDE) as f64;

/// Operations per second in a product of two large float32 matrices.
///
/// # Errors
/// [`Error::Execution`] if the device fails.
pub fn matrix_product_rate(device: &Device) -> Result<f64> {
    let matrix = Tensor::<2>::ones([SIDE, SIDE], device);
    let mut fastest = Duration::MAX;
    for _ in 0..PRODUCTS {
        fastest = fastest.min(time(&matrix, device)?.0);
    }
    Ok(OPERATIONS / fastest.as_secs_f64())
}

/// The time of a product of the matrix with itself, and the product.
fn time(matrix: &Tensor<2>, device: &Device) -> Result<(Duration, Tensor<2>)> {
    let finish = || device.sync().map_err(|error| Error::Execution(error.to_string()));
    finish()?;
    let start = Instant::now();
    let product = matrix.clone().matmul(matrix.clone());
    finish()?;
    Ok((start.elapsed(), product))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_computed() {
        let device = Device::flex();
        let (time, product) = time(&Tensor::ones([SIDE, SIDE], &device), &device).unwrap();
        assert!(time > Duration::ZERO);
        let values = product.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(values, vec![SIDE as f32; SIDE * SIDE]);
    }
}
