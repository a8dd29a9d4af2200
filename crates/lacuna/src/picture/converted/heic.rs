//! HEIC: photos of phones, coded as HEVC pictures.

use super::planar::{self, Planes};
use super::{Decoded, Header, Reader};
use crate::Result;
use crate::picture::format::ReadOnly;

/// Bytes at the decoder's peak per byte of planes: coded blocks and their parameters, filtered copies, cropped and rotated
/// ones. One image of 4 megapixels, 4:2:0, took 51 bytes per pixel, which is 8.4 times its planes.
const COPIES: u64 = 9;

impl Reader<'_> {
    pub(super) fn decode_heic(&self) -> Result<Decoded> {
        let problem = |error: heic_decoder::HeifError| self.damaged(ReadOnly::Heic, &error.to_string());
        let info = heic_decoder::probe(self.bytes).map_err(problem)?;
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let planes = Planes {
            chroma: info.chroma_format_idc,
            depth: info.bit_depth_luma.max(info.bit_depth_chroma),
            has_alpha: info.alpha_bit_depth.is_some(),
        };
        for size in [(info.coded_width, info.coded_height), (info.width, info.height)] {
            self.check_header(&Header {
                size: (side(size.0), side(size.1)),
                pixel_bytes: planes.pixel_bytes(),
                working_bytes: COPIES * planes.plane_bytes() + planes.conversion_bytes(),
            })?;
        }
        let mut image = heic_decoder::decode(self.bytes).map_err(problem)?;
        let metadata = std::mem::take(&mut image.metadata);
        Ok(Decoded {
            pixels: planar::pixels(&image).map_err(|problem| self.damaged(ReadOnly::Heic, &problem))?,
            icc: metadata.icc_profile.or_else(|| planar::named_profile(&image)),
            exif: metadata.exif.map(Ok),
            xmp: metadata.xmp.map(Ok),
            is_lossy: true,
            notes: Vec::new(),
        })
    }
}
