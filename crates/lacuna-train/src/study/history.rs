//! A history of inpainting: networks of about two million parameters each, trained with the same photos, masks and steps.
//!
//! Networks are those of 2016 (context encoder), 2018 (pix2pixHD), 2022 (LaMa) and 2024 (mask control and latent loss),
//! beside methods without training. All start from random weights but the last, whose latent loss needs an autoencoder that is
//! trained before it. Masks are the random regions of context encoders, because these fill no others well.

use lacuna::Method;
use lacuna_eval::classic;

use super::rows::{Row, Work};

/// Masks of all rows.
macro_rules! masks {
    ($($change:literal),*) => {
        &["data.masks={ kind = \"blob\" }", "data.validation_masks={ kind = \"blob\" }", $($change),*]
    };
}

/// The autoencoder that the network with latent loss starts from.
pub(super) const AUTOENCODER: &[&str] = masks!("network.width=16");

/// The rows; the first is the reference of comparisons.
pub(super) fn rows() -> Vec<Row> {
    let train = |title, name, loss, mask, file, changes| Row {
        title,
        name,
        work: Work::Train { file, changes },
        loss,
        encoder_decoder: "learn",
        mask,
        printed: None,
    };
    let fill = |title, name, method| Row {
        title,
        name,
        work: Work::Fill(method),
        loss: "–",
        encoder_decoder: "–",
        mask: "–",
        printed: None,
    };
    let latent = train(
        "LaMa, control and latent loss (2024)",
        "history-control-latent",
        "latent L1",
        "control",
        "latent-control",
        masks!("network.width=16"),
    );
    vec![
        train(
            "Context encoder, L2 (2016)",
            "history-context-l2",
            "L2",
            "colour",
            "context-small",
            masks!("loss.context={ reconstruction = 1.0, known = 1.0 }"),
        ),
        train(
            "Context encoder, L2 and adversarial (2016)",
            "history-context",
            "0.999 L2, 0.001 adversarial",
            "colour",
            "context-small",
            masks!(),
        ),
        train(
            "pix2pixHD generator (2018)",
            "history-regular",
            "pixel L1",
            "alpha",
            "pixel",
            masks!("start.autoencoder_init=false", "network.family=regular", "network.width=12"),
        ),
        train(
            "LaMa (2022)",
            "history-lama",
            "pixel L1",
            "alpha",
            "pixel",
            masks!("start.autoencoder_init=false", "network.width=16"),
        ),
        Row { encoder_decoder: "frozen", ..latent },
        fill("Mean colour", "history-mean-colour", classic::mean_colour::METHOD),
        fill("Navier-Stokes (2001)", "history-navier-stokes", classic::navier_stokes::METHOD),
        fill("Telea (2004)", "history-telea", classic::telea::METHOD),
        fill("PatchMatch (2009)", "history-patchmatch", Method::PATCHMATCH),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::rows::{Table, text};
    use super::*;
    use crate::config::{Network, RunConfig};
    use lacuna_network::is_parameter;

    /// Rows are compared at about the same size, on the same photos, masks and steps.
    #[test]
    fn networks_have_about_the_same_size_and_masks() {
        let mut trained = 0;
        for row in Table::History.rows() {
            let Work::Train { file, changes } = row.work else { continue };
            let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
            let config = RunConfig::parse(text(file), &changes).unwrap();
            let tensors = config.network.config().layers().tensors().into_iter();
            let parameters = tensors.filter(|(name, _)| is_parameter(name));
            let count: usize = parameters.map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert!((1_500_000..1_900_000).contains(&count), "{}: {count}", row.name);
            assert_eq!(config.data.masks, config.data.validation_masks, "{}", row.name);
            assert!(matches!(
                config.data.masks.generator(),
                lacuna_masks::MaskGenerator::Blob(blob) if blob == Default::default()
            ));
            let is_l2 = row.name.ends_with("l2");
            if let Network::ContextEncoder(_) = config.network {
                assert_eq!(config.loss.context.unwrap().adversarial.is_none(), is_l2);
            }
            trained += 1;
        }
        assert_eq!(trained, 5);
    }
}
