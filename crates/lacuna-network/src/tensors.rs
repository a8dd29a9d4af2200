//! Names and shapes of a network's tensors.

use crate::modulation::MEAN_CODE;
use crate::pieces::Piece;
use crate::{Layer, Layers, Modulation};

/// Whether a tensor of this name is trained; the others are running statistics: those of BatchNorm, and the mean of the
/// mapped codes.
pub fn is_parameter(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    !matches!(last, "running_mean" | "running_var" | MEAN_CODE)
}

impl Layer {
    /// Name and shape of every tensor, in the order of computation.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let tensors = |piece: Piece| match piece {
            Piece::Kernel(kernel) => vec![(format!("{}.weight", kernel.path), kernel.shape().to_vec())],
            Piece::Bias(bias) => vec![(format!("{}.bias", bias.path), vec![bias.channels])],
            Piece::Norm(norm) => ["weight", "bias", "running_mean", "running_var"]
                .into_iter()
                .map(|part| (format!("{}.{part}", norm.path), vec![norm.channels]))
                .collect(),
            Piece::ChannelWise(layer) => vec![
                (format!("{}.weight", layer.path), vec![layer.channels, layer.places, layer.places]),
                (format!("{}.bias", layer.path), vec![layer.channels, layer.places]),
            ],
        };
        self.pieces().iter().into_iter().flat_map(tensors).collect()
    }
}

impl Layers {
    /// Name and shape of every tensor: encoder, middle, refiner, decoder, control, modulation.
    ///
    /// A name is the path of a field. Weights of convolutions are `[outputs, inputs, kernel, kernel]`, those of transposed
    /// ones `[inputs, outputs, kernel, kernel]`.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let modulation = self.modulation.iter().flat_map(Modulation::tensors);
        self.iter().flat_map(Layer::tensors).chain(modulation).collect()
    }

    /// The name of the first kernel, which reads the image, and whose shape depends on the input channels.
    pub fn first_kernel(&self) -> String {
        let stem = self.encoder.first().expect("an encoder begins with a convolution").pieces();
        format!("{}.weight", stem.kernels().next().expect("a convolution has a kernel").path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Delta, Family, Shape};

    struct Case {
        family: Family,
        shape: Shape,
        parameters: usize,
        /// Running statistics, and a step counter for each norm, as torch counts its buffers.
        buffers: usize,
    }

    fn shape(width: usize, blocks: usize, channels_in: usize) -> Shape {
        Shape { channels_in, width, blocks, control: false, delta: Delta::None }
    }

    fn fourier(shape: Shape, parameters: usize, buffers: usize) -> Case {
        Case { family: Family::Fourier, shape, parameters, buffers }
    }

    fn regular(blocks: usize, parameters: usize) -> Case {
        // Two for each of 64 + 128 + 256 + 512 + 2 * blocks * 512 + 256 + 128 + 64 channels, one for each norm.
        let buffers = 2 * (1408 + 1024 * blocks) + 7 + 2 * blocks;
        Case { family: Family::Regular, shape: shape(64, blocks, 4), parameters, buffers }
    }

    /// Parameter totals of PyTorch's own modules (LaMa's and the thesis's code).
    #[test]
    fn totals_are_those_of_the_published_networks() {
        let control = Shape { control: true, ..shape(8, 9, 3) };
        for Case { family, shape, parameters, buffers } in [
            fourier(shape(64, 9, 4), 27_048_835, 42_064),
            fourier(shape(64, 18, 4), 50_975_875, 81_304),
            fourier(shape(64, 9, 3), 27_045_699, 42_064),
            fourier(shape(8, 9, 4), 429_683, 5_328),
            fourier(shape(8, 9, 3), 429_291, 5_328),
            fourier(shape(16, 9, 3), 1_701_843, 10_576),
            fourier(control, 429_291 + 24_560 + 5_440, 5_328 + 2 * 120 + 4),
            regular(9, 45_617_731),
            regular(15, 73_947_715),
        ] {
            let network = family.network(shape);
            let (mut found_parameters, mut found_buffers) = (0, 0);
            for (name, sides) in network.layers().tensors() {
                let count = sides.iter().product::<usize>();
                if is_parameter(&name) {
                    found_parameters += count;
                } else {
                    found_buffers += count + usize::from(name.ends_with(".running_var"));
                }
            }
            assert_eq!(found_parameters, parameters, "parameters of {network:?}");
            assert_eq!(found_buffers, buffers, "buffers of {network:?}");
        }
    }

    /// LaMa's state dictionaries have 521 (9 blocks) and 989 (18) tensors, one of them a counter for each norm.
    #[test]
    fn counts_tensors_as_torch_does() {
        for (blocks, expected) in [(9, 521), (18, 989)] {
            let names = Family::Fourier.network(shape(64, blocks, 4)).layers().tensors();
            let norms = names.iter().filter(|(name, _)| name.ends_with(".running_var")).count();
            assert_eq!(names.len() + norms, expected);
            let distinct: std::collections::BTreeSet<_> = names.iter().map(|(name, _)| name).collect();
            assert_eq!(distinct.len(), names.len());
        }
    }

    #[test]
    fn the_first_kernel_sees_the_image() {
        for family in Family::ALL {
            for channels_in in [3, 4] {
                let layers = family.network(shape(8, 1, channels_in)).layers();
                let tensors = layers.tensors();
                assert_eq!(tensors[0], (layers.first_kernel(), vec![8, channels_in, 7, 7]));
            }
        }
    }
}
