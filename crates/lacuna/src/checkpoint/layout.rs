//! The names and shapes of all tensors of a network: the one truth that loading, saving and checking share.
//!
//! Names are the module paths of the networks. Convolution weights are `[out, in, kernel, kernel]`, those of
//! transposed convolutions `[in, out, kernel, kernel]`.

use super::{Family, NetworkConfig};
use crate::{Error, Result};

/// The widest network. LaMa caps channels at 1024, which the latent (eight times the width) reaches at 128: a
/// wider network would have another layout. Published ones have 64.
pub const WIDTH_LIMIT: usize = 128;
/// The most refiner blocks; big-lama has 18. Keeps a hostile file from asking for an endless layout.
pub const BLOCK_LIMIT: usize = 64;
/// Downsamplings in the encoder, and upsamplings in the decoder.
const LEVELS: usize = 3;
/// Mask levels that control adds: after the first convolution and after each downsampling.
const CONTROL_LEVELS: usize = LEVELS + 1;
/// Kernel of the first and the last convolution.
const OUTER_KERNEL: usize = 7;
/// Kernel of all other spatial convolutions.
const INNER_KERNEL: usize = 3;
/// Colours that a network predicts.
const COLOURS: usize = 3;

/// Whether a network of this shape exists.
///
/// # Errors
/// [`Error::Argument`] that names the value out of range.
pub fn check_config(config: &NetworkConfig) -> Result<()> {
    let problem = if !(1..=WIDTH_LIMIT).contains(&config.width) {
        format!("a width of {}, possible are 1 to {WIDTH_LIMIT}", config.width)
    } else if !(1..=BLOCK_LIMIT).contains(&config.blocks) {
        format!("{} refiner blocks, possible are 1 to {BLOCK_LIMIT}", config.blocks)
    } else if !matches!(config.channels_in, 3 | 4) {
        format!("{} input channels, possible are 3 (picture) and 4 (picture and mask)", config.channels_in)
    } else {
        return Ok(());
    };
    Err(Error::Argument(problem))
}

/// Every tensor of a network, in the order of the computation.
///
/// # Panics
/// If [`check_config`] refuses `config`.
pub fn expected_tensors(config: &NetworkConfig) -> Vec<(String, Vec<usize>)> {
    check_config(config).expect("a network that exists");
    let mut layout = Layout::default();
    match config.family {
        Family::Fourier => fourier(&mut layout, config),
        Family::Regular => regular(&mut layout, config),
    }
    decoder(&mut layout, config.width);
    if config.control {
        control(&mut layout, config.width);
    }
    layout.0
}

/// Whether a tensor of this name is trained; the others are BatchNorm's running statistics.
pub fn is_parameter(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    !matches!(last, "running_mean" | "running_var")
}

#[derive(Default)]
struct Layout(Vec<(String, Vec<usize>)>);

impl Layout {
    fn weight(&mut self, name: String, shape: [usize; 4]) {
        self.0.push((format!("{name}.weight"), shape.to_vec()));
    }

    /// A convolution with bias; `outputs` is given apart because transposed weights start with their inputs.
    fn biased(&mut self, name: String, shape: [usize; 4], outputs: usize) {
        self.weight(name.clone(), shape);
        self.0.push((format!("{name}.bias"), vec![outputs]));
    }

    fn norm(&mut self, name: &str, channels: usize) {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            self.0.push((format!("{name}.{part}"), vec![channels]));
        }
    }
}

fn fourier(layout: &mut Layout, config: &NetworkConfig) {
    let (width, k) = (config.width, INNER_KERNEL);
    layout.weight(
        "encoder.stem.ffc.local_to_local".into(),
        [width, config.channels_in, OUTER_KERNEL, OUTER_KERNEL],
    );
    layout.norm("encoder.stem.norm_local", width);
    let latent = width << LEVELS;
    let (local, global) = (latent / 4, latent / 4 * 3);
    for level in 0..LEVELS {
        let (inputs, name) = (width << level, format!("encoder.down.{level}"));
        // Only the last downsampling splits its output in a local and a global part.
        let last = level + 1 == LEVELS;
        let outputs = if last { local } else { 2 * inputs };
        layout.weight(format!("{name}.ffc.local_to_local"), [outputs, inputs, k, k]);
        if last {
            layout.weight(format!("{name}.ffc.local_to_global"), [global, inputs, k, k]);
        }
        layout.norm(&format!("{name}.norm_local"), outputs);
        if last {
            layout.norm(&format!("{name}.norm_global"), global);
        }
    }
    for block in 0..config.blocks {
        for half in ["first", "second"] {
            let name = format!("refiner.blocks.{block}.{half}");
            layout.weight(format!("{name}.ffc.local_to_local"), [local, local, k, k]);
            layout.weight(format!("{name}.ffc.local_to_global"), [global, local, k, k]);
            layout.weight(format!("{name}.ffc.global_to_local"), [local, global, k, k]);
            spectral(layout, &format!("{name}.ffc.global_to_global"), global);
            layout.norm(&format!("{name}.norm_local"), local);
            layout.norm(&format!("{name}.norm_global"), global);
        }
    }
}

/// The spectral transform works on half of the global channels, as real and imaginary parts in the Fourier
/// unit.
fn spectral(layout: &mut Layout, name: &str, global: usize) {
    let reduced = global / 2;
    layout.weight(format!("{name}.reduce"), [reduced, global, 1, 1]);
    layout.norm(&format!("{name}.reduce_norm"), reduced);
    layout.weight(format!("{name}.fourier.conv"), [2 * reduced, 2 * reduced, 1, 1]);
    layout.norm(&format!("{name}.fourier.norm"), 2 * reduced);
    layout.weight(format!("{name}.expand"), [global, reduced, 1, 1]);
}

fn regular(layout: &mut Layout, config: &NetworkConfig) {
    let (width, k) = (config.width, INNER_KERNEL);
    let stem = [width, config.channels_in, OUTER_KERNEL, OUTER_KERNEL];
    layout.biased("encoder.stem.conv".into(), stem, width);
    layout.norm("encoder.stem.norm", width);
    for level in 0..LEVELS {
        let (inputs, name) = (width << level, format!("encoder.down.{level}"));
        layout.biased(format!("{name}.conv"), [2 * inputs, inputs, k, k], 2 * inputs);
        layout.norm(&format!("{name}.norm"), 2 * inputs);
    }
    let latent = width << LEVELS;
    for block in 0..config.blocks {
        for half in ["first", "second"] {
            let name = format!("refiner.blocks.{block}.{half}");
            layout.biased(format!("{name}.conv"), [latent, latent, k, k], latent);
            layout.norm(&format!("{name}.norm"), latent);
        }
    }
}

fn decoder(layout: &mut Layout, width: usize) {
    for level in 0..LEVELS {
        let (inputs, name) = (width << (LEVELS - level), format!("decoder.up.{level}"));
        layout.biased(format!("{name}.conv"), [inputs, inputs / 2, INNER_KERNEL, INNER_KERNEL], inputs / 2);
        layout.norm(&format!("{name}.norm"), inputs / 2);
    }
    layout.biased("decoder.out".into(), [COLOURS, width, OUTER_KERNEL, OUTER_KERNEL], COLOURS);
}

fn control(layout: &mut Layout, width: usize) {
    for level in 0..CONTROL_LEVELS {
        let (outputs, name) = (width << level, format!("control.encoder.{level}"));
        // The mask has one channel; the first convolution only widens it.
        let (inputs, k) = if level == 0 { (1, 1) } else { (outputs / 2, INNER_KERNEL) };
        layout.biased(format!("{name}.conv"), [outputs, inputs, k, k], outputs);
        layout.norm(&format!("{name}.norm"), outputs);
    }
    for level in 0..CONTROL_LEVELS {
        let channels = width << level;
        layout.weight(format!("control.zero.{level}"), [channels, channels, 1, 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Delta;

    struct Case {
        family: Family,
        width: usize,
        blocks: usize,
        channels_in: usize,
        control: bool,
        parameters: usize,
        /// Running statistics, and a step counter for each norm, as torch counts its buffers.
        buffers: usize,
    }

    fn config(case: &Case) -> NetworkConfig {
        NetworkConfig {
            family: case.family,
            channels_in: case.channels_in,
            width: case.width,
            blocks: case.blocks,
            control: case.control,
            delta: Delta::None,
        }
    }

    fn fourier_case(
        width: usize,
        blocks: usize,
        channels_in: usize,
        parameters: usize,
        buffers: usize,
    ) -> Case {
        Case { family: Family::Fourier, width, blocks, channels_in, control: false, parameters, buffers }
    }

    fn regular_case(blocks: usize, parameters: usize) -> Case {
        // Two for each of 64 + 128 + 256 + 512 + 2 * blocks * 512 + 256 + 128 + 64 channels, one for each
        // norm.
        let buffers = 2 * (1408 + 1024 * blocks) + 7 + 2 * blocks;
        Case {
            family: Family::Regular,
            width: 64,
            blocks,
            channels_in: 4,
            control: false,
            parameters,
            buffers,
        }
    }

    /// Parameter totals of PyTorch's own modules (LaMa's and the thesis's code).
    #[test]
    fn totals_are_those_of_the_published_networks() {
        let control = fourier_case(8, 9, 3, 429_291 + 24_560 + 5_440, 5_328 + 2 * 120 + 4);
        let cases = [
            fourier_case(64, 9, 4, 27_048_835, 42_064),
            fourier_case(64, 18, 4, 50_975_875, 81_304),
            fourier_case(64, 9, 3, 27_045_699, 42_064),
            fourier_case(8, 9, 4, 429_683, 5_328),
            fourier_case(8, 9, 3, 429_291, 5_328),
            fourier_case(16, 9, 3, 1_701_843, 10_576),
            Case { control: true, ..control },
            regular_case(9, 45_617_731),
            regular_case(15, 73_947_715),
        ];
        for case in cases {
            let (mut parameters, mut buffers) = (0, 0);
            for (name, shape) in expected_tensors(&config(&case)) {
                let count = shape.iter().product::<usize>();
                if is_parameter(&name) {
                    parameters += count;
                } else {
                    buffers += count + usize::from(name.ends_with(".running_var"));
                }
            }
            let name = format!("{:?} width {} blocks {}", case.family, case.width, case.blocks);
            assert_eq!(parameters, case.parameters, "parameters of {name}");
            assert_eq!(buffers, case.buffers, "buffers of {name}");
        }
    }

    /// LaMa's state dictionaries have 521 (9 blocks) and 989 (18) tensors, one of them a counter for each
    /// norm.
    #[test]
    fn counts_tensors_as_torch_does() {
        for (blocks, expected) in [(9, 521), (18, 989)] {
            let names = expected_tensors(&config(&fourier_case(64, blocks, 4, 0, 0)));
            let norms = names.iter().filter(|(name, _)| name.ends_with(".running_var")).count();
            assert_eq!(names.len() + norms, expected);
            let distinct: std::collections::BTreeSet<_> = names.iter().map(|(name, _)| name).collect();
            assert_eq!(distinct.len(), names.len());
        }
    }

    #[test]
    fn refuses_networks_that_do_not_exist() {
        let good = config(&fourier_case(8, 9, 4, 0, 0));
        assert!(check_config(&good).is_ok());
        for bad in [
            NetworkConfig { width: 0, ..good.clone() },
            NetworkConfig { width: usize::MAX, ..good.clone() },
            NetworkConfig { blocks: 0, ..good.clone() },
            NetworkConfig { blocks: usize::MAX, ..good.clone() },
            NetworkConfig { channels_in: 1, ..good.clone() },
        ] {
            assert!(matches!(check_config(&bad), Err(Error::Argument(_))), "{bad:?}");
        }
    }
}
