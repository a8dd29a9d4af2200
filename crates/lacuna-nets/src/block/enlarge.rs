//! Enlarging a map by repeating values.

use burn::tensor::Tensor;

/// `x` with every value repeated in a square of 2 x 2, cut at the right and at the bottom to `height` x `width`.
///
/// # Shapes
/// `x`: `[batch, channels, rows, columns]`; the result: `[batch, channels, height, width]`.
///
/// # Panics
/// If twice `x` is smaller than that.
pub fn enlarge(x: Tensor<4>, height: usize, width: usize) -> Tensor<4> {
    let [batch, channels, rows, columns] = x.dims();
    assert!(height <= 2 * rows && width <= 2 * columns, "enlarging {rows} x {columns} to {height} x {width}");
    let planes = batch * channels;
    let wide = x.reshape([planes, rows * columns, 1]).repeat_dim(2, 2); // every value twice
    let both = wide.reshape([planes, rows, 2 * columns]).repeat_dim(2, 2); // every row twice
    both.reshape([batch, channels, 2 * rows, 2 * columns]).narrow(2, 0, height).narrow(3, 0, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{tensor, values};

    #[test]
    fn values_are_repeated_and_cut() {
        let x = || tensor([1, 2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let [a, b] = [[1.0, 1.0, 2.0, 2.0], [3.0, 3.0, 4.0, 4.0]];
        assert_eq!(values(enlarge(x(), 2, 4)), [a, a, b, b].concat());
        assert_eq!(values(enlarge(x(), 1, 3)), [1.0, 1.0, 2.0, 3.0, 3.0, 4.0]);
        let two = tensor([1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(values(enlarge(two, 4, 4)), [a, a, b, b].concat());
    }

    /// Each value's gradient is the sum over its square, without what was cut.
    #[test]
    fn gradients_are_sums() {
        let lift = |shape, values| Tensor::<4>::from_inner(tensor(shape, values));
        let x = lift([1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]).require_grad();
        let weighting = lift([1, 1, 3, 4], (1..=12).map(|value| value as f32).collect());
        let gradients = (enlarge(x.clone(), 3, 4) * weighting).sum().backward();
        let expected = [1.0 + 2.0 + 5.0 + 6.0, 3.0 + 4.0 + 7.0 + 8.0, 9.0 + 10.0, 11.0 + 12.0];
        assert_eq!(values(x.grad(&gradients).unwrap()), expected);
    }

    #[test]
    #[should_panic(expected = "enlarging 1 x 2 to 3 x 4")]
    fn a_map_is_only_doubled() {
        enlarge(tensor([1, 1, 1, 2], vec![1.0, 2.0]), 3, 4);
    }
}
