//! The part of one component of a picture that a crop lies on, averaged in blocks and ready to be sampled.

use std::ops::Range;

use super::align::Affine;
use crate::detect::View;
use crate::frame::{ColourRange, Picture, PixelFormat};
use crate::geometry::{Point, Rect, Size};

/// Samples carry this factor, as `ToChannels` takes them.
pub(super) const FIXED: f32 = 256.0;

/// Side of the largest block: its columns are summed in 16 bits. A crop that wants larger ones is of nothing that could
/// be a face.
const LARGEST_BLOCK: usize = 256;

/// A crop that begins farther from the picture's corner, in samples, shows nothing of it.
const FAR: f32 = 1e5;

/// Points a crop pixel along one axis, at most.
const MOST_POINTS: f32 = 16.0;

/// One component of a picture.
#[derive(Clone, Copy)]
pub(super) struct Samples<'a> {
    bytes: &'a [u8],
    stride: usize,
    /// Bytes from one sample to the next: 1, 2 or 3.
    step: usize,
    columns: usize,
    rows: usize,
    /// Chroma: half as many columns and rows as the picture.
    pub(super) halved: bool,
    /// What black is.
    black: u8,
}

impl<'a> Samples<'a> {
    pub(super) fn of(view: View<'a>, component: usize) -> Self {
        match view {
            View::Frame(picture) => Self::of_plane(picture, component),
            View::Rgb { size, bytes } => {
                let (columns, rows) = (size.width as usize, size.height as usize);
                let bytes = bytes.get(component..).unwrap_or_default();
                Self { bytes, stride: 3 * columns, step: 3, columns, rows, halved: false, black: 0 }
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

    /// Row `row` from column `column` on.
    fn line(&self, row: usize, column: usize) -> &'a [u8] {
        &self.bytes[row * self.stride + column * self.step..]
    }
}

/// Blocks of samples along one axis, from a first one that may be outside the picture.
#[derive(Clone, Copy)]
struct Grid {
    first: i64,
    cells: usize,
    block: usize,
    /// Samples that there are.
    len: usize,
}

impl Grid {
    /// Enough blocks to blend at any place between `from` and `to`.
    fn new(from: f32, to: f32, block: usize, len: usize) -> Self {
        let cells = ((to - from) / block as f32).ceil() as usize + 4;
        Self { first: from.floor() as i64 - block as i64, cells, block, len }
    }

    /// The samples of block `cell` and of those after it up to `end`, as far as there are any.
    fn samples(&self, cells: Range<usize>) -> Range<usize> {
        let place = |cell: usize| (self.first + (cell * self.block) as i64).clamp(0, self.len as i64) as usize;
        place(cells.start)..place(cells.end)
    }

    /// Where the picture begins and ends, in blocks as [`Patch::blend`] counts them.
    fn edges(&self) -> Range<u32> {
        let place = |sample: i64| fixed(((sample - self.first) as f32 / self.block as f32 - 0.5).max(0.0));
        place(0)..place(self.len as i64)
    }

    /// The blocks that have any sample.
    fn inside(&self) -> Range<usize> {
        let block = self.block as i64;
        let cell = |sample: i64| sample.clamp(0, self.cells as i64) as usize;
        let start = cell((-self.first).div_euclid(block));
        let end = cell((self.len as i64 - self.first + block - 1).div_euclid(block));
        start..end.max(start)
    }
}

/// Averages of blocks. Those around the picture repeat its edge, so that the edge is sharp: what lies beyond is black by
/// its place, not by blending.
#[derive(Default)]
pub(super) struct Patch {
    /// Times 256, row by row.
    values: Vec<u16>,
    columns: usize,
    /// From the crop's pixels to the blocks; a block's value is at its index.
    place: Affine,
    /// Points a crop pixel, across and down.
    points: (usize, usize),
    /// Columns and rows of the picture, where the crop reaches beyond them.
    edges: Option<(Range<u32>, Range<u32>)>,
    /// Times 256.
    black: u32,
    /// Sums of a row of blocks by column.
    sums: Vec<u16>,
}

impl Patch {
    /// Takes what a crop of `size` lies on.
    #[inline(always)]
    pub(super) fn take(&mut self, samples: Samples<'_>, place: Affine, size: Size) {
        let (across, down) = place.steps();
        self.black = u32::from(samples.black) << 8;
        self.values.clear();
        let near = place.origin.x.abs() <= FAR && place.origin.y.abs() <= FAR;
        if !(near && across.max(down) <= LARGEST_BLOCK as f32) {
            (self.columns, self.place, self.points, self.edges) = (2, Affine::default(), (1, 1), None);
            self.values.resize(4, self.black as u16);
            return;
        }
        // What is left of a step is so near to one block that blending the four around a point is neither too sharp nor
        // too soft.
        let block = (across.min(down).round() as usize).max(1);
        let bounds = place.bounds(size);
        let columns = Grid::new(bounds.x, bounds.right(), block, samples.columns);
        let rows = Grid::new(bounds.y, bounds.bottom(), block, samples.rows);
        let seen = place.seen_from(columns.first as f32, rows.first as f32).shrunk(block as f32);
        self.place = Affine { origin: Point::new(seen.origin.x - 0.5, seen.origin.y - 0.5), ..seen };
        let points = |step: f32| (step / block as f32).round().clamp(1.0, MOST_POINTS) as usize;
        self.points = (points(across), points(down));
        self.columns = columns.cells;
        self.values.resize(columns.cells * rows.cells, 0);
        let whole = Rect::new(0.0, 0.0, samples.columns as f32, samples.rows as f32);
        self.edges = (bounds.intersection(whole) != bounds).then(|| (columns.edges(), rows.edges()));
        let inside = if columns.inside().is_empty() { 0..0 } else { rows.inside() };
        for row in inside.clone() {
            self.average(samples, columns, rows.samples(row..row + 1), row);
            self.repeat_ends(row, columns.inside());
        }
        if !inside.is_empty() {
            self.repeat_row(inside.start, inside.start.saturating_sub(1));
            self.repeat_row(inside.end - 1, inside.end.min(rows.cells - 1));
        }
    }

    fn repeat_ends(&mut self, row: usize, cells: Range<usize>) {
        let line = &mut self.values[row * self.columns..][..self.columns];
        if let Some(before) = cells.start.checked_sub(1) {
            line[before] = line[cells.start];
        }
        if cells.end < line.len() {
            line[cells.end] = line[cells.end - 1];
        }
    }

    fn repeat_row(&mut self, from: usize, to: usize) {
        self.values.copy_within(from * self.columns..(from + 1) * self.columns, to * self.columns);
    }

    /// Fills a row of blocks from these rows of samples.
    #[inline(always)]
    fn average(&mut self, samples: Samples<'_>, columns: Grid, rows: Range<usize>, row: usize) {
        let (cells, block) = (columns.inside(), columns.block);
        let known = columns.samples(cells.clone());
        let out = &mut self.values[row * self.columns..][cells.clone()];
        if block == 1 {
            let line = samples.line(rows.start, known.start);
            each(line, samples.step, out, |out, byte| *out = u16::from(byte) << 8);
            return;
        }
        self.sums.clear();
        self.sums.resize(cells.len() * block, 0);
        let before = (known.start as i64 - (columns.first + (cells.start * block) as i64)) as usize;
        let sums = &mut self.sums[before..][..known.len()];
        let height = rows.len();
        for row in rows {
            each(samples.line(row, known.start), samples.step, sums, |sum, byte| *sum += u16::from(byte));
        }
        let share = FIXED / (block * height) as f32;
        for (out, sums) in out.iter_mut().zip(self.sums.chunks_exact(block)) {
            let sum: u32 = sums.iter().map(|sum| u32::from(*sum)).sum();
            *out = (sum as f32 * share) as u16;
        }
        // The first and the last block may have fewer columns.
        for cell in [cells.start, cells.end - 1] {
            let width = columns.samples(cell..cell + 1).len();
            if width < block {
                let sums = &self.sums[(cell - cells.start) * block..][..block];
                let sum: u32 = sums.iter().map(|sum| u32::from(*sum)).sum();
                out[cell - cells.start] = (sum as f32 * FIXED / (width * height) as f32) as u16;
            }
        }
    }

    /// Samples a row of the crop, times 256.
    #[inline(always)]
    pub(super) fn row(&self, row: usize, out: &mut [u16]) {
        if self.points == (1, 1) && self.edges.is_none() {
            return self.blend_row(self.place.at(0.5, row as f32 + 0.5), out);
        }
        let (nx, ny) = self.points;
        for (column, out) in out.iter_mut().enumerate() {
            let mut sum = 0;
            for point in 0..nx * ny {
                let (x, y) = ((point % nx) as f32 + 0.5, (point / nx) as f32 + 0.5);
                let at = self.place.at(column as f32 + x / nx as f32, row as f32 + y / ny as f32);
                sum += self.blend_or_black(fixed(at.x), fixed(at.y));
            }
            *out = (sum / (nx * ny) as u32) as u16;
        }
    }

    /// One point a pixel, from the first pixel's on.
    #[inline(always)]
    fn blend_row(&self, first: Point, out: &mut [u16]) {
        let (mut x, mut y) = (fixed(first.x), fixed(first.y));
        let (dx, dy) = (fixed(self.place.across.x), fixed(self.place.across.y));
        for out in out {
            *out = self.blend(x, y) as u16;
            (x, y) = (x.wrapping_add(dx), y.wrapping_add(dy));
        }
    }

    #[inline(always)]
    fn blend_or_black(&self, x: u32, y: u32) -> u32 {
        match &self.edges {
            Some((columns, rows)) if !(columns.contains(&x) && rows.contains(&y)) => self.black,
            _ => self.blend(x, y),
        }
    }

    /// Blends the four blocks around a point, whose coordinates have 16 bits behind the point.
    #[inline(always)]
    fn blend(&self, x: u32, y: u32) -> u32 {
        let (column, row) = ((x >> 16) as usize, (y >> 16) as usize);
        let (right, below) = (x >> 8 & 255, y >> 8 & 255);
        let near = row * self.columns + column;
        let [upper, lower] = [near, near + self.columns].map(|place| {
            let pair = &self.values[place..place + 2];
            u32::from(pair[0]) * (256 - right) + u32::from(pair[1]) * right
        });
        (upper * (256 - below) + lower * below + 0x8000) >> 16
    }
}

/// With 16 bits behind the point; negative steps wrap, and wrap back when they are added.
fn fixed(value: f32) -> u32 {
    (value * 65536.0) as i64 as u32
}

/// Visits every `step`-th byte beside the values.
#[inline(always)]
fn each(line: &[u8], step: usize, out: &mut [u16], visit: impl Fn(&mut u16, u8)) {
    match step {
        1 => out.iter_mut().zip(line).for_each(|(out, byte)| visit(out, *byte)),
        2 => out.iter_mut().zip(line.chunks(2)).for_each(|(out, bytes)| visit(out, bytes[0])),
        _ => {
            // whole pixels, which compilers have vectors for; of a picture's last one only the rest may be there
            let (pixels, rest) = line.as_chunks::<3>();
            let last = out.get_mut(pixels.len()).zip(rest.first());
            last.into_iter().for_each(|(out, byte)| visit(out, *byte));
            out.iter_mut().zip(pixels).for_each(|(out, [byte, ..])| visit(out, *byte));
        }
    }
}
