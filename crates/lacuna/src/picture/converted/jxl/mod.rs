//! JPEG XL.

mod container;
mod header;

use jxl_oxide::frame::Encoding;
use jxl_oxide::{AllocTracker, FrameBufferSample, ImageStream, InitializeResult, JxlImage};

use self::container::Container;
use super::{Decoded, Header, Interleaved, Reader, profile_of};
use crate::Result;
use crate::picture::format::ReadOnly;

/// Bytes per pixel and channel of the decoder at its peak: 32-bit samples and copies of them for filters, colours and frames
/// that others refer to. One image of 12 megapixels without such frames took 8.
const CHANNEL_BYTES: u64 = 16;

/// Bytes of the decoder that do not depend on the image: tables, and whole blocks of small images.
const FIXED_BYTES: u64 = 64 << 20;

/// Most frames up to the first one that is shown: layers, and frames that others refer to. Further ones would cost time that
/// the file's size does not show.
const MOST_FRAMES: usize = 32;

/// Bytes that the decoder gets at a time, so that frames after the first are not read.
const PORTION: usize = 64 << 10;

type Problem = Box<dyn std::error::Error + Send + Sync>;

impl Reader<'_> {
    pub(super) fn decode_jxl(&self) -> Result<Decoded> {
        let problem =
            |problem: Problem| self.damaged(ReadOnly::JpegXl, &problem.to_string().replace('\n', " "));
        let container =
            Container::of(self.bytes, self.most_inflated(0)).map_err(|text| problem(text.into()))?;
        let header = header::read(&container.codestream).map_err(|text| problem(text.into()))?;
        self.check_header(&Header {
            size: header.size,
            pixel_bytes: header.pixel_bytes(),
            working_bytes: CHANNEL_BYTES * header.channels + 2 * header.pixel_bytes(),
        })?;
        let pixels = u64::from(header.size.0) * u64::from(header.size.1);
        let left = self.limits.memory.map_or(u64::MAX, |budget| budget.left());
        let allowed = left.min(FIXED_BYTES + pixels * CHANNEL_BYTES * header.channels);
        let image = open(&container.codestream, allowed).map_err(problem)?;
        let mut notes = Vec::new();
        let metadata = &image.image_header().metadata;
        if metadata.animation.is_some() {
            notes.push("only the first frame of the JPEG XL file is read");
        }
        if header.is_reduced {
            notes.push("samples of more than 16 bits, or floats, are read as 16 bits between 0 and 1");
        }
        let is_premultiplied =
            metadata.ec_info.iter().any(|channel| channel.alpha_associated() == Some(true));
        let is_lossy = metadata.xyb_encoded
            || image.frame_header(0).is_some_and(|frame| frame.encoding == Encoding::VarDct);
        let render = image.render_frame(0).map_err(problem)?;
        let icc = match image.rendered_cicp() {
            Some([primaries, transfer, ..]) => profile_of(primaries, transfer),
            None => Some(image.rendered_icc()).filter(|icc| !icc.is_empty()),
        };
        let mut stream = render.stream();
        let channels = stream.channels() as usize;
        let mut samples = if header.is_deep() {
            Interleaved::Sixteen(all_of(&mut stream))
        } else {
            Interleaved::Eight(all_of(&mut stream))
        };
        if is_premultiplied && image.pixel_format().has_alpha() {
            samples.unpremultiply(channels);
        }
        let size = (stream.width(), stream.height());
        let pixels = samples.into_image(size, channels).filter(|_| size == header.size);
        Ok(Decoded {
            pixels: pixels.ok_or_else(|| problem("its samples do not fit its size".into()))?,
            icc,
            exif: container.exif,
            xmp: container.xmp,
            is_lossy,
            notes,
        })
    }
}

/// Decodes a codestream up to its first frame within `allowed` bytes.
fn open(codestream: &[u8], allowed: u64) -> Result<JxlImage, Problem> {
    let tracker = AllocTracker::with_limit(usize::try_from(allowed).unwrap_or(usize::MAX));
    let mut begun = JxlImage::builder().alloc_tracker(tracker).build_uninit();
    let mut portions = codestream.chunks(PORTION);
    let mut next = || portions.next().ok_or("it is truncated");
    let mut image = loop {
        // A codestream without a container is consumed whole.
        begun.feed_bytes(next()?)?;
        match begun.try_init()? {
            InitializeResult::NeedMoreData(more) => begun = more,
            InitializeResult::Initialized(image) => break image,
        }
    };
    while image.num_loaded_keyframes() == 0 && image.num_loaded_frames() <= MOST_FRAMES {
        image.feed_bytes(next()?)?;
    }
    let is_hidden = |&place: &usize| image.frame(place).is_some_and(|frame| !frame.header().is_keyframe());
    if (0..image.num_loaded_frames()).take_while(is_hidden).count() > MOST_FRAMES {
        return Err(format!("its first picture consists of more than {MOST_FRAMES} frames").into());
    }
    Ok(image)
}

/// All samples of a stream.
fn all_of<T: FrameBufferSample + Copy + Default>(stream: &mut ImageStream) -> Vec<T> {
    let count = stream.width() as usize * stream.height() as usize * stream.channels() as usize;
    let mut samples = vec![T::default(); count];
    stream.write_to_buffer(&mut samples);
    samples
}
