//! The media that a mount's players share.
//!
//! The library drops it with its last player, and turns away with 503 whoever comes at that moment. So it is kept for a
//! little longer than anybody has it, and while it is dropped who comes waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::{RTSPClient, RTSPMedia, RTSPMediaStatus};

use crate::clock::Monotonic;

/// How long it is kept after its last player has gone, who may still be at letting it go.
const KEPT: Duration = Duration::from_secs(1);

/// How long who comes waits while it is dropped.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Stage {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    media: glib::WeakRef<RTSPMedia>,
    /// It is prepared once for us too.
    kept: bool,
    /// It is being dropped.
    leaving: bool,
    /// Connections that have asked for it, and may be gone.
    players: Vec<glib::WeakRef<RTSPClient>>,
    /// When there was last somebody.
    seen: Monotonic,
}

impl State {
    fn is_deserted(&mut self) -> bool {
        self.players.retain(|player| player.upgrade().is_some());
        if !self.players.is_empty() {
            self.seen = Monotonic::now();
        }
        self.kept && self.seen.elapsed() > KEPT
    }
}

impl Stage {
    /// Somebody is about to ask for it.
    pub fn admit(&self, player: &RTSPClient) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, FAREWELL, |state| state.leaving);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.seen = Monotonic::now();
        state.players.retain(|known| known.upgrade().is_some_and(|known| known != *player));
        state.players.push(player.downgrade());
    }

    /// It is there from now on.
    pub fn set(&self, media: &RTSPMedia) {
        let mut state = self.lock();
        state.media.set(Some(media));
        state.kept = false;
    }

    /// It is there.
    pub fn media(&self) -> Option<RTSPMedia> {
        self.lock().media.upgrade()
    }

    /// Keeps it. Whoever calls this has a player that has it prepared.
    pub fn keep(&self) {
        let mut state = self.lock();
        if !state.kept && !state.leaving {
            // another one may have taken its place by now, and be at its very beginning
            let media = state.media.upgrade().filter(|media| media.status() == RTSPMediaStatus::Prepared);
            state.kept = media.is_some_and(|media| media.prepare(None).is_ok());
        }
    }

    /// Whether it is kept in vain.
    pub fn is_deserted(&self) -> bool {
        self.lock().is_deserted()
    }

    /// Drops it, unless somebody has come. It may take long.
    pub fn leave(&self) {
        let mut state = self.lock();
        if !state.is_deserted() {
            return;
        }
        state.kept = false;
        state.leaving = true;
        let media = state.media.upgrade();
        drop(state);
        if let Some(media) = media {
            let _ = media.unprepare();
        }
        self.lock().leaving = false;
        self.changed.notify_all();
    }

    /// Sends everybody away. It may take long.
    pub fn dismiss(&self) {
        let players = std::mem::take(&mut self.lock().players);
        players.iter().filter_map(glib::WeakRef::upgrade).for_each(|player| player.close());
        let kept = std::mem::take(&mut self.lock().kept);
        if let Some(media) = self.media().filter(|_| kept) {
            let _ = media.unprepare();
        }
    }

    /// How many watch.
    pub fn watched_by(&self) -> u32 {
        let stream = self.media().and_then(|media| media.stream(0));
        stream.map_or(0, |stream| stream.transport_filter(None).len() as u32)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
