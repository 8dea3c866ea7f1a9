//! Who asks, and what they may.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What somebody may do; each may also do what those before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look on: cameras as they are masked, events, who is there.
    Viewer,
    /// Put pictures before the engine, and change who is known.
    Operator,
    /// Change cameras, and erase.
    Admin,
}

/// Who asks. Each request that the guard lets through carries one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What they may do.
    pub role: Role,
    /// The cameras that exist for them; `None`: all.
    pub cameras: Option<Arc<BTreeSet<String>>>,
}

impl Principal {
    /// Whoever is on this machine, where no token is asked for.
    pub const LOCAL: Self = Self { role: Role::Admin, cameras: None };

    /// Whether `camera` exists for them.
    pub fn sees(&self, camera: &str) -> bool {
        self.cameras.as_ref().is_none_or(|cameras| cameras.contains(camera))
    }
}
