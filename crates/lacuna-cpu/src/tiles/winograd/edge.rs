//! How tiles meet the border of a map: padded before a convolution, or folded back in its input gradient.
//!
//! The input gradient of a convolution with a reflected border is the convolution with rotated kernels of zeros around
//! the map, whose results beyond the border are then added to the pixels that they mirror. Output 1 of an axis receives
//! what input 0 adds beyond the border. That is the product which input 2 would give there, so input 0 is added to input
//! 2 instead, in a tile where no other output reads input 2. The other end is its mirror image.

use std::ops::Range;

use lacuna_network::Border;

use super::{IN, OUT};

/// The border of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// The map continues beyond its border.
    Padded(Border),
    /// Zeros around the map, and results beyond the border are folded back by reflection.
    Folded,
}

/// A row or column of a tile's inputs: the sum of up to two lines of the map.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// The index of the first, or any valid index if there is none.
    pub place: usize,
    /// Whether there is one; otherwise the line is zero.
    pub inside: bool,
    /// The index of the line that is added.
    pub added: Option<usize>,
}

impl Edge {
    /// Tiles along an axis of this length.
    pub fn tiles(self, length: usize) -> usize {
        match self {
            Self::Padded(_) => length.div_ceil(OUT),
            Self::Folded if length == 2 => 1,
            Self::Folded if length == 3 => 3,
            // Two outputs at each end, and the others between them.
            Self::Folded => 2 + (length - 4).div_ceil(OUT),
        }
    }

    /// The outputs of a tile of an axis.
    #[inline(always)]
    pub fn outputs(self, tile: usize, length: usize) -> Range<usize> {
        match self {
            Self::Padded(_) => tile * OUT..length.min((tile + 1) * OUT),
            // Three outputs: a tile for each, since the middle one has results of both borders.
            Self::Folded if length == 3 => tile..tile + 1,
            Self::Folded if tile == 0 => 0..2,
            Self::Folded => {
                let (start, inner_end) = (2 + (tile - 1) * OUT, length - 2);
                if start >= inner_end { inner_end..length } else { start..inner_end.min(start + OUT) }
            }
        }
    }

    /// The inputs of a tile with these outputs. Tiles need only one line beyond the border; lines further out are never
    /// used.
    #[inline(always)]
    pub fn inputs(self, outputs: Range<usize>, length: usize) -> [Line; IN] {
        let mut lines = [Line { place: 0, inside: false, added: None }; IN];
        let border = match self {
            Self::Padded(border) => border,
            Self::Folded => Border::Zero,
        };
        for (i, line) in lines.iter_mut().enumerate() {
            let index = (outputs.start + i) as isize - 1;
            if let Some(place) = border.place(index.min(length as isize), length) {
                (line.place, line.inside) = (place, true);
            }
        }
        if self == Self::Folded {
            // Line i of the tile is the map's line outputs.start + i - 1.
            if outputs.contains(&1) {
                lines[3 - outputs.start].added = Some(0);
            }
            if outputs.contains(&(length - 2)) {
                lines[length - 2 - outputs.start].added = Some(length - 1);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_output_once() {
        for edge in [Edge::Padded(Border::Reflect), Edge::Folded] {
            for length in 2..40 {
                let outputs: Vec<usize> =
                    (0..edge.tiles(length)).flat_map(|tile| edge.outputs(tile, length)).collect();
                assert_eq!(outputs, (0..length).collect::<Vec<_>>(), "{edge:?} {length}");
            }
        }
    }

    #[test]
    fn folded_axes_have_the_adjoint_of_the_reflected_border() {
        // Three taps along one axis: the matrix of the gradient is the transposed one of the convolution.
        let taps = [2.0, 3.0, 5.0];
        for length in 2..20 {
            let mut forward = vec![vec![0.0; length]; length];
            for (output, row) in forward.iter_mut().enumerate() {
                for (tap, weight) in taps.iter().enumerate() {
                    let input = Border::Reflect.place(output as isize + tap as isize - 1, length);
                    row[input.expect("reflected")] += weight;
                }
            }
            let mut gradient = vec![vec![0.0; length]; length];
            for tile in 0..Edge::Folded.tiles(length) {
                let outputs = Edge::Folded.outputs(tile, length);
                let lines = Edge::Folded.inputs(outputs.clone(), length);
                for output in outputs.clone() {
                    for (tap, weight) in taps.iter().rev().enumerate() {
                        let line = lines[output - outputs.start + tap];
                        if line.inside {
                            gradient[output][line.place] += weight;
                        }
                        if let Some(added) = line.added {
                            gradient[output][added] += weight;
                        }
                    }
                }
            }
            for (output, row) in gradient.iter().enumerate() {
                let expected: Vec<f64> = forward.iter().map(|row| row[output]).collect();
                assert_eq!(*row, expected, "{length}: gradient of {output}");
            }
        }
    }
}
