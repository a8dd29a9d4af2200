//! `lacuna masks`: generates fixed mask sets.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use image::ImageFormat;
use lacuna::atomic::write_bytes_atomically;
use lacuna::hash::sha256;
use lacuna::pairs::{images_in, mask_name, stem};
use lacuna::picture::{Format, Limits};
use lacuna::{Mask, Picture};
use lacuna_masks::set::{self, MaskSet, Masks};
use rayon::prelude::*;
use serde::Serialize;

use crate::Outcome;
use crate::hints::message;
use crate::output::print;
use crate::units::{Threads, start_threads};

const EXAMPLES: &str = "\
Examples:
  120 masks of 256 x 256 pixels, the same bytes on every machine:
    lacuna masks --preset thick-256 --count 120 --seed 1 -o thick-256
  Square crops of photos with their masks, in LaMa's layout (NAME_crop000.png, NAME_crop000_mask000.png):
    lacuna masks --preset medium-512 --images photos/ -o medium-512
  Evaluate fills of them:
    lacuna eval --masks medium-512 --method patchmatch -o report

Exit code: 0 done, 1 failed, 2 wrong arguments, 3 some photos could not be used.";

/// The table of a set.
const INDEX: &str = "index.csv";

/// Arguments of `lacuna masks`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct MasksArgs {
    /// thin-, medium-, thick-256 or -512, box-256, outpainting-256, half, train-256, train-thin-256, or by-area
    /// (equally many masks in each of six ranges of hole size)
    #[arg(long)]
    preset: Masks,
    /// Number of masks [default: one per photo; 100 without photos]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: Option<u64>,
    /// Seed of the set; the published sets have seed 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Side of the masks in pixels [default: the preset's]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u16).range(16..=8192))]
    side: Option<u16>,
    /// Folder of photos to crop; without it, only masks are written
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Folder to write to; must be empty or not exist
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Number of computing threads [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<Threads>,
}

/// A row of the index.
#[derive(Serialize)]
struct Row {
    mask: String,
    image: Option<String>,
    width: usize,
    height: usize,
    hole_share: f64,
    sha256: String,
}

/// Runs the command.
///
/// # Errors
/// If the set cannot be generated. A photo that cannot be used is reported and skipped.
pub fn run(args: &MasksArgs) -> Result<Outcome> {
    start_threads(args.threads)?;
    let folder = &args.output;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    ensure!(entries.next().is_none(), "{} is not empty; a set needs a new or empty folder", folder.display());
    let side = args.side.map_or(args.preset.side(), usize::from);
    let set = MaskSet { masks: args.preset, side, seed: args.seed };
    let photos = args.images.as_deref().map(photos).transpose()?;
    let count = args.count.unwrap_or(photos.as_ref().map_or(100, |photos| photos.len() as u64));
    let numbers = (0..count as usize).into_par_iter();
    let made = numbers.map(|number| match (&photos, &args.images) {
        (Some(photos), Some(images)) => {
            // Fewer masks than photos: evenly spaced photos; more: start again from the first.
            let (count, round) = (count as usize, number / photos.len());
            let photo =
                if count < photos.len() { number * photos.len() / count } else { number % photos.len() };
            of_photo(&set, images, &photos[photo], round, number as u64, folder)
        }
        _ => blank(&set, number as u64, folder),
    });
    let made: Vec<Result<Row>> = made.collect();
    let (mut rows, mut failed) = (Vec::new(), 0);
    for row in made {
        match row {
            Ok(row) => rows.push(row),
            // A folder that cannot be written affects all photos.
            Err(error) if photos.is_none() || error.downcast_ref::<lacuna::Error>().is_some_and(is_write) => {
                return Err(error);
            }
            Err(error) => {
                eprintln!("skipped: {}", message(&error));
                failed += 1;
            }
        }
    }
    ensure!(!rows.is_empty(), "no mask could be generated");
    rows.sort_by(|one, other| one.mask.cmp(&other.mask));
    let mut table = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| table.serialize(row))?;
    write_bytes_atomically(&folder.join(INDEX), &table.into_inner()?)?;
    let files: BTreeMap<String, String> =
        rows.iter().map(|row| (row.mask.clone(), row.sha256.clone())).collect();
    let hash = set::hash(&files);
    let mean = rows.iter().map(|row| row.hole_share).sum::<f64>() / rows.len() as f64;
    eprintln!("{} masks of {side} x {side} in {}, {:.1} % hole", rows.len(), folder.display(), 100.0 * mean);
    if photos.is_none() && side == args.preset.side() {
        match set::published_hash(&args.preset.to_string(), rows.len(), args.seed) {
            Some(published) if published == hash => eprintln!("identical to the published set"),
            Some(published) => bail!("the set's SHA-256 is {hash}, the published set's is {published}"),
            None => {}
        }
    }
    print(&hash)?;
    Ok(if failed > 0 { Outcome::SomeFailed } else { Outcome::Done })
}

fn is_write(error: &lacuna::Error) -> bool {
    matches!(error, lacuna::Error::Write { .. })
}

fn blank(set: &MaskSet, number: u64, folder: &Path) -> Result<Row> {
    let mask =
        set.blank(number).with_context(|| format!("{}: no hole of the right size was drawn", set.masks))?;
    write(&mask, format!("{}.png", set::blank_name(number)), None, folder)
}

fn of_photo(
    set: &MaskSet,
    images: &Path,
    photo: &Path,
    round: usize,
    number: u64,
    folder: &Path,
) -> Result<Row> {
    let picture = Picture::open(&images.join(photo), &Limits::default())?;
    let crop = set
        .of_photo(&picture.pixels().to_rgb8(), number)
        .with_context(|| format!("{}: no hole of the right size was drawn", photo.display()))?;
    let name = format!("{}_crop{round:03}", stem(photo));
    let mut bytes = Vec::new();
    crop.photo.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)?;
    let file = format!("{name}.png");
    let path = folder.join(&file);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    write_bytes_atomically(&path, &bytes)?;
    write(&crop.mask, format!("{}.png", mask_name(&name, 0)), Some(file), folder)
}

fn write(mask: &Mask, file: String, image: Option<String>, folder: &Path) -> Result<Row> {
    let bytes = set::png(mask);
    write_bytes_atomically(&folder.join(&file), &bytes)?;
    Ok(Row {
        image,
        width: mask.width(),
        height: mask.height(),
        hole_share: mask.count() as f64 / mask.hole().len() as f64,
        sha256: sha256(&bytes),
        mask: file,
    })
}

/// All photos below a folder, relative to it, sorted by name.
fn photos(folder: &Path) -> Result<Vec<PathBuf>> {
    let photos = images_in(folder)?;
    ensure!(!photos.is_empty(), "{} has no {} files", folder.display(), Format::READ);
    Ok(photos)
}
