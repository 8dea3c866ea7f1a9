//! A crop of a face straight from a picture's planes: turned, scaled, converted and normalised in one go.
//!
//! Where a crop pixel covers several of a plane, their area counts, not the nearest ones: the part of the plane under
//! the crop is first averaged in whole blocks, then sampled bilinearly at as many points a crop pixel as what is left
//! of the step asks for. Chroma does so at its own resolution. Beyond the picture all is black, as it was when the models
//! were trained.

use pulp::Arch;

use super::align::Affine;
use crate::detect::{ToChannels, View, Writer};
use crate::frame::{ColourRange, Picture, PixelFormat};
use crate::geometry::{Rect, Size};

/// Samples carry this factor, as [`ToChannels`] takes them.
const FIXED: f32 = 256.0;

/// A block's columns are summed in 16 bits.
const LARGEST_BLOCK: usize = 257;

/// Makes crops; keeps its memory.
pub struct Warper {
    arch: Arch,
    patches: [Patch; 3],
    rows: [Vec<u16>; 3],
}

impl Default for Warper {
    fn default() -> Self {
        Self { arch: Arch::new(), patches: Default::default(), rows: Default::default() }
    }
}

impl Warper {
    /// Fills the crop that `writer` writes, whose pixels lie in the picture as `place` says.
    pub fn fill(&mut self, view: View<'_>, place: &Affine, colour: &ToChannels, mut writer: Writer<'_>) {
        let size = writer.size();
        self.gather(view, place, size);
        for row in 0..size.height as usize {
            for (patch, samples) in self.patches.iter().zip(&mut self.rows) {
                samples.resize(size.width as usize, 0);
                patch.row(row, samples);
            }
            writer.row(row, colour, self.rows.each_ref().map(Vec::as_slice));
        }
    }

    /// The crop's luma alone, 0 to 255; of an RGB picture its green.
    pub fn luma(&mut self, view: View<'_>, place: &Affine, size: Size, out: &mut Vec<f32>) {
        let component = match view {
            View::Frame(_) => 0,
            View::Rgb { .. } => 1,
        };
        self.gather_one(view, component, place, size);
        out.clear();
        let samples = &mut self.rows[component];
        samples.resize(size.width as usize, 0);
        for row in 0..size.height as usize {
            self.patches[component].row(row, samples);
            out.extend(samples.iter().map(|value| f32::from(*value) / FIXED));
        }
    }

    fn gather(&mut self, view: View<'_>, place: &Affine, size: Size) {
        (0..3).for_each(|component| self.gather_one(view, component, place, size));
    }

    fn gather_one(&mut self, view: View<'_>, component: usize, place: &Affine, size: Size) {
        let samples = Samples::of(view, component);
        let place = place.shrunk(if samples.halved { 2.0 } else { 1.0 });
        let patch = &mut self.patches[component];
        self.arch.dispatch(
            #[inline(always)]
            || patch.take(samples, place, size),
        );
    }
}

/// One component of a picture.
#[derive(Clone, Copy)]
struct Samples<'a> {
    bytes: &'a [u8],
    stride: usize,
    /// Bytes from one sample to the next.
    step: usize,
    columns: usize,
    rows: usize,
    /// Chroma: half as many columns and rows as the picture.
    halved: bool,
    /// What black is.
    black: u16,
}

impl<'a> Samples<'a> {
    fn of(view: View<'a>, component: usize) -> Self {
        match view {
            View::Frame(picture) => Self::of_plane(picture, component),
            View::Rgb { size, bytes } => {
                let (columns, rows) = (size.width as usize, size.height as usize);
                Self {
                    bytes: &bytes[component..],
                    stride: 3 * columns,
                    step: 3,
                    columns,
                    rows,
                    halved: false,
                    black: 0,
                }
            }
        }
    }

    fn of_plane(picture: Picture<'a>, component: usize) -> Self {
        let layout = picture.layout();
        let (plane, step, offset) = match (layout.pixel, component) {
            (_, 0) => (0, 1, 0),
            (PixelFormat::I420, n) => (n, 1, 0),
            (PixelFormat::Nv12, n) => (1, 2, n - 1),
        };
        let (rows, bytes) = layout.plane_extent(plane);
        let columns = bytes / step;
        let stride = layout.planes[plane].stride;
        let black = match (component, layout.colour.range) {
            (0, ColourRange::Limited) => 16,
            (0, ColourRange::Full) => 0,
            _ => 128,
        };
        Self { bytes: &picture.plane(plane)[offset..], stride, step, columns, rows, halved: component > 0, black }
    }
}

/// The part of one component that a crop lies on, averaged in blocks.
#[derive(Default)]
struct Patch {
    /// Block averages times 256, row by row.
    values: Vec<u16>,
    columns: usize,
    rows: usize,
    /// The whole component, in blocks from the patch's top left corner.
    whole: Rect,
    /// Its black, times 256.
    black: f32,
    /// From the crop's pixels to the blocks.
    place: Affine,
    /// Points a crop pixel, across and down.
    points: (usize, usize),
    /// Sums of a block's rows.
    sums: Vec<u16>,
}

impl Patch {
    #[inline(always)]
    fn take(&mut self, samples: Samples<'_>, place: Affine, size: Size) {
        let (across, down) = place.steps();
        let block = (across.min(down) as usize).clamp(1, LARGEST_BLOCK);
        let [left, top, right, bottom] = within(place.bounds(size), samples);
        self.place = place.seen_from(left as f32, top as f32).shrunk(block as f32);
        let in_blocks = |from: usize, len: usize| (-(from as f32) / block as f32, len as f32 / block as f32);
        let ((x, w), (y, h)) = (in_blocks(left, samples.columns), in_blocks(top, samples.rows));
        self.whole = Rect::new(x, y, w, h);
        self.black = f32::from(samples.black) * FIXED;
        let points = |step: f32| (step / block as f32).ceil().clamp(1.0, 16.0) as usize;
        self.points = (points(across - 0.01), points(down - 0.01));
        self.columns = (right - left).div_ceil(block);
        self.rows = (bottom - top).div_ceil(block);
        self.values.clear();
        for row in (top..bottom).step_by(block) {
            let rows = row..(row + block).min(bottom);
            self.average(samples, left..right, rows, block);
        }
    }

    /// Adds a row of blocks.
    #[inline(always)]
    fn average(
        &mut self,
        samples: Samples<'_>,
        columns: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
        block: usize,
    ) {
        let height = rows.len();
        let line = |row: usize| &samples.bytes[row * samples.stride + columns.start * samples.step..];
        if block == 1 {
            let picked = line(rows.start).iter().step_by(samples.step).take(columns.len());
            self.values.extend(picked.map(|byte| u16::from(*byte) << 8));
            return;
        }
        self.sums.clear();
        self.sums.resize(columns.len(), 0);
        for row in rows {
            let picked = line(row).iter().step_by(samples.step);
            self.sums.iter_mut().zip(picked).for_each(|(sum, byte)| *sum += u16::from(*byte));
        }
        self.values.extend(self.sums.chunks(block).map(|sums| {
            let sum: u32 = sums.iter().map(|sum| u32::from(*sum)).sum();
            (sum as f32 * FIXED / (sums.len() * height) as f32) as u16
        }));
    }

    /// Samples a row of the crop.
    fn row(&self, row: usize, out: &mut [u16]) {
        let (nx, ny) = self.points;
        let share = 1.0 / (nx * ny) as f32;
        for (column, out) in out.iter_mut().enumerate() {
            let mut sum = 0.0;
            for y in 0..ny {
                let v = row as f32 + (y as f32 + 0.5) / ny as f32;
                for x in 0..nx {
                    let u = column as f32 + (x as f32 + 0.5) / nx as f32;
                    sum += self.sample(u, v);
                }
            }
            *out = (sum * share + 0.5) as u16;
        }
    }

    /// Blends the four blocks around the crop's point (`u`, `v`).
    #[inline(always)]
    fn sample(&self, u: f32, v: f32) -> f32 {
        let (at, whole) = (self.place.at(u, v), self.whole);
        if at.x < whole.x || at.y < whole.y || at.x > whole.right() || at.y > whole.bottom() {
            return self.black;
        }
        let x = (at.x - 0.5).clamp(0.0, (self.columns - 1) as f32);
        let y = (at.y - 0.5).clamp(0.0, (self.rows - 1) as f32);
        let (left, top) = (x as usize, y as usize);
        let (dx, dy) = (x - left as f32, y - top as f32);
        let (right, bottom) = ((left + 1).min(self.columns - 1), (top + 1).min(self.rows - 1));
        let value = |column: usize, row: usize| f32::from(self.values[row * self.columns + column]);
        let upper = value(left, top) + dx * (value(right, top) - value(left, top));
        let lower = value(left, bottom) + dx * (value(right, bottom) - value(left, bottom));
        upper + dy * (lower - upper)
    }
}

/// The samples that `rect` reaches, with one to each side, at least one: left, top, right, bottom.
fn within(rect: Rect, samples: Samples<'_>) -> [usize; 4] {
    let reach = |from: f32, to: f32, len: usize| {
        let first = (from - 1.0).floor().clamp(0.0, (len - 1) as f32) as usize;
        let last = (to + 1.0).ceil().clamp(0.0, len as f32) as usize;
        (first, last.clamp(first + 1, len))
    };
    let (left, right) = reach(rect.x, rect.right(), samples.columns);
    let (top, bottom) = reach(rect.y, rect.bottom(), samples.rows);
    [left, top, right, bottom]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout};
    use crate::geometry::Point;
    use crate::infer::Values;
    use crate::infer::manifest::{Channels, InputSpec, Kind, Layout as TensorLayout, Resize};

    fn spec() -> InputSpec {
        InputSpec {
            name: "input".into(),
            layout: TensorLayout::Nchw,
            channels: Channels::Rgb,
            kind: Kind::F32,
            mean: [0.0; 3],
            scale: [1.0; 3],
            size: [16, 16],
            multiple_of: None,
            resize: Resize::Stretch,
        }
    }

    fn crop(view: View<'_>, place: &Affine, side: u32) -> Vec<f32> {
        let mut values = Values::F32(vec![-1.0; 3 * (side * side) as usize]);
        let (spec, size) = (spec(), Size::new(side, side));
        let writer = Writer::new(&spec, size, &mut values, 0);
        Warper::default().fill(view, place, &ToChannels::new(view, &spec), writer);
        let Values::F32(values) = values else { panic!("floats were asked for") };
        values
    }

    /// A picture whose three components are planes in x and y, 4:2:0 in both layouts and RGB.
    fn ramps(size: Size) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let (w, h) = (size.width as usize, size.height as usize);
        let at = |x: f32, y: f32| (40.0 + 100.0 * x / w as f32 + 80.0 * y / h as f32) as u8;
        let luma = (0..w * h).map(|i| at((i % w) as f32 + 0.5, (i / w) as f32 + 0.5));
        let grey = vec![128; w.div_ceil(2) * h.div_ceil(2)];
        let i420: Vec<u8> = luma.chain(grey.iter().copied()).chain(grey.iter().copied()).collect();
        let nv12 = i420.clone();
        let rgb = i420[..w * h].iter().flat_map(|v| [*v; 3]).collect();
        (i420, nv12, rgb)
    }

    const FULL: Colorimetry = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };

    #[test]
    fn a_crop_of_whole_pixels_is_those_pixels() {
        let size = Size::new(32, 24);
        let bytes: Vec<u8> = (0..32 * 24 * 3).map(|i| (i * 7 % 251) as u8).collect();
        let place = Affine { origin: Point::new(5.0, 3.0), across: Point::new(1.0, 0.0), down: Point::new(0.0, 1.0) };
        let values = crop(View::Rgb { size, bytes: &bytes }, &place, 16);
        for (i, value) in values.iter().enumerate() {
            let (component, row, column) = (i / 256, i / 16 % 16, i % 16);
            assert_eq!(*value, f32::from(bytes[((row + 3) * 32 + column + 5) * 3 + component]));
        }
    }

    #[test]
    fn a_checkerboard_that_is_shrunk_is_grey_whatever_the_angle() {
        let size = Size::new(400, 400);
        let bytes: Vec<u8> =
            (0..400 * 400).flat_map(|i| [if (i % 400 + i / 400) % 2 == 0 { 255 } else { 0 }; 3]).collect();
        for (turn, step) in [(0.0f32, 2.0f32), (0.3, 2.5), (0.8, 3.7), (1.2, 9.1), (0.1, 1.6)] {
            let (sin, cos) = (turn.sin() * step, turn.cos() * step);
            let mut place = Affine { across: Point::new(cos, sin), down: Point::new(-sin, cos), ..Affine::default() };
            let middle = place.at(8.0, 8.0);
            place.origin = Point::new(200.0 - middle.x, 200.0 - middle.y);
            let values = crop(View::Rgb { size, bytes: &bytes }, &place, 16);
            let worst = values.iter().map(|v| (v - 127.5).abs()).fold(0.0, f32::max);
            assert!(worst < 30.0, "turned by {turn}, {step} pixels to one: off by {worst}");
        }
    }

    #[test]
    fn beyond_the_picture_all_is_black() {
        let size = Size::new(8, 8);
        for (range, black, white) in [(ColourRange::Full, 0, 255), (ColourRange::Limited, 16, 235)] {
            let layout = Layout::packed(size, PixelFormat::Nv12, Colorimetry { range, ..FULL });
            let bytes: Vec<u8> = (0..96).map(|i| if i < 64 { white } else { 128 }).collect();
            let rgb = vec![255; 8 * 8 * 3];
            assert!(black < white);
            for view in [View::Frame(Picture::new(&layout, &bytes).unwrap()), View::Rgb { size, bytes: &rgb }] {
                for (origin, inside) in [(-500.0, 0), (-4.0, 16), (0.0, 64), (900.0, 0)] {
                    let right = Point::new(1.0, 0.0);
                    let place =
                        Affine { origin: Point::new(origin, origin), across: right, down: Point::new(0.0, 1.0) };
                    let values = crop(view, &place, 8);
                    let count = |wanted: f32| values.iter().filter(|value| (**value - wanted).abs() < 0.5).count();
                    assert_eq!((count(255.0), count(0.0)), (3 * inside, 3 * (64 - inside)), "{range:?} from {origin}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// On a plane area averages and bilinear samples are exact, so that every crop can be told beforehand.
        #[test]
        fn crops_of_a_ramp_are_ramps(
            turn in -3.1f32..3.1, step in 0.1f32..6.0, nv12 in any::<bool>(),
            (width, height) in (101u32..300, 101u32..200),
        ) {
            let size = Size::new(width, height);
            let (i420, nv12_bytes, rgb) = ramps(size);
            let pixel = if nv12 { PixelFormat::Nv12 } else { PixelFormat::I420 };
            let layout = Layout::packed(size, pixel, FULL);
            let picture = Picture::new(&layout, if nv12 { &nv12_bytes } else { &i420 }).unwrap();
            let (sin, cos) = (turn.sin() * step, turn.cos() * step);
            let mut place = Affine { across: Point::new(cos, sin), down: Point::new(-sin, cos), ..Affine::default() };
            let middle = place.at(4.0, 4.0);
            place.origin = Point::new(width as f32 / 2.0 - middle.x, height as f32 / 2.0 - middle.y);
            for view in [View::Frame(picture), View::Rgb { size, bytes: &rgb }] {
                for (i, value) in crop(view, &place, 8).iter().enumerate() {
                    let at = place.at((i % 8) as f32 + 0.5, (i / 8 % 8) as f32 + 0.5);
                    let wanted = 39.5 + 100.0 * at.x / width as f32 + 80.0 * at.y / height as f32;
                    prop_assert!((value - wanted).abs() < 1.2, "{i}: {value}, not {wanted}");
                }
            }
        }
    }
}
