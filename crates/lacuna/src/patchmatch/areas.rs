//! Which pixels are unknown, which of them are filled, and which known ones must not be copied.

use std::borrow::Cow;

use super::patch_map::PATCH;
use crate::Mask;
use crate::predictor::Scene;

/// Pixels beyond the wanted window within which holes are filled all the same: the patches of a wanted pixel reach that far,
/// and theirs are not to meet a black hole at once.
const REACH: usize = 2 * PATCH;

/// The parts of a scene.
pub(super) struct Areas<'a> {
    /// Pixels of which nothing is known.
    pub(super) unknown: &'a Mask,
    /// Those of them that are filled.
    pub(super) hole: Cow<'a, Mask>,
    /// Pixels that must not be copied: what is to be avoided, and holes that are not filled. `[height, width]`; none if
    /// there are none.
    pub(super) barred: Option<Vec<bool>>,
}

impl<'a> Areas<'a> {
    /// The parts of a scene: of its hole, what the caller wants is filled.
    pub(super) fn of(scene: &Scene<'a>) -> Self {
        let unknown = scene.mask;
        let (width, height) = (unknown.width(), unknown.height());
        let near = scene.wanted.grown(REACH, width, height);
        let is_near = |index: usize| near.contains(index % width, index / width);
        let is_far = |index: usize| unknown.hole()[index] && !is_near(index);
        let avoided = scene.avoid.map(Mask::hole);
        let any_far = near.area() < width * height && (0..width * height).any(is_far);
        let hole = if any_far {
            let hole = (0..width * height).map(|index| unknown.hole()[index] && is_near(index));
            Cow::Owned(Mask::new(width, height, hole.collect()))
        } else {
            Cow::Borrowed(unknown)
        };
        let is_barred = |index: usize| is_far(index) || avoided.is_some_and(|avoided| avoided[index]);
        let barred = (any_far || avoided.is_some_and(|avoided| avoided.contains(&true)))
            .then(|| (0..width * height).map(is_barred).collect());
        Self { unknown, hole, barred }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Planes, Rect};

    #[test]
    fn far_holes_are_neither_filled_nor_copied() {
        let image = Planes::black(100, 1);
        let mask = Mask::new(100, 1, (0..100).map(|x| [10, 40, 90].contains(&x)).collect());
        let avoid = Mask::new(100, 1, (0..100).map(|x| x == 5).collect());
        let scene = Scene::new(&image, &mask, 0);
        let areas = Areas::of(&scene);
        assert!(areas.barred.is_none() && matches!(areas.hole, Cow::Borrowed(_)));
        let areas = Areas::of(&Scene { avoid: Some(&avoid), ..scene });
        assert_eq!((areas.hole.count(), areas.barred.unwrap()[5]), (3, true));
        // 14 pixels beyond the window's right end, at 26, lies the last that is filled.
        let wanted = Rect { x: 8, y: 0, width: 19, height: 1 };
        let areas = Areas::of(&Scene { wanted, ..scene });
        assert_eq!(areas.hole.hole().iter().enumerate().filter(|(_, hole)| **hole).count(), 2);
        let barred: Vec<usize> = (0..100).filter(|&x| areas.barred.as_ref().unwrap()[x]).collect();
        assert_eq!(barred, [90]);
        assert_eq!(areas.unknown.count(), 3);
    }
}
