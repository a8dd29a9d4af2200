//! The method that fills, and the engine and device of its network.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lacuna::checkpoint::Checkpoint;
use lacuna::default_network::default_network_hash;
use lacuna::hash::sha256_of_file;
use lacuna::method::Build;
use lacuna::{Method, Predictor, default_network, network_predictor};
use serde::{Deserialize, Serialize};

use crate::flow::FlowArgs;
use crate::models::{MODEL_SYNTAX, ModelArg, Weights};
use crate::refine::RefineArgs;
use crate::usage::{bail_usage, ensure_usage};
use crate::words::word;

/// The device that every build and machine has.
const CPU: &str = "cpu";

/// The method, and where it computes.
#[derive(Args)]
pub struct MethodArgs {
    /// Method that fills the hole [default: network with --model, else guided]
    #[arg(long, value_name = "METHOD", value_parser = word::<Method>())]
    pub method: Option<Method>,
    /// Network: a weights file (Lacuna's .safetensors, also a flow file, or a LaMa checkpoint: .ckpt, .pt, .pth), or the
    /// name of an installed model such as big-lama; see `lacuna models` [default: the network that ships with Lacuna]
    #[arg(long, value_name = MODEL_SYNTAX)]
    pub model: Option<ModelArg>,
    #[command(flatten)]
    pub flow: FlowArgs,
    #[command(flatten)]
    pub refine: RefineArgs,
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Where a network computes, and with which engine.
#[derive(Args, Clone)]
pub struct PlaceArgs {
    /// Device for networks: cpu, cuda, cuda:N, wgpu or wgpu:N
    #[arg(long, default_value = CPU)]
    pub device: String,
    /// Engine for networks [default: cpu on the processor, burn on other devices]
    #[arg(long, value_enum)]
    pub engine: Option<EngineName>,
}

/// `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// Lacuna's own engine, on the processor
    Cpu,
    /// The Burn framework: processor and GPUs
    Burn,
}

impl PlaceArgs {
    /// The engine that was given, or the one that the device needs.
    ///
    /// # Errors
    /// If the engine does not run on the device, or is not in this build.
    pub fn engine(&self) -> Result<EngineName> {
        let engine = match self.engine {
            Some(EngineName::Cpu) if self.device != CPU => {
                bail_usage!("--engine cpu runs on the cpu, but --device {} was given", self.device)
            }
            Some(engine) => engine,
            None if self.device == CPU => EngineName::Cpu,
            None => EngineName::Burn,
        };
        if engine == EngineName::Burn && !cfg!(feature = "burn") {
            let asked = match self.engine {
                Some(_) => "--engine burn".into(),
                None => format!("--device {}", self.device),
            };
            bail!("{asked} needs Burn, which this build does not have: build without --no-default-features");
        }
        Ok(engine)
    }

    /// Loads the network of a weights file, or its flow. With `memory`, weights that do not fit into that many bytes are
    /// refused before they are loaded.
    ///
    /// # Errors
    /// As [`Self::load_network`]; if a flow was trained for another generator, or is asked for where there is none.
    pub fn load(
        &self,
        weights: &Weights,
        flow: &FlowArgs,
        memory: Option<u64>,
    ) -> Result<Arc<dyn Predictor>> {
        match weights {
            Weights::Network(checkpoint) => {
                flow.ensure_absent()?;
                self.load_network(checkpoint, memory)
            }
            Weights::Flow(file) => {
                ensure_usage!(
                    self.engine()? == EngineName::Cpu,
                    "{} is a flow file, which only --engine cpu runs",
                    file.path().display()
                );
                flow.load(file, memory)
            }
        }
    }

    /// Loads a network. With `memory`, weights that do not fit into that many bytes are refused before they are loaded.
    ///
    /// # Errors
    /// If the network cannot be built, or the device does not exist.
    pub fn load_network(&self, checkpoint: &Checkpoint, memory: Option<u64>) -> Result<Arc<dyn Predictor>> {
        let engine = self.engine()?;
        if let Some(bytes) = memory {
            checkpoint.check_memory(bytes)?;
        }
        Ok(match engine {
            EngineName::Cpu => network_predictor(checkpoint)?,
            EngineName::Burn => burn_predictor(checkpoint, &self.device)?,
        })
    }
}

impl MethodArgs {
    /// The method that was given, or the best one.
    fn method(&self) -> Method {
        let best = if self.model.is_some() { Method::NETWORK } else { Method::GUIDED };
        self.method.unwrap_or(best)
    }

    /// Loads the method: its weights and its device. With `memory`, weights that do not fit into that many bytes are
    /// refused before they are loaded.
    ///
    /// # Errors
    /// If the arguments contradict each other, the model cannot be read, or the device does not exist.
    pub fn load(&self, memory: Option<u64>) -> Result<Arc<dyn Predictor>> {
        let network = || -> Result<Arc<dyn Predictor>> {
            let weights = match &self.model {
                Some(model) => model.open_weights()?,
                None => Weights::Network(default_network()?),
            };
            let network = self.place.load(&weights, &self.flow, memory)?;
            Ok(match self.refine.refinement() {
                Some(refinement) => network.refined(refinement)?,
                None => network,
            })
        };
        let method = self.method();
        ensure_usage!(
            method.needs_network() || self.refine.refine.is_none(),
            "--method {method} has no network that --refine could refine"
        );
        Ok(match method.build {
            Build::WithNetwork(build) => build(network()?)?,
            Build::Alone(build) => {
                if let Some(model) = &self.model {
                    bail_usage!("--method {method} uses no model, but --model {model} was given");
                }
                if self.place.device != CPU {
                    bail_usage!(
                        "--method {method} runs on the cpu, but --device {} was given",
                        self.place.device
                    );
                }
                self.flow.ensure_absent()?;
                if self.place.engine.is_some() {
                    bail_usage!("--method {method} runs no network, but --engine was given");
                }
                build()
            }
        })
    }

    /// The identity of the method's fills.
    ///
    /// # Errors
    /// If the model cannot be read.
    pub fn identity(&self, predictor: &dyn Predictor) -> Result<Identity> {
        let method = match (self.method().needs_network(), &self.model) {
            (false, _) => predictor.name(),
            (true, Some(model)) => format!("{} {}", predictor.name(), sha256_of_file(&model.path()?)?),
            (true, None) => format!("{} {}", predictor.name(), default_network_hash()),
        };
        Ok(Identity { method, version: predictor.version() })
    }
}

/// The identity of a method's fills: equal identities mean equal fills of the same photos and masks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The predictor's name and, for a network, the SHA-256 of its weights.
    pub method: String,
    /// See [`Predictor::version`].
    pub version: String,
}

/// Separator of method and version in the text.
const VERSION: &str = "; version ";

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{VERSION}{}", self.method, self.version)
    }
}

impl FromStr for Identity {
    type Err = Infallible;

    /// Parses a stored identity; one without a version was written before versions existed.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (method, version) = text.rsplit_once(VERSION).unwrap_or((text, ""));
        Ok(Self { method: method.into(), version: version.into() })
    }
}

#[cfg(not(feature = "burn"))]
fn burn_predictor(_: &Checkpoint, _: &str) -> Result<Arc<dyn Predictor>> {
    unreachable!("PlaceArgs::engine refuses Burn in this build")
}

#[cfg(feature = "burn")]
fn burn_predictor(checkpoint: &Checkpoint, device: &str) -> Result<Arc<dyn Predictor>> {
    Ok(lacuna_nets::network_predictor(checkpoint, device.parse()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_as_they_are_written() {
        let identity =
            |method: &str, version: &str| Identity { method: method.into(), version: version.into() };
        let guided =
            identity("patchmatch guided by x (cpu, avx2) 00ff, seed 0", "1 (patchmatch 2, network 1)");
        assert_eq!(guided.to_string().parse(), Ok(guided));
        assert_eq!("patchmatch, seed 0".parse(), Ok(identity("patchmatch, seed 0", "")));
    }
}
