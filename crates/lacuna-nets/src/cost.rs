//! Memory and time of a forward pass on a Burn device, from [`Cost`].

use lacuna_network::Cost;

/// The peak memory in bytes of a forward pass on the processor, beyond the image itself.
pub fn bytes(cost: &Cost) -> u64 {
    (size_of::<f32>() as f64 * (cost.weights + HELD * cost.largest)) as u64 + FIXED_BYTES
}

/// The peak memory in bytes of a forward pass that is recorded, and of its backward pass to the latent.
pub fn recorded_bytes(cost: &Cost) -> u64 {
    bytes(cost) + (size_of::<f32>() as f64 * RECORDED * cost.written) as u64
}

/// The time in seconds of a forward pass on a device that multiplies large matrices at `rate` operations per second
/// (see [`crate::speed`]).
pub fn seconds(cost: &Cost, rate: f64) -> f64 {
    cost.operations / (EFFICIENCY * rate) + cost.written * OPERATIONS_PER_VALUE / rate
}

/// Full-resolution feature maps alive at the peak, in the last layers of the decoder. Measured with `examples/cost.rs`
/// on Burn's Flex backend: 3.6 to 4.2 from 256 x 256 to 2048 x 2048, widths 8 and 64.
const HELD: f64 = 4.25;

/// Values that autodiff keeps for each value that a convolution or a transform writes. Measured with
/// `examples/cost.rs`: 1.72 to 1.76, 256 x 256 and 512 x 512, widths 8 to 64.
const RECORDED: f64 = 1.8;

/// Other memory of the process: code, threads, and the scratch space of convolutions, which does not grow with the
/// image. Measured likewise: 30 MiB for width 8, 70 MiB for width 64.
const FIXED_BYTES: u64 = 72 << 20;

/// The speed of convolutions relative to large matrix products, and the time to write a value (including norms,
/// activations and copies) as a number of such operations. Fitted to the times of widths 8 and 64 from 256 x 256 to
/// 1024 x 1024 on Burn's Flex backend, each together with a matrix product measured at the same moment: medians of four
/// runs within 14 %. Not measured on GPUs.
const EFFICIENCY: f64 = 0.79;
const OPERATIONS_PER_VALUE: f64 = 900.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_by_hand() {
        let cost = Cost { operations: 79e9, written: 1e9, ..Cost::default() };
        assert!((seconds(&cost, 100e9) - 10.0).abs() < 1e-9, "{}", seconds(&cost, 100e9));
    }

    #[test]
    fn bytes_by_hand() {
        let cost = Cost { weights: 10e6, largest: 4e6, ..Cost::default() };
        assert_eq!(bytes(&cost), 4 * (10_000_000 + 17_000_000) + FIXED_BYTES);
    }
}
