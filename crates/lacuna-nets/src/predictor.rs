//! A network as a [`lacuna::Predictor`], for filling holes.

use std::sync::{Arc, OnceLock};

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lacuna::{Mask, Planes, Predictor, Refined, Refinement, Sides, Watch};
use lacuna_network::Cost;
use lacuna_network::geometry::IMAGE_CHANNELS;

use crate::Error;
use crate::cost;
use crate::device::DeviceName;
use crate::net::Generator;
use crate::refinement::BurnLatents;
use crate::speed::matrix_product_rate;
use crate::weights::read_tensor;

/// Predicts the pixels of a hole with a network on a Burn device.
#[derive(Debug)]
pub struct NetworkPredictor {
    generator: Generator,
    device_name: DeviceName,
    device: Device,
    rate: OnceLock<f64>,
}

impl NetworkPredictor {
    /// A predictor on the device `device_name`.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if this build or this machine lacks the device.
    pub fn new(generator: Generator, device_name: DeviceName) -> crate::Result<Self> {
        let device = device_name.open()?;
        // Without autodiff no graph is recorded, and BatchNorm uses its running statistics.
        let generator = generator.valid().to_device(&device);
        Ok(Self { generator, device_name, device, rate: OnceLock::new() })
    }

    pub(crate) fn cost(&self, width: usize, height: usize) -> Cost {
        Cost::of(&self.generator.config().layers(), width, height)
    }

    /// The network, without autodiff.
    pub(crate) fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The tensors of a picture and its hole: `[1, 3, height, width]` and `[1, 1, height, width]`.
    pub(crate) fn upload(&self, image: &Planes, mask: &Mask) -> (Tensor<4>, Tensor<4>) {
        let (width, height) = (image.width(), image.height());
        let upload = |values: Vec<f32>, channels: usize| {
            Tensor::<4>::from_data(TensorData::new(values, [1, channels, height, width]), &self.device)
        };
        // Zeroed here and not only by the product with the mask, because a hole may contain NaN.
        let masked = image.values().iter().zip(mask.hole().iter().cycle());
        let masked = masked.map(|(&value, &hole)| if hole { 0.0 } else { value }).collect();
        let hole = mask.hole().iter().map(|&hole| if hole { 1.0 } else { 0.0 }).collect();
        (upload(masked, IMAGE_CHANNELS), upload(hole, 1))
    }

    pub(crate) fn failed(&self, error: &Error) -> lacuna::Error {
        lacuna::Error::Predict { predictor: self.name(), problem: error.to_string() }
    }

    /// A network with several answers gives that of the seed.
    fn run(&self, image: &Planes, mask: &Mask, seed: u64) -> crate::Result<Planes> {
        let (pixels, hole) = self.upload(image, mask);
        let prediction = match self.generator.modulation {
            Some(_) => self.generator.answer_of(pixels, hole, &[seed])?,
            None => self.generator.forward(pixels, hole)?,
        };
        Ok(Planes::new(image.width(), image.height(), read_tensor(prediction.predicted)?.values))
    }
}

impl Predictor for NetworkPredictor {
    fn name(&self) -> String {
        format!("{} (burn, {})", self.generator.config().label(), self.device_name)
    }

    /// A pass cannot be cancelled halfway.
    fn predict_watched(
        &self,
        image: &Planes,
        mask: &Mask,
        seed: u64,
        watch: &Watch,
    ) -> lacuna::Result<Planes> {
        watch.reached(0.0)?;
        self.check_frame(image, mask)?;
        self.run(image, mask, seed).map_err(|error| self.failed(&error))
    }

    fn uses_seed(&self) -> bool {
        self.generator.modulation.is_some()
    }

    fn sides(&self) -> Sides {
        Sides::NETWORK
    }

    fn forecast_bytes(&self, width: usize, height: usize) -> u64 {
        cost::bytes(&self.cost(width, height))
    }

    fn forecast_seconds(&self, width: usize, height: usize, _hole_pixels: usize) -> f64 {
        // Measured on first use. A device that cannot even multiply takes forever.
        let rate = *self.rate.get_or_init(|| matrix_product_rate(&self.device).unwrap_or(0.0));
        cost::seconds(&self.cost(width, height), rate)
    }

    /// Not with several answers: refinement changes the latent from which their styles are computed.
    fn can_refine(&self) -> bool {
        self.generator.modulation.is_none()
    }

    fn refined(self: Arc<Self>, refinement: Refinement) -> lacuna::Result<Arc<dyn Predictor>> {
        if !self.can_refine() {
            let name = self.name();
            return Err(lacuna::Error::Argument(format!("{name} cannot be refined: it has several answers")));
        }
        Ok(Arc::new(Refined::new(BurnLatents::new(self), refinement)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;
    use lacuna_network::{Delta, Family, Shape};
    use testkit::pictures;

    fn predictor(family: Family) -> NetworkPredictor {
        let shape = Shape { channels_in: 4, width: 2, blocks: 1, control: false, delta: Delta::None };
        let config = family.network(shape);
        // A network for training predicts without autodiff too.
        let generator = Generator::new(&config, rng(1), &Device::flex().autodiff()).unwrap();
        NetworkPredictor::new(generator, DeviceName::Cpu).unwrap()
    }

    fn scene(width: usize, height: usize) -> (Planes, Mask) {
        (
            Planes::new(width, height, pictures::picture(width, height)),
            Mask::new(width, height, pictures::hole(width, height)),
        )
    }

    #[test]
    fn it_says_what_it_is() {
        assert_eq!(predictor(Family::Fourier).name(), "fourier-w2-b1 (burn, cpu)");
        assert_eq!(predictor(Family::Regular).name(), "regular-w2-b1 (burn, cpu)");
    }

    #[test]
    fn a_prediction_is_a_picture_and_always_the_same() {
        let (image, mask) = scene(24, 16);
        let predictor = predictor(Family::Fourier);
        let predicted = predictor.predict(&image, &mask, 1).unwrap();
        assert_eq!((predicted.width(), predicted.height()), (24, 16));
        assert!(predicted.values().iter().all(|value| (0.0..=1.0).contains(value)));
        assert_eq!(predictor.predict(&image, &mask, 2).unwrap(), predicted);
    }

    #[test]
    fn what_the_hole_held_has_no_influence() {
        let (image, mask) = scene(24, 16);
        let mut spoiled = image.clone();
        for channel in 0..3 {
            for (value, &hole) in spoiled.plane_mut(channel).iter_mut().zip(mask.hole()) {
                *value = if hole { f32::NAN } else { *value };
            }
        }
        let predictor = predictor(Family::Fourier);
        let predicted = predictor.predict(&image, &mask, 0).unwrap();
        assert_eq!(predictor.predict(&spoiled, &mask, 0).unwrap(), predicted);
    }

    #[test]
    fn forecasts_grow_with_the_picture() {
        let predictor = predictor(Family::Fourier);
        let small = predictor.forecast_seconds(256, 256, 100);
        assert!(small > 0.0 && small < predictor.forecast_seconds(512, 512, 100));
        assert!(predictor.forecast_bytes(256, 256) < predictor.forecast_bytes(512, 512));
    }

    #[test]
    fn the_network_runs_without_autodiff() {
        let predictor = predictor(Family::Fourier);
        assert!(predictor.generator.devices().iter().all(|device| !device.is_autodiff()));
        let x = Tensor::<4>::zeros([1, 3, 16, 16], &predictor.device);
        assert!(!predictor.generator.forward(x.clone(), x.narrow(1, 0, 1)).unwrap().predicted.is_autodiff());
    }

    #[test]
    fn wrong_sizes_are_errors_not_panics() {
        struct Case {
            width: usize,
            height: usize,
            problem: &'static str,
        }
        let predictor = predictor(Family::Fourier);
        for Case { width, height, problem } in [
            Case { width: 8, height: 16, problem: "multiples of 8 from 16 up, got 8 x 16" },
            Case { width: 20, height: 16, problem: "multiples of 8 from 16 up, got 20 x 16" },
        ] {
            let (image, mask) = scene(width, height);
            let error = predictor.predict(&image, &mask, 0).unwrap_err().to_string();
            assert!(
                error.starts_with("fourier-w2-b1 (burn, cpu) failed: ") && error.ends_with(problem),
                "{error}"
            );
        }
        let error = predictor.predict(&scene(16, 16).0, &scene(24, 16).1, 0).unwrap_err().to_string();
        assert!(error.ends_with("image of 16 x 16, mask of 24 x 16"), "{error}");
    }
}
