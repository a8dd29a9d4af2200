//! The squared error of context encoders (Pathak et al. 2016, <https://arxiv.org/abs/1604.07379>, equation 1).
//!
//! `mean(W (answer - truth)²)` of values in `[-1, 1]`, where `W` is 1 in the hole and `known` on what was visible: the
//! overlap of a central hole, or the rest of the image.

use burn::tensor::Tensor;

/// Weighted mean squared error.
///
/// # Shapes
/// - `answer`, `truth`: `[batch, 3, height, width]` in `[-1, 1]`
/// - `mask`: `[batch or 1, 1, height, width]`, 1 = hole
pub fn mse(answer: Tensor<4>, truth: Tensor<4>, mask: Tensor<4>, known: f64) -> Tensor<1> {
    let weight = mask.mul_scalar(1.0 - known).add_scalar(known);
    ((answer - truth).square() * weight).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::adversarial;
    use crate::testing::{from_fixture, tensor, values};
    use testkit::{assert_close, fixtures};

    #[test]
    fn by_hand() {
        let answer = tensor([1, 1, 1, 2], vec![0.5, -1.0]);
        let truth = tensor([1, 1, 1, 2], vec![0.0, 1.0]);
        let mask = tensor([1, 1, 1, 2], vec![1.0, 0.0]);
        // (0.25 + 10 * 4) / 2
        assert_eq!(values(mse(answer, truth, mask, 10.0)), [20.125]);
    }

    /// Losses of `expected.json`, and the gradient of the joint loss, of `oracle/make_system_fixtures.py`.
    #[test]
    fn the_joint_loss_and_its_gradient_equal_the_reference() {
        struct Case {
            file: &'static str,
            answer: &'static str,
            part: [usize; 2],
            squared: f32,
            adversarial: f32,
            discriminator: f32,
        }
        for Case { file, answer, part: [at, length], squared, adversarial, discriminator } in [
            Case {
                file: "region",
                answer: "decoder_13",
                part: [0, 64],
                squared: 2.352_775_8,
                adversarial: 1.320_053_2,
                discriminator: 1.697_329_5,
            },
            Case {
                file: "centre",
                answer: "decoder_10",
                part: [16, 32],
                squared: 1.051_933_4,
                adversarial: 0.768_089_95,
                discriminator: 1.321_623_1,
            },
        ] {
            let numbers = fixtures::load(&format!("context/{file}.safetensors"));
            let get = |name: &str| from_fixture::<4>(numbers.get(name));
            let part = |x: Tensor<4>| x.narrow(2, at, length).narrow(3, at, length);
            let [truth, mask] = ["image", "hole"].map(|name| part(get(name)));
            let answer = get(answer).detach().require_grad();
            let value = mse(answer.clone(), truth.clone(), mask, 10.0);
            assert_close(&values(value.clone()), &[squared], 1e-5);
            let critic = crate::testing::context_discriminator(&numbers, "discriminator.", length);
            let (real, fake) = (critic.forward(truth).logits, critic.forward(answer.clone()).logits);
            let logits = [&real, &fake].map(|logits| values(logits.clone())[0]);
            let probabilities = logits.map(|logit| 1.0 / (1.0 + (-logit).exp()));
            assert_close(&probabilities, &["real", "fake"].map(|name| numbers.get(name).values[0]), 1e-5);
            let own = values(adversarial::real(real))[0]
                + values(adversarial::fake(fake.clone(), fake.ones_like()))[0];
            assert_close(&[own], &[discriminator], 1e-5);
            let fooled = adversarial::generator(fake);
            assert_close(&values(fooled.clone()), &[adversarial], 1e-5);
            let joint = value.mul_scalar(0.999) + fooled.mul_scalar(0.001);
            let gradient = values(answer.grad(&joint.backward()).unwrap());
            let expected = &numbers.get("grad_answer").values;
            let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            assert_close(&gradient, expected, 1e-4 * largest);
        }
    }
}
