//! How a large photo is brought before a predictor: whole, in windows, or scaled down.

use crate::frame::Frame;
use crate::holes::ConnectedHoles;
use crate::small_windows::{DEEPEST, Window, small_windows};
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
    /// Frames of specks and scratches, to predict first, [`Plan::at_a_time`] of them at the same time.
    pub small: Vec<Frame>,
    /// How many small frames are predicted at the same time.
    pub at_a_time: usize,
    /// Other frames, to predict one after another.
    pub frames: Vec<Frame>,
    /// The strategy, for people: "full", "crop (2 windows)", "crop (1 window, 731 small ones)", "resize to 1024", "crop
    /// (1 window), to stay within 2.0 GiB".
    pub strategy: String,
}

/// Up to this side the whole picture is one frame; beyond it windows around the holes save time and memory.
const WHOLE_SIDE: usize = 2048;
/// Memory that a frame may take under [`Strategy::Auto`] if nobody says how much: what a laptop can spare.
const COMFORTABLE_BYTES: u64 = 2 << 30;
/// Context around a hole: at least so many pixels on each side (windows of 256, the training size, and more)
/// …
const CONTEXT_PIXELS: usize = 128;
/// … and at least this share of the side of a square of the hole's area: a long bar needs no more than a square that is as
/// large.
const CONTEXT_SHARE: f64 = 0.75;
/// Above so many separate holes (a mask of noise or of text) one window around all serves better.
const MOST_WINDOWS: usize = 256;
/// Where windows have more pixels than this together, specks and scratches get small windows of their own.
const SMALL_ABOVE: usize = 4_000_000;
/// Small frames for each thread that are predicted at the same time: a thread that waits for others begins another.
const SMALL_PER_THREAD: usize = 2;
/// A window whose pixels may not all be copied is widened until this fraction of its first area may: 1 in this many.
const LEAST_USABLE: usize = 2;
/// Bytes a pixel of what is avoided: cut out, scaled, and in the pyramid of PatchMatch.
const AVOIDED_BYTES: u64 = 6;
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
        self.plan_avoiding(mask, None, predictor, budget)
    }

    /// [`Strategy::plan`] for a fill that copies nothing from `avoid`, as large as the mask: windows are widened until there
    /// is enough else to copy from.
    ///
    /// # Errors
    /// As [`Strategy::plan`].
    ///
    /// # Panics
    /// If the mask is empty.
    pub fn plan_avoiding(
        self,
        mask: &Mask,
        avoid: Option<&Mask>,
        predictor: &dyn Predictor,
        budget: Option<Budget>,
    ) -> Result<Plan> {
        let planner = Planner { mask, avoid, predictor, budget };
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
                let Windows { small, large } = planner.windows();
                planner.cropped(&small, large.iter().map(frame).collect())
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
    avoid: Option<&'a Mask>,
    predictor: &'a dyn Predictor,
    budget: Option<Budget>,
}

fn one(strategy: String, frame: Frame) -> Plan {
    Plan { small: Vec::new(), at_a_time: 1, frames: vec![frame], strategy }
}

impl Planner<'_> {
    /// A plan of windows around the holes: small ones, and the frames of others.
    fn cropped(&self, small: &[Window], frames: Vec<Frame>) -> Plan {
        let count = |count: usize| if count == 1 { "1 window".into() } else { format!("{count} windows") };
        let mut words = match (small.len(), frames.len()) {
            (0, large) => count(large),
            (small, 0) => format!("{small} small windows"),
            (small, large) => format!("{}, {small} small ones", count(large)),
        };
        let scaled = frames.iter().filter(|frame| frame.is_scaled()).count();
        if scaled > 0 {
            words += &format!(", {scaled} scaled down");
        }
        let small: Vec<Frame> = small
            .iter()
            .map(|window| Frame::new(window.rect, window.hole, None, self.for_thin_holes()))
            .collect();
        let at_a_time = self.at_a_time(&small);
        Plan { small, at_a_time, frames, strategy: format!("crop ({words})") }
    }

    /// How many small frames are predicted at the same time: as many as the budget allows.
    fn at_a_time(&self, small: &[Frame]) -> usize {
        let predictor = self.for_thin_holes();
        if !predictor.runs_in_parallel() {
            return 1;
        }
        let most = SMALL_PER_THREAD * rayon::current_num_threads();
        let bytes = self.most_bytes(small, predictor).max(1);
        let allowed = self.budget.map_or(COMFORTABLE_BYTES, Budget::left);
        usize::try_from(allowed / bytes).unwrap_or(usize::MAX).clamp(1, most)
    }

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
        let windows = self.windows();
        let frames =
            |planner: &Self| windows.large.iter().map(|window| planner.comfortable(window)).collect();
        let mut plan = self.cropped(&windows.small, frames(self));
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
        let small = self.most_bytes(&plan.small, self.for_thin_holes());
        let most = self.most_bytes(&plan.frames, self.predictor).max(plan.at_a_time as u64 * small);
        self.budget.map_or(Ok(()), |budget| budget.check(format!("filling ({})", plan.strategy), most))
    }

    /// Bytes that predicting a frame takes, with what is avoided in it.
    fn bytes(&self, frame: &Frame, predictor: &dyn Predictor) -> u64 {
        let avoided = (frame.rect.area() + frame.padded_width * frame.padded_height) as u64;
        let avoided = self.avoid.map_or(0, |_| AVOIDED_BYTES * avoided);
        bytes(frame, predictor).saturating_add(avoided)
    }

    /// Bytes that predicting the largest of several frames takes.
    fn most_bytes(&self, frames: &[Frame], predictor: &dyn Predictor) -> u64 {
        frames.iter().map(|frame| self.bytes(frame, predictor)).max().unwrap_or(0)
    }

    /// Windows around all holes, with enough to copy from.
    fn windows(&self) -> Windows {
        let Windows { mut small, mut large } = windows(self.mask, self.budget);
        if let Some(avoid) = self.avoid {
            for window in small.iter_mut().chain(&mut large) {
                window.rect = widened(window.rect, self.mask, avoid);
            }
        }
        Windows { small, large }
    }

    /// What fills small frames.
    fn for_thin_holes(&self) -> &dyn Predictor {
        self.predictor.for_thin_holes().unwrap_or(self.predictor)
    }

    fn is_comfortable(&self, frame: &Frame) -> bool {
        let allowed = self.budget.map_or(COMFORTABLE_BYTES, Budget::left);
        frame.padded_width.max(frame.padded_height) <= self.predictor.sides().largest
            && self.bytes(frame, self.predictor) <= allowed
    }

    /// The frame of a window, scaled down as far as is needed.
    fn comfortable(&self, &Window { rect, hole }: &Window) -> Frame {
        let mut frame = Frame::new(rect, hole, None, self.predictor);
        let mut long_side = rect.long_side().min(self.predictor.sides().largest);
        while !self.is_comfortable(&frame) && long_side > self.predictor.sides().smallest {
            frame = Frame::new(rect, hole, Some(long_side), self.predictor);
            long_side = (long_side as f64 * SHRINK) as usize;
        }
        frame
    }
}

/// Bytes that predicting a frame takes at most.
pub(crate) fn bytes(frame: &Frame, predictor: &dyn Predictor) -> u64 {
    predictor.forecast_bytes(frame.padded_width, frame.padded_height).saturating_add(frame.bytes())
}

/// The windows of a picture.
struct Windows {
    /// For specks and scratches.
    small: Vec<Window>,
    /// For other holes: one with context around each, merged where they overlap.
    large: Vec<Window>,
}

/// A hole's bounds and its number of pixels.
type HoleSize = (Rect, usize);

/// Windows around all holes.
fn windows(mask: &Mask, budget: Option<Budget>) -> Windows {
    let bounds = mask.bounds().expect("a hole to plan for");
    // Telling holes apart takes memory too.
    if budget.is_some_and(|budget| ConnectedHoles::forecast_bytes(mask) > budget.left()) {
        return Windows { small: Vec::new(), large: vec![with_context((bounds, mask.count()), mask)] };
    }
    let holes = ConnectedHoles::new(mask);
    let sized: Vec<HoleSize> = holes.bounds().iter().copied().zip(holes.areas()).collect();
    let large = merged(&sized, mask);
    let area: usize = large.iter().map(|window| window.rect.area()).sum();
    if area <= SMALL_ABOVE {
        return Windows { small: Vec::new(), large };
    }
    let thin = holes.thin(mask, DEEPEST);
    if !thin.contains(&true) {
        return Windows { small: Vec::new(), large };
    }
    let deep: Vec<HoleSize> =
        sized.into_iter().zip(&thin).filter(|(_, thin)| !**thin).map(|(hole, _)| hole).collect();
    let large = merged(&deep, mask);
    let small = small_windows(&holes, &thin, (mask.width(), mask.height()));
    Windows { small, large }
}

fn with_context((hole, area): HoleSize, mask: &Mask) -> Window {
    let margin = CONTEXT_PIXELS.max(((area as f64).sqrt() * CONTEXT_SHARE) as usize);
    Window { rect: hole.grown(margin, mask.width(), mask.height()), hole }
}

/// A window that is widened, by half its sides at a time, until enough of it may be copied.
fn widened(rect: Rect, mask: &Mask, avoid: &Mask) -> Rect {
    let mut wide = rect;
    loop {
        let rows = (wide.y..wide.bottom()).map(|y| y * mask.width() + wide.x);
        let usable = |start: usize| {
            (start..start + wide.width).filter(|&pixel| !mask.hole()[pixel] && !avoid.hole()[pixel]).count()
        };
        let usable: usize = rows.map(usable).sum();
        if usable * LEAST_USABLE >= rect.area() || wide == Rect::whole(mask.width(), mask.height()) {
            return wide;
        }
        wide = wide.grown(wide.long_side() / 4 + 1, mask.width(), mask.height());
    }
}

/// A window with context around each hole; windows that overlap are merged.
fn merged(holes: &[HoleSize], mask: &Mask) -> Vec<Window> {
    if holes.len() > MOST_WINDOWS {
        let all = holes.iter().copied().reduce(|one, other| (one.0.union(other.0), one.1 + other.1));
        return all.map(|hole| with_context(hole, mask)).into_iter().collect();
    }
    let mut windows: Vec<Window> = Vec::new();
    for &hole in holes {
        let mut window = with_context(hole, mask);
        while let Some(other) = windows.iter().position(|other| other.rect.overlaps(window.rect)) {
            let other = windows.swap_remove(other);
            window = Window { rect: window.rect.union(other.rect), hole: window.hole.union(other.hole) };
        }
        windows.push(window);
    }
    windows.sort_by_key(|window| (window.rect.y, window.rect.x));
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sides;
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
    fn a_long_bar_takes_the_context_of_a_square_as_large() {
        let bar = Rect { x: 500, y: 1000, width: 1600, height: 36 };
        let plan = Strategy::Crop.plan(&mask(4000, 3000, &[bar]), &PREDICTOR, None).unwrap();
        assert_eq!(plan.frames[0].rect, bar.grown(180, 4000, 3000));
    }

    #[test]
    fn huge_holes_are_scaled_down() {
        let plan =
            Strategy::Auto.plan(&mask(4000, 3000, &[square(500, 500, 2000)]), &PREDICTOR, None).unwrap();
        assert_eq!(plan.strategy, "crop (1 window, 1 scaled down)");
        assert!(plan.frames[0].width <= PREDICTOR.sides().largest);
        let resized = Strategy::Resize { long_side: 512 }
            .plan(&mask(1000, 500, &[square(5, 5, 9)]), &PREDICTOR, None)
            .unwrap();
        assert_eq!((resized.frames[0].width, resized.frames[0].height), (512, 256));
    }

    #[test]
    fn windows_reach_beyond_what_is_avoided() {
        let mask = mask(3000, 1000, &[square(1500, 500, 20)]);
        let plan =
            |avoid: Option<&Mask>| Strategy::Crop.plan_avoiding(&mask, avoid, &PREDICTOR, None).unwrap();
        let near = self::mask(3000, 1000, &[square(1200, 200, 620)]);
        let (free, avoiding) = (plan(None).frames[0].rect, plan(Some(&near)).frames[0].rect);
        assert_eq!(free.long_side(), 276);
        let usable = avoiding.area() - near.cut(avoiding).count();
        assert!(avoiding.long_side() > 620 && usable * 2 >= free.area(), "{avoiding:?}");
        let all = Mask::new(3000, 1000, vec![true; 3_000_000]);
        assert_eq!(plan(Some(&all)).frames[0].rect, Rect::whole(3000, 1000));
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
            fn sides(&self) -> Sides {
                Sides::NETWORK
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
