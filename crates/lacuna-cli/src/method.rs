//! Choosing what fills: PatchMatch, or a network on an engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lacuna::Predictor;
use lacuna::hash::sha256_of_file;
use lacuna::patchmatch::{PatchMatch, PatchMatchConfig};

/// The device that every build and machine has.
const CPU: &str = "cpu";

/// What fills, and where it computes.
#[derive(Args)]
pub struct MethodArgs {
    /// What fills the hole [default: network with --model, else patchmatch]
    #[arg(long, value_enum)]
    pub method: Option<MethodName>,
    /// Network weights: Lacuna's .safetensors, or a LaMa checkpoint (.ckpt, .pt, .pth, .safetensors)
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Where networks compute: cpu, cuda, cuda:N, wgpu or wgpu:N
    #[arg(long, default_value = CPU)]
    pub device: String,
    /// What runs networks
    #[arg(long, value_enum, default_value_t = EngineName::Burn)]
    pub engine: EngineName,
}

/// `--method`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodName {
    /// A neural network; needs --model
    Network,
    /// Copies of matching patches of the picture itself; needs nothing
    Patchmatch,
}

/// `--engine`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The Burn framework: CPU and GPUs
    Burn,
}

impl MethodArgs {
    /// Makes the method ready: loads weights, opens the device.
    ///
    /// # Errors
    /// If the arguments contradict each other, the model cannot be read, or the device is not there.
    pub fn load(&self) -> Result<Arc<dyn Predictor>> {
        match (self.method, &self.model) {
            (Some(MethodName::Patchmatch) | None, None) => {
                if self.device != CPU {
                    bail!("--method patchmatch computes on the cpu, but --device {} was given", self.device);
                }
                Ok(Arc::new(PatchMatch::new(PatchMatchConfig::default())))
            }
            (Some(MethodName::Network) | None, Some(model)) => self.load_network(model),
            (Some(MethodName::Network), None) => bail!("--method network needs --model FILE"),
            (Some(MethodName::Patchmatch), Some(model)) => {
                bail!("--method patchmatch uses no model, but --model {} was given", model.display())
            }
        }
    }

    /// The method's name and, for a network, the hash of its weights: the same text means the same fills.
    ///
    /// # Errors
    /// If the model cannot be read.
    pub fn identity(&self, predictor: &dyn Predictor) -> Result<String> {
        Ok(match &self.model {
            Some(model) => format!("{} {}", predictor.name(), sha256_of_file(model)?),
            None => predictor.name(),
        })
    }

    #[cfg(not(feature = "burn"))]
    fn load_network(&self, model: &Path) -> Result<Arc<dyn Predictor>> {
        bail!(
            "{}: this program was built without networks (--no-default-features); build it with `cargo build --release`",
            model.display()
        )
    }

    #[cfg(feature = "burn")]
    fn load_network(&self, model: &Path) -> Result<Arc<dyn Predictor>> {
        use lacuna::checkpoint::Checkpoint;
        use lacuna_nets::net::Generator;
        use lacuna_nets::{DeviceName, NetworkPredictor};

        let EngineName::Burn = self.engine;
        let device: DeviceName = self.device.parse()?;
        let checkpoint = Checkpoint::open(model)?;
        let generator = Generator::from_checkpoint(&checkpoint, &device.open()?)?;
        Ok(Arc::new(NetworkPredictor::new(generator, device)?))
    }
}
