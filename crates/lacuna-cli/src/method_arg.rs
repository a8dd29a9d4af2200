//! `eval --method [NAME=]METHOD[:MODEL]`: a method, its model, and its name in reports.

use std::str::FromStr;

use lacuna::Method;
use lacuna_eval::classic;

use crate::models::{ModelArg, is_label};
use crate::refine::RefineArgs;

/// The syntax of the argument, for help texts.
pub const METHOD_SYNTAX: &str = "[NAME=]METHOD[:FILE|:MODEL]";

/// The value of `--method`.
#[derive(Clone, Debug)]
pub struct MethodArg {
    name: Option<String>,
    /// The method.
    pub method: Method,
    /// Its network; Lacuna's own if none.
    pub model: Option<ModelArg>,
    /// How the network is refined.
    pub refine: RefineArgs,
}

impl MethodArg {
    /// A network alone; reports use the model's name.
    pub fn network(model: &ModelArg) -> Self {
        let refine = RefineArgs::default();
        Self { name: None, method: Method::NETWORK, model: Some(model.clone()), refine }
    }

    /// PatchMatch guided by a network; reports use the model's name. This is the older `--guided`.
    pub fn guided(model: &ModelArg) -> Self {
        let refine = RefineArgs::default();
        Self { name: Some(model.label()), method: Method::GUIDED, model: Some(model.clone()), refine }
    }

    /// Its name in reports: the given name; else the model's name for a network, and method and model for others.
    pub fn label(&self) -> String {
        let name = self.plain_label();
        if self.refine.refine.is_some() { format!("{name}-refined") } else { name }
    }

    /// The same method with its network refined.
    pub fn refined(&self, refine: RefineArgs) -> Self {
        Self { refine, ..self.clone() }
    }

    fn plain_label(&self) -> String {
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
            // The path of a model may contain `=`; the colon before it shows that it does.
            Some((name, _)) if !name.contains(':') => {
                return Err(format!(
                    "{name:?} cannot be a name: use letters, digits, - _ . and spaces, and no dot at the start"
                ));
            }
            _ => (None, text),
        };
        let (method, model) = match text.split_once(':') {
            Some((method, model)) => (method, Some(model.parse::<ModelArg>()?)),
            None => (text, None),
        };
        let known = classic::with_classic();
        let method = *known.iter().find(|known| known.name == method).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|method| method.name).collect();
            format!("unknown method {method:?}: expected {}", names.join(", "))
        })?;
        if let Some(model) = model.as_ref().filter(|_| !method.needs_network()) {
            return Err(format!("{method} uses no model, but {model} was given"));
        }
        Ok(Self { name, method, model, refine: RefineArgs::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_take_models_and_names() {
        for (text, method, model, label) in [
            ("guided", Method::GUIDED, None, "guided"),
            ("mean-colour", classic::mean_colour::METHOD, None, "mean-colour"),
            ("floor=mean-colour", classic::mean_colour::METHOD, None, "floor"),
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
            ("lama", "expected mean-colour, telea, navier-stokes, guided, patchmatch, network"),
            ("patchmatch:big-lama", "patchmatch uses no model"),
            ("=guided", "cannot be a name"),
            ("../a=guided", "cannot be a name"),
            ("network:", "neither a file nor"),
        ] {
            assert!(text.parse::<MethodArg>().unwrap_err().contains(words), "{text}");
        }
    }

    #[test]
    fn refined_methods_have_names_of_their_own() {
        let method: MethodArg = "mine=guided".parse().unwrap();
        let refined = method.refined(RefineArgs { refine: Some(15), refine_side: None });
        assert_eq!((method.label().as_str(), refined.label().as_str()), ("mine", "mine-refined"));
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
