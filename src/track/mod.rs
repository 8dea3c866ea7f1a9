//! Detections of successive frames joined to tracks. Times are in seconds of the stream, never in frames.
//!
//! | module | what happens there |
//! |---|---|
//! | [`kalman`] | how a coordinate moves, and how sure that is |
//! | [`assign`] | which detection goes to which track, optimally |
//! | [`motion`] | how a box moves on the clock of the stream |
//! | [`camera`] | whether the picture moved as a whole |
//! | [`cascade`] | association in passes |
//! | [`layout`] | faces that change places all at once |
//! | [`look`] | what a face looks like in small |
//! | [`roster`] | the live tracks and their life cycle |
//! | [`mot`] | detections and tracks as text |
//! | [`synthetic`] | a made-up crowd for benchmark and tests |
//! | [`algorithms`] | a file and a table line each |

use std::time::Duration;

use crate::detect::Detection;
use crate::geometry::{Point, Rect, Size};

pub mod algorithms;
pub mod assign;
pub mod camera;
pub mod cascade;
pub mod kalman;
pub mod layout;
pub mod look;
pub mod mot;
pub mod motion;
pub mod roster;
pub mod synthetic;

mod config;

pub use algorithms::{ALGORITHMS, Algorithm};
pub use config::{Config, Scores};

/// Where a track is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackState {
    /// Seen too little to be announced.
    Tentative,
    /// A face that is being followed.
    Confirmed,
    /// Confirmed earlier, not matched now; may come back.
    Lost,
}

/// One face followed over time.
#[derive(Clone, Debug)]
pub struct Track {
    /// Unique within its tracker; counts up from 1.
    pub id: u64,
    /// Where it is now (predicted while lost), in frame pixels.
    pub rect: Rect,
    /// Movement of the box's centre, in pixels a second.
    pub velocity: Point,
    /// Tentative, confirmed or lost.
    pub state: TrackState,
    /// The detection matched in this analysis; `None` while coasting or lost.
    pub detection: Option<Detection>,
    /// Score of the last matched detection.
    pub score: f32,
    /// Stream time of its first detection.
    pub first_seen: Duration,
    /// Stream time of its last matched detection.
    pub last_seen: Duration,
    /// Number of matched detections.
    pub hits: u32,
}

/// A small grey picture (area-averaged luma) by which a tracker may see the camera move.
#[derive(Clone, Copy, Debug)]
pub struct Thumbnail<'a> {
    /// Columns and rows of `luma`.
    pub size: Size,
    /// One byte a pixel, row-major, no padding.
    pub luma: &'a [u8],
}

/// What a tracker is told of one analysed frame.
#[derive(Clone, Copy, Debug)]
pub struct Analysis<'a> {
    /// Stream time; never goes back between two calls.
    pub at: Duration,
    /// Size of the frame that boxes refer to.
    pub frame_size: Size,
    /// All detections down to the detector's low score, in no order.
    pub detections: &'a [Detection],
    /// The frame in small, where the caller has it.
    pub thumbnail: Option<Thumbnail<'a>>,
}

/// A tracking algorithm: single owner, no allocation per call once warm.
pub trait Tracker: Send {
    /// Takes in one analysis. Must be called for each analysed frame, also an empty one: tracks age by it.
    fn update(&mut self, analysis: Analysis<'_>);

    /// All live tracks (tentative, confirmed and lost) after the last update.
    fn tracks(&self) -> &[Track];

    /// Confirmed tracks that ended for good in the last update.
    fn ended(&self) -> &[Track];
}

#[cfg(test)]
mod tests;
