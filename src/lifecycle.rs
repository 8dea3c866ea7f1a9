//! Phases, readiness, shutdown and what systemd is told.
//!
//! Readiness is what nobody holds back any more: whoever must be there first takes a [`Latch`] and opens it when it is
//! there. A latch that is merely dropped stays shut: a start that fails half-way must not be told as ready. Shutdown is a wish of the outside ([`signals::Wishes`]); `main` decides, and nothing exits in a handler.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub mod signals;
pub mod systemd;

/// What the daemon is doing. Goes from [`Phase::Starting`] to [`Phase::Stopped`]; never back from draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Some part is not there yet.
    Starting,
    /// Every part is there.
    Ready,
    /// Taking in a changed configuration; everything unchanged goes on.
    Reloading,
    /// Finishing what is under way.
    Draining,
    /// Nothing runs any more.
    Stopped,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Reloading => "reloading",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        })
    }
}

/// The daemon's phase; clones share it.
#[derive(Clone)]
pub struct Lifecycle(Arc<Shared>);

struct Shared {
    phase: watch::Sender<Phase>,
    /// Names of the latches that are held, and how many of each.
    held: Mutex<BTreeMap<String, usize>>,
}

impl Lifecycle {
    /// A daemon that is starting. It becomes ready when the given latch and all others taken meanwhile are
    /// opened.
    pub fn start() -> (Self, Latch) {
        let lifecycle = Self(Arc::new(Shared { phase: watch::Sender::new(Phase::Starting), held: Mutex::default() }));
        let latch = lifecycle.latch("start");
        (lifecycle, latch)
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.0.phase.borrow()
    }

    /// The phase as it changes.
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.phase.subscribe()
    }

    /// Whether the daemon serves: ready, or reloading while everything unchanged goes on.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase(), Phase::Ready | Phase::Reloading)
    }

    /// Holds readiness back until opened; `what` is named at `/readyz`.
    pub fn latch(&self, what: impl Into<String>) -> Latch {
        let what = what.into();
        *self.held().entry(what.clone()).or_default() += 1;
        Latch { lifecycle: self.clone(), what }
    }

    /// What readiness waits for, by name.
    pub fn waiting_for(&self) -> Vec<String> {
        self.held().keys().cloned().collect()
    }

    /// Begins a reload, which ends, well or not, when what is given is dropped. `None` unless the daemon is ready.
    pub fn reload(&self) -> Option<Reloading> {
        self.turn(|phase| *phase == Phase::Ready, Phase::Reloading).then(|| Reloading(self.clone()))
    }

    /// Begins the end: nothing new is taken on.
    pub fn drain(&self) {
        self.turn(|phase| *phase < Phase::Draining, Phase::Draining);
    }

    /// Everything has ended.
    pub fn stopped(&self) {
        self.turn(|phase| *phase < Phase::Stopped, Phase::Stopped);
    }

    fn release(&self, what: &str) {
        let mut held = self.held();
        if let Some(count) = held.get_mut(what) {
            *count -= 1;
            if *count == 0 {
                held.remove(what);
            }
        }
        if held.is_empty() {
            self.turn(|phase| *phase == Phase::Starting, Phase::Ready);
        }
    }

    fn turn(&self, allowed: impl FnOnce(&Phase) -> bool, next: Phase) -> bool {
        let turned = self.0.phase.send_if_modified(|phase| {
            let turns = allowed(phase);
            if turns {
                *phase = next;
            }
            turns
        });
        if turned {
            tracing::info!(phase = %next, "phase");
            systemd::tell_phase(next);
        }
        turned
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds readiness back until it is opened.
pub struct Latch {
    lifecycle: Lifecycle,
    what: String,
}

impl Latch {
    /// What it stood for is there.
    pub fn open(self) {
        self.lifecycle.release(&self.what);
    }
}

/// A reload under way; dropping it ends the reload.
pub struct Reloading(Lifecycle);

impl Drop for Reloading {
    fn drop(&mut self) {
        self.0.turn(|phase| *phase == Phase::Reloading, Phase::Ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_latch_is_opened() {
        let (lifecycle, start) = Lifecycle::start();
        let (first, second) = (lifecycle.latch("broker"), lifecycle.latch("broker"));
        start.open();
        first.open();
        assert_eq!((lifecycle.phase(), lifecycle.waiting_for()), (Phase::Starting, vec!["broker".to_owned()]));
        second.open();
        assert_eq!(lifecycle.phase(), Phase::Ready);
    }

    #[test]
    fn a_reload_stays_ready_until_it_is_dropped() {
        let (lifecycle, start) = Lifecycle::start();
        assert!(lifecycle.reload().is_none());
        start.open();
        let reload = lifecycle.reload();
        assert_eq!((lifecycle.phase(), lifecycle.is_ready()), (Phase::Reloading, true));
        assert!(lifecycle.reload().is_none());
        drop(reload);
        assert_eq!(lifecycle.phase(), Phase::Ready);
    }

    #[test]
    fn a_start_that_fails_is_never_ready() {
        let (lifecycle, start) = Lifecycle::start();
        drop(start);
        assert_eq!((lifecycle.phase(), lifecycle.waiting_for()), (Phase::Starting, vec!["start".to_owned()]));
    }

    #[test]
    fn nothing_leads_back_from_draining() {
        let (lifecycle, start) = Lifecycle::start();
        let mut seen = lifecycle.watch();
        lifecycle.drain();
        start.open();
        assert_eq!((lifecycle.phase(), lifecycle.is_ready()), (Phase::Draining, false));
        assert!(seen.has_changed().unwrap());
        assert_eq!(*seen.borrow_and_update(), Phase::Draining);
        lifecycle.stopped();
        lifecycle.drain();
        assert_eq!(lifecycle.phase(), Phase::Stopped);
    }
}
