//! The methods for filling holes: one table for the program, the HTTP API and evaluations.
//!
//! Each method is declared in its own file. To add one, declare it there and list it in [`Method::ALL`]. Its prediction
//! and cost are those of the [`Predictor`] that it builds.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::words::{UnknownWord, Word, display_name};
use crate::{Predictor, Result, engine, flow, guided, patchmatch};

/// A method for filling holes.
#[derive(Clone, Copy)]
pub struct Method {
    /// Its name in arguments and form fields.
    pub name: &'static str,
    /// One line for help texts.
    pub meaning: &'static str,
    /// The constructor of its predictor.
    pub build: Build,
}

/// A constructor that is given a network.
pub type BuildWithNetwork = fn(Arc<dyn Predictor>) -> Result<Arc<dyn Predictor>>;

/// The constructor of a method's predictor.
#[derive(Clone, Copy)]
pub enum Build {
    /// Needs nothing.
    Alone(fn() -> Arc<dyn Predictor>),
    /// Needs a loaded network, and may refuse one.
    WithNetwork(BuildWithNetwork),
}

impl Method {
    /// A network guides PatchMatch.
    pub const GUIDED: Self = guided::METHOD;
    /// PatchMatch alone.
    pub const PATCHMATCH: Self = patchmatch::METHOD;
    /// A network alone.
    pub const NETWORK: Self = engine::METHOD;
    /// A flow of latents.
    pub const FLOW: Self = flow::METHOD;

    /// Whether it can be built, with this network if it needs one.
    pub fn builds_with(self, network: &Arc<dyn Predictor>) -> bool {
        match self.build {
            Build::Alone(_) => true,
            Build::WithNetwork(build) => build(Arc::clone(network)).is_ok(),
        }
    }

    /// Whether it needs a network.
    pub fn needs_network(self) -> bool {
        matches!(self.build, Build::WithNetwork(_))
    }
}

impl Word for Method {
    const KIND: &'static str = "method";
    const ALL: &'static [Self] = &[Self::GUIDED, Self::PATCHMATCH, Self::NETWORK, Self::FLOW];

    fn name(self) -> &'static str {
        self.name
    }

    fn meaning(self) -> &'static str {
        self.meaning
    }
}

impl FromStr for Method {
    type Err = UnknownWord;

    fn from_str(name: &str) -> Result<Self, UnknownWord> {
        Self::from_name(name)
    }
}

display_name!(Method);

impl fmt::Debug for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Method {}

impl Hash for Method {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictor::tests::Constant;

    #[test]
    fn every_method_builds_a_predictor() {
        for method in Method::ALL {
            let predictor = match method.build {
                Build::Alone(build) => build(),
                Build::WithNetwork(build) => match build(Arc::new(Constant::default())) {
                    Ok(predictor) => predictor,
                    Err(problem) => {
                        assert_eq!(method, &Method::FLOW, "{problem}");
                        assert!(problem.to_string().contains("constant"), "{problem}");
                        continue;
                    }
                },
            };
            let name = predictor.name();
            assert_eq!(name.contains("constant"), method.needs_network(), "{method}: {name}");
            // A version that changes what a method computes changes the method's own, whatever it is built of.
            assert!(!predictor.version().is_empty(), "{method}");
        }
    }
}
