//! A colour image as three float planes: the input and output of predictors.

/// Weights of red, green and blue in luma (Rec. 601).
pub const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// The luma of a colour.
pub fn luma(rgb: [f32; 3]) -> f32 {
    LUMA[0] * rgb[0] + LUMA[1] * rgb[1] + LUMA[2] * rgb[2]
}

/// Three colour planes.
///
/// # Shapes
/// `values`: `[3, height, width]`, row-major, R then G then B, each in `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Planes {
    /// Planes from values `[3, height, width]` in `[0, 1]`.
    ///
    /// # Panics
    /// If the length of `values` is not `3 * width * height`.
    pub fn new(width: usize, height: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), 3 * width * height, "planes of {width} x {height}");
        Self { width, height, values }
    }

    /// Black planes.
    pub fn black(width: usize, height: usize) -> Self {
        Self::new(width, height, vec![0.0; 3 * width * height])
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All values, `[3, height, width]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, `[3, height, width]`, mutable.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The plane of one channel, `[height, width]`; `channel` 0 is red.
    pub fn plane(&self, channel: usize) -> &[f32] {
        let area = self.width * self.height;
        &self.values[channel * area..(channel + 1) * area]
    }

    /// The plane of one channel, `[height, width]`, mutable.
    pub fn plane_mut(&mut self, channel: usize) -> &mut [f32] {
        let area = self.width * self.height;
        &mut self.values[channel * area..(channel + 1) * area]
    }
}
