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
    /// default 0.8.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sure_score: f32,
    /// Detections from this score on may continue any track, 0 to 1. Default 0.7.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub high_score: f32,
    /// Detections from this score on may continue a followed track that no better one explains, 0 to 1. Default 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub low_score: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            algorithm: super::ALGORITHMS[0].name.into(),
            confirm_after: Period::millis(200),
            max_lost: Period::secs(3),
            sure_score: 0.8,
            high_score: 0.7,
            low_score: 0.3,
        }
    }
}

impl Config {
    /// A tracker of the chosen algorithm that has seen nothing yet; of the default one where the name is unknown,
    /// which a resolved configuration rules out.
    pub fn build(&self) -> Box<dyn super::Tracker> {
        super::Algorithm::by_name(&self.algorithm).unwrap_or(&super::ALGORITHMS[0]).build(self)
    }
}
