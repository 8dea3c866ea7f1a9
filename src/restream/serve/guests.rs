//! Who is connected.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_rtsp_server::RTSPClient;
use gstreamer_rtsp_server::prelude::*;

use crate::clock::Monotonic;

/// Connections at once; one more is closed as it comes. Each has a thread, so that none waits for another's mount.
const CONNECTIONS: usize = 100;

/// How long one may be without a session: before a player has set one up, and after its end. Who has no password never
/// has one.
const IDLE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Guests {
    connected: Mutex<Vec<Guest>>,
}

struct Guest {
    client: glib::WeakRef<RTSPClient>,
    /// When it came, or last had a session.
    active: Monotonic,
}

impl Guests {
    /// Takes note of somebody who has connected; false where there are too many.
    pub fn admit(&self, client: &RTSPClient) -> bool {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        connected.retain(|guest| guest.client.upgrade().is_some());
        let room = connected.len() < CONNECTIONS;
        if room {
            connected.push(Guest { client: client.downgrade(), active: Monotonic::now() });
        }
        room
    }

    /// Forgets somebody who has hung up.
    pub fn forget(&self, client: &RTSPClient) {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        connected.retain(|guest| guest.client.upgrade().is_some_and(|known| known != *client));
    }

    /// Those who have been here for long and have not made use of it.
    pub fn idle(&self) -> Vec<RTSPClient> {
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Monotonic::now();
        let mut idle = Vec::new();
        for guest in connected.iter_mut() {
            let Some(client) = guest.client.upgrade() else { continue };
            if !client.session_filter(None).is_empty() {
                guest.active = now;
            } else if now.since(guest.active) > IDLE {
                idle.push(client);
            }
        }
        idle
    }
}
