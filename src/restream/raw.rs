//! Masked frames as GStreamer takes them.

use gstreamer as gst;
use gstreamer::glib::BoolError;
use gstreamer_video as gst_video;

use gst_video::VideoInfo;

use crate::frame::{ColourMatrix, ColourRange, Layout, PixelFormat};

/// What a layout is to GStreamer.
pub(super) fn video_info(layout: &Layout, fps: gst::Fraction) -> Result<VideoInfo, BoolError> {
    let format = match layout.pixel {
        PixelFormat::I420 => gst_video::VideoFormat::I420,
        PixelFormat::Nv12 => gst_video::VideoFormat::Nv12,
    };
    let range = match layout.colour.range {
        ColourRange::Limited => gst_video::VideoColorRange::Range16_235,
        ColourRange::Full => gst_video::VideoColorRange::Range0_255,
    };
    let (matrix, primaries) = match layout.colour.matrix {
        ColourMatrix::Bt601 => (gst_video::VideoColorMatrix::Bt601, gst_video::VideoColorPrimaries::Smpte170m),
        ColourMatrix::Bt709 => (gst_video::VideoColorMatrix::Bt709, gst_video::VideoColorPrimaries::Bt709),
    };
    let transfer = gst_video::VideoTransferFunction::Bt709;
    let colorimetry = gst_video::VideoColorimetry::new(range, matrix, transfer, primaries);
    let (x, y) = layout.sar;
    VideoInfo::builder(format, layout.size.width, layout.size.height)
        .fps(fps)
        .par(gst::Fraction::new(x as i32, y as i32))
        .colorimetry(&colorimetry)
        .build()
}

/// A buffer over `pixels`, which it drops when nobody needs it any more. `None` where the layout reaches past them.
pub(super) fn buffer<B>(pixels: B, layout: &Layout, info: &VideoInfo, pts: gst::ClockTime) -> Option<gst::Buffer>
where
    B: AsRef<[u8]> + Send + 'static,
{
    if layout.end()? > pixels.as_ref().len() {
        return None;
    }
    let planes = layout.pixel.planes();
    let offsets = layout.planes.map(|plane| plane.offset);
    let strides = layout.planes.map(|plane| plane.stride as i32);
    let mut buffer = gst::Buffer::from_slice(pixels);
    let place = buffer.get_mut()?;
    place.set_pts(pts);
    let (width, height) = (info.width(), info.height());
    gst_video::VideoMeta::add_full(
        place,
        gst_video::VideoFrameFlags::empty(),
        info.format(),
        width,
        height,
        &offsets[..planes],
        &strides[..planes],
    )
    .ok()?;
    Some(buffer)
}
