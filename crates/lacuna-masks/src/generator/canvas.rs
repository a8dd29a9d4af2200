//! The canvas that generators draw on.

use std::ops::Range;

use lacuna::Mask;

/// A mask while it is drawn.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    hole: Vec<bool>,
}

impl Canvas {
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, hole: vec![false; width * height] }
    }

    pub fn size(&self) -> [usize; 2] {
        [self.width, self.height]
    }

    pub fn into_mask(self) -> Mask {
        Mask::new(self.width, self.height, self.hole)
    }

    /// Fills a rectangle, clipped to the canvas.
    pub fn fill(&mut self, columns: Range<usize>, rows: Range<usize>) {
        let columns = columns.start.min(self.width)..columns.end.min(self.width);
        for row in rows.start.min(self.height)..rows.end.min(self.height) {
            self.hole[row * self.width..][columns.clone()].fill(true);
        }
    }

    /// Fills all pixels whose centre is within `thickness / 2` of the segment between two points: a stroke with round
    /// ends, like OpenCV's thick lines. As there, an even thickness is rounded up to an odd one. Equal points give a
    /// disc.
    pub fn stroke(&mut self, from: [i64; 2], to: [i64; 2], thickness: i64) {
        let thickness = thickness | 1;
        let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
        let length = dx * dx + dy * dy;
        let reach = thickness / 2 + 1;
        let rows =
            (from[1].min(to[1]) - reach).max(0)..(from[1].max(to[1]) + reach + 1).min(self.height as i64);
        let left = (from[0].min(to[0]) - reach).max(0);
        let right = (from[0].max(to[0]) + reach + 1).min(self.width as i64);
        for y in rows {
            for x in left..right {
                let [px, py] = [x - from[0], y - from[1]];
                let along = px * dx + py * dy;
                // Four times the squared distance against the squared thickness, in integers.
                let inside = if along <= 0 {
                    4 * (px * px + py * py) <= thickness * thickness
                } else if along >= length {
                    let [qx, qy] = [x - to[0], y - to[1]];
                    4 * (qx * qx + qy * qy) <= thickness * thickness
                } else {
                    let across = px * dy - py * dx;
                    4 * across * across <= thickness * thickness * length
                };
                if inside {
                    self.hole[y as usize * self.width + x as usize] = true;
                }
            }
        }
    }

    /// Fills all pixels for which `inside` is true.
    pub fn paint(&mut self, inside: impl Fn(usize, usize) -> bool) {
        for (index, hole) in self.hole.iter_mut().enumerate() {
            *hole |= inside(index % self.width, index / self.width);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(canvas: Canvas) -> Vec<String> {
        let hole = canvas.hole;
        hole.chunks(canvas.width)
            .map(|row| row.iter().map(|&hole| if hole { '#' } else { '.' }).collect())
            .collect()
    }

    #[test]
    fn strokes_have_round_ends() {
        let mut canvas = Canvas::new(8, 5);
        canvas.stroke([2, 2], [5, 2], 3);
        assert_eq!(rows(canvas), ["........", ".######.", ".######.", ".######.", "........"]);
        let mut canvas = Canvas::new(7, 5);
        canvas.stroke([3, 2], [3, 2], 4);
        assert_eq!(rows(canvas), ["..###..", ".#####.", ".#####.", ".#####.", "..###.."]);
        let mut canvas = Canvas::new(5, 5);
        canvas.stroke([0, 0], [4, 4], 1);
        assert_eq!(rows(canvas), ["#....", ".#...", "..#..", "...#.", "....#"]);
        let mut canvas = Canvas::new(3, 3);
        canvas.stroke([-3, 1], [9, 1], 1);
        assert_eq!(rows(canvas), ["...", "###", "..."]);
    }

    #[test]
    fn rectangles_are_cut_off() {
        let mut canvas = Canvas::new(3, 2);
        canvas.fill(1..9, 1..9);
        assert_eq!(rows(canvas), ["...", ".##"]);
    }
}
