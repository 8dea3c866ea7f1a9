//! Caps read as this program's own nouns.

use gstreamer as gst;
use gstreamer_video as gst_video;

use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, VideoInfo};

use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
use crate::geometry::Size;

/// Rows begin on a cache line, which wide loads like.
const ROW_ALIGNMENT: usize = 64;

/// From this height on a picture whose matrix nobody names is taken for high definition.
const HD_ROWS: u32 = 720;

/// The layout in which a picture of this kind crosses the ring: its own planes, each row on a cache line.
/// `None` for anything but I420 and NV12.
pub fn ring_layout(info: &VideoInfo) -> Option<Layout> {
    let pixel = match info.format() {
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        _ => return None,
    };
    let size = Size::new(info.width(), info.height());
    let mut layout = Layout::packed(size, pixel, colour(info));
    let mut offset = 0;
    for index in 0..pixel.planes() {
        let (rows, row_bytes) = layout.plane_extent(index);
        let stride = row_bytes.next_multiple_of(ROW_ALIGNMENT);
        layout.planes[index].offset = offset;
        layout.planes[index].stride = stride;
        offset += stride * rows;
    }
    layout.sar = aspect(info.par());
    Some(layout)
}

/// A sample's aspect; square where it is nonsense, or finer than anybody can see.
fn aspect(par: gst::Fraction) -> (u32, u32) {
    let part = |n: i32| u32::try_from(n).ok().filter(|n| (1..=u32::from(u16::MAX)).contains(n));
    part(par.numer()).zip(part(par.denom())).unwrap_or((1, 1))
}

fn colour(info: &VideoInfo) -> Colorimetry {
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt601 | VideoColorMatrix::Fcc => ColourMatrix::Bt601,
        // BT.2020's is nearer to 709 than to 601, and GStreamer supposes it for every unlabelled 4K picture
        VideoColorMatrix::Bt709 | VideoColorMatrix::Smpte240m | VideoColorMatrix::Bt2020 => ColourMatrix::Bt709,
        _ if info.height() >= HD_ROWS => ColourMatrix::Bt709,
        _ => ColourMatrix::Bt601,
    };
    let range = match colorimetry.range() {
        VideoColorRange::Range0_255 => ColourRange::Full,
        _ => ColourRange::Limited,
    };
    Colorimetry { matrix, range }
}

/// Nominal frames a second; `None` where the rate is unknown or varies.
pub fn frame_rate(info: &VideoInfo) -> Option<f64> {
    per_second(info.fps())
}

/// Size of the pictures of a coded stream, where its caps tell.
pub fn coded_size(caps: &gst::CapsRef) -> Option<Size> {
    let side = |name| caps.structure(0)?.get::<i32>(name).ok().map(i32::unsigned_abs);
    Some(Size::new(side("width")?, side("height")?))
}

/// Pictures a second of a coded stream, where its caps tell.
pub fn coded_rate(caps: &gst::CapsRef) -> Option<f64> {
    per_second(caps.structure(0)?.get("framerate").ok()?)
}

fn per_second(rate: gst::Fraction) -> Option<f64> {
    (rate.numer() > 0 && rate.denom() > 0).then(|| f64::from(rate.numer()) / f64::from(rate.denom()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(format: VideoFormat, width: u32, height: u32, colorimetry: &str) -> VideoInfo {
        gst::init().unwrap();
        let colorimetry: gst_video::VideoColorimetry = colorimetry.parse().unwrap();
        VideoInfo::builder(format, width, height).colorimetry(&colorimetry).build().unwrap()
    }

    #[test]
    fn odd_sizes_round_chroma_up_and_rows_are_aligned() {
        let layout = ring_layout(&info(VideoFormat::I420, 479, 269, "bt601")).unwrap();
        assert_eq!(layout.planes.map(|plane| plane.stride), [512, 256, 256]);
        assert_eq!(layout.planes[2].offset, 512 * 269 + 256 * 135);
        assert_eq!(layout.end(), Some(512 * 269 + 256 * 135 + 256 * 134 + 240));
    }

    #[test]
    fn colours_are_what_the_caps_say() {
        let of = |colorimetry| ring_layout(&info(VideoFormat::Nv12, 64, 64, colorimetry)).unwrap().colour;
        assert_eq!(of("bt709"), Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited });
        assert_eq!(of("1:4:0:0"), Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full });
        assert_eq!(of("2:0:0:0").matrix, ColourMatrix::Bt601, "small and unlabelled");
    }

    #[test]
    fn other_formats_have_no_layout() {
        assert!(ring_layout(&info(VideoFormat::Y444, 64, 64, "bt601")).is_none());
    }
}
