//! The refiner: residual blocks that turn the latent of a masked image into that of a whole one.

use burn::module::Module;
use lacuna_network::Layers;

use crate::Features;
use crate::block::{Init, Residual};
use crate::error::Result;

/// A chain of residual blocks.
#[derive(Module, Debug)]
pub struct Refiner {
    blocks: Vec<Residual>,
    #[module(skip)]
    adds_latent: bool,
}

impl Refiner {
    /// With PyTorch's default initialisation.
    ///
    /// # Errors
    /// As [`Residual::new`].
    pub fn new(layers: &Layers, init: &mut Init) -> Result<Self> {
        let blocks = layers.refiner.iter().map(|halves| Residual::new(halves, init));
        Ok(Self { blocks: blocks.collect::<Result<_>>()?, adds_latent: layers.adds_latent })
    }

    /// Refines a latent.
    ///
    /// # Shapes
    /// `latent` and the result: parts `[batch, channels, height, width]`, both sides at least 2.
    pub fn forward(&self, latent: Features) -> Features {
        let refined = self.blocks.iter().fold(latent.clone(), |x, block| block.forward(x));
        self.finish(latent, refined)
    }

    /// Its residual blocks.
    pub fn blocks(&self) -> &[Residual] {
        &self.blocks
    }

    /// The refined latent, from the output of the last block.
    pub(super) fn finish(&self, latent: Features, refined: Features) -> Features {
        if self.adds_latent { latent + refined } else { refined }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, seeded, values};
    use lacuna_network::{Delta, Family, Shape};
    use testkit::assert_close;

    #[test]
    fn the_literal_delta_adds_the_latent_once_more() {
        for family in Family::ALL {
            let layers = |delta: Delta| {
                family.network(Shape { channels_in: 3, width: 1, blocks: 2, control: false, delta }).layers()
            };
            let refiner = |delta: Delta| Refiner::new(&layers(delta), &mut seeded(1)).unwrap();
            let latent = Features::split(random([2, 8, 3, 5], 1), layers(Delta::None).latent());
            let plain = refiner(Delta::None).forward(latent.clone());
            let delta = refiner(Delta::Literal).forward(latent.clone());
            assert_eq!(plain.channels(), latent.channels());
            assert_close(&values((delta - plain).concat()), &values(latent.concat()), 1e-6);
        }
    }
}
