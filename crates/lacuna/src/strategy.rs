//! How a large photo is brought before a predictor: whole, in windows, or scaled down.

use imageproc::region_labelling::{Connectivity, connected_components};

use crate::frame::Frame;
use crate::units::at_most;
use crate::words::{display_name, words};
use crate::{Budget, Mask, Predictor, Rect, Result};

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

/// The kind of a [`Strategy`], without its sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StrategyKind {
    /// [`Strategy::Auto`].
    #[default]
    Auto,
    /// [`Strategy::Full`].
    Full,
    /// [`Strategy::Crop`].
    Crop,
    /// [`Strategy::Resize`].
    Resize,
}

words! {
    StrategyKind, "strategy",
    Auto = "auto": "Choose by size, method and memory, and report the choice",
    Full = "full": "The whole photo at once",
    Crop = "crop": "A window with context around each hole",
    Resize = "resize": "Fill a smaller copy, and scale the fill up",
}
display_name!(StrategyKind);

impl StrategyKind {
    /// The strategy of this kind; `long_side` is in pixels, for [`Strategy::Resize`] alone.
    pub fn with_long_side(self, long_side: usize) -> Strategy {
        match self {
            Self::Auto => Strategy::Auto,
            Self::Full => Strategy::Full,
            Self::Crop => Strategy::Crop,
            Self::Resize => Strategy::Resize { long_side },
        }
    }
}

/// Longer side in pixels of [`Strategy::Resize`] where none is given: holes of phone photos then have the size of
/// those that networks are trained on.
pub const DEFAULT_LONG_SIDE: u32 = 1024;
/// Shortest long side in pixels that can be asked for: the shortest side that networks take.
pub const SHORTEST_LONG_SIDE: u32 = 16;

/// What was decided for a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The frames to predict, one after another.
    pub frames: Vec<Frame>,
    /// The strategy, for people: "full", "crop (2 windows)", "resize to 1024", "crop (1 window), to stay
    /// within 2.0 GiB".
    pub strategy: String,
}

/// Up to this side the whole picture is one frame; beyond it windows around the holes save time and memory.
const WHOLE_SIDE: usize = 2048;
/// Memory that a frame may take under [`Strategy::Auto`] if nobody says how much: what a laptop can spare.
const COMFORTABLE_BYTES: u64 = 2 << 30;
/// Context around a hole: at least so many pixels on each side (windows of 256, the training size, and more)
/// …
const CONTEXT_PIXELS: usize = 128;
/// … and at least this share of the hole's longer side.
const CONTEXT_SHARE: f64 = 0.75;
/// Above so many separate holes (a mask of noise or of text) one window around all serves better.
const MOST_WINDOWS: usize = 256;
/// Bytes per pixel of finding connected holes: a grey copy and a label.
const LABEL_BYTES: u64 = 5;
/// Windows that do not fit are scaled down in steps of this factor.
const SHRINK: f64 = 0.9;

impl Strategy {
    /// Plans the frames for a hole; with a budget, such that each fits into what is left of it.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] if the budget does not allow what was asked for, or, with [`Strategy::Auto`],
    /// anything.
    ///
    /// # Panics
    /// If the mask is empty: there is nothing to plan.
    pub fn plan(self, mask: &Mask, predictor: &dyn Predictor, budget: Option<Budget>) -> Result<Plan> {
        let planner = Planner { mask, predictor, budget };
        let whole = Rect::whole(mask.width(), mask.height());
        let hole = mask.bounds().expect("a hole to plan for");
        let plan = match self {
            Self::Full => one("full".into(), Frame::new(whole, hole, None, predictor)),
            Self::Resize { long_side } => one(
                format!("resize to {}", long_side.min(whole.long_side())),
                Frame::new(whole, hole, Some(long_side), predictor),
            ),
            Self::Crop => {
                let frame = |window: &Window| Frame::new(window.rect, window.hole, None, predictor);
                cropped(windows(mask, budget).iter().map(frame).collect())
            }
            Self::Auto => return planner.auto(whole, hole),
        };
        planner.check(&plan)?;
        Ok(plan)
    }
}

/// What a plan depends on.
#[derive(Clone, Copy)]
struct Planner<'a> {
    mask: &'a Mask,
    predictor: &'a dyn Predictor,
    budget: Option<Budget>,
}

fn one(strategy: String, frame: Frame) -> Plan {
    Plan { frames: vec![frame], strategy }
}

/// A frame for each window around the holes.
fn cropped(frames: Vec<Frame>) -> Plan {
    let scaled = frames.iter().filter(|frame| frame.is_scaled()).count();
    let windows = if frames.len() == 1 { "1 window".into() } else { format!("{} windows", frames.len()) };
    let scaled = if scaled > 0 { format!(", {scaled} scaled down") } else { String::new() };
    Plan { frames, strategy: format!("crop ({windows}{scaled})") }
}

impl Planner<'_> {
    fn auto(&self, whole: Rect, hole: Rect) -> Result<Plan> {
        // What would be done if memory were no concern, to say when it is.
        let free = self.budget.map(|_| {
            let boundless = Budget { total: u64::MAX, held: 0 };
            Planner { budget: Some(boundless), ..*self }
        });
        let small = whole.long_side() <= WHOLE_SIDE;
        let frame = Frame::new(whole, hole, None, self.predictor);
        if small && self.is_comfortable(&frame) {
            return Ok(one("full".into(), frame));
        }
        let windows = windows(self.mask, self.budget);
        let frames = |planner: &Self| windows.iter().map(|window| planner.comfortable(window)).collect();
        let mut plan = cropped(frames(self));
        self.check(&plan)?;
        let is_squeezed = free.is_some_and(|free| {
            let frames: Vec<Frame> = frames(&free);
            small && free.is_comfortable(&frame) || plan.frames != frames
        });
        if let Some(budget) = self.budget.filter(|_| is_squeezed) {
            plan.strategy += &format!(", to stay within {}", at_most(budget.total));
        }
        Ok(plan)
    }

    /// Checks that all frames fit into the budget.
    fn check(&self, plan: &Plan) -> Result<()> {
        let most = plan.frames.iter().map(|frame| self.bytes(frame)).max().unwrap_or(0);
        self.budget.map_or(Ok(()), |budget| budget.check(format!("filling ({})", plan.strategy), most))
    }

    /// Bytes that a frame takes at most.
    fn bytes(&self, frame: &Frame) -> u64 {
        let predictor = self.predictor.forecast_bytes(frame.padded_width, frame.padded_height);
        predictor.saturating_add(frame.bytes())
    }

    fn is_comfortable(&self, frame: &Frame) -> bool {
        let allowed = self.budget.map_or(COMFORTABLE_BYTES, Budget::left);
        frame.padded_width.max(frame.padded_height) <= self.predictor.largest_side()
            && self.bytes(frame) <= allowed
    }

    /// The frame of a window, scaled down as far as is needed.
    fn comfortable(&self, &Window { rect, hole }: &Window) -> Frame {
        let mut frame = Frame::new(rect, hole, None, self.predictor);
        let mut long_side = rect.long_side().min(self.predictor.largest_side());
        while !self.is_comfortable(&frame) && long_side > self.predictor.smallest_side() {
            frame = Frame::new(rect, hole, Some(long_side), self.predictor);
            long_side = (long_side as f64 * SHRINK) as usize;
        }
        frame
    }
}

/// A window of the picture and the bounds of the holes in it.
#[derive(Clone, Copy, Debug)]
struct Window {
    rect: Rect,
    hole: Rect,
}

/// A window with context around each connected hole; windows that overlap are merged.
fn windows(mask: &Mask, budget: Option<Budget>) -> Vec<Window> {
    let bounds = mask.bounds().expect("a hole to plan for");
    let with_context = |hole: Rect| {
        let margin = CONTEXT_PIXELS.max((hole.long_side() as f64 * CONTEXT_SHARE) as usize);
        Window { rect: hole.grown(margin, mask.width(), mask.height()), hole }
    };
    // Telling holes apart takes memory too.
    if budget.is_some_and(|budget| LABEL_BYTES * bounds.area() as u64 > budget.left()) {
        return vec![with_context(bounds)];
    }
    let holes = connected_holes(mask, bounds);
    if holes.len() > MOST_WINDOWS {
        return vec![with_context(bounds)];
    }
    let mut windows: Vec<Window> = Vec::new();
    for hole in holes {
        let mut window = with_context(hole);
        while let Some(other) = windows.iter().position(|other| other.rect.overlaps(window.rect)) {
            let other = windows.swap_remove(other);
            window = Window { rect: window.rect.union(other.rect), hole: window.hole.union(other.hole) };
        }
        windows.push(window);
    }
    windows.sort_by_key(|window| (window.rect.y, window.rect.x));
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
        let plan = Strategy::Auto.plan(&mask(300, 200, &[square(50, 50, 20)]), &PREDICTOR, None).unwrap();
        assert_eq!(plan.strategy, "full");
        let frame = plan.frames[0];
        assert_eq!((frame.padded_width, frame.padded_height, frame.is_scaled()), (304, 200, false));
    }

    #[test]
    fn far_holes_get_their_own_windows() {
        let mask = mask(3000, 1000, &[square(200, 500, 20), square(240, 520, 30), square(2500, 10, 40)]);
        let plan = Strategy::Auto.plan(&mask, &PREDICTOR, None).unwrap();
        assert_eq!(plan.strategy, "crop (2 windows)");
        for frame in &plan.frames {
            assert!(!frame.is_scaled() && frame.rect.long_side() <= 400, "{frame:?}");
        }
        let covered: usize = plan.frames.iter().map(|frame| mask.cut(frame.rect).count()).sum();
        assert_eq!(covered, mask.count());
    }

    #[test]
    fn huge_holes_are_scaled_down() {
        let plan =
            Strategy::Auto.plan(&mask(4000, 3000, &[square(500, 500, 2000)]), &PREDICTOR, None).unwrap();
        assert_eq!(plan.strategy, "crop (1 window, 1 scaled down)");
        assert!(plan.frames[0].width <= PREDICTOR.largest_side());
        let resized = Strategy::Resize { long_side: 512 }
            .plan(&mask(1000, 500, &[square(5, 5, 9)]), &PREDICTOR, None)
            .unwrap();
        assert_eq!((resized.frames[0].width, resized.frames[0].height), (512, 256));
    }

    #[test]
    fn noise_becomes_one_window() {
        let noise = Mask::new(2100, 64, (0..2100 * 64).map(|i| i % 7 == 0 && i / 2100 % 3 == 0).collect());
        let plan = Strategy::Crop.plan(&noise, &PREDICTOR, None).unwrap();
        assert_eq!(plan.frames.len(), 1);
    }

    /// What a plan needs beyond what is held, by [`Constant`]'s forecast of 100 bytes a pixel.
    fn bytes(plan: &Plan) -> u64 {
        plan.frames
            .iter()
            .map(|frame| frame.bytes() + 100 * (frame.padded_width * frame.padded_height) as u64)
            .max()
            .unwrap()
    }

    #[test]
    fn a_budget_chooses_the_best_that_fits() {
        let mask = mask(2000, 1000, &[square(200, 500, 20)]);
        let plan = |strategy: Strategy, left: u64| {
            strategy.plan(&mask, &PREDICTOR, Some(Budget { total: left + 1000, held: 1000 }))
        };
        let full = bytes(&Strategy::Full.plan(&mask, &PREDICTOR, None).unwrap());
        let crop = bytes(&Strategy::Crop.plan(&mask, &PREDICTOR, None).unwrap());
        for (left, expected) in [
            (full, "full".to_owned()),
            (full - 1, format!("crop (1 window), to stay within {}", at_most(full + 999))),
            (crop, format!("crop (1 window), to stay within {}", at_most(crop + 1000))),
            (crop - 1, format!("crop (1 window, 1 scaled down), to stay within {}", at_most(crop + 999))),
        ] {
            let plan = plan(Strategy::Auto, left).unwrap();
            assert_eq!(plan.strategy, expected);
            assert!(bytes(&plan) <= left);
        }
        for (strategy, least) in [(Strategy::Full, full), (Strategy::Crop, crop)] {
            assert!(plan(strategy, least).is_ok());
            let Err(crate::Error::Memory { needed, allowed, .. }) = plan(strategy, least - 1) else {
                panic!()
            };
            assert_eq!((needed, allowed), (least + 1000, least + 999));
        }
        assert!(plan(Strategy::Auto, 1000).is_err(), "less than any frame takes");
    }

    #[test]
    fn a_generous_budget_lifts_the_bound_of_comfort() {
        struct Hungry;
        impl Predictor for Hungry {
            fn name(&self) -> String {
                "hungry".into()
            }
            fn predict_watched(
                &self,
                image: &crate::Planes,
                _: &Mask,
                _: u64,
                _: &crate::Watch,
            ) -> Result<crate::Planes> {
                Ok(image.clone())
            }
            fn multiple(&self) -> usize {
                8
            }
            fn smallest_side(&self) -> usize {
                16
            }
            fn largest_side(&self) -> usize {
                2048
            }
            fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
                (width * height * 10_000) as u64
            }
            fn forecast_seconds(&self, _: usize, _: usize, _: usize) -> f64 {
                0.0
            }
        }
        let mask = mask(1000, 1000, &[square(5, 5, 9)]);
        assert_eq!(Strategy::Auto.plan(&mask, &Hungry, None).unwrap().strategy, "crop (1 window)");
        let budget = Budget { total: 1 << 40, held: 0 };
        assert_eq!(Strategy::Auto.plan(&mask, &Hungry, Some(budget)).unwrap().strategy, "full");
    }
}
