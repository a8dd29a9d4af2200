//! The operations of the blocks: on the processor, in float32, the kernels of `lacuna-cpu` with their gradients;
//! everywhere else (GPUs, float64) Burn's own operations and the DFT as matrix products.

mod autodiff;
mod backend;
pub mod dft;
mod fallback;
pub mod padding;

use std::sync::OnceLock;

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Tensor};
use lacuna_cpu::kernels::fourier::Columns;

use backend::{Kernels, TRANSPOSED, TRANSPOSED_KERNELS};
pub use lacuna_cpu::After;
pub use padding::Padding;

/// The environment variable that, set to `burn`, selects Burn's own operations, for comparison.
pub const OPS_VARIABLE: &str = "LACUNA_OPS";

/// Runs `work` inside the rayon pool. A loop over many operations on the processor, such as training, belongs in here:
/// called from outside, each operation wakes a worker and sleeps until it is done.
///
/// While it waits for a kernel, the thread may steal other jobs, which must not need a lock that `work` holds: train
/// one network at a time.
pub fn among_workers<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// Whether our kernels support this tensor.
fn has_kernels(x: &Tensor<4>) -> bool {
    static UNWANTED: OnceLock<bool> = OnceLock::new();
    if *UNWANTED.get_or_init(|| std::env::var_os(OPS_VARIABLE).is_some_and(|value| value == "burn")) {
        return false;
    }
    let device = x.device();
    let plain = if device.is_autodiff() { device.inner() } else { device };
    x.dtype() == DType::F32 && plain == Device::flex()
}

/// Convolution.
///
/// # Shapes
/// `x`: `[batch, channels_in, height, width]`; `weight`: `[channels_out, channels_in, kernel, kernel]`; `bias`:
/// `[channels_out]`.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: Padding,
) -> Tensor<4> {
    if has_kernels(&x) {
        padding::check(padding, &x);
        let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
        return Tensor::from_dispatch(match bias {
            None => <Dispatch as Kernels>::conv(x, weight, stride, padding),
            Some(bias) => {
                <Dispatch as Kernels>::conv_biased(x, weight, bias.into_dispatch(), stride, padding)
            }
        });
    }
    fallback::conv2d(x, weight, bias, stride, padding)
}

/// The transpose of a convolution. With padding, sides grow by exactly `stride`; without, a map of one pixel gets the sides
/// of the kernel. The kernels support the decoders' case: kernel 3 or 4, stride 2, one pixel of zeros.
///
/// # Shapes
/// `x`: `[batch, channels_in, height, width]`; `weight`: `[channels_in, channels_out, kernel, kernel]`; `bias`:
/// `[channels_out]`; the result: `[batch, channels_out, rows, columns]` with `rows = stride height` with padding, else
/// `stride (height - 1) + kernel`.
///
/// # Panics
/// If `padding` reflects.
pub fn conv_transposed(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: Padding,
) -> Tensor<4> {
    assert!(!matches!(padding, Padding::Reflect(_)), "a transposed convolution that reflects");
    let [_, channels, kernel, _] = weight.dims();
    if TRANSPOSED_KERNELS.contains(&kernel) && (stride, padding) == TRANSPOSED && has_kernels(&x) {
        let bias = bias.unwrap_or_else(|| Tensor::zeros([channels], &x.device()));
        let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
        return Tensor::from_dispatch(<Dispatch as Kernels>::conv_transposed(x, weight, bias));
    }
    fallback::conv_transposed(x, weight, bias, stride, padding)
}

/// A normalised map, and the statistics that were used.
pub struct Normalised {
    /// `[batch, channels, height, width]`.
    pub output: Tensor<4>,
    /// Mean of each channel, `[channels]`, without gradient.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, `[channels]`, without gradient.
    pub variance: Tensor<1>,
}

/// BatchNorm in train mode: with the statistics of `x` itself.
///
/// # Shapes
/// `x`: `[batch, channels, height, width]`; `weight` and `bias`: `[channels]`.
pub fn normalise(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, after: After) -> Normalised {
    if has_kernels(&x) {
        let channels = x.dims()[1];
        let plain = if x.is_autodiff() { x.clone().inner() } else { x.clone() };
        let statistics = Tensor::<2>::from_dispatch(<Dispatch as Kernels>::statistics(plain.into_dispatch()));
        let statistics = if x.is_autodiff() { Tensor::from_inner(statistics) } else { statistics };
        let row = |row: usize| statistics.clone().narrow(0, row, 1).reshape([channels]);
        let (mean, variance) = (row(0), row(1));
        let [weight, bias] = [weight, bias].map(Tensor::into_dispatch);
        let output = <Dispatch as Kernels>::normalise(
            x.into_dispatch(),
            weight,
            bias,
            statistics.into_dispatch(),
            after,
        );
        return Normalised { output: Tensor::from_dispatch(output), mean, variance };
    }
    fallback::normalise(x, weight, bias, after)
}

/// `scale x + offset` for each channel: BatchNorm in eval mode.
///
/// # Shapes
/// `x`: `[batch, channels, height, width]`; `scale` and `offset`: `[channels]`.
pub fn affine(x: Tensor<4>, scale: Tensor<1>, offset: Tensor<1>, after: After) -> Tensor<4> {
    if has_kernels(&x) {
        let (scale, offset) = (scale.into_dispatch(), offset.into_dispatch());
        return Tensor::from_dispatch(<Dispatch as Kernels>::affine(x.into_dispatch(), scale, offset, after));
    }
    fallback::affine(x, scale, offset, after)
}

/// The half spectrum; see [`dft::real_dft`].
pub fn spectrum(x: Tensor<4>) -> Tensor<4> {
    if has_kernels(&x) {
        return Tensor::from_dispatch(<Dispatch as Kernels>::spectrum(x.into_dispatch(), Columns::Once));
    }
    dft::real_dft(x)
}

/// The map of a half spectrum, `width` pixels wide; see [`dft::inverse_real_dft`].
pub fn plane(spectrum: Tensor<4>, width: usize) -> Tensor<4> {
    if has_kernels(&spectrum) {
        return Tensor::from_dispatch(<Dispatch as Kernels>::plane(
            spectrum.into_dispatch(),
            width,
            Columns::Once,
        ));
    }
    dft::inverse_real_dft(spectrum, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, values};
    use testkit::assert_close;

    /// Of values near 1, and of sums of a few hundred of them.
    const TOLERANCE: f32 = 1e-4;

    type Operation<'a> = &'a dyn Fn(Tensor<4>, Tensor<4>, Tensor<1>) -> Tensor<4>;

    /// Shapes of x and weight, channels of the bias.
    #[derive(Clone, Copy, Debug)]
    struct Shapes {
        x: [usize; 4],
        weight: [usize; 4],
        bias: usize,
    }

    /// The output of `operation`, and the gradients of a weighted sum of it with respect to x, weight and bias, if it
    /// uses them.
    fn outcome(operation: Operation, shapes: Shapes) -> [Vec<f32>; 4] {
        let x = Tensor::<4>::from_inner(random(shapes.x, 1)).require_grad();
        let weight = Tensor::<4>::from_inner(random(shapes.weight, 2)).require_grad();
        let bias = Tensor::<1>::from_inner(random([shapes.bias], 3)).require_grad();
        let y = operation(x.clone(), weight.clone(), bias.clone());
        let weighting = Tensor::from_inner(random(y.dims(), 4));
        let gradients = (y.clone() * weighting).sum().backward();
        let [by_x, by_weight] =
            [x, weight].map(|tensor| tensor.grad(&gradients).map(values).unwrap_or_default());
        [values(y), by_x, by_weight, bias.grad(&gradients).map(values).unwrap_or_default()]
    }

    #[track_caller]
    fn assert_same(shapes: Shapes, ours: Operation, burns: Operation) {
        let ours = outcome(ours, shapes);
        let burns = outcome(burns, shapes);
        for (ours, burns) in ours.iter().zip(&burns) {
            assert_close(ours, burns, TOLERANCE);
        }
    }

    const SIZES: [[usize; 2]; 3] = [[9, 7], [4, 6], [5, 17]];

    #[test]
    fn convolutions_are_burns() {
        let paddings = [Padding::None, Padding::Zero(1), Padding::Zero(2), Padding::Reflect(1)];
        for ([height, width], batch) in SIZES.into_iter().zip([1, 2, 3]) {
            for (padding, stride, kernel) in paddings
                .into_iter()
                .flat_map(|padding| [(1, 3), (2, 3), (1, 1), (2, 4)].map(|(s, k)| (padding, s, k)))
            {
                let shapes = Shapes { x: [batch, 5, height, width], weight: [3, 5, kernel, kernel], bias: 3 };
                assert_same(
                    shapes,
                    &|x, weight, bias| conv2d(x, weight, Some(bias), stride, padding),
                    &|x, weight, bias| fallback::conv2d(x, weight, Some(bias), stride, padding),
                );
                assert_same(
                    shapes,
                    &|x, weight, _| conv2d(x, weight, None, stride, padding),
                    &|x, weight, _| fallback::conv2d(x, weight, None, stride, padding),
                );
            }
            let zero = Padding::Zero(1);
            for kernel in TRANSPOSED_KERNELS {
                let shapes = Shapes { x: [batch, 5, height, width], weight: [5, 3, kernel, kernel], bias: 3 };
                assert_same(
                    shapes,
                    &|x, weight, bias| conv_transposed(x, weight, Some(bias), 2, zero),
                    &|x, weight, bias| fallback::conv_transposed(x, weight, Some(bias), 2, zero),
                );
                assert_same(
                    shapes,
                    &|x, weight, _| conv_transposed(x, weight, None, 2, zero),
                    &|x, weight, _| fallback::conv_transposed(x, weight, None, 2, zero),
                );
            }
        }
    }

    #[test]
    fn wide_convolutions_are_burns() {
        // Enough channels and pixels for every algorithm of the kernels.
        let shapes = Shapes { x: [1, 64, 17, 16], weight: [64, 64, 3, 3], bias: 64 };
        let root = 576f32.sqrt();
        assert_same(
            shapes,
            &|x, weight, bias| conv2d(x, weight / root, Some(bias), 1, Padding::Reflect(1)),
            &|x, weight, bias| fallback::conv2d(x, weight / root, Some(bias), 1, Padding::Reflect(1)),
        );
    }

    #[test]
    fn norms_are_burns() {
        let channels = |weight: Tensor<4>| weight.reshape([5]);
        for ([height, width], batch) in SIZES.into_iter().zip([1, 2, 3]) {
            let shapes = Shapes { x: [batch, 5, height, width], weight: [5, 1, 1, 1], bias: 5 };
            for after in [After::Nothing, After::Relu] {
                assert_same(
                    shapes,
                    &|x, weight, bias| normalise(x, channels(weight), bias, after).output,
                    &|x, weight, bias| fallback::normalise(x, channels(weight), bias, after).output,
                );
                assert_same(
                    shapes,
                    &|x, weight, bias| affine(x, channels(weight), bias, after),
                    &|x, weight, bias| fallback::affine(x, channels(weight), bias, after),
                );
            }
            let x = Tensor::from_inner(random(shapes.x, 1));
            let [weight, bias] = [2, 3].map(|seed| Tensor::<1>::from_inner(random([5], seed)));
            let ours = normalise(x.clone(), weight.clone(), bias.clone(), After::Relu);
            let burns = fallback::normalise(x, weight, bias, After::Relu);
            assert_close(&values(ours.mean), &values(burns.mean), TOLERANCE);
            assert_close(&values(ours.variance), &values(burns.variance), TOLERANCE);
        }
    }

    #[test]
    fn spectra_are_the_matrix_products() {
        for ([height, width], batch) in SIZES.into_iter().zip([1, 2, 3]) {
            let shapes = Shapes { x: [batch, 2, height, width], weight: [1, 1, 1, 1], bias: 1 };
            assert_same(shapes, &|x, _, _| spectrum(x), &|x, _, _| dft::real_dft(x));
            let shapes = Shapes { x: [batch, 4, height, width / 2 + 1], ..shapes };
            assert_same(shapes, &|x, _, _| plane(x, width), &|x, _, _| dft::inverse_real_dft(x, width));
        }
    }

    #[test]
    fn the_thread_changes_no_bit() {
        let run = || {
            let (x, weight) = (random([2, 8, 33, 31], 1), random([8, 8, 3, 3], 2));
            values(conv2d(x, weight, None, 1, Padding::Reflect(1)))
        };
        assert_eq!(among_workers(run), run());
    }
}
