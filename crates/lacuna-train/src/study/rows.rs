//! The tables, and what each of their rows trains: those of the thesis, and a history of methods.

use std::fmt;
use std::str::FromStr;

use lacuna::Method;

use super::history;

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Mask control and the latent loss, separately and together.
    T51,
    /// With all of LaMa's losses.
    T52,
    /// The delta variants, and ours.
    A1,
    /// Ours: methods of inpainting since 2016, with networks of about the same size.
    History,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in reports.
    pub title: &'static str,
    /// Its name in messages, and its folder.
    pub name: &'static str,
    /// What fills holes.
    pub work: Work,
    /// The table's description of its loss, its encoder and decoder, and its mask.
    pub loss: &'static str,
    /// The trained parts of encoder and decoder.
    pub encoder_decoder: &'static str,
    /// How the network receives the mask.
    pub mask: &'static str,
    /// The thesis's values, if it has this row.
    pub printed: Option<Printed>,
}

/// What fills the holes of a row.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// A network that is trained.
    Train {
        /// Its run file in configs/, without the extension.
        file: &'static str,
        /// Changes of that file, as of `--set`.
        changes: &'static [&'static str],
    },
    /// A method that needs no training.
    Fill(Method),
}

/// The thesis's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Printed {
    /// Fréchet distance.
    pub fid: f64,
    /// Learned perceptual distance.
    pub lpips: f64,
    /// Structural similarity.
    pub ssim: f64,
    /// Hours of training, where stated.
    pub hours: Option<f64>,
}

const fn printed(fid: f64, lpips: f64, ssim: f64, hours: Option<f64>) -> Option<Printed> {
    Some(Printed { fid, lpips, ssim, hours })
}

const FROZEN: &str = "frozen";
const LEARN: &str = "learn";

impl Table {
    /// Its rows; the first is the reference of comparisons.
    pub fn rows(self) -> Vec<Row> {
        let row = |title, file, loss, encoder_decoder, mask, printed| Row {
            title,
            name: file,
            work: Work::Train { file, changes: &[] },
            loss,
            encoder_decoder,
            mask,
            printed,
        };
        match self {
            Self::T51 => vec![
                row("Baseline", "pixel", "pixel L1", LEARN, "alpha", printed(16.6, 0.155, 0.865, Some(6.0))),
                row(
                    "Baseline + control",
                    "pixel-control",
                    "pixel L1",
                    FROZEN,
                    "control",
                    printed(16.0, 0.153, 0.884, Some(6.4)),
                ),
                row(
                    "Latent",
                    "latent",
                    "latent L1",
                    "first convolution",
                    "alpha",
                    printed(18.3, 0.163, 0.878, Some(4.0)),
                ),
                row(
                    "Latent + control",
                    "latent-control",
                    "latent L1",
                    FROZEN,
                    "control",
                    printed(12.4, 0.149, 0.888, Some(4.3)),
                ),
            ],
            Self::T52 => vec![
                row("LaMa", "full", "all of LaMa's", LEARN, "alpha", printed(1.5, 0.095, 0.897, Some(40.0))),
                row(
                    "Control + latent",
                    "full-control-latent",
                    "all of LaMa's, latent L1",
                    FROZEN,
                    "control",
                    printed(1.0, 0.087, 0.902, Some(41.0)),
                ),
            ],
            Self::A1 => vec![
                row("Pixel", "pixel", "pixel L1", LEARN, "alpha", printed(16.6, 0.1555, 0.865, None)),
                row(
                    "Pixel, delta",
                    "pixel-delta",
                    "pixel L1",
                    LEARN,
                    "alpha",
                    printed(17.96, 0.1643, 0.883, None),
                ),
                row(
                    "Latent + control",
                    "latent-control",
                    "latent L1",
                    FROZEN,
                    "control",
                    printed(12.4, 0.149, 0.888, None),
                ),
                row(
                    "Latent + control, delta",
                    "latent-control-delta",
                    "latent L1",
                    FROZEN,
                    "control",
                    printed(19.06, 0.157, 0.884, None),
                ),
                row(
                    "Latent + control, signed delta (ours)",
                    "latent-control-signed-delta",
                    "latent L1",
                    FROZEN,
                    "control",
                    None,
                ),
            ],
            Self::History => history::rows(),
        }
    }

    /// Changes of the run file `autoencoder` from which rows start, as of `--set`.
    pub(super) fn autoencoder_changes(self) -> &'static [&'static str] {
        match self {
            Self::T51 | Self::T52 | Self::A1 => &[],
            Self::History => history::AUTOENCODER,
        }
    }

    /// Whether the thesis has this table.
    pub(super) fn is_printed(self) -> bool {
        self != Self::History
    }
}

/// The text of a run file in configs/.
pub(super) fn text(file: &str) -> &'static str {
    macro_rules! texts {
        ($($name:literal),*) => {
            match file {
                $($name => include_str!(concat!("../../../../configs/", $name, ".toml")),)*
                other => unreachable!("no run file {other}"),
            }
        };
    }
    texts!(
        "autoencoder",
        "pixel",
        "pixel-control",
        "latent",
        "latent-control",
        "full",
        "full-control-latent",
        "pixel-delta",
        "latent-control-delta",
        "latent-control-signed-delta",
        "context-small"
    )
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::T51 => "table-5.1",
            Self::T52 => "table-5.2",
            Self::A1 => "table-A.1",
            Self::History => "history",
        })
    }
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::T51, Self::T52, Self::A1, Self::History];
        let found = all.into_iter().find(|table| table.to_string() == text);
        found.ok_or_else(|| {
            format!("unknown study {text:?}, expected table-5.1, table-5.2, table-A.1 or history")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Conditioning, Part, RunConfig};

    /// A fair comparison: rows of a table differ only in what the table states.
    #[test]
    fn rows_differ_in_what_the_table_says_only() {
        for table in [Table::T51, Table::T52, Table::A1] {
            let rows = table.rows();
            let first = RunConfig::parse(text(rows[0].name), &[]).unwrap();
            for row in rows {
                let mut config = RunConfig::parse(text(row.name), &[]).unwrap();
                let frozen = config.start.freeze == [Part::Encoder, Part::Decoder];
                assert_eq!(frozen, row.encoder_decoder != LEARN, "{}", row.name);
                assert_eq!(
                    config.network.generator().unwrap().conditioning == Conditioning::Control,
                    row.mask == "control",
                    "{}",
                    row.name
                );
                assert_eq!(config.loss.latent_l1.is_some(), row.loss.contains("latent"), "{}", row.name);
                let (network, plain) =
                    (config.network.generator_mut().unwrap(), first.network.generator().unwrap());
                (network.conditioning, network.delta) = (plain.conditioning, plain.delta);
                config.start.freeze = first.start.freeze.clone();
                config.loss = first.loss.clone();
                assert_eq!(config, first, "{}", row.name);
            }
        }
    }

    #[test]
    fn names_parse() {
        for table in [Table::T51, Table::T52, Table::A1] {
            assert_eq!(table.to_string().parse(), Ok(table));
        }
        assert!("table-6".parse::<Table>().unwrap_err().contains("expected table-5.1"));
    }
}
