//! Arms that train a flow, or sample the flow of another arm in another way.

use std::path::PathBuf;

use lacuna::flow::{FlowFile, FlowPredictor, Sampling};

use crate::Result;
use crate::config::FlowConfig;
use crate::flow::generator_file;

/// What an arm samples with one seed.
pub(super) struct FlowJob {
    /// The run file of the flow.
    pub config: FlowConfig,
    /// The arm that trains it …
    pub trainer: String,
    /// … and its folder.
    pub folder: PathBuf,
    /// How it is sampled; as it is trained if none.
    pub sampling: Option<Sampling>,
}

impl FlowJob {
    /// What the result depends on.
    pub fn identity(&self) -> String {
        let sampling = self.sampling.map(|sampling| serde_json::to_string(&sampling).expect("plain data"));
        format!("{} {}", self.config.to_toml(), sampling.unwrap_or_default())
    }

    /// The trained flow.
    ///
    /// # Errors
    /// If it is not there, or cannot be sampled so.
    pub fn predictor(&self) -> Result<FlowPredictor> {
        let generator = generator_file(self.config.start.network.as_deref())?;
        let file = FlowFile::open(self.folder.join("last.safetensors"))?;
        let predictor = FlowPredictor::new(&file, &generator, None)?;
        Ok(match self.sampling {
            Some(sampling) => predictor.sampled_by(sampling)?,
            None => predictor,
        })
    }
}
