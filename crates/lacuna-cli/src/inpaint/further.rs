//! Files of a fill besides photo and mask: `--avoid` and `--hint`. They serve all photos of a run.

use std::path::Path;

use anyhow::{Context, Result};
use lacuna::job::Inputs;

use super::args::InpaintArgs;
use super::place::Input;
use crate::usage::ensure_usage;

/// Files besides photo and mask.
#[derive(Debug, Default)]
pub struct Further {
    /// A mask of what must not be copied.
    avoid: Option<Input>,
    /// What a person wants in the hole.
    hint: Option<Input>,
}

impl Further {
    /// The files that the arguments name.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn find(args: &InpaintArgs) -> Result<Self> {
        let open = |argument: &str, path: Option<&Path>| -> Result<Option<Input>> {
            let Some(path) = path else { return Ok(None) };
            ensure_usage!(!Input::is_stream(path), "{argument} takes a file, not standard input");
            path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Some(path.to_owned().into()))
        };
        Ok(Self {
            avoid: open("--avoid", args.mask_options.avoid.as_deref())?,
            hint: open("--hint", args.hint.as_deref())?,
        })
    }

    /// The inputs of a photo with these files.
    pub fn with<'a>(&'a self, inputs: Inputs<'a>) -> Inputs<'a> {
        let [avoid, hint] = [&self.avoid, &self.hint].map(|input| input.as_ref().map(Input::source));
        Inputs { avoid, hint, ..inputs }
    }

    /// Whether one of the files is at this path.
    pub fn is_one(&self, path: &Path) -> bool {
        let path = Input::File(path.to_owned());
        [&self.avoid, &self.hint].into_iter().flatten().any(|input| *input == path)
    }

    /// What outputs depend on, as text.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn settings(&self) -> Result<String> {
        let mut settings = String::new();
        for (name, input) in [("avoid", &self.avoid), ("hint", &self.hint)] {
            if let Some(input) = input {
                settings += &format!("; {name} {}", input.sha256()?);
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
impl From<Input> for Further {
    fn from(avoid: Input) -> Self {
        Self { avoid: Some(avoid), hint: None }
    }
}
