//! The built-in test face: drawn here, so that it is nobody's. An empty result cannot be told from an empty scene, and a detector
//! that finds this face is not blind.

use std::sync::LazyLock;
use std::time::Instant;

use crate::detect::{Detection, Detector, Settings, View};
use crate::fault::Fault;
use crate::geometry::{Point, Rect, Size};
use crate::infer::{InferError, Seat};

const SIZE: Size = Size::new(640, 360);

/// Where the middle of the face is, and half its height, in pixels.
const CENTRE: Point = Point::new(320.0, 170.0);
const SCALE: f32 = 100.0;

/// Where detectors see the face, in half heights about the middle.
const FACE: Rect = Rect::new(-0.75, -0.86, 1.5, 1.93);

/// A detection that overlaps the face by more than this has found it.
const FOUND: f32 = 0.4;

/// Colours of the wall behind, at the top and at the bottom.
const WALL: [[f32; 3]; 2] = [[128.0, 138.0, 146.0], [98.0, 104.0, 108.0]];

/// An ellipse with a soft edge.
struct Blob {
    centre: [f32; 2],
    radii: [f32; 2],
    /// Width of the edge, in radii.
    softness: f32,
    opacity: f32,
    colour: [u8; 3],
}

const fn blob(centre: [f32; 2], radii: [f32; 2], [softness, opacity]: [f32; 2], colour: [u8; 3]) -> Blob {
    Blob { centre, radii, softness, opacity, colour }
}

/// The face from the back to the front: middle, radii (in half heights), softness and opacity, colour.
#[rustfmt::skip]
const BLOBS: [Blob; 39] = [
    blob([0.0, 1.75], [1.9, 0.75], [0.06, 1.0], [52, 62, 84]), // shoulders
    blob([0.0, 1.0], [0.42, 0.6], [0.06, 1.0], [176, 128, 100]), // neck
    blob([0.0, 0.86], [0.45, 0.25], [0.3, 0.6], [120, 80, 60]), // shadow below the chin
    blob([0.0, -0.28], [0.93, 1.02], [0.05, 1.0], [48, 34, 28]), // hair
    blob([-0.8, 0.05], [0.13, 0.24], [0.1, 1.0], [196, 146, 118]), // an ear
    blob([0.8, 0.05], [0.13, 0.24], [0.1, 1.0], [196, 146, 118]), // an ear
    blob([0.0, 0.08], [0.76, 0.98], [0.06, 1.0], [214, 164, 134]), // face
    blob([0.0, -0.55], [0.7, 0.36], [0.35, 0.6], [224, 178, 150]), // light on the forehead
    blob([-0.55, 0.25], [0.28, 0.55], [0.6, 0.55], [178, 124, 98]), // a hollow cheek
    blob([0.55, 0.25], [0.28, 0.55], [0.6, 0.55], [178, 124, 98]), // a hollow cheek
    blob([-0.36, 0.35], [0.2, 0.16], [0.8, 0.6], [226, 150, 128]), // a cheek
    blob([0.36, 0.35], [0.2, 0.16], [0.8, 0.6], [226, 150, 128]), // a cheek
    blob([-0.34, -0.12], [0.25, 0.16], [0.5, 0.75], [160, 108, 84]), // an eye's socket
    blob([0.34, -0.12], [0.25, 0.16], [0.5, 0.75], [160, 108, 84]), // an eye's socket
    blob([-0.35, -0.3], [0.24, 0.05], [0.4, 0.95], [60, 42, 34]), // a brow
    blob([0.35, -0.3], [0.24, 0.05], [0.4, 0.95], [60, 42, 34]), // a brow
    blob([-0.34, -0.1], [0.165, 0.078], [0.25, 1.0], [236, 232, 226]), // white of an eye
    blob([0.34, -0.1], [0.165, 0.078], [0.25, 1.0], [236, 232, 226]), // white of an eye
    blob([-0.34, -0.1], [0.082, 0.082], [0.2, 1.0], [62, 44, 34]), // an iris
    blob([0.34, -0.1], [0.082, 0.082], [0.2, 1.0], [62, 44, 34]), // an iris
    blob([-0.34, -0.1], [0.04, 0.04], [0.3, 1.0], [12, 10, 10]), // a pupil
    blob([0.34, -0.1], [0.04, 0.04], [0.3, 1.0], [12, 10, 10]), // a pupil
    blob([-0.315, -0.125], [0.018, 0.018], [0.5, 1.0], [250, 250, 250]), // a glint
    blob([0.365, -0.125], [0.018, 0.018], [0.5, 1.0], [250, 250, 250]), // a glint
    blob([-0.34, -0.165], [0.18, 0.035], [0.5, 0.9], [52, 36, 30]), // an upper lid
    blob([0.34, -0.165], [0.18, 0.035], [0.5, 0.9], [52, 36, 30]), // an upper lid
    blob([0.0, 0.1], [0.075, 0.3], [0.7, 0.7], [234, 188, 160]), // ridge of the nose
    blob([-0.1, 0.12], [0.045, 0.24], [0.8, 0.5], [170, 118, 94]), // a side of the nose
    blob([0.12, 0.12], [0.045, 0.24], [0.8, 0.6], [160, 110, 88]), // a side of the nose
    blob([0.0, 0.33], [0.17, 0.1], [0.5, 0.8], [208, 150, 122]), // tip of the nose
    blob([0.0, 0.4], [0.17, 0.045], [0.7, 0.7], [140, 90, 72]), // below the nose
    blob([-0.085, 0.385], [0.042, 0.026], [0.5, 0.9], [80, 46, 38]), // a nostril
    blob([0.085, 0.385], [0.042, 0.026], [0.5, 0.9], [80, 46, 38]), // a nostril
    blob([0.0, 0.53], [0.05, 0.06], [0.8, 0.6], [190, 134, 110]), // between nose and mouth
    blob([0.0, 0.625], [0.27, 0.058], [0.35, 0.95], [168, 84, 80]), // upper lip
    blob([0.0, 0.7], [0.22, 0.062], [0.4, 0.95], [190, 102, 96]), // lower lip
    blob([0.0, 0.655], [0.26, 0.017], [0.5, 0.95], [84, 36, 36]), // line of the mouth
    blob([0.0, 0.8], [0.18, 0.045], [0.7, 0.7], [166, 114, 90]), // below the lips
    blob([0.0, 0.93], [0.22, 0.1], [0.7, 0.5], [222, 172, 144]), // chin
];

/// The picture of the test face. Drawn once, at the first use.
pub struct TestFace {
    rgb: &'static [u8],
}

impl Default for TestFace {
    fn default() -> Self {
        Self::new()
    }
}

impl TestFace {
    /// The one there is.
    pub fn new() -> Self {
        static DRAWN: LazyLock<Vec<u8>> = LazyLock::new(draw);
        Self { rgb: &DRAWN }
    }

    /// The picture, for a detector.
    pub fn view(&self) -> View<'_> {
        View::Rgb { size: SIZE, bytes: self.rgb }
    }

    /// Where the face is, in the picture's pixels.
    pub fn place(&self) -> Rect {
        let Rect { x, y, w, h } = FACE;
        Rect::new(CENTRE.x + x * SCALE, CENTRE.y + y * SCALE, w * SCALE, h * SCALE)
    }

    /// Nothing is masked with a detector that does not find it.
    ///
    /// # Errors
    /// The detector does not, or fails.
    pub fn prove(detector: &mut Detector, deadline: Instant) -> Result<(), Fault> {
        let name = detector.model().manifest().name.clone();
        match Self::new().is_seen_by(detector, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(Fault::unavailable(format!("model {name} does not find the built-in test face: it is blind"))
                    .remedy("verify its file with visor models verify, or choose another detector"))
            }
            Err(error) => Err(Fault::unavailable(format!("model {name} fails on the built-in test face: {error}"))),
        }
    }

    /// Whether a detector finds it, where it is and at a score from which on a face is one.
    ///
    /// # Errors
    /// The detector fails.
    pub fn is_seen_by(&self, detector: &mut Detector, deadline: Instant) -> Result<bool, InferError> {
        let least = detector.settings().score;
        let found = detector.detect(self.view(), deadline)?;
        Ok(self.score(found).is_some_and(|score| score >= least))
    }

    /// The score that a detector gives it on a certain session, if it finds it where it is.
    ///
    /// # Errors
    /// The detector fails.
    pub fn score_on(&self, seat: &mut Seat<'_>, detector: &mut Detector) -> Result<Option<f32>, InferError> {
        detector.detect_on(seat, self.view()).map(|found| self.score(found))
    }

    /// Whether a face of such a score, and of its extent, is one to a detector with these settings.
    pub fn counts(&self, score: f32, settings: &Settings) -> bool {
        let Rect { w, h, .. } = self.place();
        score >= settings.score && w.min(h) >= settings.min_face_px
    }

    fn score(&self, found: &[Detection]) -> Option<f32> {
        let here = found.iter().filter(|face| face.rect.iou(self.place()) > FOUND);
        here.map(|face| face.score).max_by(f32::total_cmp)
    }
}

fn draw() -> Vec<u8> {
    let (width, height) = (SIZE.width, SIZE.height);
    let pixel = |n: u32| shade((n % width) as f32 + 0.5, (n / width) as f32 + 0.5);
    (0..width * height).flat_map(pixel).collect()
}

/// The colour of one pixel.
fn shade(x: f32, y: f32) -> [u8; 3] {
    let down = y / SIZE.height as f32;
    let mut colour: [f32; 3] = std::array::from_fn(|c| WALL[0][c] * (1.0 - down) + WALL[1][c] * down);
    let (x, y) = ((x - CENTRE.x) / SCALE, (y - CENTRE.y) / SCALE);
    for Blob { centre, radii, softness, opacity, colour: paint } in &BLOBS {
        let (across, along) = ((x - centre[0]) / radii[0], (y - centre[1]) / radii[1]);
        if across.abs().max(along.abs()) >= 1.0 + softness / 2.0 {
            continue;
        }
        let distance = across.hypot(along);
        let edge = ((1.0 + softness / 2.0 - distance) / softness).clamp(0.0, 1.0);
        let share = edge * edge * (3.0 - 2.0 * edge) * opacity;
        for (value, paint) in colour.iter_mut().zip(paint) {
            *value += (f32::from(*paint) - *value) * share;
        }
    }
    colour.map(|value| value.round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_face_is_inside_its_picture() {
        let face = TestFace::new();
        assert_eq!(face.rgb.len() as u64, SIZE.pixels() * 3);
        assert_eq!(face.place().clamped(SIZE), face.place());
    }
}
