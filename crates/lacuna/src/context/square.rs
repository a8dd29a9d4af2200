//! The square around a hole that a context encoder sees, and its way back into the image.

use fast_image_resize::ResizeOptions;
use lacuna_network::context::FILL;
use lacuna_network::{ContextEncoder, ContextHole};

use crate::resample::{KnownScaling, UP_SMOOTH, blacken, resize};
use crate::{Mask, Planes, Rect};

/// A scaled pixel counts as hole if less than this fraction of it is known.
const KNOWN_SHARE: f32 = 0.5;

/// A square window, which may reach beyond the image: it is then continued by mirroring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Square {
    /// Leftmost column; negative beyond the image.
    pub left: isize,
    /// Topmost row; negative beyond the image.
    pub top: isize,
    /// Columns and rows.
    pub side: usize,
    /// The hole within the image.
    hole: Rect,
}

/// What the network sees of a square.
pub(super) struct View {
    /// `[3, side, side]` in `[-1, 1]`, with the hole in the network's colour.
    pub erased: Vec<f32>,
    /// The scaled square, `[3, side, side]` in `[0, 1]`, before that.
    scaled: Vec<f32>,
    /// The hole in it.
    hole: Mask,
}

impl Square {
    /// The square around a hole within an image of `width` x `height` pixels.
    ///
    /// It is as large as the network's side if the image is, and larger if the hole would fill more of it than the network
    /// predicts. For holes anywhere it stays inside the image as far as it fits.
    pub fn around(hole: Rect, (width, height): (usize, usize), network: &ContextEncoder) -> Self {
        let longest = hole.long_side();
        let needed = (longest * network.side).div_ceil(network.longest_hole());
        let side = needed.max(network.side.min(width.max(height)));
        let place = |start: usize, length: usize, all: usize| -> isize {
            let centred = (2 * start + length) as isize / 2 - side as isize / 2;
            match network.hole {
                ContextHole::Centre { .. } => centred,
                ContextHole::Region if side <= all => centred.clamp(0, (all - side) as isize),
                ContextHole::Region => (all as isize - side as isize) / 2,
            }
        };
        Self { left: place(hole.x, hole.width, width), top: place(hole.y, hole.height, height), side, hole }
    }

    /// What the network sees. What the image holds inside the hole has no influence.
    pub(super) fn view(&self, image: &Planes, mask: &Mask, network: &ContextEncoder) -> View {
        let (from, to) = (self.side, network.side);
        let cut = Mask::new(from, from, self.cut(mask.hole(), (mask.width(), mask.height())));
        let scaling = KnownScaling::new(&cut, (to, to));
        let hole = scaling.mask(KNOWN_SHARE);
        let mut scaled = Vec::with_capacity(3 * to * to);
        for colour in 0..3 {
            let mut plane = self.cut(image.plane(colour), (image.width(), image.height()));
            blacken(&mut plane, &cut);
            scaled.extend(scaling.scale(&plane).into_iter().map(|value| value.clamp(0.0, 1.0)));
        }
        let centre = centre_hole(network);
        let erased = scaled.iter().enumerate().map(|(index, &value)| {
            let (colour, at) = (index / (to * to), index % (to * to));
            let is_erased = hole.hole()[at] || centre.is_some_and(|centre| centre.contains(at % to, at / to));
            2.0 * (if is_erased { FILL[colour] } else { value }) - 1.0
        });
        View { erased: erased.collect(), scaled, hole }
    }

    /// Writes the network's answer into the hole of `image`.
    pub(super) fn paste(
        &self,
        view: &View,
        answer: &[f32],
        network: &ContextEncoder,
        mask: &Mask,
        image: &mut Planes,
    ) {
        let (small, length, offset) = (network.side, network.answer_side(), network.answer_offset());
        let Rect { x, y, width, height } = self.hole;
        let scale = small as f64 / self.side as f64;
        let start = |at: usize, square: isize| (at as isize - square) as f64 * scale;
        let (left, top) = (start(x, self.left), start(y, self.top));
        // Rounding must not lead beyond the square.
        let extent = |pixels: usize, start: f64| (pixels as f64 * scale).min(small as f64 - start);
        let part = ResizeOptions::new().crop(left, top, extent(width, left), extent(height, top));
        for colour in 0..3 {
            let plane = &view.scaled[colour * small * small..][..small * small];
            let answer = &answer[colour * length * length..][..length * length];
            let filled: Vec<f32> = (0..small * small)
                .map(|at| {
                    let (x, y) = (at % small, at / small);
                    let inside = |at: usize| at.checked_sub(offset).filter(|at| *at < length);
                    match (view.hole.hole()[at], inside(x), inside(y)) {
                        (false, ..) => plane[at],
                        (true, Some(x), Some(y)) => 0.5 * (answer[y * length + x] + 1.0),
                        // A mirrored hole beyond the predicted square.
                        (true, ..) => FILL[colour],
                    }
                })
                .collect();
            let enlarged = resize(&filled, (small, small), (width, height), UP_SMOOTH, &part);
            let columns = image.width();
            let plane = image.plane_mut(colour);
            for (row, values) in enlarged.chunks_exact(width).enumerate() {
                for (column, value) in values.iter().enumerate() {
                    let at = (y + row) * columns + x + column;
                    if mask.hole()[at] {
                        plane[at] = value.clamp(0.0, 1.0);
                    }
                }
            }
        }
    }

    /// The window of a plane, continued by mirroring.
    fn cut<T: Copy>(&self, plane: &[T], (width, height): (usize, usize)) -> Vec<T> {
        let columns: Vec<usize> = (0..self.side).map(|x| mirrored(self.left + x as isize, width)).collect();
        let mut cut = Vec::with_capacity(self.side * self.side);
        for y in 0..self.side {
            let row = &plane[mirrored(self.top + y as isize, height) * width..][..width];
            cut.extend(columns.iter().map(|&x| row[x]));
        }
        cut
    }
}

/// The hole that a network for central holes was trained with, within its image.
fn centre_hole(network: &ContextEncoder) -> Option<Rect> {
    let ContextHole::Centre { overlap } = network.hole else { return None };
    let (at, length) = (network.answer_offset() + overlap, network.longest_hole());
    Some(Rect { x: at, y: at, width: length, height: length })
}

/// The index within `0..length` of a position on a side that is continued by mirroring, with the edge pixel repeated.
fn mirrored(at: isize, length: usize) -> usize {
    let at = at.rem_euclid(2 * length as isize) as usize;
    if at < length { at } else { 2 * length - 1 - at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_network::Middle;

    const REGION: ContextEncoder =
        ContextEncoder { side: 128, hole: ContextHole::Region, width: 2, middle: Middle::ChannelWise };
    const CENTRE: ContextEncoder = ContextEncoder { hole: ContextHole::Centre { overlap: 4 }, ..REGION };

    fn square(network: &ContextEncoder, hole: [usize; 4], size: (usize, usize)) -> (isize, isize, usize) {
        let [x, y, width, height] = hole;
        let Square { left, top, side, .. } = Square::around(Rect { x, y, width, height }, size, network);
        (left, top, side)
    }

    #[test]
    fn squares_by_hand() {
        for (network, hole, size, expected) in [
            // A hole of 100 takes half of 200; it is centred …
            (&REGION, [300, 200, 100, 40], (640, 480), (250, 120, 200)),
            // … or at the border of the image.
            (&REGION, [0, 470, 10, 10], (640, 480), (0, 352, 128)),
            (&REGION, [0, 0, 60, 60], (100, 90), (-10, -15, 120)),
            // The central hole has 56 of 128 pixels.
            (&CENTRE, [300, 200, 56, 56], (640, 480), (264, 164, 128)),
            (&CENTRE, [0, 0, 112, 112], (640, 480), (-72, -72, 256)),
            // Small images are enlarged as little as possible.
            (&REGION, [4, 4, 2, 2], (20, 10), (0, -5, 20)),
        ] {
            assert_eq!(square(network, hole, size), expected, "{hole:?} in {size:?}");
        }
    }

    #[test]
    fn sides_continue_by_mirroring() {
        let places: Vec<usize> = (-4..7).map(|at| mirrored(at, 3)).collect();
        assert_eq!(places, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
    }

    /// At the network's own size nothing is scaled: the view is the image, and the answer comes back as it is.
    #[test]
    fn at_the_own_size_values_are_exact() {
        let image = Planes::new(128, 128, testkit::pictures::picture(128, 128));
        let hole = |at: usize| (40..88).contains(&(at % 128)) && (50..90).contains(&(at / 128));
        let mask = Mask::new(128, 128, (0..128 * 128).map(hole).collect());
        let square = Square::around(mask.bounds().unwrap(), (128, 128), &REGION);
        let view = square.view(&image, &mask, &REGION);
        let answer: Vec<f32> = testkit::pictures::noise(3, 3 * 128 * 128);
        let mut filled = image.clone();
        square.paste(&view, &answer, &REGION, &mask, &mut filled);
        for (index, answer) in answer.into_iter().enumerate() {
            let (colour, at) = (index / (128 * 128), index % (128 * 128));
            let (value, seen) = (image.values()[index], view.erased[index]);
            if hole(at) {
                assert!((seen - (2.0 * FILL[colour] - 1.0)).abs() < 1e-6);
                assert!((filled.values()[index] - 0.5 * (answer + 1.0)).abs() < 1e-6);
            } else {
                assert!((seen - (2.0 * value - 1.0)).abs() < 1e-6);
                assert_eq!(filled.values()[index], value);
            }
        }
    }
}
