//! The channel-wise full connection (Pathak et al. 2016, <https://arxiv.org/abs/1604.07379>, section 3.1).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Init;

/// Connects all places of a map with each other, each channel with a matrix of its own: `channels · places²` parameters
/// where a full connection has `channels² · places²`.
///
/// # Shapes
/// `weight`: `[channels, places, places]`, output places first; `bias`: `[channels, places]`.
#[derive(Module, Debug)]
pub struct ChannelWise {
    /// A matrix for each channel.
    pub weight: Param<Tensor<3>>,
    /// An offset for each channel and place.
    pub bias: Param<Tensor<2>>,
}

impl ChannelWise {
    /// For maps of `places` pixels, uniform in `±1/sqrt(places)`.
    pub fn new(channels: usize, places: usize, init: &mut Init) -> Self {
        Self {
            weight: init.uniform([channels, places, places], places),
            bias: init.uniform([channels, places], places),
        }
    }

    /// Connects the places of `x`.
    ///
    /// # Shapes
    /// `x` and the result: `[batch, channels, height, width]` with `height · width = places`.
    ///
    /// # Panics
    /// If `x` has other channels or places.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let [expected, places, _] = self.weight.dims();
        assert_eq!((channels, height * width), (expected, places), "channels and places");
        let columns = x.reshape([batch, channels, places]).permute([1, 2, 0]);
        let y = self.weight.val().matmul(columns).permute([2, 0, 1]); // [batch, channels, places]
        (y + self.bias.val().unsqueeze_dim(0)).reshape([batch, channels, height, width])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_block_gradient, random, seeded, tensor, values};
    use testkit::assert_close;

    #[test]
    fn two_channels_by_hand() {
        let mut layer = ChannelWise::new(2, 2, &mut seeded(1));
        layer.weight = Param::from_tensor(tensor([2, 2, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]));
        layer.bias = Param::from_tensor(tensor([2, 2], vec![0.5, 0.0, 0.0, -1.0]));
        let x = tensor([1, 2, 1, 2], vec![1.0, 10.0, 1.0, 10.0]);
        assert_close(&values(layer.forward(x)), &[10.5, 32.0, 54.0, 75.0], 1e-6);
    }

    #[test]
    fn images_of_a_batch_do_not_meet_and_it_has_the_right_gradient() {
        let layer = ChannelWise::new(3, 6, &mut seeded(1));
        let both = random([2, 3, 2, 3], 2);
        let one = |index| values(layer.forward(both.clone().narrow(0, index, 1)));
        assert_close(&values(layer.forward(both.clone())), &[one(0), one(1)].concat(), 1e-6);
        assert_block_gradient(layer, ChannelWise::forward, [2, 3, 2, 3], 1e-4);
    }
}
