//! Which patches may be copied (sources) and which must be found a source (targets).

use rand::Rng;
use rand_pcg::Pcg32;
use rayon::prelude::*;

/// Side of a patch in pixels. 7 is the size of Wexler et al. 2007 and Barnes et al. 2009: large enough to hold
/// the structure of a texture at some pyramid level, small enough that good matches exist.
pub(super) const PATCH: usize = 7;

/// Pixels in a patch.
pub(super) const PATCH_AREA: usize = PATCH * PATCH;

/// How often a source is drawn blindly before the exact, slower draw: at 1/8 sources, 1 draw in 70 needs it.
const BLIND_DRAWS: usize = 32;

/// Every patch that lies wholly inside the frame, named by its top left pixel: a target if it touches the hole,
/// a source if it touches neither the hole nor what must not be copied.
///
/// Patches that would stick out of the frame do not exist; pixels near the frame's edge belong to fewer patches.
///
/// # Shapes
/// `touches` and `sources`: `[height, width]` of pixels; `false` also where no patch fits.
pub(super) struct PatchMap {
    width: usize,
    columns: usize,
    rows: usize,
    touches: Vec<bool>,
    /// Those that may be copied, 64 in a number: a search asks for places all over the frame.
    sources: Vec<u64>,
    /// Sources in the rows above each row; one entry more than rows.
    sources_above: Vec<u32>,
}

impl PatchMap {
    /// The patches of a frame of `width` x `height` pixels with the hole `hole`, without copies of `barred` pixels; both
    /// `[height, width]`.
    pub(super) fn new(width: usize, height: usize, hole: &[bool], barred: Option<&[bool]>) -> Self {
        let touches = touching(width, height, hole);
        let barred = barred.map(|barred| touching(width, height, barred));
        let columns = (width + 1).saturating_sub(PATCH);
        let rows = if columns == 0 { 0 } else { (height + 1).saturating_sub(PATCH) };
        let is_source = |patch: usize| {
            patch % width < columns && !touches[patch] && barred.as_ref().is_none_or(|barred| !barred[patch])
        };
        let patches = rows * width;
        let word = |first: usize| {
            (first..(first + 64).min(patches))
                .fold(0, |word, patch| word | u64::from(is_source(patch)) << (patch - first))
        };
        let sources = (0..patches.div_ceil(64)).into_par_iter().map(|index| word(64 * index)).collect();
        let mut map = Self { width, columns, rows, touches, sources, sources_above: vec![0] };
        let in_row = |y| (0..columns).filter(|&x| map.is_source(x, y)).count() as u32;
        let in_rows: Vec<u32> = (0..rows).into_par_iter().map(in_row).collect();
        for (y, sources) in in_rows.into_iter().enumerate() {
            map.sources_above.push(map.sources_above[y] + sources);
        }
        map
    }

    /// Patches in a row: the frame's width less 6, or 0.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Rows of patches: the frame's height less 6, or 0.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many patches can be copied.
    pub(super) fn sources(&self) -> usize {
        self.sources_above[self.rows] as usize
    }

    /// Whether there is a patch at column `x`, row `y` that can be copied.
    #[inline(always)]
    pub(super) fn is_source(&self, x: usize, y: usize) -> bool {
        if x >= self.columns || y >= self.rows {
            return false;
        }
        let patch = y * self.width + x;
        self.sources[patch / 64] >> (patch % 64) & 1 != 0
    }

    /// Targets, by pixel index of their top left corner.
    #[inline(always)]
    pub(super) fn targets(&self) -> &[bool] {
        &self.touches
    }

    /// A source drawn uniformly: column and row.
    ///
    /// # Panics
    /// If there is no source.
    #[inline(always)]
    pub(super) fn draw(&self, random: &mut Pcg32) -> (u16, u16) {
        for _ in 0..BLIND_DRAWS {
            let (x, y) = (below(random, self.columns), below(random, self.rows));
            if self.is_source(x, y) {
                return (x as u16, y as u16);
            }
        }
        self.draw_exactly(random)
    }

    /// The draw for frames that are nearly all hole: counts sources instead of guessing.
    #[cold]
    fn draw_exactly(&self, random: &mut Pcg32) -> (u16, u16) {
        let number = below(random, self.sources()) as u32;
        let y = self.sources_above.partition_point(|&above| above <= number) - 1;
        let mut sources = (0..self.columns).filter(|&x| self.is_source(x, y));
        let x = sources.nth((number - self.sources_above[y]) as usize).expect("the row's count");
        (x as u16, y as u16)
    }
}

/// A whole number below `end`, at most 2^32; its bias is below `end / 2^32`.
#[inline(always)]
pub(super) fn below(random: &mut Pcg32, end: usize) -> usize {
    ((random.next_u32() as u64 * end as u64) >> 32) as usize
}

/// Which patches hold a `true` pixel, by the pixel index of their top left corner.
///
/// # Shapes
/// `pixels` and the result: `[height, width]`; `false` where no patch fits.
pub(super) fn touching(width: usize, height: usize, pixels: &[bool]) -> Vec<bool> {
    let mut touches = vec![false; width * height];
    if width < PATCH || height < PATCH {
        return touches;
    }
    let mut in_row = vec![false; width * height];
    in_row.par_chunks_exact_mut(width).zip(pixels.par_chunks_exact(width)).for_each(|(in_row, pixels)| {
        for (in_row, window) in in_row.iter_mut().zip(pixels.windows(PATCH)) {
            *in_row = window.iter().fold(false, |any, &pixel| any | pixel);
        }
    });
    let rows = height + 1 - PATCH;
    touches.par_chunks_exact_mut(width).take(rows).enumerate().for_each(|(y, touches)| {
        for in_row in in_row[y * width..(y + PATCH) * width].chunks_exact(width) {
            for (touches, in_row) in touches.iter_mut().zip(in_row) {
                *touches |= in_row;
            }
        }
    });
    touches
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_hole_pixel_is_touched_by_49_patches() {
        let mut hole = vec![false; 20 * 15];
        hole[7 * 20 + 9] = true;
        let map = PatchMap::new(20, 15, &hole, None);
        assert_eq!(map.sources(), 14 * 9 - 49);
        assert!(!map.is_source(9, 7) && !map.is_source(3, 1));
        assert!(map.is_source(2, 1) && map.is_source(10, 7) && !map.is_source(14, 0));
    }

    #[test]
    fn what_must_not_be_copied_is_no_source_and_no_target() {
        let (mut hole, mut barred) = (vec![false; 20 * 15], vec![false; 20 * 15]);
        hole[7 * 20 + 9] = true;
        barred[7 * 20 + 10] = true;
        let map = PatchMap::new(20, 15, &hole, Some(&barred));
        assert_eq!(map.sources(), 14 * 9 - 8 * 7);
        assert!(!map.is_source(10, 7) && !map.targets()[7 * 20 + 10] && map.is_source(11, 7));
        let mut random = Pcg32::seed_from_u64(1);
        assert!((0..1000).map(|_| map.draw(&mut random)).all(|(x, y)| map.is_source(x.into(), y.into())));
    }

    #[test]
    fn frames_smaller_than_a_patch_have_none() {
        for (width, height) in [(1, 1), (6, 40), (40, 6)] {
            let map = PatchMap::new(width, height, &vec![false; width * height], None);
            assert_eq!((map.sources(), map.rows() * map.columns()), (0, 0));
        }
    }

    #[test]
    fn the_only_sources_are_drawn_equally_often() {
        let mut hole = vec![true; 100 * 100];
        for y in 40..47 {
            hole[y * 100 + 50..y * 100 + 58].fill(false);
        }
        let map = PatchMap::new(100, 100, &hole, None);
        assert_eq!(map.sources(), 2);
        let mut random = Pcg32::seed_from_u64(1);
        let first = (0..1000).filter(|_| map.draw(&mut random) == (50, 40)).count();
        assert!((400..600).contains(&first), "{first} of 1000");
    }
}
