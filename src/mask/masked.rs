//! Pictures that may be shown.

use super::ruling::{Cause, Plan};
use crate::frame::{Layout, Picture, PlaneLayout, Stamp};
use crate::geometry::{Rect, Size};

/// Bytes to which rows are aligned, as wide loads like it.
const ROW_ALIGNMENT: usize = 64;

/// The layout in which a masked frame is written: that of its source but for the planes' places, which a source could
/// choose so that one plane shows through another.
pub fn out_layout(source: &Layout) -> Layout {
    let mut layout = Layout { sar: source.sar, ..Layout::packed(source.size, source.pixel, source.colour) };
    let mut offset = 0;
    for index in 0..layout.pixel.planes() {
        let (rows, row_bytes) = layout.plane_extent(index);
        let stride = row_bytes.next_multiple_of(ROW_ALIGNMENT);
        layout.planes[index] = PlaneLayout { offset, stride };
        offset += stride * rows;
    }
    layout
}

/// What was done to a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Parts of it are masked.
    Masked {
        /// Regions that were masked, zones not counted.
        regions: usize,
        /// Masked part of the picture, 0 to 1; 0 where nothing was painted.
        share: f32,
    },
    /// Nothing of it is shown.
    Covered(Cause),
}

/// A frame that the camera's policy has been applied to: the only kind that a video sink, a snapshot or a picture in a
/// message takes. Only [`Painter`](super::Painter) makes one. `B` holds the pixels: a slot of a ring, or a `Vec`.
#[derive(Debug)]
pub struct MaskedFrame<B> {
    number: u64,
    stamp: Stamp,
    layout: Layout,
    outcome: Outcome,
    places: Places,
    pixels: B,
}

/// Where a masked frame has faces, as far as that is known: nothing that its pixels do not show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// What is masked, zones not counted.
    pub masked: Vec<Rect>,
    /// Faces that go unmasked.
    pub clear: Vec<Rect>,
}

impl Places {
    pub(super) fn of(plan: &Plan) -> Self {
        let masked = plan.regions().iter().flat_map(|region| &region.boxes).copied().collect();
        Self { masked, clear: plan.clear().to_vec() }
    }
}

impl<B> MaskedFrame<B> {
    pub(super) fn new(
        (number, stamp): (u64, Stamp),
        layout: Layout,
        (outcome, places): (Outcome, Places),
        pixels: B,
    ) -> Self {
        Self { number, stamp, layout, outcome, places, pixels }
    }

    /// The source frame's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When the source frame was taken.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Where the planes are in the pixels.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What was done to it.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Where its faces are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What holds the pixels, to be handed on.
    pub fn into_pixels(self) -> B {
        self.pixels
    }
}

impl<B: AsRef<[u8]>> MaskedFrame<B> {
    /// The same frame, for those that only look at it.
    pub fn view(&self) -> MaskedFrame<&[u8]> {
        let Self { number, stamp, layout, outcome, .. } = *self;
        MaskedFrame { number, stamp, layout, outcome, places: self.places.clone(), pixels: self.pixels.as_ref() }
    }

    /// The picture. `None` where its memory has become too short.
    pub fn picture(&self) -> Option<Picture<'_>> {
        Picture::new(&self.layout, self.pixels.as_ref())
    }
}

impl MaskedFrame<&[u8]> {
    /// A copy that outlives what it was painted into; `memory` is used for it.
    pub fn copied(&self, mut memory: Vec<u8>) -> MaskedFrame<Vec<u8>> {
        memory.clear();
        memory.extend_from_slice(&self.pixels[..self.layout.end().unwrap_or(0).min(self.pixels.len())]);
        let Self { number, stamp, layout, outcome, .. } = *self;
        MaskedFrame { number, stamp, layout, outcome, places: self.places.clone(), pixels: memory }
    }
}

/// A still picture that the policy has been applied to. Only [`Painter`](super::Painter) makes one.
#[derive(Debug)]
pub struct MaskedStill {
    size: Size,
    rgb: Vec<u8>,
    outcome: Outcome,
}

impl MaskedStill {
    pub(super) fn new(size: Size, rgb: Vec<u8>, outcome: Outcome) -> Self {
        Self { size, rgb, outcome }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Rows of R, G and B bytes without padding.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// What was done to it.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}
