//! Feature maps of the networks behind LPIPS and FID.

/// A feature map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Map {
    /// Number of channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[channels, height, width]`
    pub values: Vec<f32>,
}
