//! Descriptions of flow files.

use anyhow::Result;
use lacuna::HintKind;
use lacuna::default_network;
use lacuna::flow::{FlowFile, FlowStart};
use serde::Serialize;

use crate::models::ModelArg;
use crate::output::print;

/// The contents of a flow file.
#[derive(Serialize)]
struct FlowInfo {
    file: String,
    denoiser: String,
    parameters: usize,
    start: FlowStart,
    halo: usize,
    /// What its ControlNet branch takes, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<HintKind>,
    /// SHA-256 of the generator's weights.
    generator: String,
    /// Whether that is the network that ships.
    for_shipped_network: bool,
    provenance: String,
    /// Of the whole file, if it was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// Prints the contents of a flow file, all of whose values are read and checked; `verified` adds its hash.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn describe(model: &ModelArg, json: bool, verified: bool) -> Result<()> {
    let path = model.path()?;
    let file = FlowFile::open(&path)?;
    let flow = file.flow();
    let info = FlowInfo {
        file: path.display().to_string(),
        denoiser: flow.denoiser.label(),
        parameters: file.parameters(),
        start: flow.start,
        halo: flow.halo,
        hint: flow.control.map(|control| control.hint),
        generator: flow.generator.clone(),
        for_shipped_network: flow.generator == default_network()?.fingerprint(),
        provenance: file.provenance().to_owned(),
        sha256: verified.then(|| file.sha256()),
    };
    print(&if json { serde_json::to_string_pretty(&info)? } else { text(&info) })
}

fn text(info: &FlowInfo) -> String {
    let start = match info.start {
        FlowStart::Noise => "noise".into(),
        FlowStart::Mean { deviation } => format!("the network's fill with noise of deviation {deviation}"),
    };
    let shipped = if info.for_shipped_network { " (the network that ships)" } else { "" };
    let mut lines = vec![
        format!("file        {}", info.file),
        "container   Lacuna, flow".into(),
        format!("denoiser    {}", info.denoiser),
        format!("parameters  {}", info.parameters),
        format!("start       {start}"),
        format!("halo        {}", info.halo),
        format!("generator   {}{shipped}", info.generator),
        format!("provenance  {}", info.provenance),
    ];
    if let Some(hint) = info.hint {
        lines.insert(6, format!("hint        {hint}"));
    }
    if let Some(hash) = &info.sha256 {
        lines.extend([format!("SHA-256     {hash}"), "sound       yes".into()]);
    }
    lines.join("\n")
}
