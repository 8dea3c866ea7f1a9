//! What a user can set about tracking.

use serde::{Deserialize, Serialize};

use crate::units::Period;

/// `[track]`: how faces are followed. The published algorithms have constants of their own: all but `algorithm` is
/// for `visor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Algorithm by name: `visor`, `sort` or `bytetrack`. Default `visor`.
    pub algorithm: String,
    /// How long a new face must have been seen before its track is announced, at a score of `sure_score`; at least twice,
    /// and the surer the detector is, the sooner. A length of time; default `200ms`.
    pub confirm_after: Period,
    /// How long a track that is not seen any more may still be taken up again. A length of time; default `3s`.
    pub max_lost: Period,
    /// Detections from this score on may open a track, and a track is announced while its score stays up here. 0 to 1;
    /// default: three fifths of the way from the detector's own `score` to 1 (0.8 for yunet-n).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sure_score: Option<f32>,
    /// Detections from this score on may continue any track, 0 to 1. Default: two fifths of that way (0.7 for yunet-n).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub high_score: Option<f32>,
    /// Detections from this score on may continue a followed track that no better one explains, 0 to 1. Default: three
    /// fifths of the detector's `score` (0.3 for yunet-n).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub low_score: Option<f32>,
}

/// The score from which on a detector is taken to mean it, where none is named.
const USUAL_DETECTOR_SCORE: f32 = 0.5;

/// Scores by which the default tracker tells detections apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// From here on a track may be opened and is announced.
    pub sure: f32,
    /// From here on any track may be continued.
    pub high: f32,
    /// From here on a followed track may be continued.
    pub low: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            algorithm: super::ALGORITHMS[0].name.into(),
            confirm_after: Period::millis(200),
            max_lost: Period::secs(3),
            sure_score: None,
            high_score: None,
            low_score: None,
        }
    }
}

impl Config {
    /// These settings for a detector that takes a face for one from `score` on: detectors differ in what they call sure.
    #[must_use]
    pub fn for_detector(&self, score: f32) -> Self {
        let towards_one = |share: f32| score + share * (1.0 - score);
        Self {
            sure_score: self.sure_score.or(Some(towards_one(0.6))),
            high_score: self.high_score.or(Some(towards_one(0.4))),
            low_score: self.low_score.or(Some(score * 0.6)),
            ..self.clone()
        }
    }

    /// The scores in force; those of a usual detector where nothing else is known.
    pub fn scores(&self) -> Scores {
        let Self { sure_score, high_score, low_score, .. } = self.for_detector(USUAL_DETECTOR_SCORE);
        Scores { sure: sure_score.unwrap_or(1.0), high: high_score.unwrap_or(1.0), low: low_score.unwrap_or(1.0) }
    }

    /// A tracker of the chosen algorithm that has seen nothing yet; of the default one where the name is unknown,
    /// which a resolved configuration rules out.
    pub fn build(&self) -> Box<dyn super::Tracker> {
        super::Algorithm::by_name(&self.algorithm).unwrap_or(&super::ALGORITHMS[0]).build(self)
    }
}
