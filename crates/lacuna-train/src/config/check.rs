//! Checks of run files.

use lacuna_network::Family;

use super::check_context::check_context;
use super::check_shared::check_shared;
use super::{Conditioning, Part, RunConfig, Sampling, Task};
use crate::loss::spread::SpreadLoss;
use crate::{Error, Result};

/// VGG16 halves the sides four times, and pools in pairs.
const VGG_MULTIPLE: usize = 32;

/// Checks a run file before anything is built.
///
/// # Errors
/// [`Error::Config`], which names the keys.
pub(super) fn check(config: &RunConfig) -> Result<()> {
    let refuse = |problem: String| Err(Error::Config(problem));
    let RunConfig { task, network, start, data, loss, optimizer, ema, run, .. } = config;
    network.config().check().or_else(|error| refuse(format!("network: {error}")))?;
    check_shared(data, optimizer, ema, run)?;
    if loss.terms().is_empty() {
        return refuse("loss: expected at least one term".into());
    }
    if (loss.perceptual_mse.is_some() || loss.style_l1.is_some()) != loss.vgg16.is_some() {
        return refuse(
            "loss.vgg16: required with loss.perceptual_mse or loss.style_l1, and only then".into(),
        );
    }
    if loss.vgg16.is_some() && data.side % VGG_MULTIPLE != 0 {
        return refuse(format!("data.side: VGG16 needs a multiple of {VGG_MULTIPLE}, got {}", data.side));
    }
    if loss.feature_matching_mse.is_some() && loss.adversarial.is_none() {
        return refuse(
            "loss.feature_matching_mse: needs loss.adversarial, whose features it compares".into(),
        );
    }
    let Some(network) = network.generator() else { return check_context(config) };
    if loss.context.is_some() {
        return refuse("loss.context: the loss of context encoders, but network.family is another".into());
    }
    check_sampling(config)?;
    match task {
        Task::Autoencoder => {
            if network.conditioning != Conditioning::None {
                return refuse("network.conditioning: an autoencoder has no mask, expected \"none\"".into());
            }
            if loss.needs_target_latent() || !start.freeze.is_empty() || start.autoencoder.is_some() {
                return refuse(
                    "task = \"autoencoder\" allows no latent loss, frozen part or start.autoencoder".into(),
                );
            }
        }
        Task::Inpainting => {
            if loss.needs_target_latent() && start.autoencoder.is_none() {
                return refuse(
                    "start.autoencoder: required by latent losses, which use its encodings as targets".into(),
                );
            }
            if !start.freeze.is_empty()
                && (start.autoencoder.is_none() || !start.autoencoder_init)
                && start.network.is_none()
            {
                return refuse(
                    "start.freeze: an untrained part cannot be frozen, set start.autoencoder".into(),
                );
            }
        }
    }
    Ok(())
}

/// Checks what only the sampled family has.
fn check_sampling(config: &RunConfig) -> Result<()> {
    let refuse = |problem: String| Err(Error::Config(problem));
    let RunConfig { task, network, start, loss, sampling, .. } = config;
    let untrained = start.freeze.iter().find(|part| matches!(part, Part::Control | Part::Refiner));
    if start.network.is_none()
        && let Some(part) = untrained
    {
        return refuse(format!("start.freeze: {part:?} is untrained without start.network"));
    }
    let family = network.config().family();
    let Some(Sampling { answers, mapping_rate, others, .. }) = *sampling else {
        if family == Family::Sampled {
            return refuse("sampling: required by network.family = \"sampled\"".into());
        }
        if loss.needs_answers() {
            return refuse(format!(
                "loss.best_of_l1, spread_l1 and mode_seeking_l1 compare several answers, network.family = \"{family}\" gives one"
            ));
        }
        return Ok(());
    };
    if family != Family::Sampled {
        return refuse(format!(
            "sampling: network.family = \"{family}\" gives one answer, expected \"sampled\""
        ));
    }
    if *task != Task::Inpainting {
        return refuse(
            "network.family: the sampled family fills holes, expected task = \"inpainting\"".into(),
        );
    }
    if start.network.is_none() {
        return refuse(
            "start.network: required by the sampled family, whose norms keep trained statistics".into(),
        );
    }
    if loss.latent_adversarial.is_some() {
        return refuse("loss.latent_adversarial: not available in the sampled family".into());
    }
    if answers < 2 {
        return refuse(format!("sampling.answers: expected at least 2, got {answers}"));
    }
    if !(mapping_rate >= 0.0 && mapping_rate.is_finite()) {
        return refuse(format!("sampling.mapping_rate: expected a number from 0 up, got {mapping_rate}"));
    }
    if !(0.0..=1.0).contains(&others) {
        return refuse(format!("sampling.others: expected 0 to 1, got {others}"));
    }
    match loss.spread_l1 {
        Some(spread) if !(spread.wanted > 0.0 && spread.wanted <= 1.0) => {
            refuse(format!("loss.spread_l1.wanted: expected above 0 and at most 1, got {}", spread.wanted))
        }
        Some(SpreadLoss { window: Some(window), .. }) if window < 3 || window % 2 == 0 => {
            refuse(format!("loss.spread_l1.window: expected an odd number from 3 up, got {window}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::SMALL;
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (change, part) in [
            ("data.side=30", "data.side: expected a multiple of 8, at least 16, got 30"),
            ("data.side=8", "got 8"),
            ("data.train=[]", "data.train: expected at least one source"),
            ("run.batch=0", "run.batch: expected at least 1, got 0"),
            ("optimizer.learning_rate=-1.0", "optimizer.learning_rate: expected a number above 0, got -1"),
            ("ema={ on = true, decay = 1.0 }", "ema.decay"),
            ("network.width=0", "network: "),
            ("task=autoencoder", "an autoencoder has no mask"),
            ("loss.latent_l1={ weight = 1.0 }", "start.autoencoder: required by latent losses"),
            ("run.best_by=lpips", "lpips needs data.lpips_weights"),
            ("loss.feature_matching_mse={ weight = 1.0 }", "needs loss.adversarial"),
            ("loss.perceptual_mse={ weight = 1.0 }", "loss.vgg16: required with"),
            ("start={ freeze = [\"encoder\"] }", "start.freeze: an untrained part"),
            ("start={ freeze = [\"refiner\"] }", "start.freeze: Refiner is untrained without start.network"),
            ("network.family=sampled", "sampling: required by network.family"),
            ("sampling={ answers = 2, mapping_rate = 0.1 }", "gives one answer, expected \"sampled\""),
            ("loss.best_of_l1={ weight = 1.0 }", "compare several answers, network.family = \"fourier\""),
        ] {
            let error = RunConfig::parse(SMALL, &[change.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(part), "{change}: {error}");
        }
        let sampled = SMALL.replace("fourier", "sampled").replace(
            "[data]",
            "[sampling]\nanswers = 2\nmapping_rate = 0.1\n[start]\nnetwork = \"n\"\n[data]",
        );
        RunConfig::parse(&sampled, &[]).unwrap();
        for (change, part) in [
            ("sampling.answers=1", "sampling.answers: expected at least 2, got 1"),
            ("sampling.mapping_rate=-1.0", "sampling.mapping_rate: expected a number from 0 up, got -1"),
            ("sampling.others=1.5", "sampling.others: expected 0 to 1, got 1.5"),
            ("start={}", "start.network: required by the sampled family"),
            ("loss.spread_l1={ weight = 1.0, wanted = 0.0 }", "loss.spread_l1.wanted: expected above 0"),
            (
                "loss.spread_l1={ weight = 1.0, wanted = 0.1, window = 16 }",
                "loss.spread_l1.window: expected an odd number from 3 up, got 16",
            ),
        ] {
            let error = RunConfig::parse(&sampled, &[change.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(part), "{change}: {error}");
        }
        let none = SMALL.replace("pixel_l1 = { known = 1.0, hole = 1.0 }", "");
        assert!(RunConfig::parse(&none, &[]).unwrap_err().to_string().contains("at least one term"));
    }
}
