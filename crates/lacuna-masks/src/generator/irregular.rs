//! Chains of strokes: LaMa's irregular masks.
//!
//! Differs from it in: sines and cosines come from a table, so that masks are the same on every machine.

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{Canvas, ordered};

/// Strokes of random direction, length and width, joined into chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Irregular {
    /// Directions: `0.01 + 0 .. max_angle` radians in whole steps; every second chain is mirrored. At most 7.
    pub max_angle: usize,
    /// Strokes are 10 to `max_length` + 9 pixels long.
    pub max_length: usize,
    /// Strokes are 5 to `max_width` + 4 pixels wide.
    pub max_width: usize,
    /// Smallest number of chains.
    pub min_times: usize,
    /// One less than the largest number of chains, as in LaMa's code.
    pub max_times: usize,
    /// The shape that is drawn.
    #[serde(default)]
    pub brush: Brush,
}

/// The shape that is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Brush {
    /// Strokes with round ends.
    #[default]
    Line,
    /// A disc at the start of each stroke.
    Circle,
    /// A square at the start of each stroke.
    Square,
}

/// Most strokes of a chain.
const STROKES: u32 = 5;
/// Shortest length and smallest width of a stroke, in pixels.
const SHORTEST: i64 = 10;
const NARROWEST: i64 = 5;
/// Sine and cosine of 0.01, 1.01, … 6.01.
const DIRECTIONS: [[f64; 2]; 7] = [
    [0.009_999_833_334_166_664, 0.999_950_000_416_665_3],
    [0.846_831_844_618_015_2, 0.531_860_721_374_355_5],
    [0.905_090_563_325_201, -0.425_218_852_098_152_2],
    [0.131_213_192_150_184_23, -0.991_354_173_948_825_9],
    [-0.763_300_982_767_073_4, -0.646_043_040_134_958_7],
    [-0.956_039_754_271_118_1, 0.293_237_085_398_863_1],
    [-0.269_799_984_701_516_17, 0.962_916_386_949_075_4],
];

impl Irregular {
    pub(super) fn check(&self) -> Result<(), String> {
        ordered("times", self.min_times, self.max_times)?;
        for (name, value) in
            [("max_length", self.max_length), ("max_width", self.max_width), ("max_angle", self.max_angle)]
        {
            if value == 0 {
                return Err(format!("{name} must be at least 1, got 0"));
            }
        }
        if self.max_angle > DIRECTIONS.len() {
            return Err(format!("max_angle must be at most {}, got {}", DIRECTIONS.len(), self.max_angle));
        }
        Ok(())
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, rng: &mut Pcg64) {
        let [width, height] = canvas.size().map(|side| side as i64);
        // Integers are drawn as 64 bits, so that the machine's word size does not matter.
        let mut below = |limit: i64| rng.random_range(0..limit.max(1));
        let chains = self.min_times as i64 + below((self.max_times + 2 - self.min_times) as i64);
        for chain in 0..chains {
            let mut from = [below(width), below(height)];
            for _ in 0..1 + below(i64::from(STROKES)) {
                let [sine, cosine] = DIRECTIONS[below(self.max_angle as i64) as usize];
                // 2 · 3.1415926 - angle: the sine changes its sign, up to 1e-7.
                let sine = if chain % 2 == 0 { -sine } else { sine };
                let length = (SHORTEST + below(self.max_length as i64)) as f64;
                let brush = NARROWEST + below(self.max_width as i64);
                let end =
                    |start: i64, by: f64, side: i64| ((start as f64 + length * by) as i64).clamp(0, side);
                let to = [end(from[0], sine, width), end(from[1], cosine, height)];
                match self.brush {
                    Brush::Line => canvas.stroke(from, to, brush),
                    Brush::Circle => canvas.stroke(from, from, 2 * brush),
                    Brush::Square => {
                        let half = brush / 2;
                        let span = |at: i64| (at - half).max(0) as usize..(at + half).max(0) as usize;
                        canvas.fill(span(from[0]), span(from[1]));
                    }
                }
                from = to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MaskGenerator;
    use super::*;
    use rand::SeedableRng;

    const PLAIN: Irregular = Irregular {
        max_angle: 4,
        max_length: 20,
        max_width: 4,
        min_times: 1,
        max_times: 1,
        brush: Brush::Line,
    };

    #[test]
    fn the_table_is_sine_and_cosine() {
        for (angle, [sine, cosine]) in DIRECTIONS.into_iter().enumerate() {
            let angle = angle as f64 + 0.01;
            assert!((angle.sin() - sine).abs() < 1e-15 && (angle.cos() - cosine).abs() < 1e-15, "{angle}");
        }
    }

    #[test]
    fn no_chain_is_no_hole_and_brushes_differ() {
        let none = Irregular { min_times: 0, max_times: 0, ..PLAIN };
        let counts: Vec<usize> = (0..200)
            .map(|seed| MaskGenerator::Irregular(none).draw(64, 64, &mut Pcg64::seed_from_u64(seed)).count())
            .collect();
        // LaMa's quirk: up to max_times + 1 chains.
        assert!(counts.contains(&0) && counts.iter().any(|&count| count > 0));
        let count = |brush| {
            let generator = MaskGenerator::Irregular(Irregular { brush, ..PLAIN });
            (0..100)
                .map(|seed| generator.draw(64, 64, &mut Pcg64::seed_from_u64(seed)).count())
                .sum::<usize>()
        };
        assert!(count(Brush::Circle) > count(Brush::Line) && count(Brush::Line) > count(Brush::Square));
    }

    #[test]
    fn nonsense_is_refused() {
        for (irregular, part) in [
            (Irregular { min_times: 3, max_times: 2, ..PLAIN }, "min_times is 3"),
            (Irregular { max_width: 0, ..PLAIN }, "max_width must be at least 1"),
            (Irregular { max_angle: 8, ..PLAIN }, "max_angle must be at most 7, got 8"),
        ] {
            assert!(irregular.check().unwrap_err().contains(part));
        }
    }
}
