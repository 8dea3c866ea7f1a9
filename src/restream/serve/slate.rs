//! The picture that is shown while no frames come.

use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
use crate::geometry::Size;

/// A slate of this size, and how it lies in its bytes.
pub(super) fn draw(size: Size) -> (Layout, Vec<u8>) {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    let layout = Layout::packed(size, PixelFormat::I420, colour);
    let bytes = vec![128; layout.end().unwrap_or(0)];
    (layout, bytes)
}
