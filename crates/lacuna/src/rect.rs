//! A window in a picture.

/// A rectangle of whole pixels; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Leftmost column.
    pub x: usize,
    /// Topmost row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Rect {
    /// The window that holds a whole picture.
    pub fn whole(width: usize, height: usize) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// The first column to the right of it.
    pub fn right(self) -> usize {
        self.x + self.width
    }

    /// The first row below it.
    pub fn bottom(self) -> usize {
        self.y + self.height
    }

    /// Pixels in it.
    pub fn area(self) -> usize {
        self.width * self.height
    }

    /// The longer of its sides.
    pub fn long_side(self) -> usize {
        self.width.max(self.height)
    }

    /// It with `margin` more pixels on each side, as far as a picture of `width` x `height` reaches.
    pub fn grown(self, margin: usize, width: usize, height: usize) -> Self {
        let (x, y) = (self.x.saturating_sub(margin), self.y.saturating_sub(margin));
        let (right, bottom) = ((self.right() + margin).min(width), (self.bottom() + margin).min(height));
        Self { x, y, width: right - x, height: bottom - y }
    }

    /// Whether the pixel at column `x`, row `y` lies in it.
    pub fn contains(self, x: usize, y: usize) -> bool {
        (self.x..self.right()).contains(&x) && (self.y..self.bottom()).contains(&y)
    }

    /// Whether the two share a pixel.
    pub fn overlaps(self, other: Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    /// The smallest window that holds both.
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let (right, bottom) = (self.right().max(other.right()), self.bottom().max(other.bottom()));
        Self { x, y, width: right - x, height: bottom - y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_overlap_and_join() {
        let rect = Rect { x: 2, y: 3, width: 4, height: 5 };
        assert_eq!(rect.grown(3, 8, 20), Rect { x: 0, y: 0, width: 8, height: 11 });
        let beside = Rect { x: 6, y: 3, width: 1, height: 1 };
        assert!(!rect.overlaps(beside) && rect.overlaps(beside.grown(1, 20, 20)));
        assert_eq!(rect.union(beside), Rect { x: 2, y: 3, width: 5, height: 5 });
    }
}
