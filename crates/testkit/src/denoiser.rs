//! The denoiser of the reference values in `fixtures/diffusion/`.

use lacuna_network::{ControlNet, Denoiser};

/// The denoiser of `diffusion/denoiser.safetensors`.
pub fn config() -> Denoiser {
    Denoiser { latent: 4, width: 16, levels: vec![1, 2], blocks: 1, mean: true }
}

/// The ControlNet branch of `diffusion/control.safetensors`.
pub fn control_config() -> ControlNet {
    ControlNet { denoiser: config(), hint: 4, hint_widths: [4, 8, 8, 16] }
}

/// The reference's name of a tensor of the denoiser or of the branch.
pub fn reference_name(name: &str) -> String {
    if let Some((index, rest)) = name.strip_prefix("hint.").and_then(|rest| rest.split_once('.')) {
        // There activations are counted as well.
        return format!("hint.{}.{rest}", 2 * index.parse::<usize>().expect("a number"));
    }
    if let Some(rest) = name.strip_prefix("conv_out") {
        return format!("leave{rest}");
    }
    if let Some(rest) = name.strip_prefix("norm_out") {
        return format!("leave_norm{rest}");
    }
    [
        ("time.first", "time.0"),
        ("time.second", "time.2"),
        ("conv_in", "enter"),
        ("downsample", "reduce"),
        ("upsample", "enlarge"),
    ]
    .iter()
    .fold(name.to_owned(), |name, (ours, theirs)| name.replace(ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    /// Every tensor of the denoiser has one of the reference, with its shape, and none is left.
    #[test]
    fn names_are_those_of_the_reference() {
        let numbers = fixtures::load("diffusion/denoiser.safetensors");
        let tensors = config().layers().tensors();
        for (name, shape) in &tensors {
            assert_eq!(&numbers.get(&reference_name(name)).shape, shape, "{name}");
        }
        assert_eq!(numbers.names().count(), tensors.len());
        assert_eq!(reference_name("hint.7.bias"), "hint.14.bias");
    }
}
