//! Padding at the border of a map.

use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;
pub use lacuna_cpu::kernels::conv::Padding;
use lacuna_network::Border;

/// The padding of a layer's border, `(kernel - 1) / 2` pixels wide. With an odd kernel it keeps the sides, apart from the
/// stride.
pub fn of(border: Border, kernel: usize) -> Padding {
    match (border, (kernel - 1) / 2) {
        (Border::None, _) | (_, 0) => Padding::None,
        (Border::Zero, by) => Padding::Zero(by),
        (Border::Reflect, by) => Padding::Reflect(by),
    }
}

/// Checks that `x`, `[batch, channels, height, width]`, can be padded like this.
///
/// # Panics
/// If a side is too short to reflect: it must be longer than the padding.
pub(super) fn check(padding: Padding, x: &Tensor<4>) {
    let ([_, _, height, width], Padding::Reflect(by)) = (x.dims(), padding) else { return };
    assert!(
        by < height && by < width,
        "reflecting {by} pixels needs more than {by} rows and columns, got {height} x {width}"
    );
}

/// `x` with explicit padding.
///
/// # Shapes
/// `x`: `[batch, channels, height, width]`; the result: both sides longer by twice the padding.
///
/// # Panics
/// As [`check`].
pub(super) fn apply(padding: Padding, x: Tensor<4>) -> Tensor<4> {
    check(padding, &x);
    match padding {
        Padding::None | Padding::Zero(0) | Padding::Reflect(0) => x,
        Padding::Zero(by) => x.pad([(by, by), (by, by)], PadMode::Constant(0.0)),
        Padding::Reflect(by) => x.pad([(by, by), (by, by)], PadMode::Reflect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};

    #[test]
    fn reflection_by_hand() {
        let x = tensor([1, 1, 2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let padded = apply(Padding::Reflect(1), x.clone());
        assert_eq!(padded.dims(), [1, 1, 4, 5]);
        #[rustfmt::skip]
        assert_eq!(values(padded), [
            5.0, 4.0, 5.0, 6.0, 5.0,
            2.0, 1.0, 2.0, 3.0, 2.0,
            5.0, 4.0, 5.0, 6.0, 5.0,
            2.0, 1.0, 2.0, 3.0, 2.0,
        ]);
        assert_eq!(values(apply(Padding::None, x.clone())), values(x));
    }

    #[test]
    fn zeros_by_hand() {
        let padded = apply(Padding::Zero(1), tensor([1, 1, 1, 1], vec![7.0]));
        assert_eq!(values(padded), [0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "reflecting 1 pixels needs more than 1 rows and columns, got 1 x 4")]
    fn a_single_row_cannot_be_reflected() {
        apply(Padding::Reflect(1), tensor([1, 1, 1, 4], vec![0.0; 4]));
    }
}
