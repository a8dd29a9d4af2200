//! Checks of run files of context encoders.

use lacuna_masks::MaskGenerator;
use lacuna_network::{ContextEncoder, ContextHole};

use super::{Loss, Network, RunConfig, Task};
use crate::{Error, Result};

/// Photos of the smallest batch: BatchNorm over a single pixel needs several images.
const SMALLEST_BATCH: usize = 2;

/// Checks the parts of a run file that only concern context encoders.
///
/// # Errors
/// [`Error::Config`], which names the keys.
pub(super) fn check_context(config: &RunConfig) -> Result<()> {
    let refuse = |problem: String| Err(Error::Config(problem));
    let RunConfig { task, network, start, data, loss, run, .. } = config;
    let Network::ContextEncoder(network) = network else { return Ok(()) };
    if *task != Task::Inpainting {
        return refuse("task: a context encoder fills holes, expected \"inpainting\"".into());
    }
    if data.side != network.side {
        return refuse(format!(
            "data.side: expected the network's side, {}, got {}",
            network.side, data.side
        ));
    }
    if run.batch < SMALLEST_BATCH {
        return refuse(format!(
            "run.batch: a context encoder needs at least {SMALLEST_BATCH} photos, got {}: BatchNorm over a single pixel \
             has no variance",
            run.batch
        ));
    }
    if run.accumulate != 1 {
        return refuse(format!(
            "run.accumulate: context encoders take one batch per step, on one device, got {}",
            run.accumulate
        ));
    }
    if start.autoencoder.is_some() || !start.freeze.is_empty() {
        return refuse("start: a context encoder has no autoencoder and no frozen parts".into());
    }
    let Some(context) = loss.context else {
        return refuse("loss.context: required by context encoders".into());
    };
    if *loss != (Loss { context: loss.context, ..Loss::default() }) {
        return refuse("loss: context encoders have the loss \"context\" alone".into());
    }
    let weights = [("reconstruction", context.reconstruction), ("known", context.known)];
    let adversarial = context
        .adversarial
        .map(|loss| [("adversarial.weight", loss.weight), ("adversarial.learning_rate", loss.learning_rate)]);
    for (key, value) in weights.into_iter().chain(adversarial.into_iter().flatten()) {
        if !value.is_finite() || value <= 0.0 {
            return refuse(format!("loss.context.{key}: expected a number above 0, got {value}"));
        }
    }
    if context.adversarial.is_some_and(|loss| loss.width == 0) {
        return refuse("loss.context.adversarial.width: expected at least 1, got 0".into());
    }
    for (key, masks) in [("masks", &data.masks), ("validation_masks", &data.validation_masks)] {
        check_masks(key, &masks.generator(), network)?;
    }
    Ok(())
}

/// A network for central holes can fill no other.
fn check_masks(key: &str, masks: &MaskGenerator, network: &ContextEncoder) -> Result<()> {
    let ContextHole::Centre { overlap } = network.hole else { return Ok(()) };
    match masks {
        MaskGenerator::Centre(centre) if centre.margin == overlap => Ok(()),
        _ => Err(Error::Config(format!(
            "data.{key}: network.hole is the centre, expected {{ kind = \"centre\", margin = {overlap} }}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunConfig;

    const CONTEXT: &str = r#"
        task = "inpainting"
        seed = 1
        network = { family = "context-encoder", side = 64, hole = "region", width = 2, middle = "channel-wise" }
        loss = { context = { reconstruction = 0.999, known = 1.0 } }
        optimizer = { learning_rate = 2e-3, betas = [0.5, 0.999] }
        run = { steps = 4, batch = 4 }
        [data]
        train = [{ kind = "folder", path = "photos" }]
        side = 64
        augment = "light"
        masks = { kind = "blob" }
        validation_masks = { kind = "blob" }
    "#;

    /// With a central hole and a bottleneck.
    fn centre() -> String {
        CONTEXT
            .replace("hole = \"region\"", "hole = { centre = { overlap = 4 } }")
            .replace("middle = \"channel-wise\"", "middle = { bottleneck = { channels = 9 } }")
            .replace("kind = \"blob\"", "kind = \"centre\", margin = 4")
    }

    #[test]
    fn what_is_written_reads_again() {
        let config = RunConfig::parse(CONTEXT, &[]).unwrap();
        assert_eq!(RunConfig::parse(&config.to_toml(), &[]).unwrap(), config);
        let mut published = RunConfig::parse(&centre(), &[]).unwrap();
        assert_eq!(RunConfig::parse(&published.to_toml(), &[]).unwrap(), published);
        published.optimizer.betas = crate::optim::BETAS;
        assert!(!published.to_toml().contains("betas"), "run files of other networks stay as they are");
        assert_eq!(config.network.config().label(), "context-region-64-w2-channelwise");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (change, part) in [
            ("task=autoencoder", "task: a context encoder fills holes"),
            ("data.side=128", "data.side: expected the network's side, 64, got 128"),
            ("run.batch=1", "run.batch: a context encoder needs at least 2 photos, got 1"),
            (
                "run.accumulate=2",
                "run.accumulate: context encoders take one batch per step, on one device, got 2",
            ),
            ("network.side=96", "network: a side of 96 pixels"),
            ("network.blocks=3", "blocks"),
            ("start.autoencoder=a", "start: a context encoder has no autoencoder"),
            ("loss={ pixel_l1 = { known = 1.0, hole = 1.0 } }", "loss.context: required"),
            ("loss.pixel_mse={ weight = 1.0 }", "loss: context encoders have the loss \"context\" alone"),
            ("loss.context.known=-1.0", "loss.context.known: expected a number above 0, got -1"),
            ("network.hole={ centre = { overlap = 4 } }", "expected { kind = \"centre\", margin = 4 }"),
            (
                "optimizer.betas=[0.5, 1.0]",
                "optimizer.betas: expected two numbers from 0 to less than 1, got 1",
            ),
        ] {
            let error = RunConfig::parse(CONTEXT, &[change.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(part), "{change}: {error}");
        }
    }

    #[test]
    fn other_networks_do_not_take_its_loss() {
        let other = super::super::tests::SMALL.replace(
            "pixel_l1 = { known = 1.0, hole = 1.0 }",
            "context = { reconstruction = 1.0, known = 1.0 }",
        );
        let error = RunConfig::parse(&other, &[]).unwrap_err().to_string();
        assert!(error.contains("loss.context: the loss of context encoders"), "{error}");
    }
}
