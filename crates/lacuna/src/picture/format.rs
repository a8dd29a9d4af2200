//! Container formats of images.

use std::fmt;
use std::path::Path;

use image::ImageFormat;

use crate::words::{names, words};
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

    /// The media type of its files.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
            Self::Tiff => "image/tiff",
            Self::Bmp => "image/bmp",
        }
    }

    /// The format that an output's extension names; `None` without an extension.
    ///
    /// # Errors
    /// [`Error::Unfit`] with the formats that are written, if it names none of them.
    pub fn of_output(path: &Path) -> Result<Option<Self>> {
        match (Self::from_extension(path), path.extension()) {
            (None, Some(extension)) => {
                let known = names::<Self>().join(", ");
                let problem = format!("cannot write .{} files (supported: {known})", extension.display());
                Err(Error::unfit(path.display().to_string(), problem))
            }
            (format, _) => Ok(format),
        }
    }

    /// The names of all formats that this build reads, for messages.
    pub const READ: &str = match (cfg!(feature = "avif"), cfg!(feature = "jxl")) {
        (false, false) => "PNG, JPEG, WebP, TIFF, BMP, GIF or HEIC",
        (true, false) => "PNG, JPEG, WebP, TIFF, BMP, GIF, HEIC or AVIF",
        (false, true) => "PNG, JPEG, WebP, TIFF, BMP, GIF, HEIC or JPEG XL",
        (true, true) => "PNG, JPEG, WebP, TIFF, BMP, GIF, HEIC, AVIF or JPEG XL",
    };

    /// Whether the extension of a file name is that of a format that this build reads, even if it does not write it.
    pub fn reads_extension(path: &Path) -> bool {
        Self::from_extension(path).is_some()
            || ReadOnly::from_extension(path).is_some_and(|format| format.missing_feature().is_none())
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

/// A format that is read, but written as PNG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadOnly {
    Gif,
    Heic,
    Avif,
    JpegXl,
}

/// Every read-only format with its extensions.
const READ_ONLY_EXTENSIONS: [(ReadOnly, &[&str]); 4] = [
    (ReadOnly::Gif, &["gif"]),
    (ReadOnly::Heic, &["heic", "heif", "hif"]),
    (ReadOnly::Avif, &["avif", "avifs"]),
    (ReadOnly::JpegXl, &["jxl"]),
];

impl ReadOnly {
    fn from_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let known = READ_ONLY_EXTENSIONS.iter().find(|(_, names)| names.contains(&extension.as_str()));
        known.map(|(format, _)| *format)
    }

    /// The Cargo feature that this build lacks to read the format.
    pub fn missing_feature(self) -> Option<&'static str> {
        match self {
            Self::Avif if !cfg!(feature = "avif") => Some("avif"),
            Self::JpegXl if !cfg!(feature = "jxl") => Some("jxl"),
            _ => None,
        }
    }
}

impl fmt::Display for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gif => "GIF",
            Self::Heic => "HEIC",
            Self::Avif => "AVIF",
            Self::JpegXl => "JPEG XL",
        })
    }
}

/// The content of a file, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A format that can also be written.
    Written(Format),
    /// A format that is written as PNG.
    ReadOnly(ReadOnly),
}

/// What an ISO media file's brand says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Hevc,
    Av1,
}

/// Brands of ISO media files (ISO 14496-12, file type box) that contain photos. The first one that a file lists decides.
const BRANDS: [(&[u8; 4], Codec); 7] = [
    (b"avif", Codec::Av1),
    (b"avis", Codec::Av1),
    (b"heic", Codec::Hevc),
    (b"heix", Codec::Hevc),
    (b"heim", Codec::Hevc),
    (b"hevc", Codec::Hevc),
    (b"hevx", Codec::Hevc),
];

/// Brands of files whose codec is only named by their items; without another brand they are taken for HEIC.
const GENERAL_BRANDS: [&[u8; 4]; 2] = [b"mif1", b"msf1"];

/// How JPEG XL files begin: a bare codestream, and a container (ISO/IEC 18181-2).
const JPEG_XL: [&[u8]; 2] = [&[0xFF, 0x0A], b"\0\0\0\x0CJXL \r\n\x87\n"];

impl Content {
    /// Detects the content from the first bytes of a file.
    ///
    /// # Errors
    /// [`Error::Picture`] for formats that Lacuna does not read.
    pub fn of(bytes: &[u8], name: &str) -> Result<Self> {
        let codec = codec(bytes);
        let problem = match image::guess_format(bytes) {
            Ok(ImageFormat::Png) => return Ok(Self::Written(Format::Png)),
            Ok(ImageFormat::Jpeg) => return Ok(Self::Written(Format::Jpeg)),
            Ok(ImageFormat::WebP) => return Ok(Self::Written(Format::WebP)),
            Ok(ImageFormat::Tiff) => return Ok(Self::Written(Format::Tiff)),
            Ok(ImageFormat::Bmp) => return Ok(Self::Written(Format::Bmp)),
            Ok(ImageFormat::Gif) => return Ok(Self::ReadOnly(ReadOnly::Gif)),
            _ if codec == Some(Codec::Hevc) => return Ok(Self::ReadOnly(ReadOnly::Heic)),
            _ if codec == Some(Codec::Av1) => return Ok(Self::ReadOnly(ReadOnly::Avif)),
            _ if JPEG_XL.iter().any(|start| bytes.starts_with(start)) => {
                return Ok(Self::ReadOnly(ReadOnly::JpegXl));
            }
            // BigTIFF.
            _ if bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+") => {
                return Ok(Self::Written(Format::Tiff));
            }
            Ok(format) => {
                format!("{format:?} photos cannot be read: convert it to PNG, JPEG or TIFF first")
            }
            Err(_) if bytes.is_empty() => "the file is empty".into(),
            Err(_) => format!("this is not a {} photo", Format::READ),
        };
        Err(Error::picture(name, problem))
    }
}

/// The codec of an ISO media file by the brands in its first box.
fn codec(bytes: &[u8]) -> Option<Codec> {
    if bytes.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let brands = bytes.get(8..length.min(bytes.len()))?;
    // The major brand, its version, then the compatible brands.
    let listed =
        || brands.chunks_exact(4).enumerate().filter(|(place, _)| *place != 1).map(|(_, brand)| brand);
    let known = listed().find_map(|brand| BRANDS.iter().find(|(known, _)| &known[..] == brand));
    let is_general = listed().any(|brand| GENERAL_BRANDS.iter().any(|known| &known[..] == brand));
    known.map(|(_, codec)| *codec).or(is_general.then_some(Codec::Hevc))
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
    fn outputs_have_a_format_that_is_written() {
        assert_eq!(Format::of_output(Path::new("a.TIF")).unwrap(), Some(Format::Tiff));
        assert_eq!(Format::of_output(Path::new("a")).unwrap(), None);
        let error = Format::of_output(Path::new("b/a.gif")).unwrap_err().to_string();
        assert_eq!(error, "b/a.gif: cannot write .gif files (supported: png, jpeg, webp, tiff, bmp)");
    }

    #[test]
    fn content_decides() {
        assert_eq!(Content::of(b"\x89PNG\r\n\x1a\n", "a").unwrap(), Content::Written(Format::Png));
        assert_eq!(Content::of(b"II+\0\x08\0\0\0", "a").unwrap(), Content::Written(Format::Tiff));
        for (bytes, expected) in [
            (&b"GIF89a......"[..], ReadOnly::Gif),
            (b"\0\0\0\x18ftypmif1\0\0\0\0miafheic", ReadOnly::Heic),
            (b"\0\0\0\x14ftypmif1\0\0\0\0miaf", ReadOnly::Heic),
            (b"\0\0\0\x18ftypheic", ReadOnly::Heic),
            (b"\0\0\0\x14ftypavif\0\0\0\0mif1", ReadOnly::Avif),
            (b"\0\0\0\x18ftypmif1\0\0\0\0miafavif", ReadOnly::Avif),
            (b"\xFF\x0A", ReadOnly::JpegXl),
            (b"\0\0\0\x0CJXL \r\n\x87\n", ReadOnly::JpegXl),
        ] {
            assert_eq!(
                Content::of(bytes, "a").unwrap(),
                Content::ReadOnly(expected),
                "{}",
                bytes.escape_ascii()
            );
        }
        let unknown = format!("a: this is not a {} photo", Format::READ);
        for (bytes, expected) in [
            (&b"#?RADIANCE"[..], "a: Hdr photos cannot be read: convert it to PNG, JPEG or TIFF first"),
            (b"", "a: the file is empty"),
            (b"hello", &unknown),
            (b"\0\0\0\x14ftypqt  \0\0\0\0", &unknown),
        ] {
            assert_eq!(Content::of(bytes, "a").unwrap_err().to_string(), expected);
        }
    }
}
