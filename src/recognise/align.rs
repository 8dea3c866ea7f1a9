//! Where a face lies in a picture, told by its five landmarks, against where a model wants it.

use crate::detect::Landmarks;
use crate::geometry::{Point, Rect, Size};

/// The least size of a crop's pixel, in pixels of the picture: landmarks that all but coincide ask for less.
const LEAST_STEP: f32 = 1e-3;

/// Where a model wants the five landmarks, in pixels of its square input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Template {
    /// The name in manifests.
    pub name: &'static str,
    /// Width and height of the input.
    pub side: u32,
    /// The landmarks, in the order of [`Landmarks`].
    pub points: Landmarks,
}

/// All templates.
pub const TEMPLATES: &[Template] = &[
    // Open Model Zoo, face-reidentification-retail-0095: given there as shares of the side.
    template(
        "reid-128",
        128,
        [[40.393, 59.081], [87.376, 59.081], [64.034, 81.985], [44.732, 105.561], [83.640, 105.561]],
    ),
    // InsightFace, for ArcFace and whatever was trained on its crops.
    template(
        "arcface-112",
        112,
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    ),
    // dlib's chip of 150 pixels with a padding of 0.25: eye centres, nose and mouth corners of its mean face.
    template(
        "dlib-150",
        150,
        [[47.549, 46.599], [100.476, 46.599], [74.013, 76.562], [50.415, 103.023], [97.610, 103.023]],
    ),
    // FaceNet was trained on MTCNN's boxes with a margin of 32 pixels, each stretched to a square. This is
    // ArcFace's face, enlarged to the mean of that stretch and moved to where such a box has it.
    template(
        "facenet-160",
        160,
        [[52.557, 61.529], [107.174, 61.227], [80.039, 92.592], [57.601, 124.567], [102.831, 124.316]],
    ),
];

/// The template of this name.
pub fn find(name: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.name == name)
}

/// The names of all templates.
pub fn names() -> Vec<&'static str> {
    TEMPLATES.iter().map(|template| template.name).collect()
}

const fn template(name: &'static str, side: u32, at: [[f32; 2]; 5]) -> Template {
    let [a, b, c, d, e] = at;
    let points = [
        Point::new(a[0], a[1]),
        Point::new(b[0], b[1]),
        Point::new(c[0], c[1]),
        Point::new(d[0], d[1]),
        Point::new(e[0], e[1]),
    ];
    Template { name, side, points }
}

/// From a crop's coordinates to the picture's: `origin + x * across + y * down`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Affine {
    /// Where the crop's top left corner is.
    pub origin: Point,
    /// One crop pixel to the right.
    pub across: Point,
    /// One crop pixel down.
    pub down: Point,
}

impl Affine {
    /// Stretches `rect` over a crop of `size`.
    pub fn of_rect(rect: Rect, size: Size) -> Self {
        Self {
            origin: Point::new(rect.x, rect.y),
            across: Point::new(rect.w / size.width as f32, 0.0),
            down: Point::new(0.0, rect.h / size.height as f32),
        }
    }

    /// The similarity transform (shift, turn and scale, no mirroring) that brings `face` nearest to `wanted` in the
    /// crop (least squares; Umeyama 1991 in two dimensions), the way back to the picture. Whatever the landmarks
    /// are, the result is finite: where all coincide it is a crop of next to nothing.
    pub fn to_template(face: &Landmarks, wanted: &Landmarks) -> Self {
        let (from, to) = (mean(face), mean(wanted));
        let (mut along, mut turned, mut spread) = (0.0, 0.0, 0.0);
        for (p, q) in face.iter().zip(wanted) {
            let (p, q) = ((p.x - from.x, p.y - from.y), (q.x - to.x, q.y - to.y));
            along += p.0 * q.0 + p.1 * q.1;
            turned += p.0 * q.1 - p.1 * q.0;
            spread += p.0 * p.0 + p.1 * p.1;
        }
        // Picture to crop is (along, turned) / spread as a complex number; the crop to the picture is its inverse.
        let square = along * along + turned * turned;
        let inverse = spread / square;
        let (mut cos, mut sin) = (along * inverse, -turned * inverse);
        if !(cos.is_finite() && sin.is_finite() && cos.hypot(sin) >= LEAST_STEP) {
            (cos, sin) = (LEAST_STEP, 0.0);
        }
        let origin = Point::new(from.x - cos * to.x + sin * to.y, from.y - sin * to.x - cos * to.y);
        Self { origin, across: Point::new(cos, sin), down: Point::new(-sin, cos) }
    }

    /// Where the crop's point (`x`, `y`) is in the picture.
    pub fn at(&self, x: f32, y: f32) -> Point {
        Point::new(
            self.origin.x + x * self.across.x + y * self.down.x,
            self.origin.y + x * self.across.y + y * self.down.y,
        )
    }

    /// The smallest box around a crop of `size` in the picture.
    pub fn bounds(&self, size: Size) -> Rect {
        let (w, h) = (size.width as f32, size.height as f32);
        let corners = [self.at(0.0, 0.0), self.at(w, 0.0), self.at(0.0, h), self.at(w, h)];
        let least = |pick: fn(&Point) -> f32| corners.iter().map(pick).fold(f32::INFINITY, f32::min);
        let most = |pick: fn(&Point) -> f32| corners.iter().map(pick).fold(f32::NEG_INFINITY, f32::max);
        Rect::from_corners(least(|p| p.x), least(|p| p.y), most(|p| p.x), most(|p| p.y))
    }

    /// The same in a part of the picture whose top left corner is (`x`, `y`).
    pub fn seen_from(&self, x: f32, y: f32) -> Self {
        Self { origin: Point::new(self.origin.x - x, self.origin.y - y), ..*self }
    }

    /// The same in a plane that has `1 / by` of the picture's columns and rows.
    pub fn shrunk(&self, by: f32) -> Self {
        let shrink = |p: Point| Point::new(p.x / by, p.y / by);
        Self { origin: shrink(self.origin), across: shrink(self.across), down: shrink(self.down) }
    }

    /// Lengths of a crop pixel's sides in the picture.
    pub fn steps(&self) -> (f32, f32) {
        (self.across.x.hypot(self.across.y), self.down.x.hypot(self.down.y))
    }
}

fn mean(points: &Landmarks) -> Point {
    let sum = points.iter().fold(Point::default(), |sum, p| Point::new(sum.x + p.x, sum.y + p.y));
    Point::new(sum.x / points.len() as f32, sum.y / points.len() as f32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: Point, b: Point, within: f32) -> bool {
        (a.x - b.x).hypot(a.y - b.y) < within
    }

    #[test]
    fn templates_are_faces_inside_their_inputs() {
        for Template { name, side, points: [left, right, nose, left_mouth, right_mouth] } in TEMPLATES {
            let side = *side as f32;
            for p in [left, right, nose, left_mouth, right_mouth] {
                assert!(p.x > 0.2 * side && p.x < 0.8 * side && p.y > 0.2 * side && p.y < 0.9 * side, "{name}");
            }
            assert!(left.x < nose.x && nose.x < right.x && left_mouth.x < right_mouth.x, "{name}");
            assert!(left.y < nose.y && nose.y < left_mouth.y && (left.y - right.y).abs() < 0.5, "{name}");
        }
    }

    #[test]
    fn landmarks_that_coincide_still_give_a_finite_transform() {
        for face in [[Point::new(7.0, 9.0); 5], [Point::new(f32::MAX, 0.0); 5]] {
            let back = Affine::to_template(&face, &TEMPLATES[0].points);
            assert!(back.across.x.is_finite() && back.across.x > 0.0, "{back:?}");
        }
    }

    proptest! {
        #[test]
        fn a_template_that_was_moved_is_found(
            angle in -3.1f32..3.1, scale in 0.05f32..20.0, x in -500f32..2000.0, y in -500f32..2000.0,
            which in 0..TEMPLATES.len(),
        ) {
            let wanted = &TEMPLATES[which].points;
            let (sin, cos) = (angle.sin() * scale, angle.cos() * scale);
            let face = wanted.map(|p| Point::new(x + cos * p.x - sin * p.y, y + sin * p.x + cos * p.y));
            let back = Affine::to_template(&face, wanted);
            for (p, q) in face.iter().zip(wanted) {
                prop_assert!(close(back.at(q.x, q.y), *p, 0.01 * scale + 0.01), "{:?} {p:?}", back.at(q.x, q.y));
            }
            prop_assert!((back.steps().0 - scale).abs() < 0.001 * scale + 0.001);
        }

        #[test]
        fn no_other_similarity_is_nearer(
            xs in prop::array::uniform5(0f32..200.0), ys in prop::array::uniform5(0f32..200.0),
            turn in -0.1f32..0.1, grow in 0.9f32..1.1, dx in -3f32..3.0, dy in -3f32..3.0,
        ) {
            let face: Landmarks = std::array::from_fn(|i| Point::new(xs[i], ys[i]));
            let wanted = &TEMPLATES[0].points;
            let back = Affine::to_template(&face, wanted);
            prop_assume!(back.steps().0 < 50.0);
            // The way to the crop, as a complex factor and a shift, and another one near it.
            let square = back.steps().0.powi(2);
            let (re, im) = (back.across.x / square, -back.across.y / square);
            let error = |re: f32, im: f32, dx: f32, dy: f32| -> f32 {
                face.iter().zip(wanted).map(|(p, q)| {
                    let (x, y) = (p.x - back.origin.x, p.y - back.origin.y);
                    (re * x - im * y + dx - q.x).powi(2) + (im * x + re * y + dy - q.y).powi(2)
                }).sum()
            };
            let (sin, cos) = (turn.sin() * grow, turn.cos() * grow);
            let other = error(re * cos - im * sin, re * sin + im * cos, dx, dy);
            prop_assert!(error(re, im, 0.0, 0.0) <= other * 1.001 + 0.01);
        }
    }
}
