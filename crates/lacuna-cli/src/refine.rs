//! `--refine`: the refinement of a network's latent for each photo.

use clap::Args;
use lacuna::Refinement;
use lacuna::refine::{MOST_PASSES, SMALLEST_SIDE};

/// Refinement options.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct RefineArgs {
    /// Refine the network's prediction for each photo, in at most this many passes [default with --refine: 15]. Takes
    /// about 30 times as long as the network alone
    #[arg(long, value_name = "PASSES", num_args = 0..=1, require_equals = true, default_missing_value = "15", value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_PASSES)))]
    pub refine: Option<u16>,
    /// Refine from a smaller copy upwards, whose shorter side is about this long, in pixels: for photos larger than those
    /// that the network was trained on [default: known pixels only, at one size]
    #[arg(long, value_name = "PX", requires = "refine", value_parser = clap::value_parser!(u32).range(SMALLEST_SIDE as i64..))]
    pub refine_side: Option<u32>,
}

impl RefineArgs {
    /// The refinement that was asked for.
    pub fn refinement(&self) -> Option<Refinement> {
        self.refine.map(|passes| Refinement::new(passes, self.refine_side))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use lacuna::refine::{DEFAULT_PASSES, Pyramid};

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        refine: RefineArgs,
        photo: Option<String>,
    }

    #[test]
    fn passes_are_optional_and_never_a_photo() {
        let parsed = |args: &[&str]| {
            Program::try_parse_from([&["program"], args].concat())
                .map(|program| (program.refine.refinement(), program.photo))
        };
        assert_eq!(parsed(&["a.png"]).unwrap(), (None, Some("a.png".into())));
        let plain = Refinement { passes: DEFAULT_PASSES, pyramid: None };
        assert_eq!(parsed(&["--refine", "a.png"]).unwrap(), (Some(plain), Some("a.png".into())));
        let pyramid = Refinement { passes: 30, pyramid: Some(Pyramid::new(256)) };
        assert_eq!(parsed(&["--refine=30", "--refine-side", "256"]).unwrap().0, Some(pyramid));
        for args in [
            &["--refine=0"][..],
            &["--refine=201"],
            &["--refine-side", "256"],
            &["--refine", "--refine-side", "8"],
        ] {
            assert!(parsed(args).is_err(), "{args:?}");
        }
    }
}
