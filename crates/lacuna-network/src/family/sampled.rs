//! The sampled generator: LaMa's generator whose refiner is modulated by a random code, by the image and by noise.
//!
//! [`Modulation`] has the definition. Without it the layers are those of the Fourier family.

use super::fourier;
use crate::{Layers, Modulation, Shape};

pub(super) fn layers(shape: &Shape) -> Layers {
    let plain = fourier::layers(shape);
    Layers { modulation: Some(Modulation::new(shape.blocks, plain.latent().total())), ..plain }
}
