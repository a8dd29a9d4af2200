//! One layer of a network.

use std::fmt;

use crate::Split;

/// A convolution with what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The path of its field in the network: the prefix of its tensors' names.
    pub path: String,
    /// Channels of the input.
    pub inputs: Split,
    /// Channels of the output.
    pub outputs: Split,
    /// Level of the output's resolution; 0 is the image's.
    pub level: usize,
    /// What it computes, independent of its channels.
    pub form: Form,
}

/// What a layer computes, independent of its channels: `activation(norm(operation(x) + bias))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The operation.
    pub operation: Operation,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Input pixels between outputs; for a transposed convolution, output pixels between inputs.
    pub stride: usize,
    /// Values beyond the border, `(kernel - 1) / 2` pixels wide.
    pub border: Border,
    /// Whether each output channel has an offset.
    pub bias: bool,
    /// Whether BatchNorm follows.
    pub norm: bool,
    /// The last step.
    pub activation: Activation,
}

/// The operation of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A convolution of all channels.
    Convolution,
    /// The transpose of a convolution: sides grow by the stride.
    Transposed,
    /// A fast Fourier convolution: local and global channels are convolved into each other, and global channels also
    /// depend on the whole image through its spectrum (Chi, Jiang and Mu 2020).
    FastFourier,
    /// A full connection within each channel: the map of `kernel x kernel` pixels, as a vector, is multiplied with the
    /// channel's own matrix. Its bias has a value for each channel and pixel (Pathak et al. 2016).
    ChannelWise,
}

/// Values beyond the border of a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Zeros.
    Zero,
    /// The mirrored map, without repeating the border itself.
    Reflect,
    /// None: a convolution takes `kernel - 1` pixels off each side, a transposed one adds them.
    None,
}

/// The last step of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Identity,
    /// Negative values become zero.
    Relu,
    /// Negative values are multiplied by [`LEAKY_SLOPE`].
    LeakyRelu,
    /// `1 / (1 + exp(-x))`: the values of an image.
    Sigmoid,
    /// The hyperbolic tangent: the values of an image in `[-1, 1]`.
    Tanh,
}

/// Slope of [`Activation::LeakyRelu`] below zero.
pub const LEAKY_SLOPE: f32 = 0.2;

impl Form {
    /// A pointwise convolution without norm, bias and activation.
    pub const POINTWISE: Self = Self {
        operation: Operation::Convolution,
        kernel: 1,
        stride: 1,
        border: Border::Zero,
        bias: false,
        norm: false,
        activation: Activation::Identity,
    };

    /// Pixels of the border on each side.
    pub fn padding(self) -> usize {
        match self.border {
            Border::None => 0,
            Border::Zero | Border::Reflect => (self.kernel - 1) / 2,
        }
    }

    /// Pixels along a side of the output, for `length` pixels along that of the input.
    ///
    /// # Panics
    /// If the kernel is longer than the input with its border.
    pub fn side(self, length: usize) -> usize {
        match (self.operation, self.border) {
            (Operation::ChannelWise, _) => length,
            (Operation::Transposed, Border::None) => (length - 1) * self.stride + self.kernel,
            (Operation::Transposed, _) => length * self.stride,
            _ => (length + 2 * self.padding() - self.kernel) / self.stride + 1,
        }
    }

    /// Pixels along a side of the input of a transposed convolution, for `length` pixels along that of the output.
    pub(crate) fn side_before(self, length: usize) -> usize {
        match self.border {
            Border::None => (length - self.kernel) / self.stride + 1,
            Border::Zero | Border::Reflect => length.div_ceil(self.stride),
        }
    }
}

impl Border {
    /// The index within `0..length` of the value at `index`; `None` for a zero.
    ///
    /// # Panics
    /// If `index` is reflected beyond the other border.
    #[inline(always)]
    pub fn place(self, index: isize, length: usize) -> Option<usize> {
        let last = length as isize - 1;
        if (0..=last).contains(&index) {
            return Some(index as usize);
        }
        match self {
            Self::Zero | Self::None => None,
            Self::Reflect => {
                let inside = if index < 0 { -index } else { 2 * last - index };
                assert!((0..=last).contains(&inside), "reflecting {index} in {length}");
                Some(inside as usize)
            }
        }
    }
}

impl fmt::Display for Form {
    /// The form as text, such as `3x3 convolution of stride 2, border reflected, bias, BatchNorm, ReLU`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, kernel, stride, border, bias, norm, activation } = *self;
        write!(formatter, "{kernel}x{kernel} {operation} of stride {stride}")?;
        if kernel > 1 && border != Border::None {
            write!(formatter, ", border {border}")?;
        }
        for (part, there) in [("bias", bias), ("BatchNorm", norm)] {
            if there {
                write!(formatter, ", {part}")?;
            }
        }
        match activation {
            Activation::Identity => Ok(()),
            activation => write!(formatter, ", {activation}"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Convolution => "convolution",
            Self::Transposed => "transposed convolution",
            Self::FastFourier => "fast Fourier convolution",
            Self::ChannelWise => "channel-wise full connection",
        })
    }
}

impl fmt::Display for Border {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Zero => "zero",
            Self::Reflect => "reflected",
            Self::None => "none",
        })
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Identity => "nothing",
            Self::Relu => "ReLU",
            Self::LeakyRelu => "LeakyReLU",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_by_hand() {
        let places = |border: Border| (-2..5).map(|index| border.place(index, 3)).collect::<Vec<_>>();
        let [a, b, c] = [Some(0), Some(1), Some(2)];
        assert_eq!(places(Border::Reflect), [c, b, a, b, c, b, a]);
        assert_eq!(places(Border::Zero), [None, None, a, b, c, None, None]);
    }

    #[test]
    fn sides_by_hand() {
        let form =
            |operation, kernel, stride, border| Form { operation, kernel, stride, border, ..Form::POINTWISE };
        use Operation::{Convolution, Transposed};
        for (form, from, to) in [
            (form(Convolution, 4, 2, Border::Zero), 128, 64),
            (form(Convolution, 3, 2, Border::Reflect), 9, 5),
            (form(Convolution, 7, 1, Border::Reflect), 9, 9),
            (form(Convolution, 4, 1, Border::None), 4, 1),
            (form(Transposed, 4, 1, Border::None), 1, 4),
            (form(Transposed, 4, 2, Border::Zero), 4, 8),
            (form(Transposed, 3, 2, Border::Zero), 5, 10),
            (form(Operation::ChannelWise, 4, 1, Border::None), 4, 4),
        ] {
            assert_eq!(form.side(from), to, "{form}");
            if form.operation == Transposed {
                assert_eq!(form.side_before(to), from, "{form}");
            }
        }
    }

    #[test]
    fn forms_in_words() {
        assert_eq!(Form::POINTWISE.to_string(), "1x1 convolution of stride 1");
        let form = Form {
            operation: Operation::FastFourier,
            kernel: 3,
            stride: 2,
            border: Border::Reflect,
            bias: true,
            norm: true,
            activation: Activation::Relu,
        };
        let words = "3x3 fast Fourier convolution of stride 2, border reflected, bias, BatchNorm, ReLU";
        assert_eq!(form.to_string(), words);
    }
}
