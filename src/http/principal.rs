//! Who asks, and what they may.

use std::collections::BTreeSet;
use std::fmt;
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

impl Role {
    /// The role of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Operator, Self::Admin].into_iter().find(|role| role.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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

    /// As a line of a file says: a role (of none: viewer), and ids of cameras with commas between them (of none: all).
    ///
    /// # Errors
    /// What is wrong, without quoting what may be part of a secret.
    pub fn parse(role: Option<&str>, cameras: Option<&str>) -> Result<Self, &'static str> {
        let role = match role {
            None => Role::Viewer,
            Some(name) => Role::by_name(name).ok_or("a role is viewer, operator or admin")?,
        };
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(plain);
        let cameras = match cameras.map(|list| list.split(',').map(str::trim)) {
            None => None,
            Some(mut ids) if ids.clone().all(is_id) => {
                Some(Arc::new(ids.by_ref().map(str::to_owned).collect::<BTreeSet<_>>()))
            }
            Some(_) => return Err("cameras are ids with commas between them, such as front,back"),
        };
        Ok(Self { role, cameras })
    }

    /// Whether `camera` exists for them.
    pub fn sees(&self, camera: &str) -> bool {
        self.cameras.as_ref().is_none_or(|cameras| cameras.contains(camera))
    }
}
