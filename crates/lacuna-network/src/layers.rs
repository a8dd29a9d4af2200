//! The layers of a network, by part.

use crate::{Architecture, Layer, Modulation, Split, family};

/// The layers of a network, by part.
///
/// A generator's encoder maps the masked image (and the mask) to a latent at an eighth of the resolution, the refiner maps
/// it to the latent of a complete image, and the decoder maps that to an image. A context encoder has a middle instead of
/// a refiner, and its image has a fixed size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// One for each level. A generator's first keeps the resolution, all others halve it.
    pub encoder: Vec<Layer>,
    /// Between the encoder and the decoder of a context encoder, at a fixed resolution.
    pub middle: Vec<Layer>,
    /// Residual blocks: `x + second(first(x))`.
    pub refiner: Vec<[Layer; 2]>,
    /// Whether the latent is added to the refiner's output.
    pub adds_latent: bool,
    /// Each doubles the resolution.
    pub decoder: Vec<Layer>,
    /// From the decoder's last map to an image.
    pub head: Layer,
    /// Mask control.
    pub control: Option<Control>,
    /// What makes several answers of one latent.
    pub modulation: Option<Modulation>,
}

/// Mask control: `level_i += zero_i(mask_encoder_i(mask))`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The mask encoder, with the image encoder's levels.
    pub encoder: Vec<Layer>,
    /// Pointwise convolutions, one for each level, that start at zero.
    pub zero: Vec<Layer>,
}

impl Layers {
    /// All layers in the order in which their tensors are listed: encoder, middle, refiner, decoder, control.
    pub fn iter(&self) -> impl Iterator<Item = &Layer> {
        let control = self.control.iter().flat_map(|control| control.encoder.iter().chain(&control.zero));
        self.encoder
            .iter()
            .chain(&self.middle)
            .chain(self.refiner.iter().flatten())
            .chain(&self.decoder)
            .chain([&self.head])
            .chain(control)
    }

    /// Channels of the input: of the masked image, and of the mask if the network sees it there.
    pub fn channels_in(&self) -> usize {
        self.encoder.first().map_or(0, |stem| stem.inputs.total())
    }

    /// Channels of the latent.
    pub fn latent(&self) -> Split {
        self.encoder.last().map_or(Split::local(0), |last| last.outputs)
    }
}

impl Architecture {
    /// The network's layers.
    pub fn layers(&self) -> Layers {
        family::layers(self)
    }

    /// Channels of the encoder's last map: a generator's latent.
    pub fn latent(&self) -> Split {
        self.layers().latent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{IMAGE_CHANNELS, LEVELS};
    use crate::{Activation, Delta, Family, Operation, Shape};

    fn network(family: Family, delta: Delta) -> Layers {
        family.network(Shape { channels_in: 3, width: 4, blocks: 3, control: true, delta }).layers()
    }

    /// Every layer takes what the one before gives, at every level.
    #[test]
    fn channels_and_levels_fit_together() {
        for family in Family::ALL {
            let Layers { encoder, refiner, decoder, head, control, .. } = network(family, Delta::None);
            let control = control.unwrap();
            for (level, (image, mask)) in encoder.iter().zip(&control.encoder).enumerate() {
                assert_eq!([image.level, mask.level, control.zero[level].level], [level; 3]);
                assert_eq!(image.outputs.total(), 4 << level);
                for zero in [&control.zero[level].inputs, &control.zero[level].outputs, &mask.outputs] {
                    assert_eq!(zero.total(), 4 << level, "level {level}");
                }
            }
            assert_eq!((encoder.len(), control.zero.len()), (LEVELS + 1, LEVELS + 1));
            let latent = encoder[LEVELS].outputs;
            for half in refiner.iter().flatten() {
                assert_eq!((half.inputs, half.outputs, half.level), (latent, latent, LEVELS));
            }
            let path: Vec<&Layer> = encoder.iter().chain(&decoder).chain([&head]).collect();
            for pair in path.windows(2) {
                assert_eq!(
                    pair[0].outputs.total(),
                    pair[1].inputs.total(),
                    "{} to {}",
                    pair[0].path,
                    pair[1].path
                );
            }
            assert_eq!((head.level, head.outputs.total()), (0, IMAGE_CHANNELS));
        }
    }

    #[test]
    fn only_fourier_networks_have_a_global_part() {
        assert_eq!(network(Family::Fourier, Delta::None).latent(), Split { local: 8, global: 24 });
        assert_eq!(network(Family::Sampled, Delta::None).latent(), Split { local: 8, global: 24 });
        assert_eq!(network(Family::Regular, Delta::None).latent(), Split::local(32));
        for layer in network(Family::Regular, Delta::None).iter() {
            assert_ne!(layer.form.operation, Operation::FastFourier);
        }
    }

    #[test]
    fn deltas_change_the_refiners_end_alone() {
        for family in Family::ALL {
            let plain = network(family, Delta::None);
            assert!(!plain.adds_latent);
            assert_eq!(network(family, Delta::Literal), Layers { adds_latent: true, ..plain.clone() });
            let signed = network(family, Delta::Signed);
            let [_, last] = signed.refiner.last().unwrap();
            assert_eq!(last.form.activation, Activation::Identity);
            let mut expected = plain;
            expected.refiner.last_mut().unwrap()[1].form.activation = Activation::Identity;
            assert_eq!(signed, expected);
        }
    }
}
