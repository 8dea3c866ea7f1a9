//! Best shots of tracks, as pictures for people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
