//! What a user sets about detection for a camera, and what follows from it for a model.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::infer::Manifest;

/// The low score as a share of the score, where the user sets none.
const LOW_SHARE: f32 = 0.6;

/// When frames are analysed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// At the camera's analysis rate.
    #[default]
    Always,
    /// At that rate while something moves or a face is being followed, and every few seconds otherwise.
    Motion,
}

/// A camera's detection settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// When frames are analysed: `"always"` or `"motion"`. Default: `"always"`.
    pub detect: Mode,
    /// Least length of a face's shorter side, in pixels of the frame; smaller ones are ignored. Default: 0, all that the
    /// model finds.
    #[schemars(range(min = 0.0))]
    pub min_face_px: f32,
    /// Least score at which a face is new, 0 to 1. Default: the model's own.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: Option<f32>,
    /// Least score at which a face that is being followed is still seen, 0 to 1. Default: 0.6 of `score`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub low_score: Option<f32>,
}

/// What a detector works with; everything resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Least score of a face by itself.
    pub score: f32,
    /// Least score of what is returned at all, for a tracker's second pass.
    pub low_score: f32,
    /// Overlap (IoU) beyond which two boxes are one face.
    pub nms: f32,
    /// Least length of a box's shorter side, in frame pixels.
    pub min_face_px: f32,
}

impl Settings {
    /// The model's own thresholds where the user sets none.
    pub fn new(config: &Config, manifest: &Manifest) -> Result<Self, Fault> {
        let score = config.score.unwrap_or(manifest.thresholds.score);
        let low_score = config.low_score.unwrap_or(score * LOW_SHARE);
        let settings = Self { score, low_score, nms: manifest.thresholds.nms, min_face_px: config.min_face_px };
        let share = |key: &str, value: f32| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(Fault::config(format!("{key} = {value} is not between 0 and 1"))),
        };
        share("score", score)?;
        share("low_score", low_score)?;
        if low_score > score {
            return Err(Fault::config(format!("low_score = {low_score} is greater than score = {score}")));
        }
        if !(config.min_face_px >= 0.0 && config.min_face_px.is_finite()) {
            return Err(Fault::config(format!("min_face_px = {} is not a length", config.min_face_px)));
        }
        Ok(settings)
    }
}
