//! The ControlNet branch of a flow: how a hint becomes its input.

use lacuna_network::{ControlNet, Denoiser, HINT_CHANNELS};
use serde::{Deserialize, Serialize};

use crate::hint::{FrameHint, HintKind};
use crate::planes::luma;

/// The beginning of the names of a ControlNet branch's tensors in a flow file.
pub const CONTROL_PREFIX: &str = "control.";

/// What a flow file says of its ControlNet branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// What it takes.
    pub hint: HintKind,
    /// [`ControlNet::hint_widths`].
    pub hint_widths: [usize; 4],
}

impl Control {
    /// The branch of this denoiser.
    pub fn network(&self, denoiser: &Denoiser) -> ControlNet {
        ControlNet { hint_widths: self.hint_widths, ..ControlNet::new(denoiser.clone()) }
    }
}

/// The input of a ControlNet branch for a hint: the mask, and in three further channels either the lines in the hole, the luma of the
/// known pixels, and 0; or the guide's colours in the hole and the image's elsewhere.
///
/// # Shapes
/// - `image`: `[3, height, width]` in `[0, 1]`; what it holds in the hole does not count
/// - `hole`: `[height, width]`
/// - the result: `[4, height, width]` in `[0, 1]`
///
/// # Panics
/// If the sizes differ.
pub fn hint_input(hint: &FrameHint, image: &[f32], hole: &[bool]) -> Vec<f32> {
    let pixels = hole.len();
    assert_eq!(image.len(), 3 * pixels, "values of the image");
    let mut input = vec![0.0; HINT_CHANNELS * pixels];
    let (mask, rest) = input.split_at_mut(pixels);
    for (value, &hole) in mask.iter_mut().zip(hole) {
        *value = f32::from(hole);
    }
    match hint {
        FrameHint::Lines(lines) => {
            let lines = lines.hole();
            assert_eq!(lines.len(), pixels, "pixels of the lines");
            for (index, &hole) in hole.iter().enumerate() {
                if hole {
                    rest[index] = f32::from(lines[index]);
                } else {
                    rest[pixels + index] = luma([0, 1, 2].map(|channel| image[channel * pixels + index]));
                }
            }
        }
        FrameHint::Guide(guide) => {
            let guide = guide.values();
            assert_eq!(guide.len(), 3 * pixels, "values of the guide");
            for (index, value) in rest.iter_mut().enumerate() {
                *value = if hole[index % pixels] { guide[index] } else { image[index] };
            }
        }
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mask, Planes};

    /// Three pixels; the second and the third are the hole.
    #[test]
    fn three_pixels_by_hand() {
        let image = [0.1, 9.0, 9.0, 0.2, 9.0, 9.0, 0.3, 9.0, 9.0];
        let hole = [false, true, true];
        let bright = 0.299 * 0.1 + 0.587 * 0.2 + 0.114 * 0.3;
        let lines = hint_input(&FrameHint::Lines(Mask::new(3, 1, vec![true, true, false])), &image, &hole);
        let expected = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, bright, 0.0, 0.0, 0.0, 0.0, 0.0];
        testkit::assert_close(&lines, &expected, 1e-7);
        let guide = vec![0.5, 0.6, 0.7, 0.5, 0.6, 0.7, 0.5, 0.6, 0.8];
        let guided = hint_input(&FrameHint::Guide(Planes::new(3, 1, guide)), &image, &hole);
        let expected = [0.0, 1.0, 1.0, 0.1, 0.6, 0.7, 0.2, 0.6, 0.7, 0.3, 0.6, 0.8];
        assert_eq!(guided, expected);
    }
}
