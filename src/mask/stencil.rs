//! Which cells of a picture are masked, and with whose patch: spans, row by row.

use super::shape::{self, Region, Shape};
use crate::canvas::CELL;
use crate::geometry::{Polygon, Size};

/// The patch of privacy zones: they keep their cells, whoever's mask else lies there.
pub(super) const ZONES: usize = 0;

/// A stretch of masked cells in one row of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// First cell.
    pub from: usize,
    /// One past the last.
    pub to: usize,
    /// Index of the patch that goes there.
    pub patch: usize,
}

/// The masked cells of one picture; keeps its memory from picture to picture.
#[derive(Debug, Default)]
pub(super) struct Stencil {
    rows: Vec<Vec<Span>>,
    columns: usize,
}

impl Stencil {
    /// Nothing masked, in a picture of `size`.
    pub fn begin(&mut self, size: Size) {
        let cells = |pixels: u32| (pixels as usize).div_ceil(CELL);
        self.columns = cells(size.width);
        self.rows.resize_with(cells(size.height), Vec::new);
        self.rows.iter_mut().for_each(Vec::clear);
    }

    /// Masks a region in this shape. Cells are masked as soon as it touches them.
    pub fn add(&mut self, region: &Region, shape: Shape, patch: usize) {
        let bounds = region.bounds();
        // an ellipse reaches beyond its box by less than a quarter of it
        let (top, bottom) = (bounds.y - bounds.h * 0.25, bounds.bottom() + bounds.h * 0.25);
        let rows = self.rows.len();
        let row_of = |y: f32| ((y / CELL as f32).floor().max(0.0) as usize).min(rows);
        for row in row_of(top)..(row_of(bottom) + 1).min(rows) {
            let (above, below) = ((row * CELL) as f32, ((row + 1) * CELL) as f32);
            for rect in &region.boxes {
                if let Some((left, right)) = shape::columns(shape, *rect, above, below) {
                    self.span(row, left, right, patch);
                }
            }
        }
    }

    /// Masks a polygon.
    pub fn add_polygon(&mut self, polygon: &Polygon, size: Size, patch: usize) {
        let mut found = Vec::new();
        for row in 0..self.rows.len() {
            found.clear();
            // each row of pixels by itself: a cell is masked where any of its pixels is
            for y in row * CELL..(row + 1) * CELL {
                shape::polygon_columns(polygon, size, (y as f32, y as f32 + 1.0), &mut found);
            }
            for &(left, right) in &found {
                self.span(row, left, right, patch);
            }
        }
    }

    /// Masks what another stencil of the same size masks.
    pub fn add_all(&mut self, other: &Self) {
        for (row, spans) in self.rows.iter_mut().zip(&other.rows) {
            row.extend_from_slice(spans);
        }
    }

    fn span(&mut self, row: usize, left: f32, right: f32, patch: usize) {
        let from = (left / CELL as f32).floor().max(0.0) as usize;
        let to = ((right / CELL as f32).ceil().max(0.0) as usize).min(self.columns);
        if from < to {
            self.rows[row].push(Span { from, to, patch });
        }
    }

    /// Orders the spans of each row and cuts them so that none meets another. Of two that overlap, a privacy zone keeps its
    /// cells, and else the one that begins first.
    pub fn finish(&mut self) {
        for row in &mut self.rows {
            leave_to_zones(row);
            row.sort_unstable_by_key(|span| (span.from, std::cmp::Reverse(span.to)));
            let mut kept: usize = 0;
            for index in 0..row.len() {
                let mut span = row[index];
                if kept > 0 {
                    let last = &mut row[kept - 1];
                    if span.patch == last.patch && span.from <= last.to {
                        last.to = last.to.max(span.to);
                        continue;
                    }
                    span.from = span.from.max(last.to);
                }
                if span.from < span.to {
                    row[kept] = span;
                    kept += 1;
                }
            }
            row.truncate(kept);
        }
    }

    /// Whether any cell that these pixels touch is masked: from left, top up to right, bottom.
    pub fn touches(&self, [left, top, right, bottom]: [i32; 4]) -> bool {
        let cell = |pixel: i32| pixel.max(0) as usize / CELL;
        let rows = cell(top).min(self.rows.len())..cell(bottom + CELL as i32 - 1).min(self.rows.len());
        let (from, to) = (cell(left), cell(right + CELL as i32 - 1));
        self.rows[rows].iter().flatten().any(|span| span.from < to && span.to > from)
    }

    /// The masked stretches of a row of cells, from left to right.
    pub fn row(&self, row: usize) -> &[Span] {
        &self.rows[row]
    }

    /// Masked cells as a share of all.
    pub fn share(&self) -> f32 {
        let masked: usize = self.rows.iter().flatten().map(|span| span.to - span.from).sum();
        masked as f32 / (self.columns * self.rows.len()).max(1) as f32
    }
}

/// Cuts out of each span of a row what zones cover.
fn leave_to_zones(row: &mut Vec<Span>) {
    let zones: Vec<Span> = row.iter().filter(|span| span.patch == ZONES).copied().collect();
    for zone in zones {
        for index in 0..row.len() {
            let span = row[index];
            if span.patch == ZONES || span.to <= zone.from || zone.to <= span.from {
                continue;
            }
            // nothing may be left of it: such spans go when the row is put in order
            row[index].to = zone.from.max(span.from);
            if zone.to < span.to {
                row.push(Span { from: zone.to, ..span });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Point, Rect};

    fn region(boxes: &[Rect]) -> Region {
        Region { key: 0, boxes: boxes.to_vec() }
    }

    #[test]
    fn overlapping_spans_are_cut_and_none_is_lost() {
        let mut stencil = Stencil::default();
        stencil.begin(Size::new(40, 2));
        let spans = [(3, 10.0, 20.0), (1, 4.0, 14.0), (3, 16.0, 30.0), (2, 12.0, 13.0)];
        for (patch, left, right) in spans {
            stencil.add(&region(&[Rect::from_corners(left, 0.0, right, 2.0)]), Shape::Box, patch);
        }
        stencil.finish();
        let expected = [Span { from: 2, to: 7, patch: 1 }, Span { from: 7, to: 15, patch: 3 }];
        assert_eq!(stencil.row(0), expected);
        assert_eq!(stencil.share(), 13.0 / 20.0);
    }

    #[test]
    fn zones_keep_their_cells_wherever_masks_begin() {
        let mut stencil = Stencil::default();
        stencil.begin(Size::new(40, 2));
        let spans = [(ZONES, 10.0, 16.0), (1, 4.0, 30.0), (2, 12.0, 14.0), (ZONES, 26.0, 30.0), (3, 14.0, 40.0)];
        for (patch, left, right) in spans {
            stencil.add(&region(&[Rect::from_corners(left, 0.0, right, 2.0)]), Shape::Box, patch);
        }
        stencil.finish();
        let of = |from, to, patch| Span { from, to, patch };
        let expected = [of(2, 5, 1), of(5, 8, ZONES), of(8, 13, 1), of(13, 15, ZONES), of(15, 20, 3)];
        assert_eq!(stencil.row(0), expected);
        assert!(stencil.touches([39, 1, 41, 2]) && !stencil.touches([0, 0, 4, 2]) && stencil.touches([3, 0, 5, 1]));
        assert!(!stencil.touches([-9, -9, 0, 0]) && !stencil.touches([0, 2, 40, 4]));
    }

    #[test]
    fn every_cell_that_is_touched_is_masked() {
        let mut stencil = Stencil::default();
        stencil.begin(Size::new(9, 9));
        stencil.add(&region(&[Rect::new(3.9, 3.9, 0.2, 0.2), Rect::new(-5.0, 7.0, 6.0, 50.0)]), Shape::Box, 0);
        stencil.finish();
        assert_eq!(stencil.row(1), [Span { from: 1, to: 3, patch: 0 }]);
        assert_eq!(stencil.row(2), [Span { from: 1, to: 3, patch: 0 }]);
        assert_eq!(stencil.row(4), [Span { from: 0, to: 1, patch: 0 }], "the last cell is half outside");
    }

    #[test]
    fn a_zone_that_is_the_whole_picture_masks_all_of_it() {
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)].map(|(x, y)| Point::new(x, y));
        let mut stencil = Stencil::default();
        stencil.begin(Size::new(33, 17));
        stencil.add_polygon(&Polygon::new(corners.to_vec()).unwrap(), Size::new(33, 17), 0);
        stencil.finish();
        assert_eq!(stencil.share(), 1.0);
    }
}
