//! Memory and time of a forward pass on a Burn device, from what [`Cost`] counts.

use lacuna_network::Cost;

/// The peak memory in bytes of a forward pass on the processor, beyond the image itself.
pub fn bytes(cost: &Cost) -> u64 {
    (size_of::<f32>() as f64 * (cost.weights + HELD * cost.largest)) as u64 + FIXED_BYTES
}

/// The time in seconds of a forward pass on a device that multiplies large matrices at `rate` operations a second (see
/// [`crate::speed`]).
pub fn seconds(cost: &Cost, rate: f64) -> f64 {
    cost.operations / (EFFICIENCY * rate) + cost.written * OPERATIONS_PER_VALUE / rate
}

/// Full-resolution feature maps alive at the worst moment, in the last layers of the decoder. Measured with
/// `examples/cost.rs` on Burn's Flex backend: 3.6 to 4.2 from 256 x 256 to 2048 x 2048, widths 8 and 64.
const HELD: f64 = 4.25;

/// What the process needs besides: code, threads, and the scratch space of convolutions, which does not grow with
/// the picture. Measured likewise: 30 MiB for width 8, 70 MiB for width 64.
const FIXED_BYTES: u64 = 72 << 20;

/// The speed of convolutions as a part of that of large matrix products, and the time to write a value (with all
/// normalising, rectifying and copying around it) as a number of such products' operations. Fitted to the times of
/// widths 8 and 64 from 256 x 256 to 1024 x 1024 on Burn's Flex backend, each beside a matrix product measured at
/// the same moment: medians of four runs within 14 %. Not measured on GPUs.
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
