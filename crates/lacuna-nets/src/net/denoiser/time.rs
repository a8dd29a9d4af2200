//! The time of a denoiser, as values for all of its blocks.

use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Tensor, TensorData};
use lacuna_network::{Linear as Shape, time_features};

use crate::block::{Init, Linear};

/// Two linear layers on the features of a time.
#[derive(Module, Debug)]
pub struct TimeLayers {
    first: Linear,
    second: Linear,
}

impl TimeLayers {
    /// With PyTorch's default initialisation.
    pub fn new([first, second]: &[Shape; 2], init: &mut Init) -> Self {
        Self { first: Linear::new(first, init), second: Linear::new(second, init) }
    }

    /// The values of one time for each image.
    ///
    /// # Shapes
    /// `times`: in `[0, 1]`, one for each image; the result: `[batch, values]`, of the device and type of `like`.
    pub fn forward(&self, times: &[f64], like: &Tensor<4>) -> Tensor<2> {
        let [_, width] = self.first.weight.lazy_shape().dims();
        let features = times.iter().flat_map(|&time| time_features(time, width)).collect::<Vec<f32>>();
        let features =
            Tensor::<2>::from_data(TensorData::new(features, [times.len(), width]), &like.device());
        self.second.forward(silu(self.first.forward(features.cast(like.dtype()))))
    }
}
