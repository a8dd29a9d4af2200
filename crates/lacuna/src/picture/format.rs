//! Container formats of images.

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
    Png = "png": "Lossless; transparency and 16 bits per channel",
    Jpeg = "jpeg": "Lossy, small",
    WebP = "webp": "Lossless; transparency",
    Tiff = "tiff": "Lossless; transparency and 16 bits per channel",
    Bmp = "bmp": "Uncompressed; no colour profile and no EXIF",
}

/// Every format with its extensions; the first is the usual one.
const EXTENSIONS: [(Format, &[&str]); 5] = [
    (Format::Png, &["png"]),
    (Format::Jpeg, &["jpg", "jpeg", "jpe", "jfif"]),
    (Format::WebP, &["webp"]),
    (Format::Tiff, &["tif", "tiff"]),
    (Format::Bmp, &["bmp", "dib"]),
];

impl Format {
    /// The format of a file name's extension, if Lacuna writes it.
    pub fn from_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        EXTENSIONS.iter().find(|(_, names)| names.contains(&extension.as_str())).map(|(format, _)| *format)
    }

    /// Whether the extension of a file name is that of a format that Lacuna reads, even if it does not write it.
    pub fn reads_extension(path: &Path) -> bool {
        let is_gif = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gif"));
        is_gif || Self::from_extension(path).is_some()
    }

    /// The usual extension, without the dot.
    pub fn extension(self) -> &'static str {
        EXTENSIONS.iter().find(|(format, _)| *format == self).map_or("", |(_, names)| names[0])
    }

    /// Whether the format can store 16 bits per channel.
    pub fn holds_16_bit(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    /// Whether the format can store transparency.
    pub fn holds_alpha(self) -> bool {
        self != Self::Jpeg
    }

    /// Whether the format can store EXIF and an ICC profile.
    pub fn holds_metadata(self) -> bool {
        self != Self::Bmp
    }
}

/// The content of a file, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A format that can also be written.
    Written(Format),
    /// GIF, which is written as PNG.
    Gif,
}

/// Brands of ISO media files (ISO 14496-12, file type box) that contain photos, with the format's name.
const BRANDS: [(&[u8; 4], &str); 7] = [
    (b"avif", "AVIF"),
    (b"avis", "AVIF"),
    (b"heic", "HEIC"),
    (b"heix", "HEIC"),
    (b"hevc", "HEIC"),
    (b"mif1", "HEIC"),
    (b"msf1", "HEIC"),
];

impl Content {
    /// Detects the content from the first bytes of a file.
    ///
    /// # Errors
    /// [`Error::Picture`] for formats that Lacuna does not read.
    pub fn of(bytes: &[u8], name: &str) -> Result<Self> {
        let problem = match image::guess_format(bytes) {
            Ok(ImageFormat::Png) => return Ok(Self::Written(Format::Png)),
            Ok(ImageFormat::Jpeg) => return Ok(Self::Written(Format::Jpeg)),
            Ok(ImageFormat::WebP) => return Ok(Self::Written(Format::WebP)),
            Ok(ImageFormat::Tiff) => return Ok(Self::Written(Format::Tiff)),
            Ok(ImageFormat::Bmp) => return Ok(Self::Written(Format::Bmp)),
            Ok(ImageFormat::Gif) => return Ok(Self::Gif),
            // BigTIFF.
            _ if bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+") => {
                return Ok(Self::Written(Format::Tiff));
            }
            _ => match unreadable(bytes) {
                Some(format) => {
                    format!("{format} photos cannot be read: convert it to PNG, JPEG or TIFF first")
                }
                None if bytes.is_empty() => "the file is empty".into(),
                None => "this is not a PNG, JPEG, WebP, TIFF, BMP or GIF photo".into(),
            },
        };
        Err(Error::picture(name, problem))
    }
}

/// The name of a common format that Lacuna does not read.
fn unreadable(bytes: &[u8]) -> Option<String> {
    if bytes.get(4..8) == Some(b"ftyp") {
        let brand = bytes.get(8..12)?;
        return BRANDS.iter().find(|(known, _)| &known[..] == brand).map(|(_, name)| (*name).into());
    }
    // ISO 18181-2: a bare codestream, and a container.
    if bytes.starts_with(&[0xFF, 0x0A]) || bytes.starts_with(b"\0\0\0\x0CJXL \r\n\x87\n") {
        return Some("JPEG XL".into());
    }
    image::guess_format(bytes).ok().map(|format| format!("{format:?}"))
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
        assert_eq!(Content::of(b"\x89PNG\r\n\x1a\n", "a").unwrap(), Content::Written(Format::Png));
        assert_eq!(Content::of(b"GIF89a......", "a").unwrap(), Content::Gif);
        assert_eq!(Content::of(b"II+\0\x08\0\0\0", "a").unwrap(), Content::Written(Format::Tiff));
        for (bytes, expected) in [
            (
                &b"\0\0\0\x20ftypavif"[..],
                "a: AVIF photos cannot be read: convert it to PNG, JPEG or TIFF first",
            ),
            (b"\0\0\0\x20ftypheic", "a: HEIC photos cannot be read: convert it to PNG, JPEG or TIFF first"),
            (b"\xFF\x0A", "a: JPEG XL photos cannot be read: convert it to PNG, JPEG or TIFF first"),
            (b"", "a: the file is empty"),
            (b"hello", "a: this is not a PNG, JPEG, WebP, TIFF, BMP or GIF photo"),
        ] {
            assert_eq!(Content::of(bytes, "a").unwrap_err().to_string(), expected);
        }
    }
}
