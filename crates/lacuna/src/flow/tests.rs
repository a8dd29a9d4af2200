//! Flow files: written, read back, refused.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use lacuna_network::Denoiser;
use testkit::fixtures;

use super::{Control, Flow, FlowFile, FlowStart, Statistics};
use crate::HintKind;
use crate::checkpoint::{Checkpoint, NamedTensor, Storage};

fn generator() -> Checkpoint {
    Checkpoint::open(fixtures::path("generator/bare.safetensors")).unwrap()
}

fn flow() -> Flow {
    let latent = generator().config().latent().total();
    Flow {
        denoiser: Denoiser { latent, width: 16, levels: vec![1, 2], blocks: 1, mean: false },
        generator: generator().fingerprint(),
        start: FlowStart::Mean { deviation: 0.5 },
        halo: 1,
        statistics: Statistics { mean: vec![0.25; latent], deviation: vec![2.0; latent] },
        control: None,
    }
}

/// Every value of a tensor is its number in the list.
fn tensors(flow: &Flow) -> Vec<NamedTensor<'static>> {
    let named = flow.tensors().into_iter().enumerate();
    named
        .map(|(index, (name, shape))| {
            let values = Cow::Owned(vec![index as f32; shape.iter().product()]);
            NamedTensor { name, shape, values }
        })
        .collect()
}

fn saved(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let path = folder.join("flow.safetensors");
    let flow = flow();
    FlowFile::save(&path, &flow, "a test", tensors(&flow), Storage::F32).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

/// The problem of a file with this content.
fn problem(folder: &Path, bytes: &[u8]) -> String {
    let path = folder.join("other.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let problem = FlowFile::open(&path).unwrap_err().to_string();
    assert!(problem.contains("other.safetensors"), "{problem}");
    problem
}

/// The file with `change` made to its header's text, which may change its length.
fn with_header(file: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let text = std::str::from_utf8(header).unwrap();
    let changed = change(text);
    assert_ne!(text, changed, "nothing to change");
    [&(changed.len() as u64).to_le_bytes()[..], changed.as_bytes(), data].concat()
}

#[test]
fn what_was_saved_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = saved(folder.path());
    let file = FlowFile::open(&path).unwrap();
    assert_eq!(*file.flow(), flow());
    assert_eq!(file.provenance(), "a test");
    assert_eq!(file.path(), path);
    let mut expected = tensors(&flow());
    assert_eq!(file.parameters(), expected.iter().map(|tensor| tensor.values.len()).sum::<usize>());
    assert_eq!(file.values("conv_out.bias").unwrap().len(), flow().denoiser.latent);
    assert_eq!(file.tensor("conv_out.bias").unwrap().0, [flow().denoiser.latent]);
    assert!(file.values("latent.mean").is_none());
    expected.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(file.tensors().eq(expected));
    FlowFile::save(&path, file.flow(), "a test", tensors(&flow()), Storage::F32).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn the_header_is_the_documented_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, bytes) = saved(folder.path());
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(r#"\"start\":{\"mean\":{\"deviation\":0.5}},\"halo\":1}"#));
    let noise = Flow { start: FlowStart::Noise, ..flow() };
    FlowFile::save(&path, &noise, "", tensors(&noise), Storage::F16).unwrap();
    assert!(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(r#"\"start\":\"noise\""#));
    let file = FlowFile::open(&path).unwrap();
    assert_eq!(file.flow().start, FlowStart::Noise);
    // Whole numbers up to 2048 are exact in 16 bits.
    let halves: BTreeMap<String, Vec<f32>> =
        file.tensors().map(|tensor| (tensor.name, tensor.values.into_owned())).collect();
    for tensor in tensors(&noise) {
        assert_eq!(halves[&tensor.name], *tensor.values, "{}", tensor.name);
    }
}

#[test]
fn a_branch_is_saved_with_its_flow() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, _) = saved(folder.path());
    let path = folder.path().join("steered.safetensors");
    let control = Control { hint: HintKind::Lines, hint_widths: [4, 8, 8, 16] };
    let steered = Flow { control: Some(control), ..flow() };
    FlowFile::save(&path, &steered, "", tensors(&steered), Storage::F32).unwrap();
    let file = FlowFile::open(&path).unwrap();
    assert_eq!(*file.flow(), steered);
    assert!(file.parameters() > FlowFile::open(plain).unwrap().parameters());
    assert_eq!(file.control_values("zero.1.bias").unwrap().len(), 32);
    assert!(file.control_values("conv_out.bias").is_none());
    let bytes = std::fs::read(&path).unwrap();
    let header = r#"\"halo\":1,\"control\":{\"hint\":\"lines\",\"hint_widths\":[4,8,8,16]}}"#;
    assert!(String::from_utf8_lossy(&bytes).contains(header));
    let replaced = |from: &'static str, to: &'static str| with_header(&bytes, |text| text.replace(from, to));
    for (bytes, words) in [
        (replaced("[4,8,8,16]", "[4,8,0,16]"), "0 channels in the hint's encoder"),
        (replaced("[4,8,8,16]", "[4,8,8,16000]"), "16000 channels in the hint's encoder"),
        (
            replaced("[4,8,8,16]", "[4,8,16,16]"),
            "control.hint.4.weight: expected [16, 8, 3, 3], found [8, 8, 3, 3]",
        ),
        (replaced(r#"\"lines\""#, r#"\"dots\""#), "malformed lacuna.flow"),
        (
            replaced("control.zero.1.bias", "control.zero.2.bias"),
            "control.zero.1.bias: expected [32], found nothing",
        ),
    ] {
        let problem = problem(folder.path(), &bytes);
        assert!(problem.contains(words), "{words}: {problem}");
    }
    // Weights of a branch that the flow does not have.
    let refused =
        FlowFile::save(&path, &flow(), "", tensors(&steered), Storage::F32).unwrap_err().to_string();
    assert!(refused.contains("control."), "{refused}");
}

#[test]
fn a_flow_belongs_to_one_network_in_any_container() {
    let folder = tempfile::tempdir().unwrap();
    let file = FlowFile::open(saved(folder.path()).0).unwrap();
    for name in ["generator/bare.safetensors", "generator/lightning.ckpt", "generator/torchscript.pt"] {
        file.check_generator(&Checkpoint::open(fixtures::path(name)).unwrap()).unwrap();
    }
    let other = Checkpoint::open(fixtures::path("control/weights.safetensors")).unwrap();
    let problem = file.check_generator(&other).unwrap_err().to_string();
    assert!(
        problem.contains(&other.fingerprint()) && problem.contains(&generator().fingerprint()),
        "{problem}"
    );

    let narrow = Flow {
        denoiser: Denoiser { latent: 4, ..flow().denoiser },
        statistics: Statistics { mean: vec![0.0; 4], deviation: vec![1.0; 4] },
        ..flow()
    };
    let path = folder.path().join("narrow.safetensors");
    FlowFile::save(&path, &narrow, "", tensors(&narrow), Storage::F32).unwrap();
    let problem = FlowFile::open(&path).unwrap().check_generator(&generator()).unwrap_err().to_string();
    assert!(problem.contains("latent of 4 channels") && problem.contains("has 32"), "{problem}");
}

#[test]
fn networks_and_flows_are_not_confused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = saved(folder.path());
    let problem = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(problem.contains("is a flow file") && problem.contains("Give the network"), "{problem}");
    let network = folder.path().join("network.safetensors");
    let original = generator();
    crate::checkpoint::save(&network, original.config(), "", original.tensors(), Storage::F32).unwrap();
    let problem = FlowFile::open(&network).unwrap_err().to_string();
    assert!(problem.contains("weights file of a network, no flow file"), "{problem}");
    let problem = FlowFile::open(fixtures::path("generator/lightning.ckpt")).unwrap_err().to_string();
    assert!(problem.contains("is no flow file"), "{problem}");
    assert!(matches!(FlowFile::open(folder.path().join("absent")), Err(crate::Error::Read { .. })));
}

#[test]
fn cut_and_changed_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, file) = saved(folder.path());
    for length in (0..64).chain((64..file.len()).step_by(file.len() / 40)) {
        problem(folder.path(), &file[..length]);
    }
    let replaced = |from: &'static str, to: &'static str| with_header(&file, |text| text.replace(from, to));
    for (bytes, words) in [
        (replaced("\"conv_out.bias\"", "\"conv_out.bios\""), "conv_out.bias: expected [32], found nothing"),
        (replaced("\"shape\":[32]}", "\"shape\":[16,2]}"), "expected [32], found [16, 2]"),
        (replaced("\"shape\":[32]}", "\"shape\":[31]}"), "malformed"),
        (replaced("\\\"halo\\\":1", "\\\"halo\\\":17"), "halo of 17"),
        (replaced("\\\"halo\\\":1", "\\\"hallo\\\":1"), "malformed lacuna.flow"),
        (replaced("\\\"width\\\":16", "\\\"width\\\":16000000"), "width of 16000000"),
        (replaced("\\\"mean\\\":false", "\\\"mean\\\":true"), "encoder.conv_in.weight"),
        (replaced("0.5}}", "-0.5}}"), "deviation of the start of -0.5"),
        (replaced("\"lacuna.format\":\"1\"", "\"lacuna.format\":\"2\""), "format \"2\""),
        (replaced("\"lacuna.provenance\"", "\"lacuna.origin\""), "no lacuna.provenance"),
    ] {
        let problem = problem(folder.path(), &bytes);
        assert!(problem.contains(words), "{words}: {problem}");
    }
}

#[test]
fn values_that_are_no_weights_are_refused_when_read_and_when_written() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = saved(folder.path());
    // Of the tensors sorted by name the last is up.0.upsample.weight, whose values are the last bytes.
    let mut wrong = file.clone();
    let end = wrong.len();
    wrong[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let found = problem(folder.path(), &wrong);
    assert!(found.contains("up.0.upsample.weight holds NaN"), "{found}");
    // latent.deviation is all 2.0: the only run of that value as long as the latent that is not a numbered tensor.
    let deviation = [2.0f32.to_le_bytes(); 32].concat();
    let mean = [0.25f32.to_le_bytes(); 32].concat();
    let at =
        file.windows(256).position(|window| window == [deviation.clone(), mean.clone()].concat()).unwrap();
    let mut zero = file.clone();
    zero[at..at + 4].fill(0);
    let found = problem(folder.path(), &zero);
    assert!(found.contains("latent.deviation of channel 0 is 0"), "{found}");

    let before = std::fs::read(&path).unwrap();
    let save = |flow: &Flow, tensors: Vec<NamedTensor<'static>>| {
        FlowFile::save(&path, flow, "", tensors, Storage::F32).unwrap_err().to_string()
    };
    let mut flat = flow();
    flat.statistics.deviation[3] = 0.0;
    assert!(save(&flat, tensors(&flow())).contains("channel 3 is 0"));
    assert!(save(&Flow { generator: "abc".into(), ..flow() }, tensors(&flow())).contains("\"abc\""));
    let fill = Flow { denoiser: Denoiser { mean: true, ..flow().denoiser }, ..flow() };
    assert!(save(&fill, tensors(&fill)).contains("condition already"));
    let mut infinite = tensors(&flow());
    infinite[0].values.to_mut()[0] = f32::INFINITY;
    assert!(save(&flow(), infinite).contains("not finite"));
    assert!(save(&flow(), tensors(&flow())[1..].to_vec()).contains("missing"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
