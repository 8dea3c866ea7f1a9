//! What is masked in one picture.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::geometry::{Point, Polygon, Rect, Size};

/// The form of a mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A rectangle.
    #[default]
    Box,
    /// An ellipse around that rectangle, so that it hides its corners, too.
    Ellipse,
}

/// How much wider and higher than a box the ellipse through its corners is.
const AROUND: f32 = std::f32::consts::SQRT_2;

/// One face's part of the picture: as many boxes as it takes to hold all places where it may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Region {
    /// The same for the same face from picture to picture.
    pub key: u64,
    /// The boxes, in pixels.
    pub boxes: Vec<Rect>,
}

impl Region {
    /// Whether all of it is somewhere.
    pub fn is_placed(&self) -> bool {
        let finite = |rect: &Rect| [rect.x, rect.y, rect.w, rect.h].iter().all(|value| value.is_finite());
        self.boxes.iter().all(finite)
    }

    /// The smallest box around all of it.
    pub fn bounds(&self) -> Rect {
        let around = |a: Rect, b: &Rect| {
            Rect::from_corners(a.x.min(b.x), a.y.min(b.y), a.right().max(b.right()), a.bottom().max(b.bottom()))
        };
        self.boxes.iter().skip(1).fold(self.boxes.first().copied().unwrap_or_default(), around)
    }
}

/// Columns, from the first to one past the last, in pixels, where the row of pixels from `top` to `bottom` meets `rect`
/// in this shape.
pub(super) fn columns(shape: Shape, rect: Rect, top: f32, bottom: f32) -> Option<(f32, f32)> {
    match shape {
        Shape::Box => (top < rect.bottom() && bottom > rect.y).then(|| (rect.x, rect.right())),
        Shape::Ellipse => {
            let centre = rect.centre();
            let (a, b) = (rect.w * 0.5 * AROUND, rect.h * 0.5 * AROUND);
            // the row's line that is nearest to the centre, where the ellipse is widest
            let dy = (centre.y.clamp(top, bottom) - centre.y) / b;
            let half = a * (1.0 - dy * dy).max(0.0).sqrt();
            (dy.abs() < 1.0 && half > 0.0).then_some((centre.x - half, centre.x + half))
        }
    }
}

/// The stretches of the row from `top` to `bottom` that are inside a polygon or touched by its edge, added to `found` in
/// pixels of a picture of `size`.
pub(super) fn polygon_columns(polygon: &Polygon, size: Size, (top, bottom): (f32, f32), found: &mut Vec<(f32, f32)>) {
    let pixels = |p: Point| Point::new(p.x * size.width as f32, p.y * size.height as f32);
    let corners: Vec<Point> = polygon.corners().iter().map(|&corner| pixels(corner)).collect();
    let edges = || corners.iter().zip(corners.iter().cycle().skip(1));
    // inside: between the first and second crossing of the row's middle, the third and fourth, …
    let middle = (top + bottom) * 0.5;
    let crosses = |(a, b): (&Point, &Point)| {
        ((a.y > middle) != (b.y > middle)).then(|| a.x + (middle - a.y) / (b.y - a.y) * (b.x - a.x))
    };
    let mut crossings: Vec<f32> = edges().filter_map(crosses).collect();
    crossings.sort_by(f32::total_cmp);
    found.extend(crossings.chunks_exact(2).map(|pair| (pair[0], pair[1])));
    // touched: what an edge covers of the row
    found.extend(edges().filter_map(|(a, b)| {
        let (low, high) = if a.y <= b.y { (a, b) } else { (b, a) };
        if high.y < top || low.y > bottom {
            return None;
        }
        let at = |y: f32| {
            let share = if high.y > low.y { (y.clamp(low.y, high.y) - low.y) / (high.y - low.y) } else { 0.0 };
            low.x + share * (high.x - low.x)
        };
        let (mut one, mut other) = (at(top), at(bottom));
        if high.y == low.y {
            (one, other) = (low.x, high.x);
        }
        Some((one.min(other), one.max(other) + 1.0))
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipse_holds_all_of_its_box() {
        let rect = Rect::new(10.0, 20.0, 30.0, 40.0);
        for y in 20..60 {
            let (left, right) = columns(Shape::Ellipse, rect, y as f32, y as f32 + 1.0).unwrap();
            assert!(left <= 10.001 && right >= 39.999, "row {y}: {left} to {right}");
        }
        assert_eq!(columns(Shape::Ellipse, rect, 0.0, 2.0), None);
        assert_eq!(columns(Shape::Box, rect, 60.0, 62.0), None);
    }

    #[test]
    fn a_polygons_rows_hold_its_inside() {
        let polygon = Polygon::new(vec![Point::new(0.1, 0.1), Point::new(0.9, 0.3), Point::new(0.4, 0.9)]).unwrap();
        let size = Size::new(100, 80);
        for y in 0..80 {
            let mut found = Vec::new();
            polygon_columns(&polygon, size, (y as f32, y as f32 + 1.0), &mut found);
            for x in 0..100 {
                let inside = polygon.contains(Point::new((x as f32 + 0.5) / 100.0, (y as f32 + 0.5) / 80.0));
                let masked = found.iter().any(|(left, right)| (*left..*right).contains(&(x as f32 + 0.5)));
                assert!(masked || !inside, "({x}, {y}) shows");
            }
        }
    }
}
