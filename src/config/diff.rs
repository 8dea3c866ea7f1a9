//! What a reload has to do: the difference of two resolved settings.

use std::fmt;

use super::Resolved;

/// What differs. What is not named here goes on untouched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Another library, model, input or provider: to be loaded first, then swapped between frames.
    pub models: bool,
    /// Another embedder, or none: loaded first, then swapped with a gallery made by it.
    pub embedder: bool,
    /// Another gallery, or other settings for it.
    pub gallery: bool,
    /// Another broker, or other settings or secrets for it.
    pub mqtt: bool,
    /// Other receivers of webhooks, or other settings or secrets for them.
    pub webhooks: bool,
    /// Events are logged now, or no more.
    pub log: bool,
    /// Another address or other tokens.
    pub http: bool,
    /// Another address, other users or another certificate for masked video; or no server where there was one.
    pub restream: bool,
    /// Ids of cameras that are new.
    pub added: Vec<String>,
    /// Ids of cameras that are gone.
    pub removed: Vec<String>,
    /// Ids of cameras whose settings differ.
    pub changed: Vec<String>,
}

impl Changes {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// For logs: `http, added side back, removed hall`; `nothing`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("models", self.models),
            ("embedder", self.embedder),
            ("gallery", self.gallery),
            ("mqtt", self.mqtt),
            ("webhooks", self.webhooks),
            ("log", self.log),
            ("http", self.http),
            ("restream", self.restream),
        ];
        let parts = parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned());
        let cameras = [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)];
        let cameras = cameras.into_iter().filter(|(_, ids)| !ids.is_empty());
        let all: Vec<String> = parts.chain(cameras.map(|(verb, ids)| format!("{verb} {}", ids.join(" ")))).collect();
        f.write_str(if all.is_empty() { "nothing" } else { "" })?;
        f.write_str(&all.join(", "))
    }
}

/// What it takes to go from `old` to `new`.
pub fn diff(old: &Resolved, new: &Resolved) -> Changes {
    let ids =
        |of: &Resolved, keep: &dyn Fn(&String) -> bool| of.cameras.keys().filter(|id| keep(id)).cloned().collect();
    let runtime = old.models.runtime_differs(&new.models);
    Changes {
        models: runtime || old.detector != new.detector || old.input != new.input,
        embedder: runtime || old.embedder != new.embedder,
        gallery: old.gallery != new.gallery,
        mqtt: old.mqtt != new.mqtt,
        webhooks: old.webhooks != new.webhooks,
        log: old.log != new.log,
        http: old.http != new.http,
        restream: old.restream != new.restream,
        added: ids(new, &|id| !old.cameras.contains_key(id)),
        removed: ids(old, &|id| !new.cameras.contains_key(id)),
        changed: ids(new, &|id| old.cameras.get(id).is_some_and(|camera| camera != &new.cameras[id])),
    }
}
