//! Steps of networks with several answers.

use super::*;

const SAMPLED: &str = r#"
    [loss]
    pixel_l1 = { known = 10.0, hole = 0.0 }
    best_of_l1 = { weight = 1.0 }
    spread_l1 = { weight = 0.1, wanted = 0.05 }
"#;

/// Stage 1 of the sampled family: only the modulation is trained, from a plain network.
fn first_stage(run: &Run) -> RunConfig {
    sampled_start(run);
    let start = format!(
        "start = {{ network = {:?}, freeze = [\"encoder\", \"control\", \"refiner\", \"decoder\"] }}",
        run.path("plain.safetensors")
    );
    let sampling = "sampling = { answers = 2, mapping_rate = 0.1 }";
    let ema = "ema = { on = true, decay = 0.9 }";
    config_of("sampled", "inpainting", "control", &format!("{start}\n{sampling}\n{ema}\n{SAMPLED}"))
}

#[test]
fn the_first_stage_trains_the_modulation_alone_and_its_best_answer_improves() {
    let run = Run::new();
    let mut learner = Learner::new(first_stage(&run), &[device()]).unwrap();
    let before = learner.parts.generator.clone();
    let value = |report: &StepReport, term: Term| {
        report.terms.iter().find(|(found, _)| *found == term).expect("a term").1
    };
    let reports: Vec<StepReport> = (0..20).map(|_| learner.step(&[random_batch(1)]).unwrap()).collect();
    let (first, last) = (&reports[0], &reports[19]);
    assert!(value(last, Term::BestOfL1) < value(first, Term::BestOfL1), "{first:?} {last:?}");
    assert_eq!(value(first, Term::AnswerDifferenceL1), 0.0, "without effect at the start");
    assert!(value(last, Term::AnswerDifferenceL1) > 0.0, "{last:?}");
    assert!((0.0..=1.0).contains(&value(last, Term::FirstIsBest)), "{last:?}");
    let is_modulation =
        |name: &str| ["mapping.", "styles.", "noise."].iter().any(|part| name.starts_with(part));
    let changed = changed(&before, &learner.parts.generator);
    assert!(changed.iter().all(|name| is_modulation(name)), "{changed:?}");
    let all = named(&learner.parts.generator);
    assert_eq!(changed.len(), all.keys().filter(|name| is_modulation(name)).count(), "{changed:?}");
}

#[test]
fn parts_that_are_trained_keep_their_statistics() {
    let run = Run::new();
    let rest = format!("{}\n{SAMPLED}", sampled_start(&run))
        .replace("sampled.safetensors\" }", "sampled.safetensors\", freeze = [\"encoder\", \"control\"] }");
    let mut learner =
        Learner::new(config_of("sampled", "inpainting", "control", &rest), &[device()]).unwrap();
    let before = learner.parts.generator.clone();
    learner.step(&[random_batch(1)]).unwrap();
    let changed = changed(&before, &learner.parts.generator);
    for part in ["refiner.", "decoder.", "styles.", "noise.", "mapping."] {
        assert!(changed.iter().any(|name| name.starts_with(part)), "{part} {changed:?}");
    }
    for name in &changed {
        assert!(!name.starts_with("encoder.") && !name.starts_with("control."), "{name}");
        assert!(!is_statistic(name) || name == "mapping.w_mean", "{name}");
    }
}

#[test]
fn the_discriminator_sees_all_answers() {
    let run = Run::new();
    let adversarial = "adversarial = { weight = 10.0, r1 = 0.001, width = 4, learning_rate = 1e-4 }";
    let rest = format!("{}\n{SAMPLED}{adversarial}", sampled_start(&run));
    let mut learner =
        Learner::new(config_of("sampled", "inpainting", "control", &rest), &[device()]).unwrap();
    let report = learner.step(&[random_batch(1)]).unwrap();
    let names: Vec<&str> = report.terms.iter().map(|(term, _)| term.name()).collect();
    let expected = [
        "pixel_l1",
        "best_of_l1",
        "spread_l1",
        "answer_difference_l1",
        "first_is_best",
        "adversarial",
        "discriminator_r1",
        "discriminator_real",
        "discriminator_fake",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_mapping_has_a_learning_rate_of_its_own() {
    let run = Run::new();
    let largest = |mapping_rate: f64| {
        let mut config = first_stage(&run);
        config.start.network = Some(run.path("sampled.safetensors"));
        config.sampling.as_mut().unwrap().mapping_rate = mapping_rate;
        let mut learner = Learner::new(config, &[device()]).unwrap();
        let before = named(&learner.parts.generator);
        learner.step(&[random_batch(1)]).unwrap();
        let after = named(&learner.parts.generator);
        ["mapping.first.weight", "styles.0.0.weight"]
            .map(|name| worst_difference(&after[name], &before[name]).unwrap().size())
    };
    // Adam's first step is the learning rate, 1e-3, in the direction of the sign; a little less where gradients are tiny.
    let [[slow, style], [still, _]] = [0.1, 0.0].map(largest);
    assert!((0.5e-4..1.01e-4).contains(&slow) && (0.5e-3..1.01e-3).contains(&style), "{slow} {style}");
    assert_eq!(still, 0.0);
}

#[test]
fn a_sampled_run_goes_on_bit_for_bit() {
    let run = Run::new();
    let config = first_stage(&run);
    let make = || Learner::new(config.clone(), &[device()]).unwrap();
    let mut learner = make();
    (0..2).for_each(|step| drop(learner.step(&[random_batch(step)]).unwrap()));
    let path = run.path("checkpoint.safetensors");
    crate::checkpoint::save(&path, &learner, crate::checkpoint::Progress::default()).unwrap();
    let mut restored = make();
    crate::checkpoint::open(&path).unwrap().restore(&mut restored).unwrap();
    for step in 2..4 {
        let one = learner.step(&[random_batch(step)]).unwrap();
        assert_eq!(restored.step(&[random_batch(step)]).unwrap(), one);
    }
    assert_eq!(named(&restored.parts.generator), named(&learner.parts.generator));
    assert_eq!(named(&restored.averaged()), named(&learner.averaged()));
}

#[test]
fn only_the_plain_network_or_the_same_may_be_the_start() {
    let run = Run::new();
    let mut config = first_stage(&run);
    config.network.generator_mut().unwrap().blocks = 2;
    let error = Learner::new(config, &[device()]).unwrap_err().to_string();
    assert!(error.contains("blocks: 2") && error.contains("blocks: 1"), "{error}");
}

/// Where only noise has an effect, answers with common noise are equal.
#[test]
fn common_noise_leaves_the_difference_to_the_codes() {
    let run = Run::new();
    let difference = |noise: Noise| {
        let mut config = first_stage(&run);
        config.sampling.as_mut().unwrap().noise = noise;
        let mut learner = Learner::new(config, &[device()]).unwrap();
        let own = named(&learner.parts.generator);
        learner.parts.generator = weights::replace(learner.parts.generator.clone(), |name| {
            let length = own[name].len();
            name.starts_with("noise.").then(|| Weight { shape: vec![length], values: vec![1.0; length] })
        })
        .unwrap();
        let report = learner.step(&[random_batch(1)]).unwrap();
        report.terms.iter().find(|(term, _)| *term == Term::AnswerDifferenceL1).unwrap().1
    };
    assert!(difference(Noise::Own) > 0.0);
    assert_eq!(difference(Noise::Common), 0.0);
}
