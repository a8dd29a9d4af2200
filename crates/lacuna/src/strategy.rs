//! How a large photo is brought before a predictor: whole, in windows, or scaled down.

use imageproc::region_labelling::{Connectivity, connected_components};

use crate::frame::Frame;
use crate::{Mask, Predictor, Rect};

/// How a picture is cut into frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Chooses one of the others from the picture's size and the predictor's appetite.
    #[default]
    Auto,
    /// The whole picture at its own size.
    Full,
    /// A window with context around each connected hole, merged where they overlap, at the picture's size.
    Crop,
    /// The whole picture scaled down to so many pixels on the longer side; the fill is scaled up again.
    Resize {
        /// Pixels on the longer side.
        long_side: usize,
    },
}

/// What was decided for a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The frames to predict, one after another.
    pub frames: Vec<Frame>,
    /// The strategy, for people: "full", "crop (2 windows)", "resize to 1024".
    pub strategy: String,
}

/// Up to this side the whole picture is one frame; beyond it windows around the holes save time and memory.
const WHOLE_SIDE: usize = 2048;
/// Memory that a frame may take under [`Strategy::Auto`]: what a laptop can spare.
const COMFORTABLE_BYTES: u64 = 2 << 30;
/// Context around a hole: at least so many pixels on each side (windows of 256, the training size, and more) …
const CONTEXT_PIXELS: usize = 128;
/// … and at least this share of the hole's longer side.
const CONTEXT_SHARE: f64 = 0.75;
/// Above so many separate holes (a mask of noise or of text) one window around all serves better.
const MOST_WINDOWS: usize = 256;
/// Windows that do not fit are scaled down in steps of this factor.
const SHRINK: f64 = 0.9;

impl Strategy {
    /// Plans the frames for a hole.
    ///
    /// # Panics
    /// If the mask is empty: there is nothing to plan.
    pub fn plan(self, mask: &Mask, predictor: &dyn Predictor) -> Plan {
        let whole = Rect::whole(mask.width(), mask.height());
        match self {
            Self::Full => Plan { frames: vec![Frame::new(whole, None, predictor)], strategy: "full".into() },
            Self::Resize { long_side } => Plan {
                frames: vec![Frame::new(whole, Some(long_side), predictor)],
                strategy: format!("resize to {}", long_side.min(whole.long_side())),
            },
            Self::Crop => cropped(mask, |rect| Frame::new(rect, None, predictor)),
            Self::Auto => {
                let frame = Frame::new(whole, None, predictor);
                if whole.long_side() <= WHOLE_SIDE && is_comfortable(&frame, predictor) {
                    return Plan { frames: vec![frame], strategy: "full".into() };
                }
                cropped(mask, |rect| comfortable(rect, predictor))
            }
        }
    }
}

/// A frame for each window around the holes.
fn cropped(mask: &Mask, frame: impl Fn(Rect) -> Frame) -> Plan {
    let frames: Vec<Frame> = windows(mask).into_iter().map(frame).collect();
    let scaled = frames.iter().filter(|frame| frame.is_scaled()).count();
    let windows = if frames.len() == 1 { "1 window".into() } else { format!("{} windows", frames.len()) };
    let scaled = if scaled > 0 { format!(", {scaled} scaled down") } else { String::new() };
    Plan { frames, strategy: format!("crop ({windows}{scaled})") }
}

fn is_comfortable(frame: &Frame, predictor: &dyn Predictor) -> bool {
    frame.padded_width.max(frame.padded_height) <= predictor.largest_side()
        && predictor.forecast_bytes(frame.padded_width, frame.padded_height) <= COMFORTABLE_BYTES
}

/// The frame of a window, scaled down as far as is needed.
fn comfortable(rect: Rect, predictor: &dyn Predictor) -> Frame {
    let mut frame = Frame::new(rect, None, predictor);
    let mut long_side = rect.long_side().min(predictor.largest_side());
    while !is_comfortable(&frame, predictor) && long_side > predictor.smallest_side() {
        frame = Frame::new(rect, Some(long_side), predictor);
        long_side = (long_side as f64 * SHRINK) as usize;
    }
    frame
}

/// A window with context around each connected hole; windows that overlap are merged.
fn windows(mask: &Mask) -> Vec<Rect> {
    let bounds = mask.bounds().expect("a hole to plan for");
    let with_context = |hole: Rect| {
        let margin = CONTEXT_PIXELS.max((hole.long_side() as f64 * CONTEXT_SHARE) as usize);
        hole.grown(margin, mask.width(), mask.height())
    };
    let holes = connected_holes(mask, bounds);
    if holes.len() > MOST_WINDOWS {
        return vec![with_context(bounds)];
    }
    let mut windows: Vec<Rect> = Vec::new();
    for hole in holes {
        let mut window = with_context(hole);
        while let Some(other) = windows.iter().position(|other| other.overlaps(window)) {
            window = window.union(windows.swap_remove(other));
        }
        windows.push(window);
    }
    windows.sort_by_key(|window| (window.y, window.x));
    windows
}

/// The bounds of each connected hole (also connected by corners).
fn connected_holes(mask: &Mask, bounds: Rect) -> Vec<Rect> {
    let labels = connected_components(&mask.grey(bounds), Connectivity::Eight, image::Luma([0]));
    let mut holes: Vec<Option<Rect>> = Vec::new();
    for (x, y, label) in labels.enumerate_pixels() {
        let Some(index) = (label[0] as usize).checked_sub(1) else { continue };
        if holes.len() <= index {
            holes.resize(index + 1, None);
        }
        let pixel = Rect { x: bounds.x + x as usize, y: bounds.y + y as usize, width: 1, height: 1 };
        holes[index] = Some(holes[index].map_or(pixel, |hole| hole.union(pixel)));
    }
    holes.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::tests::Constant;

    const PREDICTOR: Constant = Constant { multiple: 8, smallest: 16 };

    fn mask(width: usize, height: usize, boxes: &[Rect]) -> Mask {
        let inside = |x: usize, y: usize| {
            let pixel = Rect { x, y, width: 1, height: 1 };
            boxes.iter().any(|rect| rect.overlaps(pixel))
        };
        Mask::new(width, height, (0..width * height).map(|i| inside(i % width, i / width)).collect())
    }

    fn square(x: usize, y: usize, side: usize) -> Rect {
        Rect { x, y, width: side, height: side }
    }

    #[test]
    fn small_pictures_are_taken_whole() {
        let plan = Strategy::Auto.plan(&mask(300, 200, &[square(50, 50, 20)]), &PREDICTOR);
        assert_eq!(plan.strategy, "full");
        let frame = plan.frames[0];
        assert_eq!((frame.padded_width, frame.padded_height, frame.is_scaled()), (304, 200, false));
    }

    #[test]
    fn far_holes_get_their_own_windows() {
        let mask = mask(3000, 1000, &[square(200, 500, 20), square(240, 520, 30), square(2500, 10, 40)]);
        let plan = Strategy::Auto.plan(&mask, &PREDICTOR);
        assert_eq!(plan.strategy, "crop (2 windows)");
        for frame in &plan.frames {
            assert!(!frame.is_scaled() && frame.rect.long_side() <= 400, "{frame:?}");
        }
        let covered: usize = plan.frames.iter().map(|frame| mask.cut(frame.rect).count()).sum();
        assert_eq!(covered, mask.count());
    }

    #[test]
    fn huge_holes_are_scaled_down() {
        let plan = Strategy::Auto.plan(&mask(4000, 3000, &[square(500, 500, 2000)]), &PREDICTOR);
        assert_eq!(plan.strategy, "crop (1 window, 1 scaled down)");
        assert!(plan.frames[0].width <= PREDICTOR.largest_side());
        let resized =
            Strategy::Resize { long_side: 512 }.plan(&mask(1000, 500, &[square(5, 5, 9)]), &PREDICTOR);
        assert_eq!((resized.frames[0].width, resized.frames[0].height), (512, 256));
    }

    #[test]
    fn noise_becomes_one_window() {
        let noise = Mask::new(2100, 64, (0..2100 * 64).map(|i| i % 7 == 0 && i / 2100 % 3 == 0).collect());
        let plan = Strategy::Crop.plan(&noise, &PREDICTOR);
        assert_eq!(plan.frames.len(), 1);
    }
}
