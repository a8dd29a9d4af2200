//! Feature matching loss: differences of the discriminator's features.
//!
//! pix2pixHD (Wang et al. 2018, <https://arxiv.org/abs/1711.11585>, eq. 4), squared as in LaMa: the mean over the
//! hidden layers of `mean (maps(predicted) - maps(image))²`.

use burn::tensor::Tensor;

/// The mean over the hidden layers.
///
/// # Shapes
/// `fake`, `real`: [`crate::net::DiscriminatorOutput::maps`].
pub fn mse(fake: &[Tensor<4>], real: &[Tensor<4>]) -> Tensor<1> {
    let terms = fake.iter().zip(real).map(|(fake, real)| (fake.clone() - real.clone()).square().mean());
    let sum = terms.reduce(|sum, term| sum + term).expect("a discriminator with hidden layers");
    sum.div_scalar(fake.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{from_fixture, from_reference, values};
    use burn::module::Module;
    use testkit::{assert_close, fixtures};

    #[test]
    fn it_equals_the_reference() {
        let numbers = fixtures::load("adversarial.safetensors");
        let discriminator = from_reference(&numbers).valid();
        let [fake, real] = ["fake", "real"]
            .map(|name| discriminator.forward(from_fixture::<4>(numbers.get(name)).inner()).maps);
        // losses.json of oracle/make_fixtures.py
        assert_close(&values(mse(&fake, &real)), &[0.002_353_936], 1e-7);
    }
}
