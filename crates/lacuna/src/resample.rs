//! Resizing of planes and masks. Sizes are (width, height).

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::Mask;

/// For scaling down: a filter without negative lobes, so that fractions of known pixels stay between 0 and 1.
const DOWN: FilterType = FilterType::Bilinear;
/// For scaling up: sharp, with little overshoot.
pub(crate) const UP: FilterType = FilterType::CatmullRom;
/// For scaling up without overshoot.
pub(crate) const UP_SMOOTH: FilterType = FilterType::Bilinear;

/// Scaling down around a hole: means over known pixels only.
pub(crate) struct KnownScaling {
    from: (usize, usize),
    to: (usize, usize),
    /// The known fraction of each pixel, 0 to 1.
    fractions: Vec<f32>,
}

impl KnownScaling {
    /// Prepares scaling down an image with this hole.
    pub(crate) fn new(mask: &Mask, to: (usize, usize)) -> Self {
        let from = (mask.width(), mask.height());
        let known: Vec<f32> = mask.hole().iter().map(|&hole| if hole { 0.0 } else { 1.0 }).collect();
        Self { from, to, fractions: scale_down(&known, from, to) }
    }

    /// The scaled hole: pixels whose known fraction is below this.
    pub(crate) fn mask(&self, known_fraction: f32) -> Mask {
        Mask::new(
            self.to.0,
            self.to.1,
            self.fractions.iter().map(|&fraction| fraction < known_fraction).collect(),
        )
    }

    /// Scales a plane that is black in the hole; black where nothing is known.
    pub(crate) fn scale(&self, plane: &[f32]) -> Vec<f32> {
        let mut scaled = scale_down(plane, self.from, self.to);
        let known = scaled.iter_mut().zip(&self.fractions);
        known.for_each(|(value, &fraction)| *value = if fraction > 0.0 { *value / fraction } else { 0.0 });
        scaled
    }
}

/// Scales a plane down.
pub(crate) fn scale_down(plane: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    resize(plane, from, to, DOWN, &ResizeOptions::new())
}

/// Resizes one plane `[height, width]`, or the part of it that `part` crops.
pub(crate) fn resize(
    plane: &[f32],
    from: (usize, usize),
    to: (usize, usize),
    filter: FilterType,
    part: &ResizeOptions,
) -> Vec<f32> {
    let source = TypedImageRef::<F32>::from_buffer(from.0 as u32, from.1 as u32, bytemuck::cast_slice(plane))
        .expect("a plane of its stated size");
    let mut target = TypedImage::<F32>::new(to.0 as u32, to.1 as u32);
    let options = part.resize_alg(ResizeAlg::Convolution(filter));
    let mut resizer = Resizer::new();
    // Vector instructions sum in another order on every processor.
    #[expect(
        unsafe_code,
        reason = "it is unsafe to name instructions that the processor may lack; these it has"
    )]
    // SAFETY: none are named.
    unsafe {
        resizer.set_cpu_extensions(fast_image_resize::CpuExtensions::None)
    };
    resizer.resize_typed(&source, &mut target, &options).expect("two planes of one kind");
    target.pixels().iter().map(|pixel| pixel.0).collect()
}

/// Sets the hole of a plane to black.
pub(crate) fn blacken(plane: &mut [f32], mask: &Mask) {
    plane.iter_mut().zip(mask.hole()).filter(|(_, hole)| **hole).for_each(|(value, _)| *value = 0.0);
}

/// Padding at the right and bottom by mirroring with the edge pixel repeated.
#[derive(Clone, Copy)]
pub(crate) struct Padding {
    /// Size without padding.
    pub(crate) from: (usize, usize),
    /// Size with padding; not smaller.
    pub(crate) to: (usize, usize),
}

impl Padding {
    /// Appends a plane with its padding.
    pub(crate) fn append<T: Copy>(&self, plane: &[T], padded: &mut Vec<T>) {
        let Self { from, to } = *self;
        for y in 0..to.1 {
            let row = &plane[mirrored(y, from.1) * from.0..][..from.0];
            padded.extend_from_slice(row);
            padded.extend((from.0..to.0).map(|x| row[mirrored(x, from.0)]));
        }
    }

    /// Pads a mask.
    pub(crate) fn mask(&self, mask: &Mask) -> Mask {
        let mut hole = Vec::with_capacity(self.to.0 * self.to.1);
        self.append(mask.hole(), &mut hole);
        Mask::new(self.to.0, self.to.1, hole)
    }

    /// Removes the padding of a plane.
    pub(crate) fn remove(&self, padded: &[f32]) -> Vec<f32> {
        let rows = padded.chunks_exact(self.to.0).take(self.from.1);
        rows.flat_map(|row| &row[..self.from.0]).copied().collect()
    }
}

/// The source pixel of position `i` on a side of `length` pixels that is extended by mirroring.
fn mirrored(i: usize, length: usize) -> usize {
    let i = i % (2 * length);
    if i < length { i } else { 2 * length - 1 - i }
}
