//! R1 penalty: penalises the discriminator's gradient at real images.
//!
//! Mescheder et al. 2018, <https://arxiv.org/abs/1801.04406>, eq. 9, without the factor 1/2, as in LaMa: `coefficient ·
//! mean over the batch of |∇ sum D(image)|²`.
//!
//! Its gradient with respect to the parameters is a second derivative, which Burn does not support. With `v = ∇ sum
//! D(image)` as a constant, `2 coefficient / batch · (derivative of sum D along v)` has the same gradient. The
//! directional derivative is a forward pass ([`Discriminator::forward_tangent`]) that can be differentiated once. This
//! is exact, where a finite difference fails at the kinks of LeakyReLU.

use burn::tensor::Tensor;
use lacuna_nets::weights::set_learning;

use crate::net::{Discriminator, DiscriminatorOutput, TangentOutput};

/// The result of a pass over real images.
#[derive(Clone, Debug)]
pub struct Penalty {
    /// The penalty's value, without gradient.
    pub value: Tensor<1>,
    /// Its gradient is the penalty's, with respect to the discriminator's parameters; its value has no meaning.
    pub surrogate: Tensor<1>,
    /// The discriminator's output.
    pub output: DiscriminatorOutput,
}

/// Runs the discriminator on real images and computes the penalty.
///
/// # Shapes
/// `image`: `[batch, channels, height, width]` on an autodiff device.
pub fn penalty(discriminator: &Discriminator, image: Tensor<4>, coefficient: f64) -> Penalty {
    let batch = image.dims()[0] as f64;
    // Norms keep their mode. The copy has its own statistics, so that they are updated only once, below.
    let constant = set_learning(discriminator.clone(), |_| false);
    let input = image.clone().detach().require_grad();
    let backward = constant.forward(input.clone()).logits.sum().backward();
    let gradient = input.grad(&backward).expect("logits depend on the picture");
    let value = Tensor::from_inner(gradient.clone().square().sum().mul_scalar(coefficient / batch));
    let TangentOutput { output, tangent } =
        discriminator.forward_tangent(image.detach(), Tensor::from_inner(gradient));
    Penalty { value, surrogate: tangent.sum().mul_scalar(2.0 * coefficient / batch), output }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Gradients;
    use crate::testing::{from_fixture, from_reference, reference_name, values};
    use burn::module::Module;
    use lacuna_nets::weights;
    use testkit::fixtures::{self, Fixtures};

    /// Relative to the largest entry of all gradients, and to the penalty.
    const TOLERANCE: f64 = 1e-4;

    /// Biases before a norm have gradient 0 up to rounding. Values below this fraction of the largest entry are
    /// compared as if they were that large.
    const ROUNDING: f32 = 0.01;

    fn assert_reference(mode: &str, discriminator: Discriminator, numbers: &Fixtures) {
        let penalty = penalty(&discriminator, from_fixture(numbers.get("real")), 0.001);
        let expected = numbers.get(&format!("{mode}.r1")).values[0];
        let value = values(penalty.value)[0];
        assert!(
            f64::from((value - expected).abs()) <= TOLERANCE * f64::from(expected),
            "{value}, expected {expected}"
        );
        let gradients = Gradients::of(&discriminator, &penalty.surrogate.backward());
        let own = numbers.names().filter(|name| name.starts_with(&format!("{mode}.r1_grad.")));
        let all = own.flat_map(|name| &numbers.get(name).values);
        let overall = all.fold(0.0f32, |largest, value| largest.max(value.abs()));
        let mut compared = 0;
        for named in weights::shapes(&discriminator) {
            let Some(expected) = numbers.find(&reference_name(&format!("{mode}.r1_grad."), &named.name))
            else {
                continue;
            };
            let found = match gradients.get(&named.name) {
                Some(row) => values(row.clone()),
                None => vec![0.0; expected.values.len()],
            };
            let largest = expected.values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let worst = testkit::worst_difference(&found, &expected.values).unwrap().size();
            println!("{mode} {}: {worst:e} of {largest:e}", named.name);
            let scale = largest.max(ROUNDING * overall);
            assert!(
                f64::from(worst) <= TOLERANCE * f64::from(scale),
                "{}: {worst:e} of {largest:e}",
                named.name
            );
            compared += 1;
        }
        assert!(compared >= 10, "only {compared} gradients were compared");
    }

    #[test]
    fn value_and_gradient_equal_double_backward_in_train_mode() {
        let numbers = fixtures::load("adversarial.safetensors");
        assert_reference("train", from_reference(&numbers), &numbers);
    }

    #[test]
    fn value_and_gradient_equal_double_backward_in_eval_mode() {
        let numbers = fixtures::load("adversarial.safetensors");
        // Frozen norms are in eval mode; then all parameters are trained again.
        let frozen = set_learning(from_reference(&numbers).freeze(), |_| true);
        assert_reference("eval", frozen, &numbers);
    }

    #[test]
    fn statistics_are_updated_once() {
        let numbers = fixtures::load("adversarial.safetensors");
        let [once, penalised] = [from_reference(&numbers), from_reference(&numbers)];
        let real = from_fixture::<4>(numbers.get("real"));
        once.forward(real.clone());
        penalty(&penalised, real, 0.001);
        let [once, penalised] = [once, penalised].map(|network| weights::read(&network).unwrap());
        assert_eq!(once, penalised);
    }
}
