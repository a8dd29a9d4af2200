//! The loss of a flow between latents: squared error of the velocity where the latent is generated.
//!
//! `sum w |predicted - (start - data)|² / sum w` over the cells of a whole batch (Lipman et al. 2023,
//! <https://arxiv.org/abs/2210.02747>). Cells of images with small holes thus count as much as any other.

use burn::tensor::Tensor;
use lacuna_nets::Result;
use serde::{Deserialize, Serialize};

use crate::flow::Path;

/// The weight of a batch without holes, which has none.
const NO_WEIGHT: f64 = 1e-8;

/// How a network is shown the known cells. A sampler must show them likewise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownCells {
    /// Without noise. They do not count. For [`lacuna_diffusion::KnownWay::Clean`].
    Clean,
    /// At the time of the others. For all other ways.
    Noised {
        /// Their weight; that of generated cells is 1.
        weight: f64,
    },
}

/// Mean squared error of the velocity that `predict` returns for the noisy latents of `path`.
///
/// # Shapes
/// - `free`: `[batch, 1, height, width]`, 1 where a cell is generated, 0 where it is known
/// - the result: `[1]`; 0 for a batch without free cells
///
/// # Errors
/// That of `predict`.
pub fn mse(
    path: &Path,
    free: &Tensor<4>,
    known: KnownCells,
    predict: impl FnOnce(Tensor<4>) -> Result<Tensor<4>>,
) -> Result<Tensor<1>> {
    let is_known = free.clone().neg().add_scalar(1.0);
    let (noisy, weight) = match known {
        KnownCells::Clean => {
            let noisy = free.clone() * path.noisy() + is_known * path.data.clone();
            (noisy, free.clone())
        }
        KnownCells::Noised { weight } => (path.noisy(), free.clone() + is_known.mul_scalar(weight)),
    };
    let predicted = predict(noisy)?;
    let [_, channels, _, _] = predicted.dims();
    let total = weight.clone().sum().mul_scalar(channels as f64).clamp_min(NO_WEIGHT);
    Ok(((predicted - path.velocity()).square() * weight).sum() / total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::Gradients;
    use crate::testing::{reference_batch, reference_denoiser, tensor, values};
    use testkit::denoiser::reference_name;
    use testkit::{assert_close, fixtures, worst_difference};

    /// Of a gradient's largest entry.
    const GRADIENT_TOLERANCE: f32 = 1e-4;

    #[test]
    fn losses_and_all_gradients_equal_the_reference() {
        let numbers = fixtures::load("diffusion/training.safetensors");
        let (path, free, condition) = reference_batch();
        let denoiser = reference_denoiser();
        let loss =
            |known| mse(&path, &free, known, |x| denoiser.forward(x, &path.times, &condition)).unwrap();
        let noised = loss(KnownCells::Noised { weight: 0.1 });
        assert_close(&values(noised), &numbers.get("loss.mean_noised").values, 1e-5);
        let clean = loss(KnownCells::Clean);
        assert_close(&values(clean.clone()), &numbers.get("loss.mean_clean").values, 1e-5);

        let gradients = Gradients::of(&denoiser, &clean.backward());
        let names: Vec<&str> = gradients.names().collect();
        assert_eq!(names.len(), testkit::denoiser::config().layers().tensors().len());
        for name in names {
            let expected = &numbers.get(&format!("grad.{}", reference_name(name))).values;
            let found = values(gradients.get(name).unwrap().clone());
            let largest = expected.iter().fold(0.0f32, |largest, entry| largest.max(entry.abs()));
            let worst = worst_difference(&found, expected).unwrap().size();
            assert!(worst <= GRADIENT_TOLERANCE * largest, "{name}: {worst:e}, largest {largest:e}");
        }
    }

    #[test]
    fn two_cells_by_hand() {
        // Two channels of two cells; the second cell is known.
        let data = tensor([1, 2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]);
        let start = tensor([1, 2, 1, 2], vec![5.0, 5.0, 5.0, 5.0]);
        let free = tensor([1, 1, 1, 2], vec![1.0, 0.0]);
        let path = Path { data, start, times: vec![0.5] };
        let run = |known, shown: [f32; 4]| {
            let predict = |x: Tensor<4>| {
                assert_close(&values(x.clone()), &shown, 1e-6);
                Ok(x.zeros_like())
            };
            values(mse(&path, &free, known, predict).unwrap())
        };
        // Velocities 4, 3, 2, 1.
        assert_close(&run(KnownCells::Clean, [3.0, 2.0, 4.0, 4.0]), &[(16.0 + 4.0) / 2.0], 1e-6);
        let noised = KnownCells::Noised { weight: 0.5 };
        let expected = (16.0 + 4.0 + 0.5 * (9.0 + 1.0)) / (2.0 + 0.5 * 2.0);
        assert_close(&run(noised, [3.0, 3.5, 4.0, 4.5]), &[expected], 1e-6);
    }

    #[test]
    fn a_batch_without_holes_has_no_loss_and_no_gradient() {
        let (path, free, condition) = reference_batch();
        let denoiser = reference_denoiser();
        let predict = |x| denoiser.forward(x, &path.times, &condition);
        let loss = mse(&path, &free.zeros_like(), KnownCells::Clean, predict).unwrap();
        assert_eq!(values(loss.clone()), [0.0]);
        assert_eq!(Gradients::of(&denoiser, &loss.backward()).norm(), 0.0);
    }
}
