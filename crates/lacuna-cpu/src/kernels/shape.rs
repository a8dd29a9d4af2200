//! The shape of a convolution for training, and the gradient of its border.

use lacuna_network::Border;
use rayon::prelude::*;

/// What lies beyond the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Nothing.
    None,
    /// So many zeros on each side.
    Zero(usize),
    /// So many mirrored pixels on each side, without repeating the border itself.
    Reflect(usize),
}

impl Padding {
    /// Pixels on each side.
    pub fn width(self) -> usize {
        match self {
            Self::None => 0,
            Self::Zero(width) | Self::Reflect(width) => width,
        }
    }
}

/// The shape of a convolution with a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Pictures.
    pub batch: usize,
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Rows of the input, without padding.
    pub height: usize,
    /// Columns of the input, without padding.
    pub width: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Pixels between outputs.
    pub stride: usize,
    /// The border.
    pub padding: Padding,
}

impl ConvShape {
    /// Rows of the output.
    pub fn rows(&self) -> usize {
        self.outputs(self.height)
    }

    /// Columns of the output.
    pub fn columns(&self) -> usize {
        self.outputs(self.width)
    }

    fn outputs(&self, length: usize) -> usize {
        (length + 2 * self.padding.width() - self.kernel) / self.stride + 1
    }

    /// The same convolution with longer rows, if it is pointwise and rows do not matter: whole vectors where they can be.
    pub(super) fn flattened(&self) -> Self {
        if self.kernel != 1 || self.stride != 1 || self.padding.width() != 0 {
            return *self;
        }
        let pixels = self.height * self.width;
        let longest = pixels.min(LONGEST_ROW);
        let divides = |length: &usize| pixels.is_multiple_of(*length);
        let whole = (1..=longest / ROW_UNIT).rev().map(|units| units * ROW_UNIT).find(divides);
        let width = whole.or_else(|| (1..=longest).rev().find(divides)).unwrap_or(pixels);
        Self { height: pixels / width, width, ..*self }
    }

    pub(super) fn check(&self, x: Option<&[f32]>, dy: Option<&[f32]>, weight: Option<&[f32]>) {
        let Self { batch, channels_in, channels_out, height, width, kernel, stride, .. } = *self;
        assert!(
            stride > 0 && kernel > 0 && height.min(width) + 2 * self.padding.width() >= kernel,
            "{self:?}"
        );
        if let Padding::Reflect(by) = self.padding {
            assert!(by < height && by < width, "nothing to reflect: {self:?}");
        }
        let sizes = [
            (x, batch * channels_in * height * width),
            (dy, batch * channels_out * self.rows() * self.columns()),
            (weight, channels_out * channels_in * kernel * kernel),
        ];
        for (values, expected) in sizes {
            values.into_iter().for_each(|values| assert_eq!(values.len(), expected, "numbers of {self:?}"));
        }
    }
}

/// Pixels of a row that pointwise convolutions like to have a multiple of: two vectors.
const ROW_UNIT: usize = 32;
/// The most pixels of a row of a pointwise convolution; enough rows must be left for all threads.
const LONGEST_ROW: usize = 128;

/// The gradient of planes of `size` from that of the planes with `by` pixels of mirrored border: what fell on the border goes
/// where it was mirrored from.
pub(super) fn folded(padded: &[f32], (height, width): (usize, usize), by: usize) -> Vec<f32> {
    let padded_pixels = (height + 2 * by) * (width + 2 * by);
    let mut planes = vec![0.0; padded.len() / padded_pixels * height * width];
    let pairs = planes.par_chunks_exact_mut(height * width).zip(padded.par_chunks_exact(padded_pixels));
    pairs.for_each(|(to, from)| fold(from, to, (height, width), by));
    planes
}

/// Adds a plane with `by` pixels of mirrored border to the plane inside.
fn fold(padded: &[f32], plane: &mut [f32], (height, width): (usize, usize), by: usize) {
    let mirrored = |index: usize, length: usize| {
        Border::Reflect.place(index as isize - by as isize, length).expect("reflected")
    };
    for (row, values) in padded.chunks_exact(width + 2 * by).enumerate() {
        let line = &mut plane[mirrored(row, height) * width..][..width];
        line.iter_mut().zip(&values[by..]).for_each(|(to, value)| *to += value);
        for column in (0..by).chain(by + width..2 * by + width) {
            line[mirrored(column, width)] += values[column];
        }
    }
}
