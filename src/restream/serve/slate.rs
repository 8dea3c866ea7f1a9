//! The picture that is shown while no frames come.

use std::sync::Arc;

use crate::canvas::{Canvas, slate};
use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
use crate::geometry::Size;

/// What it says: the same when a camera is away as when Visor itself is late.
const LINES: [&str; 2] = ["no picture", "please wait"];

/// A slate, drawn once for its size.
#[derive(Clone)]
pub(super) struct Slate {
    pub layout: Layout,
    bytes: Arc<[u8]>,
}

impl Slate {
    /// As large as this.
    pub fn new(size: Size) -> Self {
        let layout = layout(size);
        let mut bytes = vec![0; layout.end().unwrap_or(0)];
        slate::draw(&Canvas::of(&layout), &mut bytes, &LINES);
        Self { layout, bytes: bytes.into() }
    }
}

impl AsRef<[u8]> for Slate {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// How pictures lie that this program draws itself.
pub(super) fn layout(size: Size) -> Layout {
    let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
    Layout::packed(size, PixelFormat::I420, colour)
}
