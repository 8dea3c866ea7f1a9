//! A decoded picture and when it was taken.
//!
//! A [`Frame`] is 8-bit 4:2:0, upright, in planes that nobody converts or copies: the detector's input is scaled
//! straight from them. It borrows its pixels (a slot of a shared-memory ring, or a buffer for a still picture);
//! dropping the last clone gives the slot back to the writer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::clock::Monotonic;
use crate::geometry::Size;

/// How the planes of a 4:2:0 picture are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PixelFormat {
    /// Three planes: Y, U, V.
    I420,
    /// Two planes: Y, then U and V interleaved.
    Nv12,
}

impl PixelFormat {
    /// Number of planes.
    pub const fn planes(self) -> usize {
        match self {
            Self::I420 => 3,
            Self::Nv12 => 2,
        }
    }
}

/// Matrix between RGB and YCbCr (ITU-R recommendation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ColourMatrix {
    /// BT.601: standard definition and JPEG.
    Bt601,
    /// BT.709: high definition.
    Bt709,
}

/// Which code values are black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ColourRange {
    /// 16 to 235.
    Limited,
    /// 0 to 255, as in JPEG.
    Full,
}

/// What the numbers in the planes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Colorimetry {
    /// RGB to YCbCr matrix.
    pub matrix: ColourMatrix,
    /// Black and white levels.
    pub range: ColourRange,
}

/// Offset and stride of one plane within a buffer, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlaneLayout {
    /// First byte of the first row.
    pub offset: usize,
    /// Bytes from one row to the next; at least the row's own bytes.
    pub stride: usize,
}

/// Everything about a picture but its pixels. Equal layouts can share a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Layout {
    /// Visible size; odd sizes are allowed, chroma is rounded up.
    pub size: Size,
    /// Plane arrangement.
    pub pixel: PixelFormat,
    /// Meaning of the values.
    pub colour: Colorimetry,
    /// Sample (pixel) aspect ratio, horizontal to vertical.
    pub sar: (u32, u32),
    /// The planes; the third is unused for NV12.
    pub planes: [PlaneLayout; 3],
}

impl Layout {
    /// A tightly packed layout whose strides are the rows' own bytes.
    pub fn packed(size: Size, pixel: PixelFormat, colour: Colorimetry) -> Self {
        let (w, h) = (size.width as usize, size.height as usize);
        let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
        let luma = PlaneLayout { offset: 0, stride: w };
        let planes = match pixel {
            PixelFormat::I420 => {
                [luma, PlaneLayout { offset: w * h, stride: cw }, PlaneLayout { offset: w * h + cw * ch, stride: cw }]
            }
            PixelFormat::Nv12 => [luma, PlaneLayout { offset: w * h, stride: 2 * cw }, PlaneLayout::default()],
        };
        Self { size, pixel, colour, sar: (1, 1), planes }
    }

    /// Rows and bytes a row of plane `index`, without padding.
    pub fn plane_extent(&self, index: usize) -> (usize, usize) {
        let (w, h) = (self.size.width as usize, self.size.height as usize);
        match (self.pixel, index) {
            (_, 0) => (h, w),
            (PixelFormat::I420, _) => (h.div_ceil(2), w.div_ceil(2)),
            (PixelFormat::Nv12, _) => (h.div_ceil(2), 2 * w.div_ceil(2)),
        }
    }

    /// One past the last byte that a picture of this layout touches.
    /// `None` where strides are too small or the sum does not fit: such a layout must be refused.
    pub fn end(&self) -> Option<usize> {
        let mut end = 0;
        for index in 0..self.pixel.planes() {
            let (rows, row_bytes) = self.plane_extent(index);
            let PlaneLayout { offset, stride } = self.planes[index];
            if rows == 0 || row_bytes == 0 || stride < row_bytes {
                return None;
            }
            let plane_end = stride.checked_mul(rows - 1)?.checked_add(row_bytes)?.checked_add(offset)?;
            end = end.max(plane_end);
        }
        Some(end)
    }
}

/// Where a frame's wall-clock time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockSource {
    /// The camera's own clock, from RTCP sender reports.
    Rtcp,
    /// This machine's clock when the frame arrived.
    Arrival,
    /// The position in a file.
    Media,
}

/// When a frame was taken and when it came.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Presentation time since the stream began; all durations are measured with it.
    pub pts: Duration,
    /// This machine's monotonic clock when the frame had been decoded.
    pub arrived_at: Monotonic,
    /// Time from the coded picture's arrival to the decoded one, where known.
    pub decode: Option<Duration>,
    /// Wall clock, a label for events; never used for arithmetic.
    pub captured_at: SystemTime,
    /// Where `captured_at` comes from.
    pub clock: ClockSource,
}

/// Owner of a frame's bytes; dropping it gives them back.
pub trait PixelBuffer: Send + Sync {
    /// The bytes that the frame's [`Layout`] points into.
    fn bytes(&self) -> &[u8];
}

impl PixelBuffer for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// One decoded picture with its time. Clones share the pixels.
#[derive(Clone)]
pub struct Frame {
    /// Counts up by one for each frame that a source delivered.
    pub number: u64,
    /// When it was taken.
    pub stamp: Stamp,
    layout: Layout,
    pixels: Arc<dyn PixelBuffer>,
}

impl Frame {
    /// A frame over `pixels`. `None` where the layout reaches past the buffer.
    pub fn new(number: u64, stamp: Stamp, layout: Layout, pixels: Arc<dyn PixelBuffer>) -> Option<Self> {
        (layout.end()? <= pixels.bytes().len()).then_some(Self { number, stamp, layout, pixels })
    }

    /// Size, format and planes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Visible size in pixels.
    pub fn size(&self) -> Size {
        self.layout.size
    }

    /// The picture without its time.
    pub fn picture(&self) -> Picture<'_> {
        Picture { layout: &self.layout, bytes: self.pixels.bytes() }
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("number", &self.number).field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

/// A borrowed view of a picture's planes.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
}

impl<'a> Picture<'a> {
    /// A view of `bytes`. `None` where the layout reaches past them.
    pub fn new(layout: &'a Layout, bytes: &'a [u8]) -> Option<Self> {
        (layout.end()? <= bytes.len()).then_some(Self { layout, bytes })
    }

    /// Size, format and planes.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Visible size in pixels.
    pub fn size(&self) -> Size {
        self.layout.size
    }

    /// All bytes, into which the layout points.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Plane `index` from its first byte on; rows are `layout().planes[index].stride` apart. Empty for a plane that
    /// the format does not have.
    pub fn plane(&self, index: usize) -> &'a [u8] {
        if index >= self.layout.pixel.planes() {
            return &[];
        }
        let (rows, row_bytes) = self.layout.plane_extent(index);
        let PlaneLayout { offset, stride } = self.layout.planes[index];
        &self.bytes[offset..offset + stride * (rows - 1) + row_bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOUR: Colorimetry = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };

    #[test]
    fn odd_sizes_round_chroma_up() {
        let layout = Layout::packed(Size::new(5, 3), PixelFormat::I420, COLOUR);
        assert_eq!(layout.end(), Some(15 + 6 + 6));
        let layout = Layout::packed(Size::new(5, 3), PixelFormat::Nv12, COLOUR);
        assert_eq!(layout.end(), Some(15 + 12));
    }

    #[test]
    fn a_layout_that_lies_is_refused() {
        let mut layout = Layout::packed(Size::new(4, 4), PixelFormat::I420, COLOUR);
        layout.planes[1].stride = 1;
        assert_eq!(layout.end(), None);
        layout.planes[1] = PlaneLayout { offset: usize::MAX, stride: 2 };
        assert_eq!(layout.end(), None);
        let fine = Layout::packed(Size::new(4, 4), PixelFormat::I420, COLOUR);
        assert!(Picture::new(&fine, &[0; 23]).is_none());
        assert!(Picture::new(&fine, &[0; 24]).is_some());
    }
}
