//! When a camera that a bug has ended, or that could not be started, is tried again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::source::Backoff;

/// First pause; doubles with each fall up to [`MOST`].
const LEAST: Duration = Duration::from_secs(1);

/// Longest pause.
const MOST: Duration = Duration::from_secs(30);

/// A camera that has run for so long since it was tried has got over it.
const HEALTHY: Duration = Duration::from_secs(60);

/// Cameras that have fallen at least once since they were configured.
#[derive(Default)]
pub(super) struct Revivals {
    of: BTreeMap<String, Revival>,
}

struct Revival {
    backoff: Backoff,
    /// When it is tried next, or was tried last.
    try_at: Instant,
    waits: bool,
}

impl Revivals {
    /// Camera `id` has fallen: how long until it is tried again.
    pub(super) fn fell(&mut self, id: &str, now: Instant) -> Duration {
        let fresh = || Revival { backoff: Backoff::new(LEAST), try_at: now, waits: false };
        let revival = self.of.entry(id.to_owned()).or_insert_with(fresh);
        if now.saturating_duration_since(revival.try_at) >= HEALTHY {
            revival.backoff.reset();
        }
        let pause = revival.backoff.pause(MOST);
        (revival.try_at, revival.waits) = (now + pause, true);
        pause
    }

    /// The cameras to try now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let due = self.of.iter_mut().filter(|(_, revival)| revival.waits && revival.try_at <= now);
        due.map(|(id, revival)| {
            revival.waits = false;
            id.clone()
        })
        .collect()
    }

    /// Camera `id` has other settings, or none any more: what was, was.
    pub(super) fn forget(&mut self, id: &str) {
        self.of.remove(id);
    }

    /// Whether any camera waits to be tried.
    pub(super) fn any_waits(&self) -> bool {
        self.of.values().any(|revival| revival.waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_falls_again_and_again_is_tried_less_and_less_often() {
        let mut revivals = Revivals::default();
        let mut now = Instant::now();
        let pauses: Vec<Duration> = (0..10)
            .map(|_| {
                let pause = revivals.fell("front", now);
                assert!(revivals.any_waits() && revivals.due(now).is_empty());
                now += pause;
                assert_eq!(revivals.due(now), ["front"]);
                assert!(!revivals.any_waits() && revivals.due(now).is_empty(), "tried once");
                pause
            })
            .collect();
        assert!(pauses[0] <= LEAST, "{pauses:?}");
        assert!(pauses[9] >= MOST / 2 && pauses[9] <= MOST, "{pauses:?}");
        assert!(revivals.fell("yard", now) <= LEAST, "each for itself");
    }

    #[test]
    fn a_camera_that_has_run_for_long_begins_anew() {
        let mut revivals = Revivals::default();
        let mut now = Instant::now();
        for _ in 0..6 {
            now += revivals.fell("front", now);
            revivals.due(now);
        }
        assert!(revivals.fell("front", now + HEALTHY) <= LEAST);
        for _ in 0..6 {
            revivals.fell("front", now);
        }
        revivals.forget("front");
        assert!(!revivals.any_waits());
        assert!(revivals.fell("front", now) <= LEAST);
    }
}
