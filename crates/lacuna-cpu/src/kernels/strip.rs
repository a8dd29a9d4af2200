//! Rows of padded images, copied to a compact buffer.

use std::ops::Range;

use super::shape::Padding;
use crate::simd::LANES;

/// Images with a border.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padded<'a> {
    values: &'a [f32],
    pub channels: usize,
    height: usize,
    width: usize,
    padding: Padding,
}

/// Rows of one image: `[channels][rows][phases][columns]`, where column `c` of phase `p` is column `c * phases + p` of
/// the padded image: neighbouring outputs of a strided convolution have contiguous inputs.
#[derive(Clone, Debug)]
pub(super) struct Strip {
    pub values: Vec<f32>,
    pub rows: usize,
    pub phases: usize,
    /// Distance between phases, in values.
    pub phase: usize,
    /// Distance between rows, in values.
    pub row: usize,
    /// Distance between channels, in values.
    pub channel: usize,
}

/// What a row of outputs reads under one tap.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The first output that reads inside the image …
    lead: usize,
    /// … the column that it reads …
    start: usize,
    /// … and how many do, this many columns apart.
    count: usize,
    stride: usize,
    /// The other outputs, and the columns that they mirror.
    border: Vec<(usize, Option<usize>)>,
}

/// Values after the last row, for the taps and vectors of its last column.
const BEHIND: usize = 8 * LANES;

impl Strip {
    /// Room for `rows` rows of `columns` columns. Whole vectors may be read from any column: the values after a row are
    /// the next row, or zeros.
    pub fn new(channels: usize, rows: usize, columns: usize, phases: usize) -> Self {
        // An odd number of vectors, so that rows do not compete for the same cache lines.
        let phase = (columns.div_ceil(phases).div_ceil(LANES) | 1) * LANES;
        let row = phase * phases;
        let channel = rows * row;
        Self { values: vec![0.0; channels * channel + BEHIND], rows, phases, phase, row, channel }
    }

    /// Offset in its channel of a tap of the output at column 0 of the strip's first row.
    pub fn place(&self, down: usize, right: usize) -> usize {
        down * self.row + right % self.phases * self.phase + right / self.phases
    }
}

impl<'a> Padded<'a> {
    /// Pictures `[batch][channels][height][width]`.
    pub fn new(values: &'a [f32], [channels, height, width]: [usize; 3], padding: Padding) -> Self {
        Self { values, channels, height, width, padding }
    }

    /// Columns with the border.
    pub fn columns(&self) -> usize {
        self.width + 2 * self.padding.width()
    }

    /// The position without border; `None` for a zero.
    fn inside(&self, index: usize, length: usize) -> Option<usize> {
        let (index, last) = (index as isize - self.padding.width() as isize, length as isize - 1);
        match self.padding {
            _ if (0..=last).contains(&index) => Some(index as usize),
            Padding::Reflect(_) => {
                let mirrored = if index < 0 { -index } else { 2 * last - index };
                usize::try_from(mirrored).ok().filter(|&mirrored| mirrored < length)
            }
            Padding::None | Padding::Zero(_) => None,
        }
    }

    /// Where the outputs of a row read column `right`, `right + stride`, …, counted with the border.
    pub fn run(&self, right: usize, stride: usize, outputs: usize) -> Run {
        let by = self.padding.width();
        let lead = by.saturating_sub(right).div_ceil(stride).min(outputs);
        let start = (lead * stride + right).saturating_sub(by).min(self.width);
        let count = self.width.saturating_sub(start).div_ceil(stride).min(outputs - lead);
        let inside = |output: usize| self.inside(output * stride + right, self.width);
        let border = (0..lead).chain(lead + count..outputs).map(|output| (output, inside(output))).collect();
        Run { lead, start, count, stride, border }
    }

    /// Copies the values that a row of outputs reads from a row of an image (counted with the border; zeros outside).
    pub fn copy_run(&self, [image, channel, row]: [usize; 3], run: &Run, to: &mut [f32]) {
        let Some(row) = self.inside(row, self.height) else {
            to.fill(0.0);
            return;
        };
        let from = &self.values[((image * self.channels + channel) * self.height + row) * self.width..]
            [..self.width];
        let inner = &mut to[run.lead..][..run.count];
        if run.stride == 1 {
            inner.copy_from_slice(&from[run.start..][..run.count]);
        } else {
            inner
                .iter_mut()
                .zip(from[run.start..].iter().step_by(run.stride))
                .for_each(|(to, value)| *to = *value);
        }
        for &(output, column) in &run.border {
            to[output] = column.map_or(0.0, |column| from[column]);
        }
    }

    /// Copies rows (counted with the border; rows outside are zeros) of some channels of an image.
    pub fn copy(&self, picture: usize, channels: Range<usize>, rows: Range<usize>, strip: &mut Strip) {
        assert!(rows.len() <= strip.rows, "{rows:?} in a strip of {}", strip.rows);
        let by = self.padding.width();
        for (index, channel) in channels.enumerate() {
            let plane = &self.values[(picture * self.channels + channel) * self.height * self.width..];
            for (line, row) in rows.clone().enumerate() {
                let to = &mut strip.values[index * strip.channel + line * strip.row..][..strip.row];
                let Some(row) = self.inside(row, self.height) else {
                    to.fill(0.0);
                    continue;
                };
                let from = &plane[row * self.width..][..self.width];
                for (phase, to) in to.chunks_exact_mut(strip.phase).enumerate() {
                    // Columns of this phase inside the image, from the first one at or after the border.
                    let first = by.saturating_sub(phase).div_ceil(strip.phases);
                    let start = first * strip.phases + phase - by;
                    let count = self.width.saturating_sub(start).div_ceil(strip.phases);
                    let (lead, rest) = to.split_at_mut(first);
                    let (inner, trail) = rest.split_at_mut(count);
                    if strip.phases == 1 {
                        inner.copy_from_slice(&from[start..]);
                    } else {
                        inner
                            .iter_mut()
                            .zip(from[start..].iter().step_by(strip.phases))
                            .for_each(|(to, v)| *to = *v);
                    }
                    let border = |column: usize| {
                        let column = column * strip.phases + phase;
                        self.inside(column, self.width).map_or(0.0, |column| from[column])
                    };
                    lead.iter_mut().enumerate().for_each(|(column, to)| *to = border(column));
                    trail.fill(0.0);
                    let end = first + count;
                    let edge =
                        self.columns().saturating_sub(phase).div_ceil(strip.phases).saturating_sub(end);
                    trail.iter_mut().take(edge).enumerate().for_each(|(i, to)| *to = border(end + i));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_and_phases_by_hand() {
        let plane = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let padded = Padded::new(&plane, [1, 2, 3], Padding::Reflect(1));
        let mut strip = Strip::new(1, 2, padded.columns(), 2);
        padded.copy(0, 0..1, 0..2, &mut strip);
        // Row -1 is row 1: 5 | 4 5 6 | 5; even columns come first.
        let phase = |row: usize, phase: usize| &strip.values[row * strip.row + phase * strip.phase..][..4];
        assert_eq!(phase(0, 0), [5.0, 5.0, 5.0, 0.0]);
        assert_eq!(phase(0, 1), [4.0, 6.0, 0.0, 0.0]);
        assert_eq!(phase(1, 0), [2.0, 2.0, 2.0, 0.0]);
        assert_eq!(strip.place(1, 3), strip.row + strip.phase + 1);
        let padded = Padded::new(&plane, [1, 2, 3], Padding::Zero(2));
        let mut strip = Strip::new(1, 1, padded.columns(), 1);
        padded.copy(0, 0..1, 2..3, &mut strip);
        assert_eq!(strip.values[..8], [0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 0.0]);
        padded.copy(0, 0..1, 1..2, &mut strip);
        assert_eq!(strip.values[..8], [0.0; 8]);
    }
}
