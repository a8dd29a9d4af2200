//! What a completion is expected to need.

use super::PatchMatchConfig;
use super::curate::MOST_JUDGED;

/// Peak memory a pixel of the frame, when nearly all of it is hole. At the last vote 52: level 12 (colours 8, hole,
/// depths 2, targets), matches 8, weights 4, output 12, votes 16. The rest is for rows that were longer before they
/// shrank.
const BYTES_PER_PIXEL: u64 = 54;

/// Peak memory of any frame: stacks and buffers of the threads.
const BYTES: u64 = 8 << 20;

/// Seconds of one thread for a pixel of the frame and a round at the finest level: every round passes over the whole frame.
/// Measured on a Zen 4 core in a photo of 4000 x 3000 pixels, as processor time beyond reading and writing: a hole of 500 x 500
/// pixels takes 0.8 s, one of 1000 x 1000 3.5 s, 50 ellipses 5 s.
const SECONDS_PER_PIXEL_AND_ROUND: f64 = 0.095e-6;

/// Seconds of one thread for a pixel of the hole, measured in the same photo.
const SECONDS_PER_HOLE_PIXEL: f64 = 1.4e-6;

/// Seconds of one thread for a pixel of the hole and each further candidate, where candidates are judged: four bars of 30 x
/// 1600 pixels take 1.3 s.
const SECONDS_PER_CANDIDATE_PIXEL: f64 = 2e-6;

/// Peak memory in bytes beyond the picture itself.
pub(super) fn bytes(width: usize, height: usize) -> u64 {
    BYTES + BYTES_PER_PIXEL * width as u64 * height as u64
}

/// Seconds on as many threads as rayon has.
pub(super) fn seconds(config: &PatchMatchConfig, (width, height): (usize, usize), hole_pixels: usize) -> f64 {
    let passed = config.finest_rounds.get() * width * height;
    let again = (config.candidates.get() - 1) * hole_pixels.min(MOST_JUDGED);
    let work = SECONDS_PER_PIXEL_AND_ROUND * passed as f64
        + SECONDS_PER_HOLE_PIXEL * hole_pixels as f64
        + SECONDS_PER_CANDIDATE_PIXEL * again as f64;
    work / rayon::current_num_threads() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_stays_within_the_forecast() {
        use crate::patchmatch::PatchMatch;
        use crate::{Mask, Planes, Predictor};
        use std::num::NonZeroUsize;
        use std::process::Command;

        const CHILD: &str = "LACUNA_MEASURE_PATCHMATCH";
        const NAME: &str = "patchmatch::forecast::tests::memory_stays_within_the_forecast";
        let (width, height) = (700, 700);
        // A process of its own, because other tests share this one's peak.
        if std::env::var_os(CHILD).is_none() {
            let program = std::env::current_exe().unwrap();
            let child = Command::new(program).args(["--exact", NAME]).env(CHILD, "1").output().unwrap();
            let (output, errors) =
                (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
            assert!(child.status.success() && output.contains("1 passed"), "{output}{errors}");
            return;
        }
        let peak = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
        };
        let hole = (0..width * height).map(|index| (index % width) % 200 >= 20).collect();
        let values = (0..3 * width * height).map(|index| (index * index % 251) as f32 / 250.0).collect();
        let (image, mask) = (Planes::new(width, height, values), Mask::new(width, height, hole));
        let before = peak();
        let two = NonZeroUsize::MIN.saturating_add(1);
        let config = PatchMatchConfig {
            finest_rounds: NonZeroUsize::MIN,
            rounds_per_level: 0,
            candidates: two,
            ..PatchMatchConfig::default()
        };
        let filled = PatchMatch::new(config).predict(&image, &mask, 1).unwrap();
        let used = peak() - before;
        drop(filled);
        let forecast = bytes(width, height);
        assert!(used <= forecast, "used {used} bytes, forecast {forecast}");
        assert!(used >= forecast / 3, "used {used} bytes, forecast {forecast}: too careful");
    }

    #[test]
    fn time_grows_with_the_frame_the_hole_and_the_rounds() {
        let config = PatchMatchConfig::default();
        let large = seconds(&config, (4000, 3000), 1_000_000);
        assert!(large > seconds(&config, (4000, 3000), 100_000));
        assert!(large > seconds(&config, (1000, 1000), 1_000_000));
        let fewer = PatchMatchConfig { finest_rounds: std::num::NonZeroUsize::MIN, ..config };
        assert!(large > seconds(&fewer, (4000, 3000), 1_000_000));
    }
}
