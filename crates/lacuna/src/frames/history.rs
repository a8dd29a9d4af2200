//! What a view's pixels looked like in the latest frames in which they were seen.

use rayon::prelude::*;

use super::view::Likeness;
use crate::{Mask, Picture, Rect};

/// Frames that are remembered. The median of five is right if two of them show something else.
pub const DEPTH: usize = 5;
/// A sample belongs to the background if it is this many standard deviations of noise from the median, or fewer.
const DEVIATIONS: f32 = 3.0;
/// The least such distance: two steps of 8 bits.
const LEAST_DISTANCE: f32 = 2.0 / 255.0;

/// Red, green and blue in 65535ths, as bright as the view's first frame.
type Sample = [u16; 3];

/// The latest samples of each pixel of a window.
pub struct History {
    window: Rect,
    pixels: Vec<Pixel>,
}

#[derive(Clone, Copy, Default)]
struct Pixel {
    /// The sample of frame `n` is at `n % DEPTH`, until the pixel is seen in a later frame of that place.
    samples: [Sample; DEPTH],
    /// A bit for each place that is taken.
    taken: u8,
}

/// Which sample stays if a place is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The one that is there.
    First,
    /// The new one.
    Latest,
}

impl History {
    /// Bytes of a history.
    pub fn bytes(window: Rect) -> u64 {
        (window.area() * size_of::<Pixel>()) as u64
    }

    /// The history of a window in which nothing has been seen yet.
    pub fn new(window: Rect) -> Self {
        Self { window, pixels: vec![Pixel::default(); window.area()] }
    }

    /// Whether a pixel was seen.
    pub fn is_known(&self, x: usize, y: usize) -> bool {
        self.pixel(x, y).taken != 0
    }

    /// Whether a pixel was seen in as many frames as are remembered.
    pub fn is_full(&self, x: usize, y: usize) -> bool {
        self.pixel(x, y).taken.count_ones() as usize == DEPTH
    }

    /// Adds the pixels of frame `number` of the view that `is_seen` accepts.
    pub fn add(
        &mut self,
        number: usize,
        picture: &Picture,
        likeness: &Likeness,
        keep: Keep,
        is_seen: impl Fn(usize, usize) -> bool + Sync,
    ) {
        let (window, place) = (self.window, number % DEPTH);
        self.pixels.par_chunks_exact_mut(window.width).enumerate().for_each(|(row, pixels)| {
            let y = window.y + row;
            for (x, pixel) in (window.x..).zip(pixels) {
                let is_free = pixel.taken & 1 << place == 0;
                if is_seen(x, y) && (is_free || keep == Keep::Latest) {
                    let colour = picture.colour(x, y);
                    pixel.samples[place] = [0, 1, 2].map(|i| sample(colour[i] - likeness.offset[i]));
                    pixel.taken |= 1 << place;
                }
            }
        });
    }

    /// A pixel's colour in frame `number` of the view: the sample whose turn it is if it lies within the noise around the
    /// median of all, else the median. So the noise of the fill changes from frame to frame, as that around it does.
    ///
    /// # Panics
    /// If the pixel was not seen.
    pub fn colour(&self, x: usize, y: usize, number: usize, likeness: &Likeness) -> [f32; 3] {
        let pixel = self.pixel(x, y);
        let taken = |place: usize| pixel.taken & 1 << place != 0;
        let median = [0, 1, 2].map(|channel| {
            let places = (0..DEPTH).filter(|&place| taken(place));
            median(places.map(|place| pixel.samples[place][channel]))
        });
        let distance = sample((DEVIATIONS * likeness.noise).max(LEAST_DISTANCE));
        let turn = &pixel.samples[number % DEPTH];
        let is_background = taken(number % DEPTH)
            && turn.iter().zip(&median).all(|(sample, median)| sample.abs_diff(*median) <= distance);
        let chosen = if is_background { turn } else { &median };
        [0, 1, 2].map(|i| (f32::from(chosen[i]) / f32::from(u16::MAX) + likeness.offset[i]).clamp(0.0, 1.0))
    }

    fn pixel(&self, x: usize, y: usize) -> &Pixel {
        &self.pixels[(y - self.window.y) * self.window.width + x - self.window.x]
    }

    /// The pixels of a hole that were not seen; `None` if all were.
    pub fn unseen(&self, hole: &Mask) -> Option<Mask> {
        let width = hole.width();
        let is_unseen = |(i, hole): (usize, &bool)| *hole && !self.is_known(i % width, i / width);
        let unseen: Vec<bool> = hole.hole().iter().enumerate().map(is_unseen).collect();
        unseen.contains(&true).then(|| Mask::new(width, hole.height(), unseen))
    }
}

fn sample(value: f32) -> u16 {
    // Saturates.
    (value * f32::from(u16::MAX)).round() as u16
}

/// The median of one to [`DEPTH`] values; of an even number of them the lower one, so that it is one of them.
fn median(values: impl Iterator<Item = u16>) -> u16 {
    let mut sorted = [u16::MAX; DEPTH];
    let mut count = 0;
    for value in values {
        sorted[count] = value;
        count += 1;
    }
    assert!(count > 0, "a pixel that was seen");
    sorted[..count].sort_unstable();
    sorted[(count - 1) / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Format;
    use image::{DynamicImage, GrayImage, Luma};

    fn grey(values: [u8; 2]) -> Picture {
        let pixels = GrayImage::from_fn(2, 1, |x, _| Luma([values[x as usize]]));
        Picture::from_pixels("frame", DynamicImage::ImageLuma8(pixels), Format::Png)
    }

    fn shown(history: &History, number: usize, likeness: &Likeness) -> u8 {
        (history.colour(0, 0, number, likeness)[0] * 255.0).round() as u8
    }

    #[test]
    fn the_sample_whose_turn_it_is_or_the_median() {
        let mut history = History::new(Rect::whole(2, 1));
        let seen = |x: usize, _: usize| x == 0;
        for (number, value) in [100, 101, 99, 180, 100, 102].into_iter().enumerate() {
            history.add(number, &grey([value, 0]), &Likeness::SAME, Keep::Latest, seen);
        }
        assert!(history.is_full(0, 0) && !history.is_known(1, 0));
        // Frame 0 was replaced by frame 5; 180 is not the background.
        let expected = [102, 101, 99, 101, 100];
        assert_eq!([5, 6, 7, 8, 9].map(|number| shown(&history, number, &Likeness::SAME)), expected);
        let noisy = Likeness { noise: 0.2, ..Likeness::SAME };
        assert_eq!(shown(&history, 8, &noisy), 180);
        let hole = Mask::new(2, 1, vec![true, true]);
        assert_eq!(history.unseen(&hole), Some(Mask::new(2, 1, vec![false, true])));
        assert_eq!(history.unseen(&Mask::new(2, 1, vec![true, false])), None);
    }

    #[test]
    fn samples_are_as_bright_as_the_first_frame() {
        let mut history = History::new(Rect::whole(2, 1));
        let brighter = |by: f32| Likeness { offset: [by / 255.0; 3], noise: 0.0 };
        history.add(3, &grey([130, 0]), &brighter(30.0), Keep::Latest, |_, _| true);
        assert_eq!(shown(&history, 3, &Likeness::SAME), 100);
        assert_eq!(shown(&history, 4, &brighter(-20.0)), 80);
        assert_eq!(shown(&history, 4, &brighter(-120.0)), 0);
        history.add(8, &grey([9, 0]), &Likeness::SAME, Keep::First, |_, _| true);
        assert_eq!(shown(&history, 3, &Likeness::SAME), 100, "its place is taken");
    }
}
