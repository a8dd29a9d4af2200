//! Current matrix-product speed of a device, which scales forecasts of time.

use std::time::Instant;

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};

/// Rows and columns of the matrices: enough to keep every core busy, 10 ms on two fast ones.
const SIDE: usize = 1024;

/// The first product also starts threads or compiles kernels; the best of the others counts.
const PRODUCTS: usize = 4;

/// Operations per second in a product of two large float32 matrices; a multiplication and its addition count as two.
///
/// # Errors
/// [`Error::Execution`] if the device fails.
pub fn matrix_product_rate(device: &Device) -> Result<f64> {
    let matrix = Tensor::<2>::ones([SIDE, SIDE], device);
    let operations = 2.0 * (SIDE * SIDE * SIDE) as f64;
    let mut rate: f64 = 0.0;
    for _ in 0..PRODUCTS {
        device.sync().map_err(|error| Error::Execution(error.to_string()))?;
        let start = Instant::now();
        let product = matrix.clone().matmul(matrix.clone());
        device.sync().map_err(|error| Error::Execution(error.to_string()))?;
        rate = rate.max(operations / start.elapsed().as_secs_f64());
        drop(product);
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_neither_a_stone_nor_a_miracle() {
        let rate = matrix_product_rate(&Device::flex()).unwrap();
        assert!((1e7..1e15).contains(&rate), "{rate:e} operations a second");
    }
}
