//! The refiner: residual blocks that turn the latent of a masked picture into that of a whole one.

use burn::module::Module;
use lacuna::checkpoint::{Delta, Family, NetworkConfig};

use super::{Features, Split};
use crate::block::{FfcResidual, Init, Residual};

/// A row of residual blocks.
#[derive(Module, Debug)]
pub struct Refiner {
    blocks: Vec<RefinerBlock>,
    #[module(skip)]
    delta: Delta,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a few of them live in a network of megabytes")]
enum RefinerBlock {
    Fourier(FfcResidual),
    Regular(Residual),
}

impl RefinerBlock {
    fn forward(&self, x: Features) -> Features {
        match self {
            Self::Fourier(block) => block.forward(x),
            Self::Regular(block) => Features { local: block.forward(x.local), global: None },
        }
    }
}

impl Refiner {
    /// PyTorch's default values.
    pub fn new(config: &NetworkConfig, init: &mut Init) -> Self {
        let channels = Split::latent(config.family, config.width);
        let block = |_| match config.family {
            Family::Fourier => RefinerBlock::Fourier(FfcResidual::new(channels, init)),
            Family::Regular => RefinerBlock::Regular(Residual::new(channels.total(), init)),
        };
        Self { blocks: (0..config.blocks).map(block).collect(), delta: config.delta }
    }

    /// Refines a latent.
    ///
    /// # Shapes
    /// `latent` and the result: parts `[batch, channels, height, width]`, both sides at least 2.
    pub fn forward(&self, latent: Features) -> Features {
        match (self.delta, self.blocks.split_last()) {
            (Delta::Signed, Some((RefinerBlock::Fourier(last), before))) => {
                last.forward_signed(run(before, latent))
            }
            (Delta::None | Delta::Signed, _) => run(&self.blocks, latent),
            (Delta::Literal, _) => latent.clone() + run(&self.blocks, latent),
        }
    }
}

fn run(blocks: &[RefinerBlock], latent: Features) -> Features {
    blocks.iter().fold(latent, |x, block| block.forward(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random, seeded, values};
    use testkit::assert_close;

    #[test]
    fn the_literal_delta_adds_the_latent_once_more() {
        for family in [Family::Fourier, Family::Regular] {
            let config = NetworkConfig {
                family,
                channels_in: 3,
                width: 1,
                blocks: 2,
                control: false,
                delta: Delta::None,
            };
            let latent = Features::split(random([2, 8, 3, 5], 1), Split::latent(family, 1));
            let plain = Refiner::new(&config, &mut seeded(1)).forward(latent.clone());
            let delta = Refiner::new(&NetworkConfig { delta: Delta::Literal, ..config }, &mut seeded(1))
                .forward(latent.clone());
            assert_eq!(plain.channels(), latent.channels());
            assert_close(&values((delta - plain).concat()), &values(latent.concat()), 1e-6);
        }
    }
}
