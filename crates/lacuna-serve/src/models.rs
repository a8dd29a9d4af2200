//! What a server fills with.

use std::sync::Arc;

use lacuna::method::Build;
use lacuna::words::Word;
use lacuna::{Mask, Method, Picture, Planes, Predictor};
use serde::Serialize;
use utoipa::ToSchema;

use crate::name::{MethodName, Name};
use crate::problem::{Code, Problem};

/// The method of requests that name none, on a server without networks.
const WITHOUT_NETWORK: Method = Method::PATCHMATCH;

/// The device of methods without a network.
pub const CPU: &str = "cpu";

/// Draws what a hole does to a network's latent: equation 4.1 of the thesis, the decoded difference of latents.
pub trait LatentView: Send + Sync {
    /// The view of a photo and its hole, of the photo's shape, scaled down where that is large.
    ///
    /// # Errors
    /// In words, if it cannot be drawn.
    fn draw(&self, photo: &Picture, mask: &Mask) -> Result<Planes, String>;
}

/// A network that is ready.
#[derive(Clone)]
pub struct Model {
    /// Its name in requests.
    pub id: String,
    /// What people are shown instead of its name, such as "Best".
    pub label: Option<&'static str>,
    /// How a request that does not choose uses it: guided or network.
    pub method: Method,
    /// Where it computes.
    pub device: String,
    /// Its weights, counted.
    pub parameters: u64,
    /// What fills.
    pub network: Arc<dyn Predictor>,
    /// What draws its latent view, if this program can.
    pub latent: Option<Arc<dyn LatentView>>,
}

/// All that a server fills with.
#[derive(Clone)]
pub struct Models {
    patchmatch: Arc<dyn Predictor>,
    networks: Vec<Model>,
}

/// What fills one request, and where.
#[derive(Clone)]
pub(crate) struct Chosen {
    /// What fills.
    pub predictor: Arc<dyn Predictor>,
    /// The device whose worker does it.
    pub device: String,
}

/// A model, as clients see it.
#[derive(Serialize, ToSchema)]
pub struct ModelDocument {
    /// Its name in requests.
    id: String,
    /// What people are shown instead of its name.
    label: Option<&'static str>,
    /// Its family, size and engine.
    name: String,
    /// Where it computes.
    device: String,
    /// Its weights, counted.
    parameters: u64,
    /// Whether its latent view can be drawn.
    latent: bool,
}

/// What fills a request that does not choose.
#[derive(Serialize, ToSchema)]
pub struct DefaultDocument {
    /// The method.
    method: MethodName,
    /// The model, if the method needs one.
    model: Option<String>,
}

impl Models {
    /// Networks, the first of which is the default, besides what fills without one.
    pub fn new(patchmatch: Arc<dyn Predictor>, networks: Vec<Model>) -> Self {
        Self { patchmatch, networks }
    }

    /// Every device that something computes on, each once.
    pub(crate) fn devices(&self) -> Vec<String> {
        let mut devices = vec![CPU.to_owned()];
        for model in &self.networks {
            if !devices.contains(&model.device) {
                devices.push(model.device.clone());
            }
        }
        devices
    }

    /// The methods that can be asked for.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let can = |method: &Method| !method.needs_network() || !self.networks.is_empty();
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
        };
        self.networks.iter().map(document).collect()
    }

    /// What fills a request that does not choose.
    pub(crate) fn default_document(&self) -> DefaultDocument {
        match self.networks.first() {
            Some(model) => DefaultDocument { method: Name(model.method), model: Some(model.id.clone()) },
            None => DefaultDocument { method: Name(WITHOUT_NETWORK), model: None },
        }
    }

    /// The name of what fills a request that does not choose: a model's, or a method's.
    pub(crate) fn default_name(&self) -> String {
        let id = self.networks.first().map(|model| model.id.clone());
        id.unwrap_or_else(|| WITHOUT_NETWORK.name().into())
    }

    /// The network of a name; the first without a name.
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
            Problem::new(Code::FieldInvalid, format!("{wanted} was asked for, {loaded}"))
        })
    }

    /// What fills a request.
    ///
    /// # Errors
    /// [`Code::FieldInvalid`] if there is no such model, or the method takes none.
    pub(crate) fn choose(&self, method: Option<Method>, model: Option<&str>) -> Result<Chosen, Problem> {
        let implied = || -> Result<Method, Problem> {
            let none = model.is_none() && self.networks.is_empty();
            if none { Ok(WITHOUT_NETWORK) } else { Ok(self.network(model)?.method) }
        };
        let method = method.map_or_else(implied, Ok)?;
        let build = match method.build {
            Build::WithNetwork(build) => build,
            Build::Alone(build) => {
                return match model {
                    None => {
                        let is_ready = method == WITHOUT_NETWORK;
                        let predictor = if is_ready { Arc::clone(&self.patchmatch) } else { build() };
                        Ok(Chosen { predictor, device: CPU.to_owned() })
                    }
                    Some(model) => {
                        let detail = format!("method {method} uses no model, but model {model:?} was given");
                        Err(Problem::new(Code::FieldInvalid, detail))
                    }
                };
            }
        };
        let model = self.network(model)?;
        Ok(Chosen { predictor: build(Arc::clone(&model.network)), device: model.device.clone() })
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
        assert_eq!(none.choose(None, None).unwrap().device, "cpu");
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
            assert_eq!(two.choose(method, model).unwrap().device, device, "{method:?} {model:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let one = models(vec![model("a", "cpu")]);
        let detail = |models: &Models, method, model| models.choose(method, model).err().unwrap().detail;
        assert_eq!(detail(&one, None, Some("x")), "model \"x\" was asked for, loaded: a");
        assert_eq!(
            detail(&models(vec![]), Some(Method::NETWORK), None),
            "a network was asked for, none is loaded"
        );
        assert!(detail(&one, Some(Method::PATCHMATCH), Some("a")).contains("uses no model"));
    }
}
