//! Latents on a Burn device for [`lacuna::refine`]: autodiff computes their gradients.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use lacuna::refine::{Latent, LatentMemory, LatentNetwork, LatentPart, LatentTime, Proceed};
use lacuna::{Error, Mask, Planes, Predictor, Result};
use lacuna_network::geometry::LEVELS;

use crate::cost;
use crate::net::Generator;
use crate::predictor::NetworkPredictor;
use crate::weights::read_tensor;
use crate::{Features, Split};

/// The time of a backward pass relative to a forward pass. Measured with `examples/cost.rs` on Burn's Flex backend.
const BACKWARD_COST: f64 = 1.1;

/// A network on a Burn device, and its twin that records what a backward pass needs.
#[derive(Debug)]
pub struct BurnLatents {
    network: Arc<NetworkPredictor>,
    /// Frozen: weights have no gradients, and norms use their statistics.
    recording: Generator,
}

impl BurnLatents {
    /// Latents of a network.
    pub fn new(network: Arc<NetworkPredictor>) -> Self {
        let recording = network.generator().clone().train().freeze();
        Self { network, recording }
    }
}

impl LatentNetwork for BurnLatents {
    fn predictor(&self) -> &dyn Predictor {
        self.network.as_ref()
    }

    fn encode<'a>(
        &'a self,
        image: &'a Planes,
        mask: &'a Mask,
        proceed: Proceed<'_>,
    ) -> Result<Box<dyn Latent + 'a>> {
        checked(proceed)?;
        let (image, mask) = self.network.upload(image, mask);
        let encoded = self.network.generator().encode(image, mask).and_then(|latent| {
            let (channels, latent) = (latent.channels(), latent.concat());
            let shape = latent.dims();
            Ok((channels, shape, read_tensor(latent)?.values))
        });
        let (channels, shape, values) = encoded.map_err(|error| self.network.failed(&error))?;
        let gradient = vec![0.0; values.len()];
        Ok(Box::new(BurnLatent { network: self, channels, shape, values, gradient, recorded: None }))
    }

    fn memory(&self, width: usize, height: usize) -> Result<LatentMemory> {
        let channels = self.network.generator().config().layers().latent().total();
        Ok(LatentMemory {
            latent_values: channels * (width >> LEVELS) * (height >> LEVELS),
            bytes: cost::recorded_bytes(&self.network.cost(width, height)),
        })
    }

    fn time(&self, width: usize, height: usize) -> Result<LatentTime> {
        let forward = self.network.forecast_seconds(width, height, 0);
        // The encoder's part is small.
        Ok(LatentTime { encode: 0.0, forward, backward: BACKWARD_COST * forward })
    }

    /// The twin shares its weights with the network.
    fn resident_bytes(&self) -> u64 {
        0
    }
}

/// The latent of one picture. Its values are kept on the processor, where they are optimised.
#[derive(Debug)]
struct BurnLatent<'a> {
    network: &'a BurnLatents,
    channels: Split,
    shape: [usize; 4],
    values: Vec<f32>,
    gradient: Vec<f32>,
    /// The latent and the prediction of the last forward pass.
    recorded: Option<[Tensor<4>; 2]>,
}

impl Latent for BurnLatent<'_> {
    fn predict(&mut self, proceed: Proceed<'_>) -> Result<Vec<f32>> {
        checked(proceed)?;
        let generator = &self.network.recording;
        let device = generator.devices().swap_remove(0);
        let values = TensorData::new(self.values.clone(), self.shape);
        let latent = Tensor::<4>::from_data(values, &device).require_grad();
        let features = Features::split(latent.clone(), self.channels);
        let predicted = generator.decode(generator.refine(features));
        let values =
            read_tensor(predicted.clone().detach()).map_err(|error| self.network.network.failed(&error))?;
        self.recorded = Some([latent, predicted]);
        Ok(values.values)
    }

    fn backward(&mut self, _predicted: &[f32], gradient: &[f32], proceed: Proceed<'_>) -> Result<()> {
        checked(proceed)?;
        let [latent, predicted] = self.recorded.take().expect("a backward pass follows a forward pass");
        let of_image = TensorData::new(gradient.to_vec(), predicted.dims());
        // The derivative of this sum with respect to the prediction is the given gradient.
        let sum = (predicted.clone() * Tensor::from_data(of_image, &predicted.device())).sum();
        let of_latent = latent.grad(&sum.backward()).expect("the prediction depends on the latent");
        let failed = |error| self.network.network.failed(&error);
        self.gradient = read_tensor(of_latent).map_err(failed)?.values;
        Ok(())
    }

    fn parts(&mut self) -> Vec<LatentPart<'_>> {
        vec![LatentPart { latent: &mut self.values, gradient: &self.gradient }]
    }
}

/// Burn cannot be cancelled within a pass.
fn checked(proceed: Proceed<'_>) -> Result<()> {
    if proceed(0.0) { Ok(()) } else { Err(Error::Stopped) }
}
