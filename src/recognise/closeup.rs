//! Faces of a still, where there is time to look twice.
//!
//! Detectors are made for faces of some sizes. A face that fills the whole picture, whether that has 23 pixels across or
//! 7000, is too large once the picture is scaled to the model's input, and one in a large group is too small; it may be
//! missed, and its landmarks are less exact, which costs recognition more than anything else.

use std::time::Instant;

use super::align::Affine;
use super::landmarks::Landmarker;
use super::quality;
use super::warp::Warper;
use super::{Embedder, Embedding, Quality};
use crate::detect::{Detection, Detector, ToChannels, View, Writer};
use crate::geometry::{Point, Rect};
use crate::infer::manifest::{Channels, InputSpec, Kind, Layout, Resize};
use crate::infer::{InferError, Values};

/// A face's box in the second look, as a share of the input's shorter side: detectors are most exact about there.
const BEST_SHARE: f32 = 0.3;

/// A face that is this share of it in the whole picture is not looked at again.
const GOOD_SHARES: std::ops::Range<f32> = 0.12..0.6;

/// Two boxes of one face overlap at least so much (IoU).
const SAME: f32 = 0.4;

/// Finds the faces of stills; looks twice where it helps.
pub struct Closeup {
    detector: Detector,
    landmarker: Option<Landmarker>,
    warper: Warper,
    spec: InputSpec,
    canvas: Values,
}

/// The largest face of a still.
pub struct Portrait {
    /// Where it is.
    pub face: Detection,
    /// As numbers.
    pub embedding: Embedding,
    /// How fit it is for recognition.
    pub quality: Quality,
    /// How many faces the picture shows.
    pub of: usize,
}

impl Portrait {
    /// Of the first of a still's `faces`; `None` where there is none.
    ///
    /// # Errors
    /// The model failed or was not done by the deadline, or the face has no landmarks.
    pub fn of(
        faces: &[Detection],
        embedder: &mut Embedder,
        view: View<'_>,
        deadline: Instant,
    ) -> Result<Option<Self>, LookError> {
        let Some(&face) = faces.first() else { return Ok(None) };
        let quality = quality::assess(view, &face, faces, &quality::Config::default());
        let landmarks = face.landmarks.ok_or(LookError::NoLandmarks)?;
        let embedding = embedder.embed(view, &[landmarks], deadline)?.pop();
        let embedding = embedding.ok_or_else(|| InferError::Shape("no embedding for a face".into()))?;
        Ok(Some(Self { face, embedding, quality, of: faces.len() }))
    }
}

/// Why a still could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// A model failed, or was not done by the deadline.
    #[error("{0}")]
    Infer(#[from] InferError),
    /// Without landmarks a face cannot be aligned.
    #[error("the detector gives no landmarks, and there is no model for them")]
    NoLandmarks,
}

impl Closeup {
    /// Finds faces with `detector`; the landmarker is for one that gives no landmarks.
    pub fn new(detector: Detector, landmarker: Option<Landmarker>) -> Self {
        let spec = InputSpec {
            name: String::new(),
            layout: Layout::Nhwc,
            channels: Channels::Rgb,
            kind: Kind::U8,
            mean: [0.0; 3],
            scale: [1.0; 3],
            size: [0, 0],
            multiple_of: None,
            resize: Resize::Stretch,
        };
        Self { detector, landmarker, warper: Warper::default(), spec, canvas: Values::none(Kind::U8) }
    }

    /// What finds the faces.
    pub fn detector(&mut self) -> &mut Detector {
        &mut self.detector
    }

    /// The largest face of a still; `None` where there is none.
    ///
    /// # Errors
    /// A model failed or was not done by the deadline, or the face has no landmarks.
    pub fn portrait(
        &mut self,
        embedder: &mut Embedder,
        view: View<'_>,
        deadline: Instant,
    ) -> Result<Option<Portrait>, LookError> {
        let faces = self.faces(view, deadline)?;
        Portrait::of(&faces, embedder, view, deadline)
    }

    /// The faces of a still that reach the detector's score, largest first: found in the whole picture, and
    /// looked at again at the size that suits the detector best where they were much larger or smaller. Where none is
    /// found, the whole picture may be a face.
    pub fn faces<'a>(&mut self, view: impl Into<View<'a>>, deadline: Instant) -> Result<Vec<Detection>, InferError> {
        let view = view.into();
        let least = self.detector.settings().score;
        let sure = |face: &Detection| face.score >= least;
        let mut faces = self.detector.detect(view, deadline)?.to_vec();
        faces.retain(sure);
        let (size, input) = (view.size(), self.detector.size());
        let side = input.width.min(input.height) as f32 * self.detector.map(size).point(Point::new(1.0, 1.0)).y;
        for face in &mut faces {
            if !GOOD_SHARES.contains(&(face.rect.w.max(face.rect.h) / side)) {
                let again = self.look(view, face.rect, deadline)?;
                let same = again.into_iter().filter(|other| other.rect.iou(face.rect) > SAME);
                *face = same.max_by(|a, b| a.score.total_cmp(&b.score)).unwrap_or(*face);
            }
        }
        if faces.is_empty() {
            let whole = Rect::new(0.0, 0.0, size.width as f32, size.height as f32);
            faces = self.look(view, whole, deadline)?;
            faces.retain(sure);
        }
        if let Some(landmarker) = &mut self.landmarker {
            landmarker.complete(view, &mut faces, deadline)?;
        }
        faces.sort_by(|a, b| b.rect.area().total_cmp(&a.rect.area()));
        Ok(faces)
    }

    /// The faces around `rect`, which becomes [`BEST_SHARE`] of the detector's input.
    fn look(&mut self, view: View<'_>, rect: Rect, deadline: Instant) -> Result<Vec<Detection>, InferError> {
        let size = self.detector.size();
        let step = rect.w.max(rect.h) / (BEST_SHARE * size.width.min(size.height) as f32);
        let (centre, middle) = (rect.centre(), (size.width as f32 / 2.0, size.height as f32 / 2.0));
        let place = Affine {
            origin: Point::new(centre.x - step * middle.0, centre.y - step * middle.1),
            across: Point::new(step, 0.0),
            down: Point::new(0.0, step),
        };
        self.canvas.resize(3 * size.pixels() as usize);
        let colour = ToChannels::new(view, &self.spec);
        self.warper.fill(view, &place, &colour, Writer::new(&self.spec, size, &mut self.canvas, 0));
        let Values::U8(bytes) = &self.canvas else { return Ok(Vec::new()) };
        let found = self.detector.detect(View::Rgb { size, bytes }, deadline)?;
        Ok(found.iter().map(|face| in_picture(face, &place, step)).collect())
    }
}

/// A face in the picture's pixels instead of the canvas's.
fn in_picture(face: &Detection, place: &Affine, step: f32) -> Detection {
    let corner = place.at(face.rect.x, face.rect.y);
    Detection {
        rect: Rect::new(corner.x, corner.y, face.rect.w * step, face.rect.h * step),
        score: face.score,
        landmarks: face.landmarks.map(|points| points.map(|p| place.at(p.x, p.y))),
    }
}
