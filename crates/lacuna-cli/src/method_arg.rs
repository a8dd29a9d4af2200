//! `eval --method [NAME=]METHOD[:MODEL]`: a method, the model that it uses, and what reports call it.

use std::str::FromStr;

use lacuna::Method;
use lacuna::words::Word;
use lacuna_eval::mean_colour;

use crate::models::{ModelArg, is_label};

/// How the argument is written, for help texts.
pub const METHOD_SYNTAX: &str = "[NAME=]METHOD[:FILE|:MODEL]";

/// Every method that `lacuna eval` can run.
pub fn methods() -> Vec<Method> {
    [&[mean_colour::METHOD], Method::ALL].concat()
}

/// The value of `--method`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodArg {
    name: Option<String>,
    /// What fills.
    pub method: Method,
    /// The network that it uses; Lacuna's own without one.
    pub model: Option<ModelArg>,
}

impl MethodArg {
    /// A network alone, which reports call as the model.
    pub fn network(model: &ModelArg) -> Self {
        Self { name: None, method: Method::NETWORK, model: Some(model.clone()) }
    }

    /// PatchMatch guided by a network, which reports call as the model: the older `--guided`.
    pub fn guided(model: &ModelArg) -> Self {
        Self { name: Some(model.label()), method: Method::GUIDED, model: Some(model.clone()) }
    }

    /// What reports call it: the name that was given; else a network as its model, and others by method and model.
    pub fn label(&self) -> String {
        match (&self.name, &self.model, self.method) {
            (Some(name), ..) => name.clone(),
            (None, Some(model), method) if method == Method::NETWORK => model.label(),
            (None, Some(model), method) => format!("{}-{}", method.name, model.label()),
            (None, None, method) => method.name.into(),
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
        let known = methods();
        let method = *known.iter().find(|known| known.name == method).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|method| method.name).collect();
            format!("{method:?} is no method: expected {}", names.join(", "))
        })?;
        if let Some(model) = model.as_ref().filter(|_| !method.needs_network()) {
            return Err(format!("{method} uses no model, but {model} was given"));
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
            ("guided", Method::GUIDED, None, "guided"),
            ("mean-colour", mean_colour::METHOD, None, "mean-colour"),
            ("floor=mean-colour", mean_colour::METHOD, None, "floor"),
            ("guided:big-lama", Method::GUIDED, Some("big-lama"), "guided-big-lama"),
            ("network:big-lama", Method::NETWORK, Some("big-lama"), "big-lama"),
            ("network:x=a.pt", Method::NETWORK, Some("a.pt"), "x"),
            ("mine=guided:runs/lr=0.1/last.pt", Method::GUIDED, Some("runs/lr=0.1/last.pt"), "mine"),
            ("network:runs/lr=0.1/last.pt", Method::NETWORK, Some("runs/lr=0.1/last.pt"), "last"),
        ] {
            let arg: MethodArg = text.parse().unwrap();
            assert_eq!(arg.method, method, "{text}");
            assert_eq!(arg.model.as_ref().map(ModelArg::to_string).as_deref(), model, "{text}");
            assert_eq!(arg.label(), label, "{text}");
        }
        for (text, words) in [
            ("lama", "expected mean-colour, guided, patchmatch, network"),
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
