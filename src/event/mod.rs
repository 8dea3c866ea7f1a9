//! What is said to the outside: an analysed frame ([`Observation`]) becomes drafts of [`Event`]s in a [`Journal`]; a
//! sink hub later gives them their gapless numbers.

mod filter;
#[cfg(test)]
pub(crate) mod fixture;
mod journal;
mod message;
mod zone;

use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::frame::Stamp;
use crate::geometry::Size;
use crate::recognise::Verdict;
use crate::track::Track;

pub use filter::Filter;
pub use journal::{DEFAULT_UPDATE_INTERVAL, Journal, Settings, TrackNumbers};
pub use message::{Draft, Event, Fractions, Identity, LatencyMs, Models, Number, SCHEMA, Status};
pub use zone::{Zone, ZoneConfig};

/// A camera's tracks at one instant, and the proof that this frame was analysed.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// Counts the source's frames, from 0.
    pub number: u64,
    /// When the analysed frame was taken.
    pub stamp: Stamp,
    /// The frame that boxes refer to.
    pub frame_size: Size,
    /// Live tracks: tentative, confirmed and lost.
    pub tracks: &'a [Track],
    /// Confirmed tracks that ended with this analysis.
    pub ended: &'a [Track],
    /// Who the tracks are; empty where recognition is off.
    pub identities: &'a [Verdict],
    /// The model that they rest on; `None` where recognition is off.
    pub embedder: Option<&'a str>,
    /// Where the time went.
    pub latency: Latency,
}

/// Time spent on one frame, by stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latency {
    /// Coded picture's arrival to decoded frame, where known.
    pub decode: Option<Duration>,
    /// Input and model run and decoding of its output.
    pub detect: Duration,
    /// Association.
    pub track: Duration,
    /// Embedding and search; `None` where recognition is off.
    pub recognise: Option<Duration>,
}

/// What happened, to a track if nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// A face was confirmed.
    Started,
    /// It was given a name, or found to be a stranger.
    Identified,
    /// Its name changed.
    Revised,
    /// Its name was taken back.
    Retracted,
    /// It moved on; no more often than the camera's `update_interval`.
    Updated,
    /// It is gone.
    Ended,
    /// To no track: a detector found a face in the camera's masked video.
    FaceSeen,
}

impl EventType {
    /// Each of them.
    pub const ALL: [Self; 7] =
        [Self::Started, Self::Identified, Self::Revised, Self::Retracted, Self::Updated, Self::Ended, Self::FaceSeen];

    /// The one that events call `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word that stands for it in an event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Identified => "identified",
            Self::Revised => "revised",
            Self::Retracted => "retracted",
            Self::Updated => "updated",
            Self::Ended => "ended",
            Self::FaceSeen => "face_seen",
        }
    }
}

/// Wall-clock time as events carry it: RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |t| format!("{t:.3}"))
}
