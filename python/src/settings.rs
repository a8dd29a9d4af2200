//! Settings: the attributes of `Inpainter` and `FileOptions`. Their types and ranges are checked in Python, their words
//! here.

use std::sync::Arc;

use lacuna::anchor::{Anchor, AnchorScale};
use lacuna::hole::Expand;
use lacuna::picture::{Limits, SaveOptions};
use lacuna::strategy::{DEFAULT_LONG_SIDE, StrategyKind};
use lacuna::words::Word;
use lacuna::{Error, FillJob, MaskFit, MaskOptions, Method, Predictor, Refinement, Result, Sizing};
use pyo3::prelude::*;

use crate::errors::raise;
use crate::loaded::Model;

/// How holes are filled.
#[derive(Clone, Debug, FromPyObject)]
pub struct Settings {
    method: Option<String>,
    model: Option<String>,
    refine: Option<u16>,
    refine_side: Option<u32>,
    seed: u64,
    /// Pixels, or "auto".
    #[pyo3(attribute("_expand"))]
    expand: String,
    feather: u32,
    strategy: String,
    long_side: Option<u32>,
    max_memory: Option<u64>,
    pub threads: Option<usize>,
    /// Seconds.
    pub timeout: Option<f64>,
}

/// How files are read and written.
#[derive(Clone, Debug, FromPyObject)]
pub struct FileOptions {
    pub format: Option<String>,
    quality: Option<u8>,
    threshold: Option<u8>,
    invert: bool,
    fit_mask: bool,
    anchor: Option<String>,
    anchor_scale: Option<String>,
    max_side: Option<u32>,
    max_pixels: Option<u64>,
    max_bytes: Option<u64>,
}

/// Checks the words of the settings of `Inpainter`, without reading any weights.
#[pyfunction]
pub fn check(py: Python<'_>, settings: Settings) -> PyResult<()> {
    let checked = settings.method().and_then(|_| settings.sizing()).and_then(|_| settings.expand());
    checked.map(|_| ()).map_err(|error| raise(py, &error))
}

/// The value with this name.
pub fn word<T: Word>(name: &str) -> Result<T> {
    T::from_name(name).map_err(|error| Error::Argument(error.to_string()))
}

impl Settings {
    /// The method: that which was given, or the best one.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is unknown, or contradicts the other settings.
    pub fn method(&self) -> Result<Method> {
        let best = if self.model.is_some() { Method::NETWORK } else { Method::GUIDED };
        let method = self.method.as_deref().map_or(Ok(best), word)?;
        let refused = |what: String| Err(Error::Argument(format!("method {method} uses no {what}")));
        match (&self.model, self.refine) {
            (Some(model), _) if !method.needs_network() => {
                refused(format!("model, but model {model} was given"))
            }
            (_, Some(passes)) if !method.needs_network() => {
                refused(format!("network to refine, but refine {passes} was given"))
            }
            _ => Ok(method),
        }
    }

    /// The file of the network's weights; `None` for the network that is built in.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if no model of that name is installed; [`Error::Read`] if there is no such file.
    pub fn model(&self) -> Result<Option<Model>> {
        self.model.as_deref().map(Model::find).transpose()
    }

    /// How the network is refined.
    pub fn refinement(&self) -> Option<Refinement> {
        self.refine.map(|passes| Refinement::new(passes, self.refine_side))
    }

    /// The memory limit in bytes.
    pub fn memory(&self) -> Option<u64> {
        self.max_memory
    }

    fn sizing(&self) -> Result<Sizing> {
        let kind: StrategyKind = word(&self.strategy)?;
        if let Some(side) = self.long_side.filter(|_| kind != StrategyKind::Resize) {
            return Err(Error::Argument(format!(
                "long_side {side} needs strategy resize, but strategy is {kind}"
            )));
        }
        let side = self.long_side.unwrap_or(DEFAULT_LONG_SIDE);
        Ok(Sizing::Always(kind.with_long_side(side as usize)))
    }

    fn expand(&self) -> Result<Expand> {
        self.expand.parse().map_err(|problem| Error::Argument(format!("expand: {problem}")))
    }

    /// A job without files.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub fn job(&self, predictor: Arc<dyn Predictor>) -> Result<FillJob> {
        Ok(FillJob {
            memory: self.max_memory,
            expand: self.expand()?,
            feather: self.feather,
            sizing: self.sizing()?,
            seed: self.seed,
            ..FillJob::new(predictor)
        })
    }
}

impl FileOptions {
    /// A job with these options.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub fn apply(&self, job: FillJob) -> Result<FillJob> {
        let anchor = self.anchor.as_deref().map(word::<Anchor>).transpose()?;
        let scale = self.anchor_scale.as_deref().map(word::<AnchorScale>).transpose()?;
        let fit = match (anchor, scale) {
            (Some(anchor), _) if self.fit_mask => {
                return Err(Error::Argument(format!("fit_mask and anchor {anchor} exclude each other")));
            }
            (Some(anchor), scale) => MaskFit::At(anchor, scale.unwrap_or_default()),
            (None, Some(scale)) => {
                return Err(Error::Argument(format!(
                    "anchor_scale {scale} needs an anchor, but there is none"
                )));
            }
            (None, None) if self.fit_mask => MaskFit::Same,
            (None, None) => MaskFit::Exact,
        };
        let format = self.format.as_deref().map(word).transpose()?;
        Ok(FillJob {
            limits: self.limits(),
            mask: MaskOptions { threshold: self.threshold, invert: self.invert, ..MaskOptions::default() },
            fit,
            save: SaveOptions { format, quality: self.quality },
            ..job
        })
    }

    /// The limits on files.
    pub fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            side: self.max_side.unwrap_or(default.side),
            pixels: self.max_pixels.unwrap_or(default.pixels),
            bytes: self.max_bytes.unwrap_or(default.bytes),
            memory: None,
        }
    }
}
