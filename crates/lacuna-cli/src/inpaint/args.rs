//! Arguments of `lacuna inpaint`.

use std::path::PathBuf;

use clap::Args;
use lacuna::anchor::{Anchor, AnchorScale};
use lacuna::hole::Expand;
use lacuna::mask::{MaskChannel, MaskFrom};
use lacuna::picture::Format;
use lacuna::strategy::{DEFAULT_LONG_SIDE, SHORTEST_LONG_SIDE, StrategyKind};
use lacuna::{HintStrength, MaskFit, MaskOptions, Strategy};

use super::shard::ShardArg;
use crate::limits::LimitArgs;
use crate::method::MethodArgs;
use crate::units::Threads;
use crate::words::word;

const EXAMPLES: &str = "\
Examples:
  One photo; every pixel of the mask that is not black is removed:
    lacuna inpaint photo.jpg mask.png -o clean.jpg
  Grow the hole by 8 pixels, with a soft edge of 4:
    lacuna inpaint photo.jpg mask.png -o clean.jpg --expand 8 --feather 4
  A folder of photos and a folder of masks of the same names (or LaMa's NAME_mask000.png), four at a time:
    lacuna inpaint photos/ masks/ -o clean/ --jobs 4
  The same logo in every photo:
    lacuna inpaint photos/ logo-mask.png -o clean/
  The same watermark in the corner of photos of different sizes:
    lacuna inpaint photos/ watermark-mask.png -o clean/ --anchor bottom-right
  The frames of a video whose camera stands still: what is behind the hole is taken from frames that show it:
    lacuna inpaint --frames frames/ masks/ -o clean/
  What was erased to transparent in an image editor:
    lacuna inpaint photo.png --mask-from alpha -o clean.png
  Six answers to choose from, clean-1.jpg to clean-6.jpg, and all of them on one sheet:
    lacuna inpaint photo.jpg mask.png -o clean.jpg --samples 6 --contact-sheet sheet.png
  Do not copy from what another mask marks:
    lacuna inpaint photo.jpg mask.png -o clean.jpg --avoid people.png
  Lines to continue through the hole, for a flow file with a ControlNet branch:
    lacuna inpaint photo.jpg mask.png -o clean.jpg --model lines.safetensors --hint lines.png
  From standard input to standard output:
    curl https://example.com/photo.png | lacuna inpaint - mask.png -o - --format jpeg > clean.jpg
  A table of image,mask,output; continue an interrupted run:
    lacuna inpaint --csv list.csv --resume
  The same on eight machines, each with its own number from 0 to 7, and its manifests as one afterwards:
    lacuna inpaint --csv list.csv --resume --shard 0/8
    lacuna inpaint --csv list.csv --merge-manifests
  A tar file with KEY.jpg and KEY.mask.png (webdataset's layout), into another one:
    lacuna inpaint shard-0000.tar -o clean/shard-0000.tar
  Only report what would be done, with time and memory, one JSON line per photo:
    lacuna inpaint photos/ masks/ -o clean/ --dry-run --json
  With LaMa's largest network, which `lacuna model fetch big-lama` installs:
    lacuna inpaint photo.jpg mask.png -o clean.jpg --model big-lama
  With a weights file (LaMa's checkpoints work unchanged), and at most 2 GiB of memory:
    lacuna inpaint photo.jpg mask.png -o clean.jpg --model best.ckpt --max-memory 2G

Exit code: 0 done, 1 failed, 2 wrong arguments, 3 a batch in which some photos failed.";

/// Most answers for a hole.
const MOST_SAMPLES: i64 = 999;

/// Arguments of `lacuna inpaint`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct InpaintArgs {
    /// Photo, folder of photos, or tar file of photos and masks; - reads standard input
    #[arg(
        required_unless_present = "csv",
        help = format!(
            "Photo, folder of photos ({}), or tar file of photos and masks; - reads standard input",
            Format::READ
        )
    )]
    pub image: Option<PathBuf>,
    /// Mask, upright like the displayed photo (not black = hole), or folder of masks; - reads standard input
    pub mask: Option<PathBuf>,
    /// Output file or folder; the extension of a file selects the format; - writes to standard output
    #[arg(short, long, required_unless_present = "csv", conflicts_with = "csv")]
    pub output: Option<PathBuf>,
    /// CSV file with the columns image,mask,output; paths are relative to it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "mask"])]
    pub csv: Option<PathBuf>,
    /// Fill only part K of N of the table, K from 0 to N - 1. auto/N: K is the array task's SLURM_ARRAY_TASK_ID or the
    /// job's JOB_COMPLETION_INDEX. auto: N is also that of the Slurm array
    #[arg(long, value_name = "K/N", requires = "csv", conflicts_with = "image")]
    pub shard: Option<ShardArg>,
    /// Merge the manifests of the table's shards into the table's own, and fill nothing
    #[arg(long, requires = "csv", conflicts_with_all = ["image", "shard", "resume", "overwrite", "dry_run", "json"])]
    pub merge_manifests: bool,

    /// The folder has the frames of a video whose camera stands still, in the order of their names: fill from frames that
    /// show what the hole hides, and what none shows only once
    #[arg(long, conflicts_with_all = ["csv", "samples", "contact_sheet", "dry_run"])]
    pub frames: bool,

    #[command(flatten)]
    pub method: MethodArgs,
    /// Seed of all randomness
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Write N answers for each hole, NAME-1 to NAME-N: answer k has the seed plus k - 1, whatever N is
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=MOST_SAMPLES), conflicts_with = "csv")]
    pub samples: u16,
    /// What you want in the hole, for a flow file with a ControlNet branch as model: lines, as a mask, or a picture as large as the photo
    #[arg(long, value_name = "FILE", conflicts_with = "frames")]
    pub hint: Option<PathBuf>,
    /// How much the hint counts, 0 to 2: 1 as trained
    #[arg(long, value_name = "S", default_value = "1", requires = "hint")]
    pub hint_strength: HintStrength,
    /// With --samples: the hole and all answers in one image
    #[arg(long, value_name = "FILE", conflicts_with_all = ["csv", "dry_run"])]
    pub contact_sheet: Option<PathBuf>,
    /// How large photos are handled
    #[arg(long, value_name = "STRATEGY", value_parser = word::<StrategyKind>(), default_value_t)]
    pub strategy: StrategyKind,
    /// Longer side in pixels for `--strategy resize`
    #[arg(long, value_name = "PX", default_value_t = DEFAULT_LONG_SIDE, value_parser = clap::value_parser!(u32).range(i64::from(SHORTEST_LONG_SIDE)..))]
    pub long_side: u32,

    #[command(flatten)]
    pub mask_options: MaskArgs,
    /// Format of the output [default: that of its extension, else the input's]
    #[arg(long, value_name = "FORMAT", value_parser = word::<Format>())]
    pub format: Option<Format>,
    /// JPEG quality, 1 to 100 [default: the input's]
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,

    /// Number of photos filled at the same time; each one uses all cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Number of computing threads [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<Threads>,
    /// Replace existing output files
    #[arg(long)]
    pub overwrite: bool,
    /// Resume an interrupted batch: skip what its manifest lists as finished
    #[arg(long)]
    pub resume: bool,
    /// Report what would be done, with forecasts of memory and time; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one line of JSON per photo on standard output
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How the mask is read and grown.
#[derive(Args)]
pub struct MaskArgs {
    /// What says where the hole is
    #[arg(long, value_name = "SOURCE", value_parser = word::<MaskFrom>(), default_value_t)]
    pub mask_from: MaskFrom,
    /// Scale a mask of the same shape to the photo's size; turn it if its sides are swapped
    #[arg(long)]
    pub fit_mask: bool,
    /// Use one mask for photos of any size: place it here
    #[arg(long, value_name = "PLACE", value_parser = word::<Anchor>(), conflicts_with = "fit_mask")]
    pub anchor: Option<Anchor>,
    /// Size of a mask at an anchor
    #[arg(long, value_name = "SCALE", value_parser = word::<AnchorScale>(), default_value_t, requires = "anchor")]
    pub anchor_scale: AnchorScale,
    /// Second mask: what it marks is not copied into the hole. Networks see it all the same
    #[arg(long, value_name = "MASK")]
    pub avoid: Option<PathBuf>,
    /// Mask values above this are hole, 0 to 254 [default: 0; 127 for JPEG and lossy WebP]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u8).range(..=254))]
    pub threshold: Option<u8>,
    /// The mask marks what to keep
    #[arg(long)]
    pub invert: bool,
    /// Channel of the mask file to read
    #[arg(long, value_name = "CHANNEL", value_parser = word::<MaskChannel>(), default_value_t)]
    pub mask_channel: MaskChannel,
    /// Pixels by which the hole grows; auto: to the soft edge of what it holds, by at most 16
    #[arg(long, value_name = "PX|auto", default_value_t)]
    pub expand: Expand,
    /// Width of the soft edge in pixels, inside the grown ring; the hole grows by at least this much
    #[arg(long, value_name = "PX", default_value_t = 0)]
    pub feather: u32,
}

impl InpaintArgs {
    /// The strategy that was given.
    pub fn strategy(&self) -> Strategy {
        self.strategy.with_long_side(self.long_side as usize)
    }

    /// All settings that change the pixels of an output, as text: part of what `--resume` compares.
    pub fn settings(&self, method: &str) -> String {
        let Self { seed, quality, format, hint_strength, mask_options: mask, .. } = self;
        format!(
            "{method}; seed {seed}; {:?}; memory {:?}; {:?} from {}; {:?}; expand {}, feather {}; quality {quality:?}, \
             format {format:?}",
            self.strategy(),
            self.limits.max_memory,
            mask.mask(),
            mask.mask_from,
            mask.fit(),
            mask.expand,
            mask.feather
        ) + &self.hint.as_ref().map_or(String::new(), |_| format!("; hint strength {}", hint_strength.get()))
    }
}

impl MaskArgs {
    /// Options for reading mask files.
    pub fn mask(&self) -> MaskOptions {
        MaskOptions { threshold: self.threshold, invert: self.invert, channel: self.mask_channel }
    }

    /// Handling of masks of other sizes.
    pub fn fit(&self) -> MaskFit {
        match self.anchor {
            Some(anchor) => MaskFit::At(anchor, self.anchor_scale),
            None if self.fit_mask => MaskFit::Same,
            None => MaskFit::Exact,
        }
    }
}
