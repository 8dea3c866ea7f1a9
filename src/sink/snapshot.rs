//! Best shots of tracks, as pictures for people.
//!
//! Each analysis judges its faces: one that is markedly better than those before is to be photographed (`lens`). Masked
//! pictures are cut out of the very frame once it is released (`photographer`), clear ones out of the frame at once. The
//! best one of each track waits in an album, and a thread of its own encodes and publishes what is due ([`Studio`]).

mod album;
mod crop;
mod lens;
mod photographer;
mod studio;

use std::sync::Arc;
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use crop::Crop;
pub use lens::Lens;
pub use photographer::Photographer;
pub use studio::Studio;

/// Whether best shots are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Snapshots {
    /// Not at all.
    #[default]
    Off,
    /// Out of masked frames.
    Masked,
    /// With the face, although what else goes out may be masked: a decision that the configuration must spell out.
    Clear,
}

/// A track's best shot, head and shoulders.
#[derive(Debug)]
pub struct Snapshot {
    /// The camera's id.
    pub camera: Arc<str>,
    /// The track, as events name it.
    pub track: Arc<str>,
    /// Who it is taken to be: goes with what is known of that person.
    pub person: Option<Arc<str>>,
    /// When it was taken.
    pub captured_at: SystemTime,
    /// The picture.
    pub jpeg: Vec<u8>,
}

/// Counts a best shot that nobody gets to see.
pub(super) fn drop_one(camera: &str, reason: &'static str) {
    metrics::counter!(crate::metrics::SNAPSHOTS_DROPPED, "camera" => camera.to_owned(), "reason" => reason)
        .increment(1);
}
