//! `eval --method [NAME=]METHOD[:MODEL]`: a method, the model that it uses, and what reports call it.

use std::str::FromStr;

use clap::ValueEnum;

use crate::models::{ModelArg, is_label};

/// How the argument is written, for help texts.
pub const METHOD_SYNTAX: &str = "[NAME=]METHOD[:FILE|:MODEL]";

/// A method that `lacuna eval` can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvalMethod {
    /// The mean colour of the known pixels, as a lower bound
    MeanColour,
    /// Copies of matching patches of the photo itself
    Patchmatch,
    /// A neural network alone
    Network,
    /// Copies of matching patches, guided by a network
    Guided,
}

impl EvalMethod {
    /// Its name in arguments.
    fn name(self) -> String {
        self.to_possible_value().expect("no method is hidden").get_name().to_owned()
    }
}

/// The value of `--method`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodArg {
    name: Option<String>,
    /// What fills.
    pub method: EvalMethod,
    /// The network that it uses; Lacuna's own without one.
    pub model: Option<ModelArg>,
}

impl MethodArg {
    /// A network alone, which reports call as the model.
    pub fn network(model: &ModelArg) -> Self {
        Self { name: None, method: EvalMethod::Network, model: Some(model.clone()) }
    }

    /// PatchMatch guided by a network, which reports call as the model: the older `--guided`.
    pub fn guided(model: &ModelArg) -> Self {
        Self { name: Some(model.label()), method: EvalMethod::Guided, model: Some(model.clone()) }
    }

    /// What reports call it: the name that was given; else a network as its model, and others by method and model.
    pub fn label(&self) -> String {
        match (&self.name, &self.model, self.method) {
            (Some(name), ..) => name.clone(),
            (None, Some(model), EvalMethod::Network) => model.label(),
            (None, Some(model), method) => format!("{}-{}", method.name(), model.label()),
            (None, None, method) => method.name(),
        }
    }
}

impl FromStr for MethodArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, text) = match text.split_once('=') {
            Some((name, rest)) if is_label(name) => (Some(name.to_owned()), rest),
            // The sign may stand in the path of a model, which the colon before it tells.
            Some((name, _)) if !name.contains(':') => {
                return Err(format!("{name:?} is no name: letters, digits, - _ . and spaces, no dot first"));
            }
            _ => (None, text),
        };
        let (method, model) = match text.split_once(':') {
            Some((method, model)) => (method, Some(model.parse::<ModelArg>()?)),
            None => (text, None),
        };
        let known: Vec<String> = EvalMethod::value_variants().iter().map(|method| method.name()).collect();
        let method = EvalMethod::from_str(method, false)
            .map_err(|_| format!("{method:?} is no method: expected {}", known.join(", ")))?;
        if let (EvalMethod::MeanColour | EvalMethod::Patchmatch, Some(model)) = (method, &model) {
            return Err(format!("{} uses no model, but {model} was given", method.name()));
        }
        Ok(Self { name, method, model })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_take_models_and_names() {
        for (text, method, model, label) in [
            ("guided", EvalMethod::Guided, None, "guided"),
            ("mean-colour", EvalMethod::MeanColour, None, "mean-colour"),
            ("floor=mean-colour", EvalMethod::MeanColour, None, "floor"),
            ("guided:big-lama", EvalMethod::Guided, Some("big-lama"), "guided-big-lama"),
            ("network:big-lama", EvalMethod::Network, Some("big-lama"), "big-lama"),
            ("network:x=a.pt", EvalMethod::Network, Some("a.pt"), "x"),
            ("mine=guided:runs/lr=0.1/last.pt", EvalMethod::Guided, Some("runs/lr=0.1/last.pt"), "mine"),
            ("network:runs/lr=0.1/last.pt", EvalMethod::Network, Some("runs/lr=0.1/last.pt"), "last"),
        ] {
            let arg: MethodArg = text.parse().unwrap();
            assert_eq!(arg.method, method, "{text}");
            assert_eq!(arg.model.as_ref().map(ModelArg::to_string).as_deref(), model, "{text}");
            assert_eq!(arg.label(), label, "{text}");
        }
        for (text, words) in [
            ("lama", "expected mean-colour, patchmatch, network, guided"),
            ("patchmatch:big-lama", "patchmatch uses no model"),
            ("=guided", "is no name"),
            ("../a=guided", "is no name"),
            ("network:", "neither a file nor"),
        ] {
            assert!(text.parse::<MethodArg>().unwrap_err().contains(words), "{text}");
        }
    }

    #[test]
    fn the_older_arguments_keep_their_names() {
        let model: ModelArg = "a=b.pt".parse().unwrap();
        assert_eq!(
            (MethodArg::network(&model).label(), MethodArg::guided(&model).label()),
            ("a".into(), "a".into())
        );
    }
}
