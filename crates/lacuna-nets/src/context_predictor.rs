//! Context encoders on a Burn device, for [`lacuna::ContextPredictor`], and the predictor of any network.

use std::sync::{Arc, OnceLock};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::checkpoint::Checkpoint;
use lacuna::context::RunsContextEncoder;
use lacuna::{ContextPredictor, Predictor, Watch};
use lacuna_network::Cost;
use lacuna_network::geometry::IMAGE_CHANNELS;

use crate::device::DeviceName;
use crate::net::{ContextEncoder, Network};
use crate::predictor::NetworkPredictor;
use crate::speed::matrix_product_rate;
use crate::weights::read_tensor;
use crate::{Error, Result, cost};

/// The predictor of a weights file's network on the device `device_name`, whatever its family.
///
/// # Errors
/// [`Error::Device`] if this build or this machine lacks the device, [`Error::Config`] and [`Error::Weights`] if the network
/// cannot be built.
pub fn network_predictor(checkpoint: &Checkpoint, device_name: DeviceName) -> Result<Arc<dyn Predictor>> {
    let device = device_name.open()?;
    Ok(match Network::from_checkpoint(checkpoint, &device)? {
        Network::Generator(network) => Arc::new(NetworkPredictor::new(network, device_name)?),
        Network::ContextEncoder(network) => {
            let place = format!("burn, {device_name}");
            Arc::new(ContextPredictor::new(*network.options(), BurnRunner::new(network, device), &place))
        }
    })
}

/// Runs a context encoder on a Burn device.
#[derive(Debug)]
pub struct BurnRunner {
    network: ContextEncoder,
    device: Device,
    rate: OnceLock<f64>,
}

impl BurnRunner {
    /// Moves the network to a device, without autodiff: norms use their running statistics.
    pub fn new(network: ContextEncoder, device: Device) -> Self {
        Self { network: network.valid().to_device(&device), device, rate: OnceLock::new() }
    }

    fn cost(&self) -> Cost {
        let side = self.network.options().side;
        Cost::of(&self.network.config().layers(), side, side)
    }

    fn run(&self, erased: &[f32]) -> Result<Vec<f32>> {
        let side = self.network.options().side;
        let data = TensorData::new(erased.to_vec(), [1, IMAGE_CHANNELS, side, side]);
        Ok(read_tensor(self.network.forward(Tensor::from_data(data, &self.device))?)?.values)
    }
}

impl RunsContextEncoder for BurnRunner {
    /// A pass cannot be cancelled halfway.
    fn answer(&self, erased: &[f32], watch: &Watch) -> lacuna::Result<Vec<f32>> {
        let answer = self.run(erased).map_err(|error: Error| lacuna::Error::Predict {
            predictor: self.network.config().label(),
            problem: error.to_string(),
        });
        watch.reached(1.0)?;
        answer
    }

    fn weight_bytes(&self) -> u64 {
        (self.cost().weights * size_of::<f32>() as f64) as u64
    }

    fn working_bytes(&self) -> u64 {
        cost::bytes(&self.cost())
    }

    fn seconds(&self) -> f64 {
        let rate = *self.rate.get_or_init(|| matrix_product_rate(&self.device).unwrap_or(0.0));
        cost::seconds(&self.cost(), rate)
    }
}
