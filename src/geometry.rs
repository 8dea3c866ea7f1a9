//! Points, boxes and polygons in pixels of a frame, or in fractions of it where a name says so.

use serde::{Deserialize, Serialize};

/// Width and height of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Size {
    /// Columns, in pixels.
    pub width: u32,
    /// Rows, in pixels.
    pub height: u32,
}

impl Size {
    /// A size of `width` × `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels; wide enough for any two `u32`.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

/// A point, in pixels of the frame it belongs to unless a name says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Column, growing to the right.
    pub x: f32,
    /// Row, growing downwards.
    pub y: f32,
}

impl Point {
    /// The point (`x`, `y`).
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }
}

/// An axis-aligned box: top-left corner and extent, in pixels of its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width; not negative.
    pub w: f32,
    /// Height; not negative.
    pub h: f32,
}

impl Rect {
    /// The box at (`x`, `y`) that is `w` wide and `h` high.
    pub const fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }

    /// The box between two corners; empty where they are out of order.
    pub fn from_corners(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self::new(x1, y1, (x2 - x1).max(0.0), (y2 - y1).max(0.0))
    }

    /// Right edge.
    pub fn right(self) -> f32 {
        self.x + self.w
    }

    /// Bottom edge.
    pub fn bottom(self) -> f32 {
        self.y + self.h
    }

    /// Area in square pixels.
    pub fn area(self) -> f32 {
        self.w * self.h
    }

    /// Centre of the box.
    pub fn centre(self) -> Point {
        Point::new(self.x + self.w * 0.5, self.y + self.h * 0.5)
    }

    /// The part common to both; empty where they do not meet.
    pub fn intersection(self, other: Self) -> Self {
        Self::from_corners(
            self.x.max(other.x),
            self.y.max(other.y),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// Intersection over union, 0 to 1; 0 for empty boxes.
    pub fn iou(self, other: Self) -> f32 {
        let common = self.intersection(other).area();
        let union = self.area() + other.area() - common;
        if union > 0.0 { common / union } else { 0.0 }
    }

    /// The box grown by `fraction` of its width and height on each side.
    pub fn grown(self, fraction: f32) -> Self {
        let (dx, dy) = (self.w * fraction, self.h * fraction);
        Self::new(self.x - dx, self.y - dy, self.w + 2.0 * dx, self.h + 2.0 * dy)
    }

    /// The part of the box inside a frame of `size`.
    pub fn clamped(self, size: Size) -> Self {
        self.intersection(Self::new(0.0, 0.0, size.width as f32, size.height as f32))
    }

    /// Whether all four numbers are finite and the extent is positive.
    pub fn is_sound(self) -> bool {
        [self.x, self.y, self.w, self.h].iter().all(|v| v.is_finite()) && self.w > 0.0 && self.h > 0.0
    }
}

/// A closed polygon whose corners are fractions of the frame (0 to 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    corners: Vec<Point>,
}

impl Polygon {
    /// A polygon of at least three corners, each within the frame. `None` otherwise.
    pub fn new(corners: Vec<Point>) -> Option<Self> {
        let inside = |p: &Point| (0.0..=1.0).contains(&p.x) && (0.0..=1.0).contains(&p.y);
        (corners.len() >= 3 && corners.iter().all(inside)).then_some(Self { corners })
    }

    /// Even-odd test for a point in fractions of the frame.
    pub fn contains(&self, p: Point) -> bool {
        let mut inside = false;
        let mut previous = match self.corners.last() {
            Some(last) => *last,
            None => return false,
        };
        for corner in &self.corners {
            let crosses = (corner.y > p.y) != (previous.y > p.y);
            if crosses && p.x < (previous.x - corner.x) * (p.y - corner.y) / (previous.y - corner.y) + corner.x {
                inside = !inside;
            }
            previous = *corner;
        }
        inside
    }

    /// Whether two of its sides cross: then what seems to lie inside may lie outside.
    pub fn crosses_itself(&self) -> bool {
        let side = |n: usize| (self.corners[n], self.corners[(n + 1) % self.corners.len()]);
        let count = self.corners.len();
        (0..count).any(|one| (one + 2..count).any(|other| cross(side(one), side(other))))
    }

    /// Its area, as a share of the frame.
    pub fn area(&self) -> f32 {
        let next = self.corners.iter().cycle().skip(1);
        let twice: f32 = self.corners.iter().zip(next).map(|(a, b)| a.x * b.y - b.x * a.y).sum();
        twice.abs() * 0.5
    }

    /// The corners, in fractions of the frame.
    pub fn corners(&self) -> &[Point] {
        &self.corners
    }
}

/// Whether two lines cross between their ends.
fn cross((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let side = |from: Point, to: Point, p: Point| (to.x - from.x) * (p.y - from.y) - (to.y - from.y) * (p.x - from.x);
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_half_overlapping_boxes_is_a_third() {
        let iou = Rect::new(0.0, 0.0, 2.0, 1.0).iou(Rect::new(1.0, 0.0, 2.0, 1.0));
        assert!((iou - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn empty_boxes_have_no_iou() {
        assert_eq!(Rect::default().iou(Rect::default()), 0.0);
    }

    #[test]
    fn polygon_knows_its_inside() {
        let triangle = Polygon::new(vec![Point::new(0.0, 0.0), Point::new(1.0, 0.0), Point::new(0.0, 1.0)]).unwrap();
        assert!(triangle.contains(Point::new(0.2, 0.2)));
        assert!(!triangle.contains(Point::new(0.8, 0.8)));
        assert!(Polygon::new(vec![Point::new(0.0, 0.0); 2]).is_none());
        assert!(Polygon::new(vec![Point::new(0.0, 2.0); 3]).is_none());
    }

    #[test]
    fn a_polygon_with_corners_in_the_wrong_order_crosses_itself() {
        let polygon =
            |corners: &[(f32, f32)]| Polygon::new(corners.iter().map(|&(x, y)| Point::new(x, y)).collect()).unwrap();
        let square = polygon(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]);
        assert!(!square.crosses_itself() && square.area() == 1.0);
        assert!(polygon(&[(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]).crosses_itself());
        let hooked = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5), (0.0, 1.0)];
        assert!(!polygon(&hooked).crosses_itself());
        assert_eq!(polygon(&[(0.1, 0.1), (0.5, 0.5), (0.9, 0.9)]).area(), 0.0);
    }
}
