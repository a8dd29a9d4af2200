//! The images of a batch as one map of channel blocks, with zeros between them: a kernel that prepares its weights for
//! each map prepares them once for many small images.

use std::ops::Range;

use lacuna_network::Border;
use rayon::prelude::*;

use crate::simd::LANES;
use crate::tiles::channels::Layout;

/// Pixels of a map, about: enough that the work on weights does not matter, and few enough that maps of 512 channels
/// stay in the L3 cache of large processors.
const PIXELS: usize = 16 << 10;
/// Rows of images that are tried.
const MOST_DOWN: usize = 4;

/// Where the images of a batch are in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mosaic {
    height: usize,
    width: usize,
    /// Lines around each image that belong to it.
    ring: usize,
    /// Images below each other.
    down: usize,
    /// Images side by side.
    across: usize,
}

impl Mosaic {
    /// For at most `images` images of `height` and `width` with `ring` lines around each, for a kernel that computes
    /// square tiles with `tile` pixels per side.
    pub fn new(images: usize, (height, width): (usize, usize), ring: usize, tile: usize) -> Self {
        let images = (PIXELS / (height * width)).clamp(1, images);
        let of = |down: usize| Self { height, width, ring, down, across: images.div_ceil(down) };
        let tiles = |mosaic: &Self| mosaic.rows().div_ceil(tile) * mosaic.columns().div_ceil(tile);
        (1..=MOST_DOWN.min(images)).map(of).min_by_key(tiles).expect("one row at least")
    }

    /// Most images of a map.
    pub fn images(&self) -> usize {
        self.down * self.across
    }

    /// Rows of the map.
    pub fn rows(&self) -> usize {
        self.down * (self.height + 2 * self.ring) + (self.down - 1) * self.gap()
    }

    /// Columns of the map.
    pub fn columns(&self) -> usize {
        self.across * (self.width + 2 * self.ring) + (self.across - 1) * self.gap()
    }

    /// Zeros between images: a convolution with a 3x3 kernel must not see a neighbour. Rings have this effect already.
    fn gap(&self) -> usize {
        usize::from(self.ring == 0)
    }

    /// The first row and column of an image's ring.
    fn corner(&self, image: usize) -> (usize, usize) {
        let pitch = 2 * self.ring + self.gap();
        (image / self.across * (self.height + pitch), image % self.across * (self.width + pitch))
    }

    /// Moves images `[images][channels][height][width]` into the map. Rings are filled as `border` says.
    pub fn gather(&self, images: &[f32], channels: usize, border: Border, map: &mut [f32], layout: Layout) {
        let each = channels * self.height * self.width;
        let line = |rows: Range<usize>, length: usize| -> Vec<Option<usize>> {
            rows.map(|index| border.place(index as isize - self.ring as isize, length)).collect()
        };
        let rows = line(0..self.height + 2 * self.ring, self.height);
        let columns = line(0..self.width + 2 * self.ring, self.width);
        map[..layout.len()].par_chunks_exact_mut(layout.plane).enumerate().for_each(|(block, map)| {
            let channels = block * LANES..channels.min((block + 1) * LANES);
            if channels.len() < LANES || self.images() > 1 || self.ring > 0 {
                map.fill(0.0);
            }
            for (index, image) in images.chunks_exact(each).enumerate() {
                let planes = &image[channels.start * self.height * self.width..];
                let (top, left) = self.corner(index);
                for (row, from) in rows.iter().enumerate() {
                    let Some(from) = from else { continue };
                    let to = &mut map[layout.row(top + row) + left * LANES..][..columns.len() * LANES];
                    for (lane, plane) in
                        planes.chunks(self.height * self.width).take(channels.len()).enumerate()
                    {
                        let line = &plane[from * self.width..][..self.width];
                        let inner = to[self.ring * LANES + lane..].iter_mut().step_by(LANES);
                        inner.zip(line).for_each(|(to, value)| *to = *value);
                        for column in (0..self.ring).chain(self.ring + self.width..columns.len()) {
                            to[column * LANES + lane] = columns[column].map_or(0.0, |column| line[column]);
                        }
                    }
                }
            }
        });
    }

    /// Moves the map into images with `kept` lines of their rings, `[images][channels][height + 2 kept][width + 2 kept]`.
    pub fn scatter(&self, map: &[f32], layout: Layout, channels: usize, kept: usize, images: &mut [f32]) {
        let (height, width) = (self.height + 2 * kept, self.width + 2 * kept);
        images.par_chunks_exact_mut(channels * height * width).enumerate().for_each(|(index, image)| {
            let (top, left) = self.corner(index);
            let (top, left) = (top + self.ring - kept, left + self.ring - kept);
            let blocks = image.par_chunks_mut(LANES * height * width).zip(map.par_chunks_exact(layout.plane));
            blocks.for_each(|(planes, block)| {
                for row in 0..height {
                    let from = &block[layout.row(top + row) + left * LANES..][..width * LANES];
                    for (lane, plane) in planes.chunks_exact_mut(height * width).enumerate() {
                        let to = plane[row * width..][..width].iter_mut();
                        to.zip(from[lane..].iter().step_by(LANES)).for_each(|(to, value)| *to = *value);
                    }
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::pictures::noise;

    #[test]
    fn images_come_back_and_nothing_lies_between() {
        for (images, size, ring, channels) in
            [(5, (4, 4), 0, 20), (3, (2, 2), 0, 3), (7, (3, 5), 1, 17), (1, (6, 2), 0, 16), (2, (2, 3), 1, 1)]
        {
            let mosaic = Mosaic::new(images, size, ring, 4);
            assert!(mosaic.images() >= images);
            let layout = Layout::new(usize::div_ceil(channels, LANES), mosaic.rows(), mosaic.columns());
            let values = noise(1, images * channels * size.0 * size.1);
            let mut map = vec![f32::NAN; layout.len()];
            mosaic.gather(&values, channels, Border::Zero, &mut map, layout);
            let inside =
                |block: &[f32]| block[..layout.pixels() * LANES].iter().map(|v| v.abs()).sum::<f32>();
            let total: f32 = map.chunks_exact(layout.plane).map(inside).sum();
            let expected: f32 = values.iter().map(|value| value.abs()).sum();
            assert!((total - expected).abs() < 1e-3 * expected, "{total} of {expected}");
            let mut back = vec![0.0; values.len()];
            mosaic.scatter(&map, layout, channels, 0, &mut back);
            assert_eq!(back, values);
        }
    }

    #[test]
    fn rings_reflect() {
        let mosaic = Mosaic::new(2, (2, 2), 1, 4);
        let layout = Layout::new(1, mosaic.rows(), mosaic.columns());
        let mut map = vec![0.0; layout.len()];
        mosaic.gather(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 1, Border::Reflect, &mut map, layout);
        let mut rings = vec![0.0; 32];
        mosaic.scatter(&map, layout, 1, 1, &mut rings);
        assert_eq!(rings[..8], [4.0, 3.0, 4.0, 3.0, 2.0, 1.0, 2.0, 1.0]);
        assert_eq!(rings[16..24], [8.0, 7.0, 8.0, 7.0, 6.0, 5.0, 6.0, 5.0]);
    }

    #[test]
    fn tiles_are_filled() {
        assert_eq!(Mosaic::new(64, (4, 4), 0, 4).down, 1);
        // Three images of two rows, with two rows of zeros between them, are two rows of tiles.
        assert_eq!(Mosaic::new(64, (2, 2), 0, 4).down, 3);
        assert_eq!(Mosaic::new(8, (256, 256), 0, 4).images(), 1);
    }
}
