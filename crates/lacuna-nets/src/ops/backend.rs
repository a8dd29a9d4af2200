//! The operations that a backend provides: on the CPU they are the kernels of `lacuna-cpu`. Float32 only.

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::tensor::TensorData;
use lacuna_cpu::kernels::batch_norm::{self, Gradients, NormShape, Statistics};
use lacuna_cpu::kernels::conv::{self, ConvShape, Padding};
use lacuna_cpu::kernels::fourier::{self, Columns, Size};
use lacuna_cpu::{After, Isa};

/// Rows and columns of the transposed convolution's kernel, its stride and padding.
pub(super) const TRANSPOSED: (usize, Padding) = (2, Padding::Zero(1));

/// Rows and columns of the transposed convolutions that have kernels.
pub(super) const TRANSPOSED_KERNELS: [usize; 2] = [3, 4];

/// Operations with kernels of our own. All maps are `[batch, channels, height, width]`.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Kernels: Backend {
    /// Convolution without bias.
    fn conv(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        padding: Padding,
    ) -> FloatTensor<Self>;

    /// Convolution with bias.
    fn conv_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: Padding,
    ) -> FloatTensor<Self>;

    /// The gradient of a convolution's input, `height` by `width`.
    fn conv_input_gradient(
        dy: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        height: usize,
        width: usize,
        stride: usize,
        padding: Padding,
    ) -> FloatTensor<Self>;

    /// The gradient of a convolution's weights.
    fn conv_weight_gradient(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        kernel: usize,
        stride: usize,
        padding: Padding,
    ) -> FloatTensor<Self>;

    /// The sum of each channel: the gradient of a bias, `[channels]`.
    fn channel_sums(dy: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The transposed convolution that doubles both sides.
    fn conv_transposed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Mean and biased variance of each channel, `[2, channels]`. Not differentiable: [`Kernels::normalise`] is.
    fn statistics(x: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `after(weight (x - mean) / sqrt(variance + epsilon) + bias)` with x's own statistics, as [`Kernels::statistics`]
    /// gives them.
    fn normalise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        after: After,
    ) -> FloatTensor<Self>;

    /// Gradients of x, weight and bias of [`Kernels::normalise`].
    fn normalise_gradient(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// `after(scale x + offset)` for each channel.
    fn affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        offset: FloatTensor<Self>,
        after: After,
    ) -> FloatTensor<Self>;

    /// Gradients of x, scale and offset of [`Kernels::affine`].
    fn affine_gradient(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        offset: FloatTensor<Self>,
        after: After,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The half spectrum, `[batch, 2 channels, height, width / 2 + 1]`, real and imaginary parts interleaved.
    fn spectrum(x: FloatTensor<Self>, columns: Columns) -> FloatTensor<Self>;

    /// The map of a half spectrum, `width` pixels wide.
    fn plane(spectrum: FloatTensor<Self>, width: usize, columns: Columns) -> FloatTensor<Self>;
}

/// The instruction set. An invalid `LACUNA_ISA` was reported before.
fn isa() -> Isa {
    Isa::selected().unwrap_or_else(|error| panic!("{error}"))
}

/// A contiguous tensor's values.
struct Numbers(FlexTensor);

impl Numbers {
    fn of(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    fn values(&self) -> &[f32] {
        let layout = self.0.layout();
        &self.0.storage::<f32>()[layout.start_offset()..][..layout.num_elements()]
    }

    fn shape<const D: usize>(&self) -> [usize; D] {
        let shape = self.0.layout().shape();
        std::array::from_fn(|axis| shape[axis])
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The shape of a convolution of a map with these weights.
fn conv_shape(map: [usize; 4], weight: [usize; 4], stride: usize, padding: Padding) -> ConvShape {
    let [batch, channels_in, height, width] = map;
    let [channels_out, _, kernel, _] = weight;
    ConvShape { batch, channels_in, channels_out, height, width, kernel, stride, padding }
}

fn conv_forward(
    x: FlexTensor,
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    stride: usize,
    padding: Padding,
) -> FlexTensor {
    let (x, weight, bias) = (Numbers::of(x), Numbers::of(weight), bias.map(Numbers::of));
    let shape = conv_shape(x.shape(), weight.shape(), stride, padding);
    let bias = bias.as_ref().map(Numbers::values);
    let y = conv::forward(isa(), &shape, x.values(), weight.values(), bias);
    tensor(y, [shape.batch, shape.channels_out, shape.rows(), shape.columns()])
}

fn norm_shape(x: &Numbers, after: After) -> NormShape {
    let [batch, channels, height, width] = x.shape();
    NormShape { batch, channels, pixels: height * width, after }
}

fn statistics_of(numbers: &Numbers) -> Statistics {
    let (mean, variance) = numbers.values().split_at(numbers.values().len() / 2);
    Statistics { mean: mean.to_vec(), variance: variance.to_vec() }
}

fn three(gradients: Gradients, shape: [usize; 4]) -> (FlexTensor, FlexTensor, FlexTensor) {
    let channels = [shape[1]];
    (tensor(gradients.x, shape), tensor(gradients.weight, channels), tensor(gradients.bias, channels))
}

impl Kernels for Flex {
    fn conv(x: FlexTensor, weight: FlexTensor, stride: usize, padding: Padding) -> FlexTensor {
        conv_forward(x, weight, None, stride, padding)
    }

    fn conv_biased(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        stride: usize,
        padding: Padding,
    ) -> FlexTensor {
        conv_forward(x, weight, Some(bias), stride, padding)
    }

    fn conv_input_gradient(
        dy: FlexTensor,
        weight: FlexTensor,
        height: usize,
        width: usize,
        stride: usize,
        padding: Padding,
    ) -> FlexTensor {
        let (dy, weight) = (Numbers::of(dy), Numbers::of(weight));
        let ([batch, ..], [_, channels_in, ..]): ([usize; 4], [usize; 4]) = (dy.shape(), weight.shape());
        let map = [batch, channels_in, height, width];
        let shape = conv_shape(map, weight.shape(), stride, padding);
        tensor(conv::input_gradient(isa(), &shape, dy.values(), weight.values()), map)
    }

    fn conv_weight_gradient(
        x: FlexTensor,
        dy: FlexTensor,
        kernel: usize,
        stride: usize,
        padding: Padding,
    ) -> FlexTensor {
        let (x, dy) = (Numbers::of(x), Numbers::of(dy));
        let ([_, channels_in, ..], [_, channels_out, ..]): ([usize; 4], [usize; 4]) = (x.shape(), dy.shape());
        let weight = [channels_out, channels_in, kernel, kernel];
        let shape = conv_shape(x.shape(), weight, stride, padding);
        tensor(conv::weight_gradient(isa(), &shape, x.values(), dy.values()), weight)
    }

    fn channel_sums(dy: FlexTensor) -> FlexTensor {
        let dy = Numbers::of(dy);
        let [_, channels, height, width] = dy.shape();
        tensor(conv::bias_gradient(channels, height * width, dy.values()), [channels])
    }

    fn conv_transposed(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let (x, weight, bias) = (Numbers::of(x), Numbers::of(weight), Numbers::of(bias));
        let ([batch, _, height, width], [_, channels, ..]): ([usize; 4], [usize; 4]) =
            (x.shape(), weight.shape());
        let (stride, padding) = TRANSPOSED;
        let map = [batch, channels, 2 * height, 2 * width];
        let shape = conv_shape(map, weight.shape(), stride, padding);
        tensor(conv::transposed(isa(), &shape, x.values(), weight.values(), bias.values()), map)
    }

    fn statistics(x: FlexTensor) -> FlexTensor {
        let x = Numbers::of(x);
        let shape = norm_shape(&x, After::Nothing);
        let Statistics { mean, variance } = batch_norm::statistics(isa(), &shape, x.values());
        tensor([mean, variance].concat(), [2, shape.channels])
    }

    fn normalise(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        statistics: FlexTensor,
        after: After,
    ) -> FlexTensor {
        let [x, weight, bias, statistics] = [x, weight, bias, statistics].map(Numbers::of);
        let (shape, affine) = (norm_shape(&x, after), (weight.values(), bias.values()));
        tensor(
            batch_norm::forward(isa(), &shape, x.values(), affine, &statistics_of(&statistics)),
            x.shape::<4>(),
        )
    }

    fn normalise_gradient(
        x: FlexTensor,
        dy: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        statistics: FlexTensor,
        after: After,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [x, dy, weight, bias, statistics] = [x, dy, weight, bias, statistics].map(Numbers::of);
        let (shape, affine) = (norm_shape(&x, after), (weight.values(), bias.values()));
        let statistics = statistics_of(&statistics);
        three(batch_norm::gradient(isa(), &shape, (x.values(), dy.values()), affine, &statistics), x.shape())
    }

    fn affine(x: FlexTensor, scale: FlexTensor, offset: FlexTensor, after: After) -> FlexTensor {
        let [x, scale, offset] = [x, scale, offset].map(Numbers::of);
        let shape = norm_shape(&x, after);
        tensor(batch_norm::affine(isa(), &shape, x.values(), scale.values(), offset.values()), x.shape::<4>())
    }

    fn affine_gradient(
        x: FlexTensor,
        dy: FlexTensor,
        scale: FlexTensor,
        offset: FlexTensor,
        after: After,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [x, dy, scale, offset] = [x, dy, scale, offset].map(Numbers::of);
        let (shape, affine) = (norm_shape(&x, after), (scale.values(), offset.values()));
        three(batch_norm::affine_gradient(isa(), &shape, x.values(), dy.values(), affine), x.shape())
    }

    fn spectrum(x: FlexTensor, columns: Columns) -> FlexTensor {
        let x = Numbers::of(x);
        let [batch, channels, height, width] = x.shape();
        let size = Size { height, width };
        let spectrum = fourier::spectrum(size, x.values(), columns);
        tensor(spectrum, [batch, 2 * channels, height, size.frequencies()])
    }

    fn plane(spectrum: FlexTensor, width: usize, columns: Columns) -> FlexTensor {
        let spectrum = Numbers::of(spectrum);
        let [batch, parts, height, _] = spectrum.shape();
        let plane = fourier::plane(Size { height, width }, spectrum.values(), columns);
        tensor(plane, [batch, parts / 2, height, width])
    }
}
