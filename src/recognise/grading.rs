//! The faces of a picture as answers show them.

use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::quality;
use super::{Quality, Reason};
use crate::detect::{Detection, Detector, View};
use crate::infer::InferError;

/// A face, in pixels of the picture as a viewer sees it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct GradedFace {
    /// Left edge, top edge, width and height.
    #[serde(rename = "box")]
    pub rect: [f32; 4],
    /// The detector's confidence, 0 to 1.
    pub score: f32,
    /// Image-left eye, image-right eye, nose tip, image-left and image-right mouth corner; null where the detector gives
    /// none.
    pub landmarks: Option<[[f32; 2]; 5]>,
    /// How fit for recognition, 0 to 1.
    pub quality: f32,
    /// Why recognition does not use it; null where it does.
    pub reason: Option<Reason>,
}

impl GradedFace {
    /// `face`, rounded: tenths of a pixel, four decimals of a share.
    pub fn new(face: &Detection, quality: Quality) -> Self {
        let tenth = |v: f32| (v * 10.0).round() / 10.0;
        let rect = face.rect;
        Self {
            rect: [rect.x, rect.y, rect.w, rect.h].map(tenth),
            score: fourth(face.score),
            landmarks: face.landmarks.map(|points| points.map(|p| [tenth(p.x), tenth(p.y)])),
            quality: fourth(quality.score),
            reason: quality.reason,
        }
    }
}

/// Four decimals.
pub fn fourth(value: f32) -> f32 {
    (value * 1e4).round() / 1e4
}

/// The faces that `detector` finds in a picture and that reach its score, strongest first.
///
/// # Errors
/// The model failed, or was not done by the deadline.
pub fn grade(view: View<'_>, detector: &mut Detector, deadline: Instant) -> Result<Vec<GradedFace>, InferError> {
    let least = detector.settings().score;
    let found = detector.detect(view, deadline)?;
    let faces: Vec<Detection> = found.iter().filter(|face| face.score >= least).copied().collect();
    let demands = quality::Config::default();
    Ok(faces.iter().map(|face| GradedFace::new(face, quality::assess(view, face, &faces, &demands))).collect())
}
