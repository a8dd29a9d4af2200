//! Frames of a video whose camera stands still: what the hole hides in one frame is taken from the others.
//!
//! [`Clip::survey`] compares each frame with the views that it has seen (`view.rs`); a view begins where the camera moves or
//! another scene comes. [`Clip::fill`] then goes through one view after the other. A pixel in the hole gets a colour from the
//! latest frames in which it was not in the hole or, if there were none yet, from the first ones in which it will not be
//! (`history.rs`). What no frame of the view shows is filled by the job's predictor, once, in the view's first frame, and is
//! the same in all others.
//!
//! Frames are read two or three times, so that only a few are in memory.

mod history;
mod view;

use history::{History, Keep};
use view::{Anchor, Likeness};

use crate::composite::composite;
use crate::job::{Filled, Inputs, Opened};
use crate::picture::SaveOptions;
use crate::{Error, FillJob, Hole, HoleOptions, Mask, Picture, Planes, Rect, Result, Watch};

/// Views that a frame is compared with: those of two cameras that take turns, and two that hid for a while.
const OPEN_VIEWS: usize = 4;

/// The files of a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameFiles<'a> {
    /// The frame and its mask.
    pub inputs: Inputs<'a>,
    /// How the result is written.
    pub save: SaveOptions,
}

/// A video that was surveyed.
pub struct Clip<'a> {
    job: &'a FillJob,
    frames: &'a [FrameFiles<'a>],
    views: Vec<View>,
}

/// Frames that show the same.
#[derive(Default)]
struct View {
    frames: Vec<Member>,
    /// The window that contains the holes of all frames; `None` if there are none.
    window: Option<Rect>,
    /// Whether the hole is the same in all frames, so that nothing in it is ever seen.
    is_same_hole: bool,
}

/// A frame of a view.
#[derive(Clone, Copy)]
struct Member {
    /// Its index in the clip.
    index: usize,
    likeness: Likeness,
}

/// A frame that was filled.
pub struct FilledFrame<'a> {
    /// Its index in the clip.
    pub index: usize,
    /// The file.
    pub filled: Filled<'a>,
    /// The fraction of the frame that is hole, 0 to 1.
    pub hole_fraction: f64,
    /// The fraction of the hole that no frame of the view shows, 0 to 1.
    pub unseen_fraction: f64,
}

impl<'a> Clip<'a> {
    /// Reads all frames, in their order, and finds their views. `done` is called with the number of frames that were read.
    ///
    /// # Errors
    /// [`Error::Argument`] for a hint, which frames do not take; as [`FillJob::prepare`] for each frame; [`Error::Picture`] for a frame of another size than the first one, or of floats.
    pub fn survey(
        job: &'a FillJob,
        frames: &'a [FrameFiles<'a>],
        mut done: impl FnMut(usize),
    ) -> Result<Self> {
        if frames.iter().any(|frame| frame.inputs.hint.is_some()) {
            return Err(Error::Argument("frames of a video take no hint".into()));
        }
        let mut clip = Self { job, frames, views: Vec::new() };
        // The latest view is the last one.
        let mut open: Vec<(usize, Anchor)> = Vec::new();
        let mut next = (!frames.is_empty()).then(|| clip.open(0, 0)).transpose()?;
        let size = next.as_ref().map_or((0, 0), |first| size(&first.picture));
        let anchors = next.as_ref().map_or(0, |first| anchor_bytes(&first.picture) * OPEN_VIEWS as u64);
        if let (Some(budget), Some(first)) = (job.budget(), &next) {
            budget
                .holding(held_bytes(first))
                .check(format!("comparing {}", first.picture.name()), anchors)?;
        }
        for index in 0..frames.len() {
            let Some(opened) = next.take() else { break };
            clip.check(&opened.picture, size)?;
            let compare = || {
                let hole = opened.hole.mask();
                (0..open.len())
                    .rev()
                    .find_map(|at| open[at].1.compare(&opened.picture, hole).map(|likeness| (at, likeness)))
            };
            let read = || (index + 1 < frames.len()).then(|| clip.open(index + 1, anchors)).transpose();
            let (found, read) = rayon::join(compare, read);
            next = read?;
            let hole = opened.hole.mask();
            match found {
                Some((at, likeness)) => {
                    let latest = open.remove(at);
                    clip.views[latest.0].push(Member { index, likeness }, hole, latest.1.hole());
                    open.push(latest);
                }
                None => {
                    let mut view = View { is_same_hole: true, ..View::default() };
                    view.push(Member { index, likeness: Likeness::SAME }, hole, hole);
                    if open.len() == OPEN_VIEWS {
                        open.remove(0);
                    }
                    open.push((clip.views.len(), Anchor::new(opened.picture, hole.clone())));
                    clip.views.push(view);
                }
            }
            done(index + 1);
        }
        clip.views.iter_mut().for_each(View::share_noise);
        clip.check_memory()?;
        Ok(clip)
    }

    /// Notes for the user on what the survey found: where views begin, and which have a single frame.
    pub fn notes(&self) -> Vec<String> {
        let name = |view: &View| self.frames[view.frames[0].index].inputs.image.name();
        let alone: Vec<String> = self.views.iter().filter(|view| view.frames.len() == 1).map(name).collect();
        let mut notes = Vec::new();
        if self.views.len() > 1 {
            let first: Vec<String> =
                self.views.iter().filter(|view| view.frames.len() > 1).skip(1).map(name).collect();
            if !first.is_empty() {
                notes.push(format!(
                    "the view changes at {}: frames before and after are not used for each other",
                    listed(&first)
                ));
            }
        }
        if let (false, true) = (alone.is_empty(), self.frames.len() > 1) {
            notes.push(format!(
                "{} of {} frames match no other, as after a move of the camera, and are filled by themselves: {}",
                alone.len(),
                self.frames.len(),
                listed(&alone)
            ));
        }
        notes
    }

    /// Fills the frames and gives each to `write`, view by view. Frames that `is_finished` accepts are not written.
    ///
    /// # Errors
    /// As [`FillJob::prepare`], [`crate::job::Prepared::run`] and `write`.
    pub fn fill<E: From<Error>>(
        &self,
        is_finished: impl Fn(usize) -> bool,
        mut write: impl FnMut(FilledFrame<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        for view in &self.views {
            if !view.frames.iter().all(|frame| is_finished(frame.index)) {
                self.fill_view(view, &is_finished, &mut write)?;
            }
        }
        Ok(())
    }

    fn fill_view<E: From<Error>>(
        &self,
        view: &View,
        is_finished: &impl Fn(usize) -> bool,
        write: &mut impl FnMut(FilledFrame<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        let held = view.window.map_or(0, History::bytes);
        let open = |member: &Member| self.open(member.index, held);
        let mut next = Some(open(&view.frames[0])?);
        let mut state = match (view.window, &next) {
            (Some(window), Some(first)) => Some(self.begin(view, window, first, held)?),
            _ => None,
        };
        for (number, member) in view.frames.iter().enumerate() {
            let Some(mut opened) = next.take() else { break };
            let unseen_fraction = match &mut state {
                Some(state) => state.paint(&mut opened, number, &member.likeness),
                None => 0.0,
            };
            let hole = opened.hole.mask();
            let hole_fraction = hole.count() as f64 / hole.hole().len() as f64;
            let is_wanted = !is_finished(member.index);
            let encode = || is_wanted.then(|| self.encode(member.index, opened)).transpose();
            let (encoded, read) = rayon::join(encode, || view.frames.get(number + 1).map(open).transpose());
            if let Some(filled) = encoded? {
                write(FilledFrame { index: member.index, filled, hole_fraction, unseen_fraction })?;
            }
            next = read?;
        }
        Ok(())
    }

    /// Collects what is needed before the first frame of a view can be filled.
    fn begin(&self, view: &View, window: Rect, first: &Opened, held: u64) -> Result<State> {
        let mut history = History::new(window);
        let hole = first.hole.mask();
        let is_first_hole = |x: usize, y: usize| hole.is_hole(x, y);
        let points =
            || (window.y..window.bottom()).flat_map(|y| (window.x..window.right()).map(move |x| (x, y)));
        let members = if view.is_same_hole { &[] } else { &view.frames[1..] };
        for (number, member) in (1..).zip(members) {
            if points().all(|(x, y)| !is_first_hole(x, y) || history.is_full(x, y)) {
                break;
            }
            let opened = self.open(member.index, held + held_bytes(first))?;
            let is_seen = |x, y| is_first_hole(x, y) && !opened.hole.mask().is_hole(x, y);
            history.add(number, &opened.picture, &member.likeness, Keep::First, is_seen);
        }
        let unseen = history.unseen(hole);
        if let Some(unseen) = &unseen {
            self.imagine(first, unseen, &mut history, held)?;
        }
        Ok(State { history, unseen })
    }

    /// Fills what no frame shows by the predictor.
    fn imagine(&self, first: &Opened, unseen: &Mask, history: &mut History, held: u64) -> Result<()> {
        let mut canvas = first.picture.clone();
        paint(&mut canvas, &first.hole, |x, y| {
            history.is_known(x, y).then(|| history.colour(x, y, 0, &Likeness::SAME))
        });
        let job = self.job_holding(held + held_bytes(first));
        let mut inpainter = job.inpainter(&canvas).in_memory();
        if let Some(avoid) = &first.avoid {
            inpainter = inpainter.avoiding(avoid.clone());
        }
        let hole = Hole::new(unseen, &HoleOptions::default())?;
        inpainter.with_watch(Watch::default()).inpaint(&mut canvas, &hole, job.seed)?;
        history.add(0, &canvas, &Likeness::SAME, Keep::First, |x, y| unseen.is_hole(x, y));
        Ok(())
    }

    fn encode(&self, index: usize, opened: Opened) -> Result<Filled<'a>> {
        let FrameFiles { inputs, save } = self.frames[index];
        let job = FillJob { save, ..self.job.clone() };
        let bytes = if opened.hole.mask().bounds().is_none() && job.is_copied(&opened.picture, opened.format)
        {
            inputs.image.bytes(&job.limits)?
        } else {
            opened.picture.encode(&save)?.into()
        };
        let mut notes = opened.notes;
        let later = opened.picture.writing_notes(&save).into_iter();
        let later: Vec<String> = later.filter(|note| !notes.contains(note)).collect();
        notes.extend(later);
        Ok(Filled { bytes, notes })
    }

    /// Reads a frame while `held` bytes are in use.
    fn open(&self, index: usize, held: u64) -> Result<Opened> {
        let FrameFiles { inputs, save } = self.frames[index];
        let opened = FillJob { save, ..self.job_holding(held) }.open(inputs)?;
        if opened.picture.depth() == 32 {
            let problem = "frames of 32-bit floats cannot be compared: convert them to 16 bits";
            return Err(Error::picture(opened.picture.name(), problem));
        }
        Ok(opened)
    }

    /// The job with as much memory as is left.
    fn job_holding(&self, held: u64) -> FillJob {
        FillJob { memory: self.job.memory.map(|bytes| bytes.saturating_sub(held)), ..self.job.clone() }
    }

    fn check(&self, picture: &Picture, expected: (usize, usize)) -> Result<()> {
        let found = size(picture);
        if found == expected {
            return Ok(());
        }
        let first = self.frames[0].inputs.image.name();
        let problem = format!(
            "it has {} x {} pixels, {first} has {} x {}: the frames of a video have one size",
            found.0, found.1, expected.0, expected.1
        );
        Err(Error::picture(picture.name(), problem))
    }

    /// Refuses a clip whose history does not fit in memory.
    fn check_memory(&self) -> Result<()> {
        let most = self.views.iter().filter_map(|view| view.window).map(History::bytes).max();
        match (self.job.budget(), most) {
            (Some(budget), Some(bytes)) => {
                budget.check("the pixels that were seen behind the hole".to_owned(), bytes)
            }
            _ => Ok(()),
        }
    }
}

impl View {
    fn push(&mut self, member: Member, hole: &Mask, first: &Mask) {
        self.frames.push(member);
        self.is_same_hole &= hole == first;
        self.window = match (self.window, hole.bounds()) {
            (Some(window), Some(bounds)) => Some(window.union(bounds)),
            (window, bounds) => window.or(bounds),
        };
    }

    /// Gives all frames the median of their noise. The first one's is not known.
    fn share_noise(&mut self) {
        let mut noise: Vec<f32> = self.frames[1..].iter().map(|member| member.likeness.noise).collect();
        noise.sort_unstable_by(f32::total_cmp);
        let median = noise.get(noise.len() / 2).copied().unwrap_or_default();
        self.frames.iter_mut().for_each(|member| member.likeness.noise = median);
    }
}

/// A view that is being filled.
struct State {
    history: History,
    /// What no frame shows.
    unseen: Option<Mask>,
}

impl State {
    /// Fills a frame and remembers what it shows. Returns the fraction of the hole that no frame shows.
    fn paint(&mut self, opened: &mut Opened, number: usize, likeness: &Likeness) -> f64 {
        let Opened { picture, hole, .. } = opened;
        let mask = hole.mask();
        self.history.add(number, picture, likeness, Keep::Latest, |x, y| !mask.is_hole(x, y));
        paint(picture, hole, |x, y| Some(self.history.colour(x, y, number, likeness)));
        let Some(unseen) = &self.unseen else { return 0.0 };
        let both = mask.hole().iter().zip(unseen.hole()).filter(|(hole, unseen)| **hole && **unseen).count();
        both as f64 / mask.count().max(1) as f64
    }
}

/// Writes colours into a hole, where there are any.
fn paint(picture: &mut Picture, hole: &Hole, colour: impl Fn(usize, usize) -> Option<[f32; 3]>) {
    let Some(bounds) = hole.mask().bounds() else { return };
    let mut planes = Planes::black(bounds.width, bounds.height);
    let area = bounds.area();
    for y in 0..bounds.height {
        for x in 0..bounds.width {
            let (column, row) = (bounds.x + x, bounds.y + y);
            if let Some(colour) = hole.mask().is_hole(column, row).then(|| colour(column, row)).flatten() {
                for (channel, value) in colour.into_iter().enumerate() {
                    planes.values_mut()[channel * area + y * bounds.width + x] = value;
                }
            }
        }
    }
    composite(picture, hole, bounds, &planes);
}

fn size(picture: &Picture) -> (usize, usize) {
    (picture.width(), picture.height())
}

/// Bytes of a frame in memory.
fn held_bytes(frame: &Opened) -> u64 {
    frame.picture.pixel_bytes() + frame.hole.mask().hole().len() as u64
}

fn anchor_bytes(picture: &Picture) -> u64 {
    Anchor::bytes(picture.pixel_bytes(), (picture.width() * picture.height()) as u64)
}

/// Names, the first few of many.
fn listed(names: &[String]) -> String {
    /// Names that are listed.
    const MOST: usize = 5;
    let rest = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    names[..names.len().min(MOST)].join(", ") + &rest
}
