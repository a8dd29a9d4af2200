//! The files of a fill.

use std::borrow::Cow;
use std::path::Path;

use crate::picture::{Limits, read_file};
use crate::{Picture, Result};

/// A file that a job reads.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A file on this machine.
    File(&'a Path),
    /// The bytes of a file.
    Bytes {
        /// Its name, for messages.
        name: &'a str,
        /// Its contents.
        bytes: &'a [u8],
    },
}

/// The files of one fill.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The image.
    pub image: Source<'a>,
    /// What says where the hole is.
    pub mask: MaskSource<'a>,
    /// A mask of what must not be copied into the hole.
    pub avoid: Option<Source<'a>>,
    /// What a person wants in the hole: lines or a picture, whatever the predictor takes ([`crate::Predictor::hint_kind`]).
    pub hint: Option<Source<'a>>,
}

/// What says where the hole is.
#[derive(Clone, Copy, Debug)]
pub enum MaskSource<'a> {
    /// A mask file.
    File(Source<'a>),
    /// The image itself: what is transparent is filled, and opaque then. The alpha channel goes if all is opaque then.
    Alpha,
}

impl<'a> Inputs<'a> {
    /// An image and its mask file.
    pub fn new(image: Source<'a>, mask: Source<'a>) -> Self {
        Self { image, mask: MaskSource::File(mask), avoid: None, hint: None }
    }
}

impl<'a> Source<'a> {
    /// The file's name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes { name, .. } => (*name).to_owned(),
        }
    }

    /// The file's bytes.
    pub(crate) fn bytes(self, limits: &Limits) -> Result<Cow<'a, [u8]>> {
        Ok(match self {
            Self::File(path) => read_file(path, limits)?.into(),
            Self::Bytes { bytes, .. } => bytes.into(),
        })
    }

    pub(super) fn open(&self, limits: &Limits) -> Result<Picture> {
        match self {
            Self::File(path) => Picture::open(path, limits),
            Self::Bytes { name, bytes } => Picture::decode(bytes, name, limits),
        }
    }
}
