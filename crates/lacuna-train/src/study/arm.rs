//! Trains and scores one arm with one seed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use burn::module::Module;
use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::Checkpoint;
use lacuna::hash::sha256;
use lacuna::method::Build;
use lacuna::{Method, Predictor, default_network, network_predictor};
use lacuna_eval::published::{LPIPS_ALEX, LPIPS_VGG};
use lacuna_eval::report::sheet::masked;
use lacuna_nets::Network as Trained;
use lacuna_network::Delta;

use super::flow::FlowJob;
use super::plan::{Arm, Work, autoencoder_text};
use super::scores::Panel;
use super::{ArmResult, StudyEvent, StudyOptions, differences};
use crate::collective::Alone;
use crate::config::{Conditioning, Data, FlowConfig, Network, RunConfig, RunFile, Task};
use crate::data::Source;
use crate::fit::{FitOptions, Outcome, fit};
use crate::flow::{fit_flow, without_autodiff};
use crate::validate::fill;
use crate::{Error, Result};

/// File name of an arm's result in its folder.
const RESULT: &str = "result.json";
/// File name that marks a finished run.
const DONE: &str = "done";
/// Digits of the hash in the folder of an autoencoder that only some arms start from.
const DIGITS: usize = 8;

/// The runs of a study.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    pub options: &'a StudyOptions,
}

/// What fills the holes of an arm with one seed.
pub(super) enum Job {
    /// A network that is trained.
    Train(Box<Run>),
    /// A flow, trained by this arm or another.
    Flow(Box<FlowJob>),
    /// A method that needs no training.
    Fill(Arc<dyn Predictor>),
}

/// What an arm trains with one seed.
pub(super) struct Run {
    /// Its run file.
    pub config: RunConfig,
    /// The autoencoder that it starts from, and that one's folder.
    autoencoder: Option<(RunConfig, PathBuf)>,
}

impl Runs<'_> {
    /// Checks all run files, and that arms differ only in what the plan says.
    ///
    /// # Errors
    /// [`Error::Config`] names the arm and the key.
    pub fn check(&self) -> Result<()> {
        let plan = &self.options.plan;
        for (index, arm) in plan.arms.iter().enumerate() {
            let like = match &arm.like {
                Some(name) => plan.arm(name),
                None => plan.arms[..index].iter().find(|other| matches!(other.work, Work::Train { .. })),
            };
            let job = self.job(arm, 1)?;
            let Some(like) = like else { continue };
            match (self.job(like, 1)?, job) {
                (Job::Train(one), Job::Train(other)) => {
                    // Arms that start from the same kind of autoencoder may need one of another shape.
                    let (mut one, mut other) = (one.config, other.config);
                    (one.start.autoencoder, other.start.autoencoder) = (None, None);
                    differences::check(&arm.name, &one, &other, &arm.differ_in)?;
                }
                (Job::Flow(one), Job::Flow(other)) if other.sampling.is_none() => {
                    differences::check(&arm.name, &one.config, &other.config, &arm.differ_in)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The folder of an arm. A method that does not use the seed has one result for all.
    pub fn folder(&self, arm: &Arm, seed: u64) -> PathBuf {
        let seed = match arm.work {
            Work::Fill(method) if !predictor(method).is_ok_and(|method| method.uses_seed()) => 1,
            _ => seed,
        };
        self.options.folder.join(format!("seed-{seed}")).join(arm.folder())
    }

    /// What fills the holes of an arm with a seed.
    pub fn job(&self, arm: &Arm, seed: u64) -> Result<Job> {
        let named = |error| match error {
            Error::Config(problem) => Error::Config(format!("arm {:?}: {problem}", arm.name)),
            other => other,
        };
        let (file, text, set) = match &arm.work {
            Work::Fill(method) => return Ok(Job::Fill(predictor(*method)?)),
            Work::Sample { flow, sampling } => {
                let trainer = self.options.plan.arm(flow).expect("a plan is checked when it is read");
                return match self.job(trainer, seed)? {
                    Job::Flow(job) => Ok(Job::Flow(Box::new(FlowJob { sampling: Some(*sampling), ..*job }))),
                    _ => Err(named(Error::Config(format!("arm {flow:?} trains no flow")))),
                };
            }
            Work::Train { file, text, set } => (file, text, set),
        };
        if matches!(RunFile::parse(text, &[])?, RunFile::Flow(_)) {
            let config = self.flow_config(text, set, seed).map_err(named)?;
            let (trainer, folder) = (arm.name.clone(), self.folder(arm, seed));
            return Ok(Job::Flow(Box::new(FlowJob { config, trainer, folder, sampling: None })));
        }
        let mut config = self.config(text, set, seed).map_err(named)?;
        let starts = config.task == Task::Inpainting
            && config.network.generator().is_some()
            && (config.start.autoencoder_init || config.loss.needs_target_latent());
        let autoencoder = starts.then(|| self.autoencoder(&config.network, seed)).transpose()?;
        config.start.autoencoder = autoencoder.as_ref().map(|(_, folder)| folder.join("last.safetensors"));
        if let Some(vgg) = &mut config.loss.vgg16 {
            vgg.weights = self.options.metric_weights.join(LPIPS_VGG);
            if !vgg.weights.is_file() {
                return Err(Error::Config(format!(
                    "{}: {file} has a perceptual loss, which needs the weights of VGG16: {} is missing \
                     (`lacuna model fetch metrics` downloads it)",
                    self.options.plan,
                    vgg.weights.display()
                )));
            }
        }
        Ok(Job::Train(Box::new(Run { config, autoencoder })))
    }

    /// The autoencoder with the shape of a generator, and its folder. Arms whose networks have the same shape share it.
    fn autoencoder(&self, network: &Network, seed: u64) -> Result<(RunConfig, PathBuf)> {
        let usual = self.config(autoencoder_text(), &self.options.plan.autoencoder, seed)?;
        let mut config = RunConfig { network: network.clone(), ..usual.clone() };
        if let Some(options) = config.network.generator_mut() {
            (options.conditioning, options.delta) = (Conditioning::None, Delta::None);
        }
        let name = if config == usual {
            "autoencoder".to_owned()
        } else {
            let text = toml::to_string(&config.network).expect("plain data");
            format!("autoencoder-{}", &sha256(text.as_bytes())[..DIGITS])
        };
        Ok((config, self.options.folder.join(format!("seed-{seed}")).join(name)))
    }

    /// A run file with the changes of its arm, at the study's scale, with the plan's and the study's changes.
    fn config(&self, text: &str, set: &[String], seed: u64) -> Result<RunConfig> {
        let StudyOptions { plan, scale, .. } = self.options;
        let mut config = RunConfig::parse(text, &[set, &plan.set].concat())?;
        config.seed = seed;
        scale.apply(&mut config);
        self.set_data(&mut config.data);
        let with_changes = |config: &RunConfig| RunConfig::parse(&config.to_toml(), &self.options.set);
        let mut config = with_changes(&config)?;
        // Validations follow the number of steps, unless their distance is among the changes.
        scale.space_validations(&mut config);
        with_changes(&config)
    }

    /// As [`Self::config`], for the run file of a flow.
    fn flow_config(&self, text: &str, set: &[String], seed: u64) -> Result<FlowConfig> {
        let StudyOptions { plan, scale, .. } = self.options;
        let mut config = FlowConfig::parse(text, &[set, &plan.set].concat())?;
        config.seed = seed;
        scale.apply_to_flow(&mut config);
        self.set_data(&mut config.data);
        let with_changes = |config: &FlowConfig| FlowConfig::parse(&config.to_toml(), &self.options.set);
        let mut config = with_changes(&config)?;
        scale.space_flow_validations(&mut config);
        with_changes(&config)
    }

    /// The photos of a study, and the weights for its curves.
    fn set_data(&self, data: &mut Data) {
        let StudyOptions { photos, validation, metric_weights, .. } = self.options;
        data.train = vec![Source::Folder { path: photos.clone() }];
        data.validation = vec![Source::Folder { path: validation.clone() }];
        data.held_out.clear();
        let alex = metric_weights.join(LPIPS_ALEX);
        data.lpips_weights = alex.is_file().then_some(alex);
    }

    /// The validation photos and masks that all arms are scored on: those of the first arm with training.
    pub fn validation_data(&self) -> Result<Data> {
        let StudyOptions { plan, scale, .. } = self.options;
        for arm in &plan.arms {
            let mut data = match self.job(arm, 1)? {
                Job::Train(run) => run.config.data,
                Job::Flow(job) => job.config.data,
                Job::Fill(_) => continue,
            };
            data.validation_photos = scale.validation_photos();
            // Metrics are the study's own.
            data.lpips_weights = None;
            return Ok(data);
        }
        Err(Error::Config(format!("{plan}: expected at least one arm with run")))
    }

    /// The result of an arm that was run and scored before.
    pub fn earlier(&self, arm: &Arm, seed: u64, panel: &Panel) -> Result<Option<ArmResult>> {
        let job = self.job(arm, seed)?;
        Ok(earlier(&job, &self.folder(arm, seed), panel))
    }

    /// Trains and scores an arm unless that was done; `None` if it was stopped.
    pub fn run(
        &self,
        arm: &Arm,
        seed: u64,
        panel: &Panel,
        stop: &AtomicBool,
        watch: &mut (dyn FnMut(StudyEvent) + Send),
    ) -> Result<Option<ArmResult>> {
        let (job, folder) = (self.job(arm, seed)?, self.folder(arm, seed));
        if let Some(result) = earlier(&job, &folder, panel) {
            return Ok(Some(result));
        }
        let (steps, learning, values) = match &job {
            Job::Fill(predictor) => (0, 0, score_method(&**predictor, seed, panel)?),
            Job::Flow(job) => {
                let FlowJob { config, trainer, folder, .. } = &**job;
                let text = config.to_toml();
                if !is_done(&text, folder) {
                    watch(StudyEvent::Run { name: trainer, seed, steps: config.run.steps });
                    let trained = |options: &FitOptions, watch: &mut (dyn FnMut(StudyEvent) + Send)| {
                        fit_flow(config, options, stop, &mut |event| watch(StudyEvent::Event(event)))
                    };
                    if !self.finished(folder, trained, watch)? {
                        return Ok(None);
                    }
                }
                (config.run.steps, learning(folder), score_method(&job.predictor()?, seed, panel)?)
            }
            Job::Train(run) => {
                let Run { config, autoencoder } = &**run;
                if let Some((config, folder)) = autoencoder
                    && !is_done(&config.to_toml(), folder)
                    && !self.train("autoencoder", config, folder, stop, watch)?
                {
                    return Ok(None);
                }
                if !is_done(&config.to_toml(), &folder)
                    && !self.train(&arm.name, config, &folder, stop, watch)?
                {
                    return Ok(None);
                }
                let network = self.network(&folder)?;
                let values = lacuna_nets::ops::among_workers(|| {
                    panel.score(|index, photo, mask| fill(config.task, &network, index as u64, photo, mask))
                })?;
                (config.run.steps, learning(&folder), values)
            }
        };
        let (identity, photos) = (identity(&job, panel), panel.pairs().len());
        let result = ArmResult { identity, photos, steps, learning, values };
        let text = serde_json::to_string_pretty(&result).expect("plain data");
        fs::create_dir_all(&folder).map_err(|source| Error::Write { path: folder.clone(), source })?;
        write_bytes_atomically(&folder.join(RESULT), text.as_bytes())?;
        // As a later call would read it: reading a number from text may change its last bit.
        Ok(earlier(&job, &folder, panel))
    }

    /// The trained network in a run's folder, on the first device, without autodiff.
    pub fn network(&self, folder: &Path) -> Result<Trained> {
        let device = without_autodiff(&self.options.devices[0]);
        let checkpoint = Checkpoint::open(folder.join("last.safetensors"))?;
        Ok(Trained::from_checkpoint(&checkpoint, &device)?.valid())
    }

    /// Trains; returns whether the run finished.
    fn train(
        &self,
        name: &str,
        config: &RunConfig,
        folder: &Path,
        stop: &AtomicBool,
        watch: &mut (dyn FnMut(StudyEvent) + Send),
    ) -> Result<bool> {
        watch(StudyEvent::Run { name, seed: config.seed, steps: config.run.steps });
        let trained = |options: &FitOptions, watch: &mut (dyn FnMut(StudyEvent) + Send)| {
            fit(config, options, stop, &mut |event| watch(StudyEvent::Event(event)))
        };
        self.finished(folder, trained, watch)
    }

    /// Runs a training that resumes in `folder`, and marks it if it finished.
    fn finished(
        &self,
        folder: &Path,
        train: impl FnOnce(&FitOptions, &mut (dyn FnMut(StudyEvent) + Send)) -> Result<Outcome>,
        watch: &mut (dyn FnMut(StudyEvent) + Send),
    ) -> Result<bool> {
        let options = FitOptions {
            folder: folder.to_owned(),
            resume: true,
            devices: self.options.devices.clone(),
            ranks: Arc::new(Alone),
        };
        let outcome = train(&options, watch)?;
        if !outcome.stopped {
            write_bytes_atomically(&folder.join(DONE), b"")?;
        }
        Ok(!outcome.stopped)
    }
}

/// Whether a run with this text of its file is finished.
fn is_done(config: &str, folder: &Path) -> bool {
    let same = fs::read_to_string(folder.join("config.toml")).is_ok_and(|text| text == config);
    same && folder.join("last.safetensors").exists() && folder.join(DONE).exists()
}

/// The result in a folder, if it is that of this job and panel.
fn earlier(job: &Job, folder: &Path, panel: &Panel) -> Option<ArmResult> {
    let trained = match job {
        Job::Train(run) => is_done(&run.config.to_toml(), folder),
        Job::Flow(job) => is_done(&job.config.to_toml(), &job.folder),
        Job::Fill(_) => true,
    };
    if !trained {
        return None;
    }
    let text = fs::read_to_string(folder.join(RESULT)).ok()?;
    let result: ArmResult = serde_json::from_str(&text).ok()?;
    (result.identity == identity(job, panel)).then_some(result)
}

/// What the result of an arm depends on.
fn identity(job: &Job, panel: &Panel) -> String {
    let work = match job {
        Job::Fill(predictor) => format!("{} {}", predictor.name(), predictor.version()),
        Job::Train(run) => run.config.to_toml(),
        Job::Flow(job) => job.identity(),
    };
    sha256(format!("{} {work}", panel.identity).as_bytes())
}

/// A method without training, with the network that ships if it needs one.
fn predictor(method: Method) -> Result<Arc<dyn Predictor>> {
    Ok(match method.build {
        Build::Alone(build) => build(),
        Build::WithNetwork(build) => build(shipped_network()?)?,
    })
}

/// The network that ships. Its weights are packed once: arms are asked for what fills their holes again and again.
fn shipped_network() -> Result<Arc<dyn Predictor>> {
    static NETWORK: OnceLock<Arc<dyn Predictor>> = OnceLock::new();
    if let Some(network) = NETWORK.get() {
        return Ok(Arc::clone(network));
    }
    let network = network_predictor(&default_network()?)?;
    Ok(Arc::clone(NETWORK.get_or_init(|| network)))
}

/// Scores a method that is not trained, or a flow.
fn score_method(predictor: &dyn Predictor, seed: u64, panel: &Panel) -> Result<Vec<super::Value>> {
    let photos = panel.pairs().len() as u64;
    panel.score(|index, photo, mask| {
        let seed = (seed - 1) * photos + index as u64;
        Ok(predictor.predict(&masked(photo, mask), mask, seed)?)
    })
}

/// Trained parameters, as `run.json` states them.
fn learning(folder: &Path) -> usize {
    let about = fs::read_to_string(folder.join("run.json")).ok();
    let about: Option<serde_json::Value> = about.and_then(|text| serde_json::from_str(&text).ok());
    let number = |about: serde_json::Value| about["learning"].as_u64().or(about["parameters"].as_u64());
    about.and_then(number).unwrap_or_default() as usize
}

#[cfg(test)]
mod tests {
    use super::super::{Plan, Scale};
    use super::*;
    use lacuna_network::is_parameter;

    /// Options whose folder of weights has the file of VGG16's.
    fn options(plan: &str, scale: Scale, folder: &Path) -> StudyOptions {
        fs::write(folder.join(LPIPS_VGG), b"").unwrap();
        StudyOptions {
            plan: Plan::open(plan).unwrap(),
            scale,
            set: Vec::new(),
            seeds: 1,
            only: Vec::new(),
            time_rounds: 0,
            photos: "photos".into(),
            validation: "validation".into(),
            metric_weights: folder.to_owned(),
            folder: "out".into(),
            devices: Vec::new(),
        }
    }

    #[test]
    fn arms_of_built_in_plans_differ_in_what_they_say_only() {
        let folder = tempfile::tempdir().unwrap();
        for name in Plan::names() {
            for scale in [Scale::Tiny, Scale::Small] {
                Runs { options: &options(name, scale, folder.path()) }.check().unwrap();
            }
        }
    }

    #[test]
    fn arms_with_the_same_shape_share_an_autoencoder() {
        let folder = tempfile::tempdir().unwrap();
        let options = options("grid", Scale::Small, folder.path());
        let runs = Runs { options: &options };
        let of_arm = |name: &str| {
            let Job::Train(run) = runs.job(options.plan.arm(name).unwrap(), 2).unwrap() else {
                panic!("{name} is not trained")
            };
            run.config.start.autoencoder.map(|path| path.to_str().unwrap().to_owned())
        };
        let shared = Some("out/seed-2/autoencoder/last.safetensors".to_owned());
        for name in ["pixel", "latent-control", "mask: none", "delta: signed", "loss: pixel"] {
            assert_eq!(of_arm(name), shared, "{name}");
        }
        let regular = of_arm("network: regular").unwrap();
        assert!(
            regular.starts_with("out/seed-2/autoencoder-") && regular.ends_with("/last.safetensors"),
            "{regular}"
        );
    }

    #[test]
    fn validations_follow_the_steps() {
        let folder = tempfile::tempdir().unwrap();
        let every = |set: &[&str]| {
            let mut options = options("table-5.1", Scale::Small, folder.path());
            options.set = set.iter().map(|change| (*change).to_owned()).collect();
            let runs = Runs { options: &options };
            let Job::Train(run) = runs.job(&options.plan.arms[0], 1).unwrap() else { panic!("not trained") };
            let Run { config, autoencoder } = *run;
            [config.run.validate_every, autoencoder.unwrap().0.run.validate_every]
        };
        assert_eq!(every(&[]), [125, 0]);
        assert_eq!(every(&["run.steps=8000"]), [1000, 0]);
        assert_eq!(every(&["run.steps=8000", "run.validate_every=4000"]), [4000, 4000]);
    }

    /// The history compares networks of about the same size.
    #[test]
    fn networks_of_the_history_have_about_the_same_size() {
        let folder = tempfile::tempdir().unwrap();
        let options = options("history", Scale::Small, folder.path());
        let runs = Runs { options: &options };
        let mut trained = 0;
        for arm in &options.plan.arms {
            let Job::Train(run) = runs.job(arm, 1).unwrap() else { continue };
            let config = run.config;
            let tensors = config.network.config().layers().tensors().into_iter();
            let parameters = tensors.filter(|(name, _)| is_parameter(name));
            let count: usize = parameters.map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert!((1_500_000..1_900_000).contains(&count), "{}: {count}", arm.name);
            assert_eq!(config.data.masks, config.data.validation_masks, "{}", arm.name);
            trained += 1;
        }
        assert_eq!(trained, 5);
    }

    #[test]
    fn methods_without_seed_have_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let options = options("history", Scale::Small, folder.path());
        let of_arm = |name: &str| {
            let arm = options.plan.arm(name).unwrap();
            Runs { options: &options }.folder(arm, 3)
        };
        assert_eq!(of_arm("history-telea"), Path::new("out/seed-1/history-telea"));
        assert_eq!(of_arm("history-patchmatch"), Path::new("out/seed-3/history-patchmatch"));
        assert_eq!(of_arm("history-lama"), Path::new("out/seed-3/history-lama"));
    }
}
