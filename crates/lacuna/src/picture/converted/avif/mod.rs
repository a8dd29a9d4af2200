//! AVIF: photos coded as AV1 pictures.

mod av1;
mod image;
mod meta;
mod transform;

use std::borrow::Cow;

use heic_decoder::{AlphaPlane, ChromaSampling, ColorInfo, DecodedImage};
use re_rav1d::PlanarImageComponent as Component;
use re_rav1d::pixel::YUVRange;

use self::av1::Plane;
use self::image::{Config, Image};
use self::meta::Meta;
use self::transform::Transform;
use super::boxes::{self, Bytes, find};
use super::planar::{self, Planes};
use super::{Block, Decoded, Header, Reader, Unreadable};
use crate::Result;
use crate::picture::format::ReadOnly;

/// Bytes per pixel of the decoder beside its frames: parameters of blocks and filters. One image of 12 megapixels took 0.7
/// more than its frame.
const DECODER_BYTES: u64 = 1;

impl Reader<'_> {
    pub(super) fn decode_avif(&self) -> Result<Decoded> {
        let problem = |problem: String| self.damaged(ReadOnly::Avif, &problem);
        let meta = Meta::parse(self.bytes).map_err(problem)?;
        let meta = meta.ok_or_else(|| problem("it has no single image".into()))?;
        let file = File::of(&meta).map_err(problem)?;
        let planes = file.planes();
        let sizes = [file.image.size, file.image.coding.size];
        for (width, height) in sizes {
            self.limits.check(self.name, width, height, planes.pixel_bytes())?;
        }
        let decoder_bytes = file.decoder_bytes(&meta).map_err(problem)?;
        let result_bytes = planes.conversion_bytes() + planes.pixel_bytes();
        for size in sizes {
            self.check_header(&Header {
                size,
                pixel_bytes: planes.pixel_bytes(),
                working_bytes: planes.plane_bytes() + result_bytes + decoder_bytes,
            })?;
        }
        let image = file.decode(&meta).map_err(problem)?;
        let mut pixels = planar::pixels(&image).map_err(problem)?;
        let named = planar::named_profile(&image);
        drop(image);
        for transform in file.transforms {
            pixels = transform.apply(pixels).map_err(problem)?;
        }
        let mut notes = Vec::new();
        if find(self.bytes, b"moov").is_some() {
            notes.push("only the first picture of the AVIF sequence is read");
        }
        Ok(Decoded {
            pixels,
            icc: file.icc.map(<[u8]>::to_vec).or(named),
            exif: exif(&meta),
            xmp: xmp(&meta),
            is_lossy: true,
            notes,
        })
    }
}

/// What the container says about the primary image.
struct File<'a> {
    image: Image,
    alpha: Option<Image>,
    colours: Option<ColorInfo>,
    icc: Option<&'a [u8]>,
    transforms: Vec<Transform>,
}

impl<'a> File<'a> {
    fn of(meta: &Meta<'a>) -> Result<Self, String> {
        let image = Image::of(meta, meta.primary)?;
        let alpha = image.alpha_of(meta, meta.primary)?;
        if let Some(alpha) = alpha.as_ref().filter(|alpha| alpha.size != image.size) {
            return Err(format!(
                "its transparency has {} x {} pixels, but its colours {} x {}",
                alpha.size.0, alpha.size.1, image.size.0, image.size.1
            ));
        }
        let (mut colours, mut icc) = (None, None);
        for item in [meta.primary, image.first_tile()] {
            for property in meta.properties(item).filter(|property| property.kind == *b"colr") {
                match property.body.split_at_checked(4) {
                    Some((b"nclx", numbers)) => colours = colours.or(named_colours(numbers)),
                    Some((b"prof" | b"rICC", profile)) => icc = icc.or(Some(profile)),
                    _ => {}
                }
            }
        }
        let transforms = meta.properties(meta.primary).map(|property| Transform::of(&property));
        let transforms = transforms.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok(Self { image, alpha, colours, icc, transforms })
    }

    fn planes(&self) -> Planes {
        let Config { depth, chroma, .. } = self.image.coding.config;
        Planes { chroma: u32::from(chroma), depth: u32::from(depth), has_alpha: self.alpha.is_some() }
    }

    /// Bytes per pixel of the decoder: each frame, with a copy for film grain.
    fn decoder_bytes(&self, meta: &Meta) -> Result<u64, String> {
        let mut most_frames = 0;
        for image in [Some(&self.image), self.alpha.as_ref()].into_iter().flatten() {
            for &tile in &image.tiles {
                most_frames = most_frames.max(av1::frames(&meta.data(tile)?, &image.coding)?);
            }
        }
        Ok((most_frames as u64 + 1) * self.planes().frame_bytes() + DECODER_BYTES)
    }

    fn decode(&self, meta: &Meta) -> Result<DecodedImage, String> {
        let Config { chroma, depth, .. } = self.image.coding.config;
        let ChromaSampling { sub_x, sub_y, .. } = self.image.coding.config.chroma_sampling();
        let (sub_x, sub_y) = (sub_x as usize, sub_y as usize);
        let (width, height) = (self.image.size.0 as usize, self.image.size.1 as usize);
        let chroma_plane = || match chroma {
            0 => Plane::new(0, 0),
            _ => Plane::new(width.div_ceil(sub_x), height.div_ceil(sub_y)),
        };
        let (mut y, mut cb, mut cr) = (Plane::new(width, height), chroma_plane(), chroma_plane());
        let mut colours = self.colours;
        self.image.decode_tiles(meta, |picture, at| {
            y.place(picture, Component::Y, at);
            if chroma > 0 {
                let at = (at.0 / sub_x, at.1 / sub_y);
                cb.place(picture, Component::U, at);
                cr.place(picture, Component::V, at);
            }
            colours = colours.or_else(|| Some(coded_colours(picture)));
        })?;
        let alpha = self.alpha.as_ref().map(|alpha| decode_alpha(alpha, meta)).transpose()?;
        let is_premultiplied = meta.links(*b"prem").any(|link| link.from == meta.primary);
        Ok(DecodedImage {
            alpha: alpha.map(|plane| AlphaPlane { premultiplied: is_premultiplied, ..plane }),
            width,
            height,
            bit_depth_luma: u32::from(depth),
            bit_depth_chroma: u32::from(depth),
            chroma_format_idc: u32::from(chroma),
            color_info: colours,
            chroma_sampling: self.image.coding.config.chroma_sampling(),
            cb_width: cb.width,
            cb_height: cb.height,
            y: y.samples,
            cb: cb.samples,
            cr: cr.samples,
            metadata: heic_decoder::Metadata::default(),
        })
    }
}

impl Image {
    /// Decodes each tile, and passes it on with its column and row of pixels.
    fn decode_tiles(
        &self,
        meta: &Meta,
        mut each: impl FnMut(&re_rav1d::Picture, (usize, usize)),
    ) -> Result<(), String> {
        let (width, height) = (self.coding.size.0 as usize, self.coding.size.1 as usize);
        for (place, &tile) in self.tiles.iter().enumerate() {
            let picture = av1::decode(meta.data(tile)?.into_owned(), &self.coding)?;
            each(&picture, (place % self.columns * width, place / self.columns * height));
        }
        Ok(())
    }
}

/// The transparency with full range, as AVIF 1.1 demands; older files may use the limited range of video.
fn decode_alpha(alpha: &Image, meta: &Meta) -> Result<AlphaPlane, String> {
    let mut plane = Plane::new(alpha.size.0 as usize, alpha.size.1 as usize);
    let mut is_limited = false;
    alpha.decode_tiles(meta, |picture, at| {
        plane.place(picture, Component::Y, at);
        is_limited |= picture.color_range() == YUVRange::Limited;
    })?;
    let depth = alpha.coding.config.depth;
    if is_limited {
        let (black, white) = (16 << (depth - 8), 235 << (depth - 8));
        let most = (1 << depth) - 1;
        for sample in &mut plane.samples {
            *sample = ((*sample - black) * most / (white - black)).clamp(0, most);
        }
    }
    Ok(AlphaPlane { bit_depth: u32::from(depth), samples: plane.samples, premultiplied: false })
}

/// Colours named by numbers in a `colr` property (ISO/IEC 14496-12, clause 12.1.5).
fn named_colours(numbers: &[u8]) -> Option<ColorInfo> {
    let mut bytes = Bytes(numbers);
    Some(ColorInfo {
        color_primaries: bytes.u16()?,
        transfer_characteristics: bytes.u16()?,
        matrix_coefficients: bytes.u16()?,
        full_range: bytes.u8()? & 0x80 != 0,
    })
}

/// Colours named by the picture itself, for files that name none.
fn coded_colours(picture: &re_rav1d::Picture) -> ColorInfo {
    ColorInfo {
        color_primaries: picture.color_primaries() as u16,
        transfer_characteristics: picture.transfer_characteristic() as u16,
        matrix_coefficients: picture.matrix_coefficients() as u16,
        full_range: picture.color_range() == YUVRange::Full,
    }
}

/// The data of the items that describe the primary image.
fn descriptions(meta: &Meta) -> impl Iterator<Item = u32> {
    meta.links(*b"cdsc").filter(|link| link.to == meta.primary).map(|link| link.from)
}

fn exif(meta: &Meta) -> Block {
    let item = descriptions(meta).find(|&item| meta.kind(item) == Some(*b"Exif"))?;
    let block = meta.data(item).ok();
    Some(block.and_then(|block| boxes::exif(&block).map(<[u8]>::to_vec)).ok_or(Unreadable))
}

fn xmp(meta: &Meta) -> Block {
    let is_xmp =
        |item: &u32| meta.kind(*item) == Some(*b"mime") && meta.media_type(*item) == b"application/rdf+xml";
    let item = descriptions(meta).find(is_xmp)?;
    Some(meta.data(item).map(Cow::into_owned).map_err(|_| Unreadable))
}
