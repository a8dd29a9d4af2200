//! Pictures coded as AV1, decoded by `re_rav1d`, a translation of dav1d.

use re_rav1d::{Decoder, Picture, PixelLayout, PlanarImageComponent, Settings};

use super::image::{Coding, Config};
use crate::picture::converted::boxes::Bytes;

/// Most frames in one picture: AV1 has at most four spatial layers. Further hidden frames would cost time and memory that
/// the file's size does not show.
const MOST_FRAMES: usize = 4;

/// Most bytes of data per pixel, and for headers: samples that are not compressed take at most 6 (12 bits, 4:4:4).
const MOST_BYTES_PER_PIXEL: u64 = 8;
const MOST_HEADER_BYTES: u64 = 64 << 10;

/// Kinds of units that begin a frame (AV1, section 6.2.2).
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// Counts the frames in a picture's data.
///
/// # Errors
/// A sentence if there are none or too many, or if the data are too long for the picture.
pub fn frames(data: &[u8], coding: &Coding) -> Result<usize, String> {
    let (width, height) = coding.size;
    let most = MOST_HEADER_BYTES + MOST_BYTES_PER_PIXEL * u64::from(width) * u64::from(height);
    if data.len() as u64 > most {
        return Err(format!(
            "a picture of {width} x {height} pixels has {} bytes: at most {most} are expected",
            data.len()
        ));
    }
    let mut bytes = Bytes(data);
    let mut count = 0;
    while !bytes.0.is_empty() {
        let kind = unit(&mut bytes).ok_or("its AV1 data are truncated")?;
        count += usize::from(matches!(kind, FRAME_HEADER | FRAME));
    }
    if count == 0 || count > MOST_FRAMES {
        return Err(format!("its picture consists of {count} frames: 1 to {MOST_FRAMES} are expected"));
    }
    Ok(count)
}

/// Skips one unit and returns its kind (AV1, section 5.3).
fn unit(bytes: &mut Bytes) -> Option<u8> {
    let header = bytes.u8()?;
    let (has_extension, has_length) = (header & 4 != 0, header & 2 != 0);
    if has_extension {
        bytes.u8()?;
    }
    let length = if has_length { variable(bytes)? } else { bytes.0.len() };
    bytes.take(length)?;
    Some(header >> 3 & 0xF)
}

/// A number of 7 bits per byte, lowest first (AV1, section 4.10.5).
fn variable(bytes: &mut Bytes) -> Option<usize> {
    let mut number = 0u64;
    for place in 0..8 {
        let byte = bytes.u8()?;
        number |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return usize::try_from(number).ok();
        }
    }
    None
}

/// Decodes one picture and checks that it is what the container says.
///
/// The decoder runs in this thread: a panic in a thread of its own would leave this one waiting.
///
/// # Errors
/// A sentence that describes what is damaged or unsupported.
pub fn decode(data: Vec<u8>, coding: &Coding) -> Result<Picture, String> {
    let problem = |error: re_rav1d::Error| format!("the AV1 decoder reports: {error}");
    let mut settings = Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_all_layers(false);
    settings.set_operating_point(u32::from(coding.operating_point));
    settings.set_frame_size_limit(coding.size.0.saturating_mul(coding.size.1));
    let mut decoder = Decoder::with_settings(&settings).map_err(problem)?;
    let mut sent = decoder.send_data(data, None, None, None);
    loop {
        match decoder.get_picture() {
            Ok(picture) => return check(picture, coding),
            Err(error) if !error.is_again() => return Err(problem(error)),
            Err(_) => match sent {
                Ok(()) => return Err("its AV1 data have no picture".into()),
                Err(error) if !error.is_again() => return Err(problem(error)),
                Err(_) => sent = decoder.send_pending_data(),
            },
        }
    }
}

fn check(picture: Picture, coding: &Coding) -> Result<Picture, String> {
    let size = (picture.width(), picture.height());
    if size != coding.size {
        return Err(format!(
            "its picture has {} x {} pixels, but its container says {} x {}",
            size.0, size.1, coding.size.0, coding.size.1
        ));
    }
    let chroma = match picture.pixel_layout() {
        PixelLayout::I400 => 0,
        PixelLayout::I420 => 1,
        PixelLayout::I422 => 2,
        PixelLayout::I444 => 3,
    };
    let depth = picture.bit_depth();
    let Config { depth: expected, chroma: expected_chroma, .. } = coding.config;
    if (depth, chroma) != (usize::from(expected), expected_chroma) {
        return Err(format!(
            "its picture has {depth} bits per sample, but its container says {expected}, or its chroma differs"
        ));
    }
    Ok(picture)
}

/// A plane of samples, row by row.
pub struct Plane {
    pub width: usize,
    pub height: usize,
    pub samples: Vec<i32>,
}

impl Plane {
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, samples: vec![0; width * height] }
    }

    /// Copies a plane of a picture to column `x` and row `y`; what lies beyond the plane is cut off.
    pub fn place(&mut self, picture: &Picture, component: PlanarImageComponent, (x, y): (usize, usize)) {
        let source = picture.plane(component);
        let stride = picture.stride(component) as usize;
        let is_full = component == PlanarImageComponent::Y || picture.pixel_layout() == PixelLayout::I444;
        let width = picture.width() as usize;
        let width = if is_full { width } else { width.div_ceil(2) };
        let rows = self.samples.chunks_exact_mut(self.width).skip(y);
        for (row, source) in rows.zip(source.chunks_exact(stride)) {
            if picture.bit_depth() > 8 {
                for (sample, bytes) in row[x..].iter_mut().take(width).zip(source.as_chunks().0) {
                    *sample = i32::from(u16::from_ne_bytes(*bytes));
                }
            } else {
                for (sample, byte) in row[x..].iter_mut().take(width).zip(source) {
                    *sample = i32::from(*byte);
                }
            }
        }
    }
}
