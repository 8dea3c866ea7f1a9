//! Copies a picture and masks it while it does: no byte of what is masked is ever written to the copy.

use std::cell::OnceCell;
use std::time::Duration;

use metrics::{Counter, counter};

use super::config::Settings;
use super::kinds::{Filling, Patch, Source};
use super::masked::{MaskedFrame, MaskedStill, Outcome, Places, out_layout};
use super::ruling::{Cause, Plan, Ruling};
use super::shape::{Region, Shape};
use super::stencil::{Span, Stencil, ZONES};
use crate::canvas::{CELL, Canvas, Plane, slate};
use crate::fault::Fault;
use crate::frame::Frame;
use crate::geometry::{Polygon, Rect, Size};
use crate::metrics::{MASK_COVERED, MASK_FRAMES, MASK_UNPROVEN};
use crate::simd::ahead;

/// Rows that are asked for before they are copied: they were written long before, and another process has had the caches since.
const AHEAD: usize = 3;

/// What privacy zones are filled with.
const ZONE: [u8; 3] = [0; 3];

/// The memory for a masked frame is shorter than [`out_layout`] asks for: nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the place for a masked frame is too small for it")]
pub struct TooSmall;

/// Applies a camera's policy to its frames: the only maker of [`MaskedFrame`]. Keeps its memory from frame to frame.
pub struct Painter {
    camera: String,
    filling: Box<dyn Filling>,
    shape: Shape,
    zones: Vec<Polygon>,
    zone_regions: Option<(Size, Stencil)>,
    stencil: Stencil,
    patches: Vec<Patch>,
    /// Counts frames that are shown: nearly all, so that it is looked up once.
    shown: OnceCell<Counter>,
}

impl Painter {
    /// A painter for one camera, after its settings.
    ///
    /// # Errors
    /// The picture of the kind `image` cannot be read.
    pub fn new(camera: &str, settings: &Settings) -> Result<Self, Fault> {
        Ok(Self {
            camera: camera.to_owned(),
            filling: settings.kind.filling(&settings.choice())?,
            shape: settings.shape,
            zones: settings.zones.clone(),
            zone_regions: None,
            stencil: Stencil::default(),
            patches: Vec::new(),
            shown: OnceCell::new(),
        })
    }

    /// Writes what may be shown of `frame` into `place`, in the layout that [`out_layout`] gives for it. A plan that is of
    /// another frame, or of other pixels, covers it.
    ///
    /// # Errors
    /// `place` is too small; it is untouched then.
    pub fn paint<B>(&mut self, frame: &Frame, ruling: &Ruling, mut place: B) -> Result<MaskedFrame<B>, TooSmall>
    where
        B: AsMut<[u8]>,
    {
        let layout = out_layout(frame.layout());
        let canvas = Canvas::of(&layout);
        let bytes = place.as_mut().get_mut(..canvas.end()).ok_or(TooSmall)?;
        let (outcome, places) = match ruling {
            Ruling::Masked(plan) => (self.show(frame, plan, &canvas, bytes), Places::of(plan)),
            Ruling::Covered(cause) => (Outcome::Covered(*cause), Places::default()),
        };
        if let Outcome::Covered(cause) = outcome {
            slate::draw(&canvas, bytes, &["covered", cause.caption()]);
        }
        self.count(outcome);
        Ok(MaskedFrame::new((frame.number, frame.stamp), layout, (outcome, places), place))
    }

    /// What would become of `frame`, where nobody is there to see it: counted like a frame that was painted.
    pub fn judge(&self, frame: &Frame, ruling: &Ruling) -> Outcome {
        let outcome = match ruling {
            Ruling::Masked(plan) if self.proves(plan, frame) => {
                Outcome::Masked { regions: plan.regions().len(), share: 0.0 }
            }
            Ruling::Masked(_) => Outcome::Covered(Cause::SlotReused),
            Ruling::Covered(cause) => Outcome::Covered(*cause),
        };
        self.count(outcome);
        outcome
    }

    /// Whether the plan is of this frame and of the pixels that it has now.
    fn proves(&self, plan: &Plan, frame: &Frame) -> bool {
        let picture = frame.picture();
        let proves = plan.is_of(frame.number, picture);
        if !proves && plan.still_is(picture) {
            counter!(MASK_UNPROVEN, "camera" => self.camera.clone()).increment(1);
        }
        proves
    }

    /// What may be shown of a still picture, given as rows of R, G and B bytes. It is its own proof: `regions` are what was
    /// found in it.
    pub fn paint_still(&mut self, size: Size, rgb: &[u8], regions: &[Region]) -> Result<MaskedStill, TooSmall> {
        let canvas = Canvas::rgb(size);
        let source = rgb.get(..canvas.end()).ok_or(TooSmall)?;
        let mut bytes = vec![0; canvas.end()];
        let share = self.compose(&Copy { from: &canvas, source, to: &canvas }, &mut bytes, regions, Duration::ZERO);
        let outcome = Outcome::Masked { regions: regions.len(), share };
        self.count(outcome);
        Ok(MaskedStill::new(size, bytes, outcome))
    }

    fn show(&mut self, frame: &Frame, plan: &Plan, canvas: &Canvas, bytes: &mut [u8]) -> Outcome {
        if !self.proves(plan, frame) {
            return Outcome::Covered(Cause::SlotReused);
        }
        // a face that is nowhere may be anywhere
        if !plan.regions().iter().all(Region::is_placed) {
            return Outcome::Covered(Cause::Failed);
        }
        let picture = frame.picture();
        let from = Canvas::of(frame.layout());
        let copy = Copy { from: &from, source: picture.bytes(), to: canvas };
        let share = self.compose(&copy, bytes, plan.regions(), frame.stamp.pts);
        // once more, for pixels that changed while they were copied
        match plan.still_is(picture) {
            true => Outcome::Masked { regions: plan.regions().len(), share },
            false => Outcome::Covered(Cause::SlotReused),
        }
    }

    /// Writes the picture with regions and zones masked; the masked share of it.
    fn compose(&mut self, copy: &Copy<'_>, bytes: &mut [u8], regions: &[Region], at: Duration) -> f32 {
        let size = copy.to.size;
        let whole = Rect::new(0.0, 0.0, size.width as f32, size.height as f32);
        self.patches.clear();
        // the patch [`ZONES`]
        self.patches.push(Patch::flat(whole, copy.to.colour(ZONE)));
        self.begin_with_zones(size);
        for region in regions.iter().filter(|region| region.bounds().is_sound()) {
            let zones = self.zone_regions.as_ref().map(|(_, zones)| zones);
            let source = Source { canvas: copy.from, bytes: copy.source, zones };
            self.stencil.add(region, self.shape, self.patches.len());
            self.patches.push(self.filling.patch(source, region, at));
        }
        self.stencil.finish();
        for (from, to) in copy.from.planes().iter().zip(copy.to.planes()) {
            copy.plane(from, to, bytes, (&self.stencil, &self.patches));
        }
        self.stencil.share()
    }

    fn begin_with_zones(&mut self, size: Size) {
        self.stencil.begin(size);
        if self.zones.is_empty() {
            return;
        }
        if self.zone_regions.as_ref().is_none_or(|(known, _)| *known != size) {
            let mut stencil = Stencil::default();
            stencil.begin(size);
            self.zones.iter().for_each(|zone| stencil.add_polygon(zone, size, ZONES));
            stencil.finish();
            self.zone_regions = Some((size, stencil));
        }
        if let Some((_, zones)) = &self.zone_regions {
            self.stencil.add_all(zones);
        }
    }

    fn count(&self, outcome: Outcome) {
        let frames =
            |outcome: &'static str| counter!(MASK_FRAMES, "camera" => self.camera.clone(), "outcome" => outcome);
        match outcome {
            Outcome::Masked { .. } => self.shown.get_or_init(|| frames("masked")).increment(1),
            Outcome::Covered(cause) => {
                let camera = self.camera.clone();
                counter!(MASK_COVERED, "camera" => camera, "reason" => cause.name()).increment(1);
                frames("covered").increment(1);
            }
        }
    }
}

/// From one picture to another of the same size and format.
struct Copy<'a> {
    from: &'a Canvas,
    source: &'a [u8],
    to: &'a Canvas,
}

impl Copy<'_> {
    fn plane(&self, from: &Plane, to: &Plane, bytes: &mut [u8], (stencil, patches): (&Stencil, &[Patch])) {
        let (samples, rows) = self.to.extent(to);
        // samples a cell, across and down
        let cell = CELL >> to.shift;
        let line = |row: usize| &self.source[from.offset + row * from.stride..][..samples * from.components];
        (0..rows.min(AHEAD)).for_each(|row| ahead::ask_for(line(row)));
        for row in 0..rows {
            if row + AHEAD < rows {
                ahead::ask_for(line(row + AHEAD));
            }
            let source = line(row);
            let target = &mut bytes[to.offset + row * to.stride..][..samples * to.components];
            let mut shown_from = 0;
            for &Span { from: first, to: last, patch } in stencil.row(row / cell) {
                let (first, last) = ((first * cell).min(samples), (last * cell).min(samples));
                copy_bytes(source, target, shown_from * to.components, first * to.components);
                fill(to, target, (first, last, row), &patches[patch]);
                shown_from = last;
            }
            copy_bytes(source, target, shown_from * to.components, samples * to.components);
        }
    }
}

fn copy_bytes(source: &[u8], target: &mut [u8], from: usize, to: usize) {
    target[from..to].copy_from_slice(&source[from..to]);
}

/// Fills the samples from `first` up to `last` of a row with a patch.
fn fill(plane: &Plane, target: &mut [u8], (first, last, row): (usize, usize, usize), patch: &Patch) {
    let components = plane.first..plane.first + plane.components;
    let place = &mut target[first * plane.components..last * plane.components];
    if let [colour] = patch.colours[..] {
        return slate::fill(place, &colour[components]);
    }
    let pixel = |sample: usize| (sample << plane.shift) as f32 + 0.5;
    let colours = patch.row(pixel(row));
    for (index, sample) in place.chunks_exact_mut(plane.components).enumerate() {
        let colour = colours.colour(pixel(first + index));
        sample.copy_from_slice(&colour[components.clone()]);
    }
}
