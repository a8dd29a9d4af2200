//! `lacuna latent`: a view into the latent space of a network.

mod curve;
mod sheet;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use lacuna::atomic::write_bytes_atomically;
use lacuna::checkpoint::{Checkpoint, Container};
use lacuna::inpainter::check_sizes;
use lacuna::picture::Limits;
use lacuna::{Mask, MaskOptions, Picture, Planes};
use lacuna_eval::case::{Case, Cases};
use lacuna_eval::report::gallery::data_uri;
use lacuna_eval::report::page::{self, Figure, Section};
use lacuna_nets::LatentViewer;
use lacuna_nets::latent::{CurvePoint, LatentView, Stage};
use lacuna_nets::viewer::PhotoView;
use serde::Serialize;

use crate::Outcome;
use crate::hints::message;
use crate::limits::LimitArgs;
use crate::models::{MODEL_SYNTAX, ModelArg};
use crate::units::{Threads, start_threads};
use crate::usage::ensure_usage;

const EXAMPLES: &str = "\
Examples:
  What the hole does to the latent of one photo, what mask control and the refiner heal:
    lacuna latent photo.jpg mask.png --model runs/latent-control/last.safetensors -o view
  A folder of photos and masks, with the mean over all of them:
    lacuna latent photos/ masks/ --model last.safetensors -o view

The folder has, for each picture, sheet.png (photo, with its hole, inpainted; the decoded difference of latents after each
stage, eq. 4.1 of the thesis; damage at each level of the encoder, from dark to light), curve.svg and latent.json, and
latent.html with all of them.";

/// Default limit of the longer side: enough detail to look at, computed in about a second.
pub const LONG_SIDE: u32 = 1024;

/// Arguments of `lacuna latent`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct LatentArgs {
    /// Whole photo, or folder of photos
    image: PathBuf,
    /// Mask, or folder of masks
    mask: PathBuf,
    /// Weights file, or the name of an installed model
    #[arg(long, value_name = MODEL_SYNTAX)]
    model: ModelArg,
    /// Folder to write to
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Device: cpu, cuda, cuda:N, wgpu or wgpu:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Scale photos down to this longer side, in pixels
    #[arg(long, value_name = "PX", default_value_t = LONG_SIDE, value_parser = clap::value_parser!(u32).range(16..=4096))]
    long_side: u32,
    /// Number of computing threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<Threads>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// A network whose latent space can be shown.
pub struct Viewer {
    viewer: LatentViewer,
    limits: Limits,
    long_side: usize,
    /// A caveat about this network.
    note: Option<String>,
}

/// The view of one photo, as written to files.
#[derive(Serialize)]
struct Document<'a> {
    case: &'a str,
    width: usize,
    height: usize,
    stages: Vec<StageDocument<'a>>,
}

#[derive(Serialize)]
struct StageDocument<'a> {
    stage: Stage,
    /// Means over the maps.
    damage: Vec<DamageDocument>,
    curve: &'a [CurvePoint],
}

#[derive(Serialize)]
struct DamageDocument {
    level: usize,
    group: lacuna_nets::latent::Group,
    mean: f64,
}

impl Viewer {
    /// Loads a network.
    ///
    /// # Errors
    /// If the model or the device cannot be opened.
    pub fn open(model: &Path, device: &str, long_side: usize, limits: Limits) -> Result<Self> {
        let checkpoint = Checkpoint::open(model)?;
        let imported = checkpoint.source().container != Container::Lacuna;
        let note = imported.then(|| {
            "this is an imported network: its decoder was not trained on plain encodings, so decoded differences may look like noise"
                .to_owned()
        });
        let viewer = LatentViewer::new(&checkpoint, device.parse()?)?;
        Ok(Self { viewer, limits, long_side, note })
    }

    /// Computes the view of a photo and its hole, and makes a section of the page.
    ///
    /// # Errors
    /// If a file cannot be read, or has no hole.
    pub fn view(&self, case: &Case) -> Result<(Section, View)> {
        let picture = Picture::open(&case.truth, &self.limits)?;
        let mask = Mask::open(&case.mask, &MaskOptions::default(), &self.limits)?;
        check_sizes(&picture, &mask)?;
        ensure!(mask.bounds().is_some(), "{} has no hole", case.mask.display());
        let PhotoView { photo, hole, view, .. } = self.viewer.view(&picture, &mask, self.long_side)?;
        let sheet = sheet::draw(&photo, &hole, &view);
        let curves: Vec<(Stage, Vec<CurvePoint>)> =
            view.stages.iter().map(|stage| (stage.stage, stage.curve.clone())).collect();
        let svg = curve::svg(&curves)?;
        let json = serde_json::to_string_pretty(&document(case, &photo, &view))?;
        let far = curves.iter().map(|(stage, points)| {
            let near = |from: f64| {
                points.iter().find(|point| point.from == from && point.to > 0.0).map(|point| point.error)
            };
            let text = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
            let inside = points.first().map(|point| point.error);
            format!(
                "{}: {} in the hole, {} within 8 px, {} at 32 to 40 px",
                sheet::stage_name(*stage),
                text(inside),
                text(near(0.0)),
                text(near(32.0))
            )
        });
        let text =
            format!("Latent error, relative to the latent's mean. {}.", far.collect::<Vec<_>>().join("; "));
        let mut figures = vec![Figure {
            picture: curve::uri(&svg),
            caption: "Latent error by distance to the hole".to_owned(),
        }];
        figures.extend(sheet.figures.iter().map(|(caption, picture)| Figure {
            picture: data_uri(picture.clone()),
            caption: caption.clone(),
        }));
        let section = Section { title: format!("Latent of {}", case.name), text, figures };
        Ok((section, View { sheet: sheet.picture, svg, json, curves }))
    }

    /// A caveat about this network.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

/// The view of one photo.
pub struct View {
    sheet: image::RgbImage,
    svg: String,
    json: String,
    curves: Vec<(Stage, Vec<CurvePoint>)>,
}

fn document<'a>(case: &'a Case, photo: &Planes, view: &'a LatentView) -> Document<'a> {
    let stages = view.stages.iter().map(|stage| StageDocument {
        stage: stage.stage,
        damage: stage
            .damage
            .iter()
            .map(|damage| DamageDocument {
                level: damage.level,
                group: damage.group,
                mean: damage.map.values.iter().map(|&value| f64::from(value)).sum::<f64>()
                    / damage.map.values.len() as f64,
            })
            .collect(),
        curve: &stage.curve,
    });
    Document { case: &case.name, width: photo.width(), height: photo.height(), stages: stages.collect() }
}

/// Runs the command.
///
/// # Errors
/// Whatever prevents the whole run; a photo of a folder that fails is reported and skipped.
pub fn run(args: &LatentArgs) -> Result<Outcome> {
    start_threads(args.threads)?;
    let single = !args.image.is_dir();
    let cases = if single {
        ensure_usage!(
            !args.mask.is_dir(),
            "{} is a folder, {} a single photo",
            args.mask.display(),
            args.image.display()
        );
        let name = args.image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        vec![Case { name, truth: args.image.clone(), mask: args.mask.clone() }]
    } else {
        Cases::find(&args.image, &args.mask)?.cases
    };
    let viewer =
        Viewer::open(&args.model.path()?, &args.device, args.long_side as usize, args.limits.limits())?;
    if let Some(note) = viewer.note() {
        eprintln!("note: {note}");
    }
    let (mut sections, mut all, mut failed) = (Vec::new(), Vec::new(), 0);
    for case in &cases {
        let folder = if single { args.output.clone() } else { args.output.join(&case.name) };
        match viewer.view(case) {
            Ok((section, view)) => {
                write(&folder, &view)?;
                eprintln!("{}", folder.display());
                // A longer page would be slow to open; the folders have all photos.
                if sections.len() < PAGE_PICTURES {
                    sections.push(section);
                }
                all.push(view.curves);
            }
            Err(error) if single => return Err(error),
            Err(error) => {
                eprintln!("skipped: {}: {}", case.name, message(&error));
                failed += 1;
            }
        }
    }
    if all.is_empty() {
        bail!("the view failed for all {} photos", cases.len());
    }
    if !single {
        let mean = curve::mean(&all);
        let svg = curve::svg(&mean)?;
        write_bytes_atomically(&args.output.join("curve.csv"), curve::csv(&mean).as_bytes())?;
        write_bytes_atomically(&args.output.join("curve.svg"), svg.as_bytes())?;
        let figure =
            Figure { picture: curve::uri(&svg), caption: "Mean latent error by distance to the hole".into() };
        let text = format!("Mean over {} photos.", all.len());
        sections.insert(0, Section { title: "All photos".into(), text, figures: vec![figure] });
    }
    let title = format!("Latent space of {}", args.model);
    let notes = viewer.note().map(str::to_owned).into_iter().collect();
    let html = page::sections(&title, notes, &sections)?;
    write_bytes_atomically(&args.output.join("latent.html"), html.as_bytes())?;
    Ok(if failed > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

/// Largest number of photos on one page.
const PAGE_PICTURES: usize = 50;

fn write(folder: &Path, view: &View) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut png = Vec::new();
    view.sheet.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png)?;
    write_bytes_atomically(&folder.join("sheet.png"), &png)?;
    write_bytes_atomically(&folder.join("curve.svg"), view.svg.as_bytes())?;
    Ok(write_bytes_atomically(&folder.join("latent.json"), view.json.as_bytes())?)
}
