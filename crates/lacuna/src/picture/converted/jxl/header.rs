//! What a JPEG XL codestream's header says, read before the decoder allocates anything.

use jxl_bitstream::Bitstream;
use jxl_oxide::image::{BitDepth, ExtraChannelType, ImageHeader};
use jxl_oxide_common::Bundle;

use crate::units::at_most;

/// Limit of a compressed colour profile in bytes, as for PNG: profiles of printers have up to 4 MB.
const MOST_PROFILE: u64 = 16 << 20;

/// What the header says.
pub struct JxlHeader {
    /// Columns and rows of the upright image.
    pub size: (u32, u32),
    /// Channels that the decoder renders, further ones such as depth included.
    pub channels: u64,
    /// Bits per sample of the deepest channel.
    depth: u32,
    /// Whether samples have more than 16 bits, or are floats.
    pub is_reduced: bool,
}

impl JxlHeader {
    /// Whether the pixels need 16 bits per channel.
    pub fn is_deep(&self) -> bool {
        self.depth > 8
    }

    /// Bytes per pixel of the pixels, at most: of RGB with alpha, if there are further channels.
    pub fn pixel_bytes(&self) -> u64 {
        self.channels.min(4) * if self.is_deep() { 2 } else { 1 }
    }
}

/// Reads the header of a codestream.
///
/// # Errors
/// A sentence that describes what is damaged or too large.
pub fn read(codestream: &[u8]) -> Result<JxlHeader, String> {
    let mut bits = Bitstream::new(codestream);
    let problem = |error: jxl_bitstream::Error| match error.unexpected_eof() {
        true => "it is truncated".to_owned(),
        false => error.to_string(),
    };
    let header = ImageHeader::parse(&mut bits, ()).map_err(problem)?;
    let metadata = &header.metadata;
    if metadata.colour_encoding.want_icc() {
        let size = bits.read_u64().map_err(problem)?;
        if size > MOST_PROFILE {
            return Err(format!(
                "its colour profile has {size} bytes: {} are allowed",
                at_most(MOST_PROFILE)
            ));
        }
    }
    if metadata.ec_info.iter().any(|channel| matches!(channel.ty, ExtraChannelType::Black)) {
        return Err("its colours are CMYK, which is not read in this format".into());
    }
    let colours = if metadata.grayscale() { 1 } else { 3 };
    let depths =
        || metadata.ec_info.iter().filter(|channel| channel.is_alpha()).map(|channel| channel.bit_depth);
    let depths = || std::iter::once(metadata.bit_depth).chain(depths());
    let is_reduced = |depth: BitDepth| match depth {
        BitDepth::IntegerSample { bits_per_sample } => bits_per_sample > 16,
        BitDepth::FloatSample { .. } => true,
    };
    Ok(JxlHeader {
        size: (header.width_with_orientation(), header.height_with_orientation()),
        channels: colours + metadata.ec_info.len() as u64,
        depth: depths().map(BitDepth::bits_per_sample).max().unwrap_or(8),
        is_reduced: depths().any(is_reduced),
    })
}
