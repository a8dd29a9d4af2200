//! Kernels with the following BatchNorm folded in.

use lacuna::checkpoint::Checkpoint;
use lacuna_network::geometry::EPSILON;
use lacuna_network::{Bias, Domain, Kernel, Norm};

/// A convolution: `kernel * x + offset`.
pub struct Folded {
    /// The shape of the values.
    pub shape: [usize; 4],
    /// Values, row-major.
    pub values: Vec<f32>,
    /// One for each output channel.
    pub offset: Vec<f32>,
}

/// BatchNorm with its running statistics: `scale * x + offset` for each channel.
pub struct Affine {
    /// Factors.
    pub scale: Vec<f64>,
    /// Summands.
    pub offset: Vec<f64>,
}

/// Reads tensors of a complete checkpoint.
pub struct Source<'a>(pub &'a Checkpoint);

impl Source<'_> {
    fn values(&self, path: &str, name: &str) -> Vec<f32> {
        let name = format!("{path}.{name}");
        self.0.values(&name).unwrap_or_else(|| panic!("a checkpoint is complete: {name}")).into_owned()
    }

    /// A norm.
    pub fn norm(&self, norm: &Norm) -> Affine {
        let part = |name: &str| self.values(&norm.path, name).into_iter().map(f64::from);
        let scale: Vec<f64> = part("weight")
            .zip(part("running_var"))
            .map(|(weight, variance)| weight / (variance + EPSILON).sqrt())
            .collect();
        let means = part("running_mean").zip(&scale);
        let offset = part("bias").zip(means).map(|(bias, (mean, scale))| bias - mean * scale).collect();
        Affine { scale, offset }
    }

    /// A kernel whose output channels are scaled; its offset is zero.
    pub fn scaled(&self, kernel: &Kernel, scale: &[f64]) -> Folded {
        let shape = kernel.shape();
        let mut values = self.values(&kernel.path, "weight");
        let taps = kernel.size * kernel.size;
        for (index, taps) in values.chunks_exact_mut(taps).enumerate() {
            let output =
                if kernel.domain == Domain::Transposed { index % shape[1] } else { index / shape[1] };
            taps.iter_mut().for_each(|value| *value = (f64::from(*value) * scale[output]) as f32);
        }
        Folded { shape, values, offset: vec![0.0; kernel.outputs] }
    }

    /// A kernel with its bias and its norm.
    pub fn folded(&self, kernel: &Kernel, bias: Option<&Bias>, norm: Option<&Norm>) -> Folded {
        let identity = || Affine { scale: vec![1.0; kernel.outputs], offset: vec![0.0; kernel.outputs] };
        let Affine { scale, offset } = norm.map_or_else(identity, |norm| self.norm(norm));
        let bias = bias.map_or_else(|| vec![0.0; kernel.outputs], |bias| self.values(&bias.path, "bias"));
        let offset = bias.iter().zip(&scale).zip(&offset);
        let offset =
            offset.map(|((&bias, scale), offset)| (f64::from(bias) * scale + offset) as f32).collect();
        Folded { offset, ..self.scaled(kernel, &scale) }
    }
}
