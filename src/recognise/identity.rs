//! Who a track is, and why not.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::Embedding;

/// Why a face was not used, or a track has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Recognition is switched off, or there is no model for it.
    RecognitionOff,
    /// Too few pixels between the eyes.
    TooSmall,
    /// No fine detail.
    TooBlurred,
    /// Not facing the camera.
    TurnedAway,
    /// Too dark or too bright to tell features.
    BadlyExposed,
    /// Another face, or the edge of the picture, covers part of it.
    Occluded,
    /// Looks like nobody in the gallery enough.
    BelowThreshold,
    /// Looks like two people of the gallery.
    Ambiguous,
}

impl Reason {
    /// The word that stands for it in an event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecognitionOff => "recognition_off",
            Self::TooSmall => "too_small",
            Self::TooBlurred => "too_blurred",
            Self::TurnedAway => "turned_away",
            Self::BadlyExposed => "badly_exposed",
            Self::Occluded => "occluded",
            Self::BelowThreshold => "below_threshold",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// How fit a face is for recognition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// 0 (useless) to 1 (excellent).
    pub score: f32,
    /// Why the face is not used; `None` where it is.
    pub reason: Option<Reason>,
}

/// Who a track is.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// Not known (yet).
    Undecided {
        /// What stands in the way; `None` while too little was seen.
        reason: Option<Reason>,
    },
    /// A person of the gallery.
    Known {
        /// The person's id.
        person: Arc<str>,
        /// The person's display name.
        name: Arc<str>,
        /// Cosine similarity to the person's nearest reference.
        score: f32,
        /// Distance of `score` to the next person's; `None` in a gallery of one.
        margin: Option<f32>,
    },
    /// Nobody of the gallery, called by an alias for some time.
    Stranger {
        /// `visitor-7`; the same face gets the same alias on every camera until it expires.
        alias: Arc<str>,
        /// Cosine similarity to the most similar person of the gallery; `None` where it is empty.
        score: Option<f32>,
    },
}

impl Identity {
    /// The identity of everyone while recognition is off.
    pub const OFF: Self = Self::Undecided { reason: Some(Reason::RecognitionOff) };
}

/// What became of a track's identity in one analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is decided, for the first time or again: a person's name or a stranger's alias.
    Identified,
    /// It is decided otherwise than before.
    Revised,
    /// It was decided and is so no more.
    Retracted,
}

/// Who a track is at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The track's id, unique within its tracker.
    pub track: u64,
    /// Who it is, as far as is known.
    pub identity: Identity,
    /// Fitness of its face in this frame; `None` where none was looked at.
    pub quality: Option<Quality>,
    /// Whether the box may show somebody else by now: until a face is looked at again, `identity` is what was so before.
    pub doubtful: bool,
    /// What this analysis changed; `None` where all is as it was.
    pub change: Option<Change>,
    /// Stream time of the last face that by itself said the same as `identity`; `None` where nothing does so for certain
    /// at present. Only [watched](super::Vigil) tracks are asked often enough for this to be recent.
    pub verified: Option<Duration>,
    /// The person's tags, where verified.
    pub tags: Arc<[String]>,
    /// What its faces say together; `None` before the first that was usable, and while it is out of sight.
    pub impression: Option<Impression>,
}

/// What was seen of somebody: enough to know them by, if somebody says who it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Impression {
    /// All faces of the track so far, fused.
    pub face: Arc<Embedding>,
    /// Fitness of the best of them, 0 to 1.
    pub quality: f32,
}
