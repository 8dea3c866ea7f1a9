//! A frame in small, for what asks only whether and how the picture moves.

use super::input::plane;
use super::scale::{Across, Axis, LANES, Rows, Scaler};
use crate::frame::Picture;
use crate::geometry::Size;

/// Makes grey thumbnails of one size; keeps its tables while the frame's size stays the same.
#[derive(Debug)]
pub struct Thumbnailer {
    size: Size,
    plan: Option<Plan>,
}

#[derive(Debug)]
struct Plan {
    frame: Size,
    across: Across,
    rows: Axis,
    scaler: Scaler,
    lines: Rows,
}

impl Thumbnailer {
    /// Thumbnails of `size`, whatever the frame's shape.
    pub fn new(size: Size) -> Self {
        Self { size, plan: None }
    }

    /// Size of the thumbnails.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Area-averaged luma of `picture`, row by row without padding.
    pub fn make(&mut self, picture: Picture<'_>, luma: &mut Vec<u8>) {
        let frame = picture.size();
        if self.plan.as_ref().is_none_or(|plan| plan.frame != frame) {
            self.plan = None;
        }
        let size = self.size;
        let plan = self.plan.get_or_insert_with(|| Plan::new(frame, size));
        luma.resize(size.pixels() as usize, 0);
        plan.run(picture, size, luma);
    }
}

impl Plan {
    fn new(frame: Size, size: Size) -> Self {
        let axis = |len: u32, out: u32| Axis::new(len as usize, out as usize, f64::from(len) / f64::from(out));
        let across = Across::new(axis(frame.width, size.width), 1, 0);
        let (rows, lines) = (axis(frame.height, size.height), across.rows());
        Self { frame, across, rows, scaler: Scaler::new(frame.width as usize), lines }
    }

    fn run(&mut self, picture: Picture<'_>, size: Size, luma: &mut [u8]) {
        let width = size.width as usize;
        for (group, out) in luma.chunks_mut(LANES * width).enumerate() {
            self.scaler.down(plane(picture, 0), &self.rows, group * LANES);
            self.scaler.across(&self.across, &mut self.lines);
            for (out, line) in out.chunks_mut(width).zip(&self.lines) {
                for (out, value) in out.iter_mut().zip(line) {
                    *out = (value >> 8) as u8;
                }
            }
        }
    }
}
