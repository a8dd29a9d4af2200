//! The container formats that pictures come in.

use std::fmt;
use std::path::Path;

use image::ImageFormat;

use crate::words::words;
use crate::{Error, Result};

/// A container format that Lacuna reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// PNG: lossless, 8 and 16 bit, alpha.
    Png,
    /// JPEG: lossy, 8 bit, no alpha.
    Jpeg,
    /// WebP: read lossy and lossless, written lossless; 8 bit, alpha.
    WebP,
    /// TIFF: lossless, 8 and 16 bit, alpha.
    Tiff,
    /// BMP: lossless, 8 bit, alpha, no metadata.
    Bmp,
}

words! {
    Format, "format",
    Png = "png": "Lossless; transparency and 16 bits a channel",
    Jpeg = "jpeg": "Lossy, small",
    WebP = "webp": "Lossless; transparency",
    Tiff = "tiff": "Lossless; transparency and 16 bits a channel",
    Bmp = "bmp": "Uncompressed; no colour profile and no EXIF",
}

/// Every format, with the extensions that name it; the first is the usual one.
const EXTENSIONS: [(Format, &[&str]); 5] = [
    (Format::Png, &["png"]),
    (Format::Jpeg, &["jpg", "jpeg", "jpe", "jfif"]),
    (Format::WebP, &["webp"]),
    (Format::Tiff, &["tif", "tiff"]),
    (Format::Bmp, &["bmp", "dib"]),
];

impl Format {
    /// The format that a file name's extension names, if Lacuna knows it.
    pub fn from_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        EXTENSIONS.iter().find(|(_, names)| names.contains(&extension.as_str())).map(|(format, _)| *format)
    }

    /// The format that the first bytes of a file show.
    ///
    /// # Errors
    /// [`Error::Picture`] if the bytes are of no format that Lacuna reads.
    pub fn from_content(bytes: &[u8], name: &str) -> Result<Self> {
        let problem = match image::guess_format(bytes) {
            Ok(ImageFormat::Png) => return Ok(Self::Png),
            Ok(ImageFormat::Jpeg) => return Ok(Self::Jpeg),
            Ok(ImageFormat::WebP) => return Ok(Self::WebP),
            Ok(ImageFormat::Tiff) => return Ok(Self::Tiff),
            Ok(ImageFormat::Bmp) => return Ok(Self::Bmp),
            Ok(other) => format!("{other:?} pictures are not supported (PNG, JPEG, WebP, TIFF and BMP are)"),
            Err(_) if bytes.is_empty() => "the file is empty".into(),
            Err(_) => "this is not a PNG, JPEG, WebP, TIFF or BMP picture".into(),
        };
        Err(Error::picture(name, problem))
    }

    /// The usual extension, without the dot.
    pub fn extension(self) -> &'static str {
        EXTENSIONS.iter().find(|(format, _)| *format == self).map_or("", |(_, names)| names[0])
    }

    /// Whether the format can hold 16 bits a channel.
    pub fn holds_16_bit(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    /// Whether the format can hold transparency.
    pub fn holds_alpha(self) -> bool {
        self != Self::Jpeg
    }

    /// Whether the format can hold EXIF and an ICC profile.
    pub fn holds_metadata(self) -> bool {
        self != Self::Bmp
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_name_formats() {
        for (name, expected) in [
            ("a.png", Some(Format::Png)),
            ("a.JPG", Some(Format::Jpeg)),
            ("a.b.jpeg", Some(Format::Jpeg)),
            ("a.tiff", Some(Format::Tiff)),
            ("a.gif", None),
            ("png", None),
        ] {
            assert_eq!(Format::from_extension(Path::new(name)), expected, "{name}");
        }
        assert_eq!(Format::WebP.extension(), "webp");
    }

    #[test]
    fn content_decides() {
        assert_eq!(Format::from_content(b"\x89PNG\r\n\x1a\n", "a").unwrap(), Format::Png);
        for (bytes, expected) in [
            (&b"GIF89a......"[..], "a: Gif pictures are not supported (PNG, JPEG, WebP, TIFF and BMP are)"),
            (b"", "a: the file is empty"),
            (b"hello", "a: this is not a PNG, JPEG, WebP, TIFF or BMP picture"),
        ] {
            assert_eq!(Format::from_content(bytes, "a").unwrap_err().to_string(), expected);
        }
    }
}
