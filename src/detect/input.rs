//! A model's input straight from a frame's planes: scaled, converted and normalised without an RGB picture in between.
//!
//! Chroma is scaled at its own resolution and meets luma at the model's; it is taken as centred between its luma
//! samples (MPEG's quarter-pixel shift is far below what a model sees). Boxes are in stored pixels: a sample aspect
//! ratio other than 1:1 is not undone, neither here nor in what comes out.

use std::array::from_fn;

use pulp::Arch;

use super::colour::ToChannels;
use super::scale::{Axis, LANES, Plane, Scratch, unpack};
use crate::frame::{Layout, Picture, PixelFormat};
use crate::geometry::{Point, Rect, Size};
use crate::infer::manifest::{InputSpec, Kind, Layout as TensorLayout, Resize};
use crate::infer::{Input, Values};

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
    arch: Arch,
}

/// Everything that depends on the picture's layout.
struct Plan {
    layout: Layout,
    map: InputMap,
    colour: ToChannels,
    /// Columns and rows of luma, then of chroma.
    luma: (Axis, Axis),
    chroma: (Axis, Axis),
    scratch: Scratch,
    /// Scaled rows of Y, U and V, packed, and one unpacked row of each.
    packed: [Vec<u64>; 3],
    rows: [Vec<u16>; 3],
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
        Self { spec: spec.clone(), size, input: Input { shape, values }, plan: None, arch: Arch::new() }
    }

    /// Size of the model's input.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The input made from `picture`, and the way back to its pixels.
    pub fn fill(&mut self, picture: Picture<'_>) -> (&Input, InputMap) {
        let (spec, size, values) = (&self.spec, self.size, &mut self.input.values);
        self.plan = self.plan.take().filter(|plan| plan.layout == *picture.layout());
        let plan = self.plan.get_or_insert_with(|| {
            let plan = Plan::new(picture.layout(), spec, size);
            blacken(&plan.colour, spec.layout, values);
            plan
        });
        let writer = Writer { layout: spec.layout, size, values };
        self.arch.dispatch(
            #[inline(always)]
            || plan.run(picture, writer),
        );
        (&self.input, plan.map)
    }
}

impl Plan {
    fn new(layout: &Layout, spec: &InputSpec, input: Size) -> Self {
        let map = InputMap::new(layout.size, input, spec.resize);
        let (w, h) = (layout.size.width as usize, layout.size.height as usize);
        let (ow, oh) = (map.filled.width as usize, map.filled.height as usize);
        let (dx, dy) = (w as f64 / ow as f64, h as f64 / oh as f64);
        let widest = (0..layout.pixel.planes()).map(|i| layout.plane_extent(i).1).max().unwrap_or(w);
        Self {
            layout: *layout,
            map,
            colour: ToChannels::new(layout.colour, spec),
            luma: (Axis::new(w, ow, dx), Axis::new(h, oh, dy)),
            chroma: (Axis::new(w.div_ceil(2), ow, dx / 2.0), Axis::new(h.div_ceil(2), oh, dy / 2.0)),
            scratch: Scratch::new(widest),
            packed: from_fn(|_| vec![0; ow]),
            rows: from_fn(|_| vec![0; ow]),
        }
    }

    #[inline(always)]
    fn run(&mut self, picture: Picture<'_>, mut writer: Writer<'_>) {
        let rows = self.map.filled.height as usize;
        for first in (0..rows).step_by(LANES) {
            self.sample(picture, first);
            for lane in 0..LANES.min(rows - first) {
                for (row, packed) in self.rows.iter_mut().zip(&self.packed) {
                    unpack(packed, lane, row);
                }
                writer.row(first + lane, &self.colour, self.rows.each_ref().map(Vec::as_slice));
            }
        }
    }

    /// Scales the rows `first..first + LANES` of all three components.
    #[inline(always)]
    fn sample(&mut self, picture: Picture<'_>, first: usize) {
        let plane = |i| plane(picture, i);
        let [y, u, v] = &mut self.packed;
        self.scratch.down(plane(0), &self.luma.1, first);
        self.scratch.across::<1>(&self.luma.0, 0, y);
        match self.layout.pixel {
            PixelFormat::I420 => {
                self.scratch.down(plane(1), &self.chroma.1, first);
                self.scratch.across::<1>(&self.chroma.0, 0, u);
                self.scratch.down(plane(2), &self.chroma.1, first);
                self.scratch.across::<1>(&self.chroma.0, 0, v);
            }
            PixelFormat::Nv12 => {
                self.scratch.down(plane(1), &self.chroma.1, first);
                self.scratch.across::<2>(&self.chroma.0, 0, u);
                self.scratch.across::<2>(&self.chroma.0, 1, v);
            }
        }
    }
}

/// Plane `index` of a picture, for scaling.
pub(super) fn plane(picture: Picture<'_>, index: usize) -> Plane<'_> {
    let (_, width) = picture.layout().plane_extent(index);
    Plane { bytes: picture.plane(index), stride: picture.layout().planes[index].stride, width }
}

/// Puts converted rows where the model wants them.
struct Writer<'a> {
    layout: TensorLayout,
    size: Size,
    values: &'a mut Values,
}

impl Writer<'_> {
    #[inline(always)]
    fn row(&mut self, row: usize, colour: &ToChannels, yuv: [&[u16]; 3]) {
        let (width, area) = (self.size.width as usize, self.size.pixels() as usize);
        let columns = yuv[0].len();
        for place in 0..3 {
            let plane = place * area + row * width..place * area + row * width + columns;
            let pixels = row * width * 3..(row * width + columns) * 3;
            match (&mut *self.values, self.layout) {
                (Values::F32(out), TensorLayout::Nchw) => colour.row(place, yuv, &mut out[plane]),
                (Values::U8(out), TensorLayout::Nchw) => colour.spread(place, yuv, out[plane].iter_mut(), to_byte),
                (Values::F32(out), TensorLayout::Nhwc) => {
                    colour.spread(place, yuv, out[pixels].iter_mut().skip(place).step_by(3), |value| value);
                }
                (Values::U8(out), TensorLayout::Nhwc) => {
                    colour.spread(place, yuv, out[pixels].iter_mut().skip(place).step_by(3), to_byte);
                }
            }
        }
    }
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
