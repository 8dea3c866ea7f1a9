//! The way of masked video out of the daemon.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::config::Resolved;
use crate::fault::Fault;
use crate::sink::restream::{Mount, Outlet, Restream};

/// A camera's outlet. It stays mounted while the camera's threads are replaced, so that players stay connected.
pub(super) type Shared = Arc<Mutex<Outlet>>;

/// The server, if any camera's video goes out, and what is mounted there.
#[derive(Default)]
pub(super) struct Outlets {
    // unmounted first
    mounted: BTreeMap<String, (Mount, Shared)>,
    server: Option<Restream>,
}

impl Outlets {
    /// The server that `settings` ask for, where there is none yet.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn lacking(&self, settings: &Resolved) -> Result<Option<Restream>, Fault> {
        settings.restream.clone().filter(|_| self.server.is_none()).map(Restream::start).transpose()
    }

    /// Serves as `settings` say, by the server that was `lacking`. What is mounted for cameras that are gone, or served no more, is
    /// unmounted.
    pub fn apply(&mut self, settings: &Resolved, lacking: Option<Restream>) {
        let mount = |id: &String| settings.cameras.get(id).filter(|camera| camera.enabled)?.restream.as_ref();
        self.mounted.retain(|id, (mounted, _)| mount(id) == Some(mounted));
        match &settings.restream {
            Some(settings) => {
                if let Some(lacking) = lacking {
                    self.server = Some(lacking);
                } else if let Some(server) = &self.server {
                    server.apply(settings.clone());
                }
            }
            None => self.server = None,
        }
    }

    /// Where players can connect; `None` while they cannot.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.server.as_ref()?.listening()
    }

    /// The outlet of a camera whose video goes out.
    pub fn of(&mut self, id: &str, mount: Option<&Mount>) -> Option<Shared> {
        let (server, mount) = (self.server.as_ref()?, mount?);
        let make = || (mount.clone(), Arc::new(Mutex::new(server.mount(id, mount.clone()))));
        Some(Arc::clone(&self.mounted.entry(id.to_owned()).or_insert_with(make).1))
    }
}
