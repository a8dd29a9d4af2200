//! The networks and methods of a server.

use std::sync::Arc;

use lacuna::method::Build;
use lacuna::words::Word;
use lacuna::{Mask, Method, Picture, Planes, Predictor, Refinement};
use serde::Serialize;
use utoipa::ToSchema;

use crate::name::{HintName, MethodName, Name};
use crate::problem::{Code, Problem};

/// The default method of a server without networks.
const WITHOUT_NETWORK: Method = Method::PATCHMATCH;

/// The device of methods without a network.
pub const CPU: &str = "cpu";

/// Draws the effect of a hole on a network's latent: equation 4.1 of the thesis, the decoded difference of latents.
pub trait LatentView: Send + Sync {
    /// The view of a photo and its hole, with the photo's aspect ratio, scaled down for large photos.
    ///
    /// # Errors
    /// The reason, if it cannot be drawn.
    fn draw(&self, photo: &Picture, mask: &Mask) -> Result<Planes, String>;
}

/// A loaded network.
#[derive(Clone)]
pub struct Model {
    /// Its name in requests.
    pub id: String,
    /// A label shown to users instead of its name, such as "Best".
    pub label: Option<&'static str>,
    /// The method of requests that do not name one: guided, network or flow.
    pub method: Method,
    /// The device that it runs on.
    pub device: String,
    /// Number of parameters.
    pub parameters: u64,
    /// The network.
    pub network: Arc<dyn Predictor>,
    /// Its latent view, if this program supports it.
    pub latent: Option<Arc<dyn LatentView>>,
}

/// All networks and methods of a server.
#[derive(Clone)]
pub struct Models {
    patchmatch: Arc<dyn Predictor>,
    networks: Vec<Model>,
}

/// The predictor and device of one request.
#[derive(Clone)]
pub(crate) struct Selection {
    /// The method with its network.
    pub predictor: Arc<dyn Predictor>,
    /// The device whose worker runs it.
    pub device: String,
}

/// A model, as clients see it.
#[derive(Serialize, ToSchema)]
pub struct ModelDocument {
    /// Its name in requests.
    id: String,
    /// A label shown to users instead of its name.
    label: Option<&'static str>,
    /// Its family, size and engine.
    name: String,
    /// The device that it runs on.
    device: String,
    /// Number of parameters.
    parameters: u64,
    /// Whether it has a latent view.
    latent: bool,
    /// Whether fills can be refined.
    refines: bool,
    /// Whether the model alone has other answers for other seeds.
    answers: bool,
    /// Whether the method flow can use it.
    flow: bool,
    /// What it takes as hint, if it takes one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<HintName>,
}

/// The method and model of requests that name none.
#[derive(Serialize, ToSchema)]
pub struct DefaultDocument {
    /// The method.
    method: MethodName,
    /// The model, if the method needs one.
    model: Option<String>,
}

impl Models {
    /// PatchMatch and networks, the first of which is the default.
    pub fn new(patchmatch: Arc<dyn Predictor>, networks: Vec<Model>) -> Self {
        Self { patchmatch, networks }
    }

    /// All devices in use, each once.
    pub(crate) fn devices(&self) -> Vec<String> {
        let mut devices = vec![CPU.to_owned()];
        for model in &self.networks {
            if !devices.contains(&model.device) {
                devices.push(model.device.clone());
            }
        }
        devices
    }

    /// The available methods.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let can = |method: &Method| {
            !method.needs_network() || self.networks.iter().any(|model| method.builds_with(&model.network))
        };
        Method::ALL.iter().copied().filter(can).collect()
    }

    /// The models, as clients see them.
    pub(crate) fn documents(&self) -> Vec<ModelDocument> {
        let document = |model: &Model| ModelDocument {
            id: model.id.clone(),
            label: model.label,
            name: model.network.name(),
            device: model.device.clone(),
            parameters: model.parameters,
            latent: model.latent.is_some(),
            refines: model.network.can_refine(),
            answers: model.network.uses_seed(),
            flow: model.network.is_flow(),
            hint: model.network.hint_kind().map(Name),
        };
        self.networks.iter().map(document).collect()
    }

    /// The method and model of requests that name none.
    pub(crate) fn default_document(&self) -> DefaultDocument {
        match self.networks.first() {
            Some(model) => DefaultDocument { method: Name(model.method), model: Some(model.id.clone()) },
            None => DefaultDocument { method: Name(WITHOUT_NETWORK), model: None },
        }
    }

    /// The name of the default: a model's, or a method's.
    pub(crate) fn default_name(&self) -> String {
        let id = self.networks.first().map(|model| model.id.clone());
        id.unwrap_or_else(|| WITHOUT_NETWORK.name().into())
    }

    /// The network with this id; the first if there is no id.
    ///
    /// # Errors
    /// [`Code::FieldInvalid`] if there is none.
    pub(crate) fn network(&self, id: Option<&str>) -> Result<&Model, Problem> {
        let found = match id {
            Some(id) => self.networks.iter().find(|model| model.id == id),
            None => self.networks.first(),
        };
        found.ok_or_else(|| {
            let ids: Vec<&str> = self.networks.iter().map(|model| model.id.as_str()).collect();
            let loaded =
                if ids.is_empty() { "none is loaded".into() } else { format!("loaded: {}", ids.join(", ")) };
            let wanted = id.map_or("a network".into(), |id| format!("model {id:?}"));
            Problem::new(Code::FieldInvalid, format!("{wanted} was requested, {loaded}"))
        })
    }

    /// The predictor and device for a request.
    ///
    /// # Errors
    /// [`Code::FieldInvalid`] if there is no such model, or the method uses none.
    pub(crate) fn choose(
        &self,
        method: Option<Method>,
        model: Option<&str>,
        refine: Option<Refinement>,
    ) -> Result<Selection, Problem> {
        let implied = || -> Result<Method, Problem> {
            let none = model.is_none() && self.networks.is_empty();
            if none { Ok(WITHOUT_NETWORK) } else { Ok(self.network(model)?.method) }
        };
        let method = method.map_or_else(implied, Ok)?;
        let build = match method.build {
            Build::WithNetwork(build) => build,
            Build::Alone(_) if refine.is_some() => {
                let detail = format!("method {method} has no network that could be refined");
                return Err(Problem::new(Code::FieldInvalid, detail));
            }
            Build::Alone(build) => {
                return match model {
                    None => {
                        let is_ready = method == WITHOUT_NETWORK;
                        let predictor = if is_ready { Arc::clone(&self.patchmatch) } else { build() };
                        Ok(Selection { predictor, device: CPU.to_owned() })
                    }
                    Some(model) => {
                        let detail = format!("method {method} uses no model, but model {model:?} was given");
                        Err(Problem::new(Code::FieldInvalid, detail))
                    }
                };
            }
        };
        let model = self.network(model)?;
        let network = Arc::clone(&model.network);
        let network = match refine {
            Some(refine) => network.refined(refine).map_err(|error| Problem::of(&error))?,
            None => network,
        };
        let predictor = build(network).map_err(|error| Problem::of(&error))?;
        Ok(Selection { predictor, device: model.device.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna::patchmatch::PatchMatch;

    fn model(id: &str, device: &str) -> Model {
        let (network, device) = (Arc::new(PatchMatch::default()), device.into());
        Model {
            id: id.into(),
            label: None,
            method: Method::NETWORK,
            device,
            parameters: 1,
            network,
            latent: None,
        }
    }

    fn models(networks: Vec<Model>) -> Models {
        Models::new(Arc::new(PatchMatch::default()), networks)
    }

    #[test]
    fn what_is_not_said_is_chosen() {
        let none = models(vec![]);
        assert_eq!(none.choose(None, None, None).unwrap().device, "cpu");
        assert_eq!(none.methods(), [Method::PATCHMATCH]);
        let two = models(vec![model("a", "cuda:0"), model("b", "cuda:1")]);
        assert_eq!(two.devices(), ["cpu", "cuda:0", "cuda:1"]);
        for (method, model, device) in [
            (None, None, "cuda:0"),
            (None, Some("b"), "cuda:1"),
            (Some(Method::NETWORK), None, "cuda:0"),
            (Some(Method::GUIDED), Some("b"), "cuda:1"),
            (Some(Method::PATCHMATCH), None, "cpu"),
        ] {
            assert_eq!(two.choose(method, model, None).unwrap().device, device, "{method:?} {model:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let one = models(vec![model("a", "cpu")]);
        let detail =
            |models: &Models, method, model| models.choose(method, model, None).err().unwrap().detail;
        assert_eq!(detail(&one, None, Some("x")), "model \"x\" was requested, loaded: a");
        assert_eq!(
            detail(&models(vec![]), Some(Method::NETWORK), None),
            "a network was requested, none is loaded"
        );
        assert!(detail(&one, Some(Method::PATCHMATCH), Some("a")).contains("uses no model"));
        let refined =
            |method| one.choose(Some(method), None, Some(Refinement::default())).err().unwrap().detail;
        assert_eq!(refined(Method::PATCHMATCH), "method patchmatch has no network that could be refined");
        assert_eq!(refined(Method::NETWORK), "patchmatch cannot be refined: it is no network");
    }
}
