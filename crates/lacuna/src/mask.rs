//! Masks: which pixels are missing.

/// The hole in a picture.
///
/// # Shapes
/// `hole`: `[height, width]`, row-major, `true` = missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    hole: Vec<bool>,
}

impl Mask {
    /// A mask from its pixels, `true` = hole.
    ///
    /// # Panics
    /// If `hole` does not hold `width * height` values.
    pub fn new(width: usize, height: usize, hole: Vec<bool>) -> Self {
        assert_eq!(hole.len(), width * height, "a mask of {width} x {height}");
        Self { width, height, hole }
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All pixels, row-major, `true` = hole.
    pub fn hole(&self) -> &[bool] {
        &self.hole
    }

    /// Whether the pixel at column `x`, row `y` is missing.
    pub fn is_hole(&self, x: usize, y: usize) -> bool {
        self.hole[y * self.width + x]
    }

    /// How many pixels are missing.
    pub fn count(&self) -> usize {
        self.hole.iter().filter(|&&hole| hole).count()
    }
}
