//! A model's input straight from a frame's planes: scaled, converted and normalised without an RGB picture in between.
//!
//! Chroma is scaled at its own resolution and meets luma at the model's; it is taken as centred between its luma
//! samples (MPEG's quarter-pixel shift is far below what a model sees). Boxes are in stored pixels: a sample aspect
//! ratio other than 1:1 is not undone, neither here nor in what comes out.

use super::colour::ToChannels;
use super::scale::{Across, Axis, LANES, Plane, Rows, Scaler};
use super::straight::Straight;
use crate::frame::{Colorimetry, Layout, Picture, PixelFormat};
use crate::geometry::{Point, Rect, Size};
use crate::infer::manifest::{InputSpec, Kind, Layout as TensorLayout, Resize};
use crate::infer::{Input, Values};

/// What is looked at: a frame, or a picture that never was video.
#[derive(Clone, Copy)]
pub enum View<'a> {
    /// The planes of a frame.
    Frame(Picture<'a>),
    /// Rows of R, G and B bytes without padding, as still pictures are decoded. Kept as they are: chroma at half the
    /// resolution would move boxes by a pixel and more.
    Rgb {
        /// Width and height in pixels.
        size: Size,
        /// Three bytes a pixel.
        bytes: &'a [u8],
    },
}

impl<'a> From<Picture<'a>> for View<'a> {
    fn from(picture: Picture<'a>) -> Self {
        Self::Frame(picture)
    }
}

impl<'a> View<'a> {
    /// Visible size in pixels.
    pub fn size(&self) -> Size {
        match self {
            Self::Frame(picture) => picture.size(),
            Self::Rgb { size, .. } => *size,
        }
    }

    /// Number of its planes.
    pub(super) fn planes(&self) -> usize {
        match self {
            Self::Frame(picture) => picture.layout().pixel.planes(),
            Self::Rgb { .. } => 1,
        }
    }

    /// A plane, for scaling; it has as many components as there are bytes from one sample to the next.
    pub(super) fn plane(self, index: usize) -> Plane<'a> {
        match self {
            Self::Frame(picture) => plane(picture, index),
            Self::Rgb { size, bytes } => {
                let width = 3 * size.width as usize;
                Plane { bytes, stride: width, width, step: 3 }
            }
        }
    }

    fn shape(&self) -> Shape {
        match self {
            Self::Frame(picture) => {
                let Layout { size, pixel, colour, .. } = *picture.layout();
                Shape { size, samples: Samples::Yuv(pixel, colour) }
            }
            Self::Rgb { size, .. } => Shape { size: *size, samples: Samples::Rgb },
        }
    }
}

/// What a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    size: Size,
    samples: Samples,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Samples {
    Yuv(PixelFormat, Colorimetry),
    Rgb,
}

/// From the model's coordinates back to the frame's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputMap {
    /// Frame pixels for one model pixel, across and down.
    step: (f32, f32),
    /// The part of the model's input that the picture fills, from the top left.
    filled: Size,
}

impl InputMap {
    /// Where a picture of size `frame` lies in an input of size `input`.
    pub fn new(frame: Size, input: Size, resize: Resize) -> Self {
        let filled = match resize {
            Resize::Stretch => input,
            Resize::Letterbox => letterbox(frame, input),
        };
        let step = (frame.width as f32 / filled.width as f32, frame.height as f32 / filled.height as f32);
        Self { step, filled }
    }

    /// The part of the model's input that the picture fills, from the top left; the rest is black.
    pub fn filled(&self) -> Size {
        self.filled
    }

    /// A point in frame pixels.
    pub fn point(&self, p: Point) -> Point {
        Point::new(p.x * self.step.0, p.y * self.step.1)
    }

    /// A box in frame pixels.
    pub fn rect(&self, r: Rect) -> Rect {
        Rect::new(r.x * self.step.0, r.y * self.step.1, r.w * self.step.0, r.h * self.step.1)
    }
}

/// The largest size of `frame`'s shape that fits into `input`; enlarges small pictures.
fn letterbox(frame: Size, input: Size) -> Size {
    let (fw, fh) = (f64::from(frame.width), f64::from(frame.height));
    let scale = (f64::from(input.width) / fw).min(f64::from(input.height) / fh);
    let side = |length: f64, most: u32| ((length * scale).round() as u32).clamp(1, most);
    Size::new(side(fw, input.width), side(fh, input.height))
}

/// Fills a model's input from pictures; keeps its tables and memory while their layout stays the same.
pub struct Sampler {
    spec: InputSpec,
    size: Size,
    input: Input,
    plan: Option<Plan>,
}

/// Everything that depends on the picture's shape.
struct Plan {
    shape: Shape,
    map: InputMap,
    colour: ToChannels,
    /// Rows of luma and of chroma.
    rows: [Axis; 2],
    /// Columns of the three components, and their scaled rows.
    across: [Across; 3],
    scaled: [Rows; 3],
    scaler: Scaler,
    /// The short way, where there is one.
    straight: Option<Straight>,
}

impl Sampler {
    /// A sampler for one picture a batch of `shape`, the dimensions with which the model was opened.
    pub fn new(spec: &InputSpec, shape: [usize; 4]) -> Self {
        let count = shape.iter().product();
        let values = match spec.kind {
            Kind::F32 => Values::F32(vec![0.0; count]),
            Kind::U8 => Values::U8(vec![0; count]),
        };
        let size = spec.size_of(shape);
        Self { spec: spec.clone(), size, input: Input { shape, values }, plan: None }
    }

    /// Size of the model's input.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Whether the last picture went the short way.
    #[cfg(test)]
    pub(super) fn goes_the_short_way(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.straight.is_some())
    }

    /// Has the next picture of the last one's shape go the long way.
    #[cfg(test)]
    pub(super) fn go_the_long_way(&mut self) {
        self.plan.iter_mut().for_each(|plan| plan.straight = None);
    }

    /// The input made from a picture, and the way back to its pixels.
    pub fn fill<'a>(&mut self, view: impl Into<View<'a>>) -> (&Input, InputMap) {
        let view = view.into();
        let (spec, size, values) = (&self.spec, self.size, &mut self.input.values);
        self.plan = self.plan.take().filter(|plan| plan.shape == view.shape());
        let plan = self.plan.get_or_insert_with(|| {
            let plan = Plan::new(view, spec, size);
            blacken(&plan.colour, spec.layout, values);
            plan
        });
        let writer = Writer::new(spec, size, values, 0);
        plan.run(view, writer);
        (&self.input, plan.map)
    }
}

impl Plan {
    fn new(view: View<'_>, spec: &InputSpec, input: Size) -> Self {
        let shape = view.shape();
        let map = InputMap::new(shape.size, input, spec.resize);
        let (w, h) = (shape.size.width as usize, shape.size.height as usize);
        let (ow, oh) = (map.filled.width as usize, map.filled.height as usize);
        let (dx, dy) = (w as f64 / ow as f64, h as f64 / oh as f64);
        let (widest, colour) = match shape.samples {
            Samples::Yuv(_, colour) => (2 * w.div_ceil(2), ToChannels::from_yuv(colour, spec)),
            Samples::Rgb => (3 * w, ToChannels::from_rgb(spec)),
        };
        let columns = || Axis::new(w, ow, dx);
        let half_columns = || Axis::new(w.div_ceil(2), ow, dx / 2.0);
        let across = match shape.samples {
            Samples::Yuv(PixelFormat::I420, _) => [(columns(), 1, 0), (half_columns(), 1, 0), (half_columns(), 1, 0)],
            Samples::Yuv(PixelFormat::Nv12, _) => [(columns(), 1, 0), (half_columns(), 2, 0), (half_columns(), 2, 1)],
            Samples::Rgb => [(columns(), 3, 0), (columns(), 3, 1), (columns(), 3, 2)],
        };
        let across = across.map(|(axis, step, offset)| Across::new(axis, step, offset));
        Self {
            shape,
            map,
            colour,
            rows: [Axis::new(h, oh, dy), Axis::new(h.div_ceil(2), oh, dy / 2.0)],
            scaled: across.each_ref().map(Across::rows),
            straight: Straight::new(view, &across),
            across,
            scaler: Scaler::new(widest),
        }
    }

    fn run(&mut self, view: View<'_>, mut writer: Writer<'_>) {
        let Size { width, height } = self.map.filled;
        let (columns, rows) = (width as usize, height as usize);
        if let Some(straight) = self.straight.as_mut().filter(|_| writer.floats(0, 0).is_some()) {
            for row in 0..rows {
                let outs = writer.floats(row, columns);
                outs.into_iter().for_each(|outs| straight.row(view, (&self.rows, row), &self.colour, outs));
            }
            return;
        }
        for first in (0..rows).step_by(LANES) {
            self.scale(view, first);
            for lane in 0..LANES.min(rows - first) {
                let samples = self.scaled.each_ref().map(|rows| &rows[lane][..columns]);
                writer.row(first + lane, &self.colour, samples);
            }
        }
    }

    /// Scales the rows `first..first + LANES` of all three components.
    fn scale(&mut self, view: View<'_>, first: usize) {
        let Self { rows, across, scaled, scaler, .. } = self;
        let mut across = across.iter().zip(scaled);
        for index in 0..view.planes() {
            let plane = view.plane(index);
            scaler.down(plane, &rows[index.min(1)], first);
            across.by_ref().take(plane.step).for_each(|(across, out)| scaler.across(across, out));
        }
    }
}

/// Plane `index` of a picture, for scaling.
pub(super) fn plane(picture: Picture<'_>, index: usize) -> Plane<'_> {
    let layout = picture.layout();
    let (_, width) = layout.plane_extent(index);
    let step = if index > 0 && layout.pixel == PixelFormat::Nv12 { 2 } else { 1 };
    Plane { bytes: picture.plane(index), stride: layout.planes[index].stride, width, step }
}

/// Puts converted rows where the model wants them.
pub struct Writer<'a> {
    layout: TensorLayout,
    size: Size,
    values: &'a mut Values,
    /// The picture's first value.
    first: usize,
}

impl<'a> Writer<'a> {
    /// Writes picture `item` of a batch of pictures of `size`, whose `values` have room for it.
    pub fn new(spec: &InputSpec, size: Size, values: &'a mut Values, item: usize) -> Self {
        Self { layout: spec.layout, size, values, first: item * 3 * size.pixels() as usize }
    }

    /// Size of the picture.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The places of one row's values from the left on, where channels are planes of floats.
    fn floats(&mut self, row: usize, columns: usize) -> Option<[&mut [f32]; 3]> {
        match (&mut *self.values, self.layout) {
            (Values::F32(out), TensorLayout::Nchw) => {
                let (width, area) = (self.size.width as usize, self.size.pixels() as usize);
                Some(rows_of(&mut out[self.first..self.first + 3 * area], row * width, columns))
            }
            _ => None,
        }
    }

    /// Writes one row from the left on, of the three components times 256.
    pub fn row(&mut self, row: usize, colour: &ToChannels, samples: [&[u16]; 3]) {
        let (width, area) = (self.size.width as usize, self.size.pixels() as usize);
        let columns = samples[0].len();
        let pixels = self.first + row * width * 3..self.first + (row * width + columns) * 3;
        let planes = self.first..self.first + 3 * area;
        match (&mut *self.values, self.layout) {
            (Values::F32(out), TensorLayout::Nchw) => {
                colour.rows(samples, rows_of(&mut out[planes], row * width, columns));
            }
            (Values::U8(out), TensorLayout::Nchw) => {
                let outs = rows_of(&mut out[planes], row * width, columns);
                (0..3).zip(outs).for_each(|(place, out)| colour.spread(place, samples, out.iter_mut(), to_byte));
            }
            (Values::F32(out), TensorLayout::Nhwc) => (0..3).for_each(|place| {
                let out = out[pixels.clone()].iter_mut().skip(place).step_by(3);
                colour.spread(place, samples, out, |value| value);
            }),
            (Values::U8(out), TensorLayout::Nhwc) => (0..3).for_each(|place| {
                let out = out[pixels.clone()].iter_mut().skip(place).step_by(3);
                colour.spread(place, samples, out, to_byte);
            }),
        }
    }
}

/// The values `first..first + columns` of each of three planes.
fn rows_of<T>(planes: &mut [T], first: usize, columns: usize) -> [&mut [T]; 3] {
    let (a, rest) = planes.split_at_mut(planes.len() / 3);
    let (b, c) = rest.split_at_mut(a.len());
    [a, b, c].map(|plane| &mut plane[first..first + columns])
}

fn to_byte(value: f32) -> u8 {
    value.round() as u8
}

/// Sets every pixel to black, as the model sees it.
fn blacken(colour: &ToChannels, layout: TensorLayout, values: &mut Values) {
    let count = match values {
        Values::F32(values) => values.len(),
        Values::U8(values) => values.len(),
    };
    for place in 0..3 {
        let black = colour.black(place);
        let (from, to, by) = match layout {
            TensorLayout::Nchw => (place * count / 3, (place + 1) * count / 3, 1),
            TensorLayout::Nhwc => (place, count, 3),
        };
        match values {
            Values::F32(values) => values[from..to].iter_mut().step_by(by).for_each(|value| *value = black),
            Values::U8(values) => values[from..to].iter_mut().step_by(by).for_each(|value| *value = to_byte(black)),
        }
    }
}
