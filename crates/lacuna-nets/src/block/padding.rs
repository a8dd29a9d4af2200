//! What lies beyond the border of a picture.

use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;

/// How many rows and columns a convolution adds on each of the four sides, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Nothing is added.
    None,
    /// Zeros.
    Zero(usize),
    /// The mirrored picture, without repeating the border itself.
    Reflect(usize),
}

impl Padding {
    /// Checks that `x`, `[batch, channels, height, width]`, can be padded so.
    ///
    /// # Panics
    /// If a side is too short to reflect: it must be longer than the padding.
    pub fn check(self, x: &Tensor<4>) {
        let ([_, _, height, width], Self::Reflect(by)) = (x.dims(), self) else { return };
        assert!(
            by < height && by < width,
            "reflecting {by} pixels needs more than {by} rows and columns, got {height} x {width}"
        );
    }

    /// `x` with this padding written out.
    ///
    /// # Shapes
    /// `x`: `[batch, channels, height, width]`; the result: both sides longer by twice the padding.
    ///
    /// # Panics
    /// As [`Padding::check`].
    pub fn apply(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::None | Self::Zero(0) | Self::Reflect(0) => x,
            Self::Zero(by) => x.pad([(by, by), (by, by)], PadMode::Constant(0.0)),
            Self::Reflect(by) => {
                self.check(&x);
                x.pad([(by, by), (by, by)], PadMode::Reflect)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};

    #[test]
    fn reflection_by_hand() {
        let x = tensor([1, 1, 2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let padded = Padding::Reflect(1).apply(x.clone());
        assert_eq!(padded.dims(), [1, 1, 4, 5]);
        #[rustfmt::skip]
        assert_eq!(values(padded), [
            5.0, 4.0, 5.0, 6.0, 5.0,
            2.0, 1.0, 2.0, 3.0, 2.0,
            5.0, 4.0, 5.0, 6.0, 5.0,
            2.0, 1.0, 2.0, 3.0, 2.0,
        ]);
        assert_eq!(values(Padding::None.apply(x.clone())), values(x));
    }

    #[test]
    fn zeros_by_hand() {
        let padded = Padding::Zero(1).apply(tensor([1, 1, 1, 1], vec![7.0]));
        assert_eq!(values(padded), [0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "reflecting 1 pixels needs more than 1 rows and columns, got 1 x 4")]
    fn a_single_row_cannot_be_reflected() {
        Padding::Reflect(1).apply(tensor([1, 1, 1, 4], vec![0.0; 4]));
    }
}
