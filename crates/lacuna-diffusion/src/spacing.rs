//! Which levels of a schedule a sampler visits.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How levels are spread over a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// `k · (levels / steps) + offset`: the last levels, which have the most noise, are never visited. Noise then enters a network
    /// that is told of less. With an offset of 1, Stable Diffusion's.
    Leading {
        /// Added to each level.
        offset: usize,
    },
    /// `round(levels - k · levels / steps) - 1`, which begins at the last level (Lin et al. 2024).
    Trailing,
    /// Equal distances from the last level to the first.
    Linspace,
    /// GLIDE's and ADM's respacing: the schedule is cut into equal sections, each with its own number of steps, from the least
    /// noise to the most. The numbers add up to that of all steps.
    Sections(Vec<usize>),
}

impl Spacing {
    /// Of latent diffusion's own script.
    pub const LDM: Self = Self::Leading { offset: 1 };

    /// The levels of `steps` steps through a schedule of `levels` levels, the one with the most noise first.
    ///
    /// # Errors
    /// [`Error::Range`] if there are no steps, or more than levels.
    pub fn indices(&self, steps: usize, levels: usize) -> Result<Vec<usize>> {
        if !(1..=levels).contains(&steps) {
            return Err(Error::range(
                "steps",
                steps,
                format_args!("1 to {levels}, the levels of the schedule"),
            ));
        }
        match self {
            Self::Leading { offset } => leading(steps, levels, *offset),
            Self::Trailing => {
                let left = |step: usize| levels as f64 - (step * levels) as f64 / steps as f64;
                Ok((0..steps).map(|step| left(step).round_ties_even() as usize - 1).collect())
            }
            Self::Linspace if steps == 1 => {
                Err(Error::range("steps from the last level to the first", 1, "2 and more"))
            }
            Self::Linspace => {
                let stride = (levels - 1) as f64 / (steps - 1) as f64;
                Ok((0..steps).rev().map(|step| (step as f64 * stride).round_ties_even() as usize).collect())
            }
            Self::Sections(sections) => respaced(steps, levels, sections),
        }
    }
}

fn leading(steps: usize, levels: usize, offset: usize) -> Result<Vec<usize>> {
    let stride = levels / steps;
    let most = levels - 1 - (steps - 1) * stride;
    if offset > most {
        return Err(Error::range("offset of leading steps", offset, format_args!("0 to {most}")));
    }
    Ok((0..steps).rev().map(|step| step * stride + offset).collect())
}

fn respaced(steps: usize, levels: usize, sections: &[usize]) -> Result<Vec<usize>> {
    let total: usize = sections.iter().sum();
    if total != steps {
        return Err(Error::range(
            "steps of all sections",
            total,
            format_args!("{steps}, the number of steps"),
        ));
    }
    let mut indices = Vec::with_capacity(steps);
    let mut start = 0;
    for (section, &count) in sections.iter().enumerate() {
        let size = levels / sections.len() + usize::from(section < levels % sections.len());
        if count > size {
            return Err(Error::range("steps of a section", count, format_args!("0 to {size}, its levels")));
        }
        let stride = (size as f64 - 1.0) / (count.saturating_sub(1).max(1) as f64);
        indices.extend((0..count).map(|step| start + (step as f64 * stride).round_ties_even() as usize));
        start += size;
    }
    indices.reverse();
    Ok(indices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::fixtures;

    #[test]
    fn indices_are_those_of_the_reference() {
        let numbers = fixtures::load("diffusion/schedules.safetensors");
        for (name, spacing) in [
            ("leading", Spacing::Leading { offset: 0 }),
            ("ldm", Spacing::LDM),
            ("trailing", Spacing::Trailing),
        ] {
            for steps in [4, 8, 50] {
                let expected = &numbers.get(&format!("index.{name}_{steps}")).values;
                let found = spacing.indices(steps, 1000).unwrap();
                assert_eq!(found.iter().map(|&index| index as f32).collect::<Vec<_>>(), *expected, "{name}");
            }
        }
    }

    #[test]
    fn linspace_has_both_ends() {
        assert_eq!(Spacing::Linspace.indices(4, 1000).unwrap(), [999, 666, 333, 0]);
        assert_eq!(Spacing::Linspace.indices(2, 2).unwrap(), [1, 0]);
    }

    /// Values of `space_timesteps` of openai/glide-text2im, worked out by hand.
    #[test]
    fn sections_are_respaced_as_glide_does() {
        let indices = |sections: &[usize], levels| {
            let spacing = Spacing::Sections(sections.to_vec());
            spacing.indices(sections.iter().sum(), levels).unwrap()
        };
        // Strides of 9 / 3 and 9 / 1.
        assert_eq!(indices(&[4, 2], 20), [19, 10, 9, 6, 3, 0]);
        // 11 levels in sections of 4, 4 and 3; a single step is a section's first level.
        assert_eq!(indices(&[2, 1, 3], 11), [10, 9, 8, 4, 3, 0]);
        // Halves are rounded to even: 0, 2.5, 5.
        assert_eq!(indices(&[3], 6), [5, 2, 0]);
        assert_eq!(indices(&[5], 5), [4, 3, 2, 1, 0]);
        let hundred = indices(&[100], 1000);
        assert_eq!((hundred.len(), hundred[0], hundred[1], hundred[99]), (100, 999, 989, 0));
    }

    #[test]
    fn steps_that_cannot_be_are_refused_with_both_values() {
        let error = |spacing: Spacing, steps| spacing.indices(steps, 10).unwrap_err().to_string();
        for (found, words) in [
            (error(Spacing::Trailing, 0), "steps: 0, possible are 1 to 10"),
            (error(Spacing::Trailing, 11), "steps: 11, possible are 1 to 10"),
            (error(Spacing::Leading { offset: 2 }, 5), "offset of leading steps: 2, possible are 0 to 1"),
            (error(Spacing::Linspace, 1), "1, possible are 2 and more"),
            (error(Spacing::Sections(vec![6, 1]), 7), "steps of a section: 6, possible are 0 to 5"),
            (error(Spacing::Sections(vec![2, 1]), 4), "steps of all sections: 3, possible are 4"),
            (error(Spacing::Sections(vec![]), 4), "steps of all sections: 0, possible are 4"),
        ] {
            assert!(found.contains(words), "{found}");
        }
    }

    #[test]
    fn every_step_of_every_spacing_has_less_noise() {
        for steps in 2..=10 {
            for spacing in [
                Spacing::Trailing,
                Spacing::Linspace,
                Spacing::Leading { offset: 0 },
                Spacing::Sections(vec![steps]),
            ] {
                let indices = spacing.indices(steps, 10).unwrap();
                assert_eq!(indices.len(), steps);
                assert!(indices[0] < 10 && indices.windows(2).all(|pair| pair[0] > pair[1]), "{indices:?}");
            }
        }
    }
}
