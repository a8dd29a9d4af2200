//! The cost of a forward pass, derived from the layers.

use crate::denoiser::{ControlLayers, DenoiserLayers, Part};
use crate::geometry::side;
use crate::{Domain, Kernel, Layer, Layers, Pieces};

/// The work of one forward pass for one image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations of all convolutions and Fourier transforms, by definition; a multiplication and its
    /// addition count as two.
    pub operations: f64,
    /// Values written by them in total.
    pub written: f64,
    /// Values of the first layer's map, the largest tensor.
    pub largest: f64,
    /// Weights of the convolutions.
    pub weights: f64,
}

impl Cost {
    /// The cost of predicting an image of `width x height` pixels.
    pub fn of(layers: &Layers, width: usize, height: usize) -> Self {
        let first = layers
            .encoder
            .first()
            .map_or(0, |stem| stem.outputs.total() * side(width, stem.level) * side(height, stem.level));
        let mut cost = Self { largest: first as f64, ..Self::default() };
        layers.iter().for_each(|layer| cost.add(layer, width, height));
        cost
    }

    /// The cost of one step of a denoiser for a latent of `width x height` cells.
    pub fn of_denoiser(layers: &DenoiserLayers, width: usize, height: usize) -> Self {
        // The concatenation with the first skip connection, if there is one.
        let joined = layers.up.first().map_or(1, |_| 2) * layers.encoder.conv_in.outputs.total();
        let mut cost = Self { largest: (joined * width * height) as f64, ..Self::default() };
        cost.add_parts(layers.parts(), width, height);
        cost
    }

    /// What a ControlNet branch adds to one step of its denoiser, for a latent of `width x height` cells. The hint is encoded once for
    /// all steps: [`Cost::of_hint`].
    pub fn of_control(layers: &ControlLayers, width: usize, height: usize) -> Self {
        let first = layers.encoder.conv_in.outputs.total() * width * height;
        let mut cost = Self { largest: first as f64, ..Self::default() };
        let zero = layers.zero.iter().map(Part::Layer);
        cost.add_parts(layers.encoder.parts().chain(zero), width, height);
        cost
    }

    /// The cost of encoding a hint of `width x height` pixels.
    pub fn of_hint(layers: &ControlLayers, width: usize, height: usize) -> Self {
        let first = layers.hint.first().map_or(0, |layer| layer.outputs.total() * width * height);
        let mut cost = Self { largest: first as f64, ..Self::default() };
        layers.hint.iter().for_each(|layer| cost.add(layer, width, height));
        cost
    }

    fn add_parts<'l>(&mut self, parts: impl Iterator<Item = Part<'l>>, width: usize, height: usize) {
        for part in parts {
            match part {
                Part::Layer(layer) => self.add(layer, width, height),
                Part::Linear(linear) => self.add_product(linear.inputs * linear.outputs, linear.outputs),
                Part::Fourier(kernel, level) => {
                    self.add_spectral(kernel, side(width, level), side(height, level))
                }
                Part::Norm(_) => {}
            }
        }
    }

    fn add(&mut self, layer: &Layer, width: usize, height: usize) {
        let sides = |level: usize| (side(width, level), side(height, level));
        let (columns, rows) = sides(layer.level);
        let frequencies = columns / 2 + 1;
        let pieces = layer.pieces();
        for kernel in pieces.kernels() {
            let (computed, written) = match kernel.domain {
                Domain::Map => (columns * rows, columns * rows),
                Domain::Spectrum => (frequencies * rows, frequencies * rows),
                // Every input pixel is multiplied with all taps.
                Domain::Transposed => {
                    (layer.form.side_before(columns) * layer.form.side_before(rows), columns * rows)
                }
            };
            let weights = kernel.weights() as f64;
            self.weights += weights;
            self.operations += 2.0 * weights * computed as f64;
            self.written += (kernel.outputs * written) as f64;
        }
        if let Pieces::ChannelWise(layer) = &pieces {
            self.add_product(layer.channels * layer.places * layer.places, layer.channels * layer.places);
        }
        if let Pieces::FastFourier(layer) = &pieces
            && let Some(spectral) = &layer.spectral
        {
            self.add_transforms(spectral.reduce.outputs, columns, rows);
        }
    }

    /// A product with a matrix, for each of whose weights one value is read.
    fn add_product(&mut self, weights: usize, outputs: usize) {
        self.weights += weights as f64;
        self.operations += 2.0 * weights as f64;
        self.written += outputs as f64;
    }

    /// A kernel on the half spectrum of a map, with the transforms around it.
    fn add_spectral(&mut self, kernel: &Kernel, columns: usize, rows: usize) {
        let places = rows * (columns / 2 + 1);
        self.weights += kernel.weights() as f64;
        self.operations += 2.0 * (kernel.weights() * places) as f64;
        self.written += (kernel.outputs * places) as f64;
        self.add_transforms(kernel.inputs / 2, columns, rows);
    }

    /// A Fourier transform of `channels` maps, and its inverse.
    fn add_transforms(&mut self, channels: usize, columns: usize, rows: usize) {
        let frequencies = columns / 2 + 1;
        // Each direction: products with a [columns, 2 frequencies] and a [2 rows, 2 rows] matrix.
        let transform = 2 * rows * frequencies * columns + 4 * rows * rows * frequencies;
        self.operations += 2.0 * 2.0 * (channels * transform) as f64;
        self.written += 2.0 * (channels * 4 * rows * frequencies) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ControlNet, Delta, DenoiserSize, Family, Form, Shape, Split, is_parameter};

    fn shape(width: usize, blocks: usize) -> Shape {
        Shape { channels_in: 4, width, blocks, control: false, delta: Delta::None }
    }

    #[test]
    fn big_lama_takes_as_many_operations_as_known() {
        let cost = Cost::of(&Family::Fourier.network(shape(64, 18)).layers(), 512, 512);
        // 440 GFLOP of convolutions; 36 pairs of transforms with 0.62 GFLOP each.
        assert!((460e9..465e9).contains(&cost.operations), "{:e}", cost.operations);
    }

    #[test]
    fn the_weights_counted_are_the_networks_kernels() {
        for family in Family::ALL {
            let layers = family.network(Shape { control: true, ..shape(8, 3) }).layers();
            let kernels: usize = layers
                .tensors()
                .iter()
                .filter(|(name, sides)| sides.len() == 4 && is_parameter(name))
                .map(|(_, sides)| sides.iter().product::<usize>())
                .sum();
            assert_eq!(Cost::of(&layers, 64, 64).weights, kernels as f64, "{family}");
        }
    }

    /// Reference specification of diffusion, 4.1: GFLOP of one step for a refined latent, at 512 and 128 pixels.
    #[test]
    fn denoisers_take_as_many_operations_as_the_reference() {
        for (size, at_512, at_128) in
            [(DenoiserSize::S, 9.8, 0.61), (DenoiserSize::M, 20.7, 1.29), (DenoiserSize::B, 32.4, 2.02)]
        {
            let layers = size.denoiser(128).layers();
            for (cells, expected) in [(64, at_512), (16, at_128)] {
                let cost = Cost::of_denoiser(&layers, cells, cells);
                let found = cost.operations / 1e9;
                assert!((found / expected - 1.0).abs() < 0.02, "{size:?} at {cells} cells: {found}");
                let kernels: usize = layers
                    .tensors()
                    .iter()
                    .filter(|(_, sides)| sides.len() > 1)
                    .map(|(_, sides)| sides.iter().product::<usize>())
                    .sum();
                assert_eq!(cost.weights, kernels as f64);
                assert_eq!(cost.largest, (2 * layers.norm_out.channels * cells * cells) as f64);
            }
        }
    }

    /// Reference specification of diffusion, 3.2: a step of M grows by 48 %, and the hint's encoder takes 6.3 GFLOP at 512 pixels.
    #[test]
    fn branches_take_as_many_operations_as_the_reference() {
        let denoiser = DenoiserSize::M.denoiser(16);
        let step = Cost::of_denoiser(&denoiser.layers(), 64, 64);
        let layers = ControlNet::new(denoiser).layers();
        let (added, hint) = (Cost::of_control(&layers, 64, 64), Cost::of_hint(&layers, 512, 512));
        let grows = added.operations / step.operations;
        assert!((grows - 0.48).abs() < 0.01, "{grows}");
        let found = hint.operations / 1e9;
        assert!((found / 6.3 - 1.0).abs() < 0.02, "{found}");
        let kernels = |parts: &[&str]| -> usize {
            let tensors = layers.tensors();
            let counted = tensors
                .iter()
                .filter(|(name, sides)| sides.len() > 1 && parts.iter().any(|part| name.starts_with(part)));
            counted.map(|(_, sides)| sides.iter().product::<usize>()).sum()
        };
        assert_eq!(added.weights, kernels(&["encoder.", "zero."]) as f64);
        assert_eq!(hint.weights, kernels(&["hint."]) as f64);
        assert_eq!(hint.largest, f64::from(16 * 512 * 512));
    }

    #[test]
    fn a_pointwise_layer_by_hand() {
        let (inputs, outputs) = (Split::local(2), Split::local(3));
        let layer = Layer { path: "layer".into(), inputs, outputs, level: 1, form: Form::POINTWISE };
        let mut cost = Cost::default();
        cost.add(&layer, 10, 4);
        assert_eq!(cost, Cost { operations: 120.0, written: 30.0, largest: 0.0, weights: 6.0 });
    }

    #[test]
    fn larger_images_and_networks_cost_more() {
        let of = |shape: Shape, width: usize, height: usize| {
            Cost::of(&Family::Fourier.network(shape).layers(), width, height)
        };
        let small = of(shape(8, 9), 256, 256);
        for larger in [
            of(shape(8, 9), 264, 256),
            of(shape(8, 9), 256, 264),
            of(shape(9, 9), 256, 256),
            of(shape(8, 10), 256, 256),
            of(Shape { control: true, ..shape(8, 9) }, 256, 256),
        ] {
            assert!(larger.operations > small.operations && larger.written > small.written, "{larger:?}");
        }
    }
}
