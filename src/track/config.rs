//! What a user can set about tracking.

use serde::{Deserialize, Serialize};

use crate::units::Period;

/// `[track]`: how faces are followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Algorithm by name: `visor`, `sort` or `bytetrack`. Default `visor`.
    pub algorithm: String,
    /// How long a new face must have been seen, and at least twice, before its track is announced. A length of time;
    /// default `200ms`.
    pub confirm_after: Period,
    /// How long a track that is not seen any more may still be taken up again. A length of time; default `3s`.
    pub max_lost: Period,
    /// Detections from this score on may open a track, 0 to 1. Default 0.6.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub high_score: f32,
    /// Detections from this score on may continue a track that no better one explains, 0 to 1. Default 0.3.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub low_score: f32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            algorithm: super::ALGORITHMS[0].name.into(),
            confirm_after: Period::millis(200),
            max_lost: Period::secs(3),
            high_score: 0.6,
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
