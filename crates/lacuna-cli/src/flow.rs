//! Arguments of flow files.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use lacuna::flow::{FlowFile, FlowPredictor};
use lacuna::{Predictor, default_network};

use crate::models::{MODEL_SYNTAX, ModelArg};
use crate::usage::ensure_usage;

/// How a flow samples.
#[derive(Args, Clone, Debug, Default)]
pub struct FlowArgs {
    /// With a flow file as model: steps of sampling [default: 4 for a flow that starts from a fill, 8 from noise]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub steps: Option<u16>,
    /// With a flow file as model: the network that it was trained for [default: the network that ships with Lacuna]
    #[arg(long, value_name = MODEL_SYNTAX)]
    pub generator: Option<ModelArg>,
}

impl FlowArgs {
    /// Checks that nothing was given, where there is no flow.
    ///
    /// # Errors
    /// If an argument was given.
    pub fn ensure_absent(&self) -> Result<()> {
        let given = self.steps.map(|_| "--steps").or(self.generator.as_ref().map(|_| "--generator"));
        if let Some(given) = given {
            ensure_usage!(false, "{given} needs a flow file as --model");
        }
        Ok(())
    }

    /// Loads a flow and its generator. With `memory`, weights that do not fit into that many bytes are refused before they
    /// are loaded.
    ///
    /// # Errors
    /// If the generator cannot be read, or the flow was trained for another one.
    pub fn load(&self, file: &FlowFile, memory: Option<u64>) -> Result<Arc<dyn Predictor>> {
        let generator = match &self.generator {
            Some(generator) => generator.open()?,
            None => default_network()?,
        };
        if let Some(bytes) = memory {
            generator.check_memory(bytes)?;
        }
        Ok(Arc::new(FlowPredictor::new(file, &generator, self.steps.map(usize::from))?))
    }
}
