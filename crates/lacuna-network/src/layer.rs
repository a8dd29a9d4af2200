//! One layer of a network.

use std::fmt;

use crate::Split;

/// A convolution with what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The path of its field in the network: what the names of its tensors begin with.
    pub path: String,
    /// Channels of the input.
    pub inputs: Split,
    /// Channels of the output.
    pub outputs: Split,
    /// Level of the output's resolution; 0 is the image's.
    pub level: usize,
    /// What it computes, whatever the channels.
    pub form: Form,
}

/// What a layer computes, whatever its channels: `activation(norm(operation(x) + bias))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The operation.
    pub operation: Operation,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Pixels between outputs; of a transposed convolution, output pixels between inputs.
    pub stride: usize,
    /// What lies beyond the border: `kernel / 2` pixels of it.
    pub border: Border,
    /// Whether each output channel has an offset.
    pub bias: bool,
    /// Whether BatchNorm follows.
    pub norm: bool,
    /// What comes last.
    pub activation: Activation,
}

/// The operation of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A convolution of all channels.
    Convolution,
    /// The transpose of a convolution: sides grow by the stride.
    Transposed,
    /// A fast Fourier convolution: local and global channels are convolved into each other, and global channels also see the
    /// whole image through its spectrum (Chi, Jiang and Mu 2020).
    FastFourier,
}

/// What lies beyond the border of a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Zeros.
    Zero,
    /// The mirrored map, without repeating the border itself.
    Reflect,
}

/// The last step of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Identity,
    /// Negative values become zero.
    Relu,
    /// `1 / (1 + exp(-x))`: the values of an image.
    Sigmoid,
}

impl Form {
    /// A pointwise convolution and nothing else.
    pub const POINTWISE: Self = Self {
        operation: Operation::Convolution,
        kernel: 1,
        stride: 1,
        border: Border::Zero,
        bias: false,
        norm: false,
        activation: Activation::Identity,
    };
}

impl Border {
    /// The position within `0..length` whose value stands at `index`; none for a zero.
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
            Self::Zero => None,
            Self::Reflect => {
                let inside = if index < 0 { -index } else { 2 * last - index };
                assert!((0..=last).contains(&inside), "reflecting {index} in {length}");
                Some(inside as usize)
            }
        }
    }
}

impl fmt::Display for Form {
    /// The form in words, such as `3x3 convolution of stride 2, border reflected, bias, BatchNorm, ReLU`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, kernel, stride, border, bias, norm, activation } = *self;
        write!(formatter, "{kernel}x{kernel} {operation} of stride {stride}")?;
        if kernel > 1 {
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
        })
    }
}

impl fmt::Display for Border {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Zero => "zero",
            Self::Reflect => "reflected",
        })
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Identity => "nothing",
            Self::Relu => "ReLU",
            Self::Sigmoid => "sigmoid",
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
