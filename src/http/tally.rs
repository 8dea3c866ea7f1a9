//! How many requests have come of late. In memory only, and nothing about whose they were.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

/// Seconds that are counted one by one.
const SECONDS: u64 = 3600;

/// Counts requests by the second, for an hour.
pub struct Tally {
    begun: Instant,
    counts: Mutex<Counts>,
}

struct Counts {
    total: u64,
    /// Of each of the last [`SECONDS`] seconds, as a ring.
    ring: Box<[u32]>,
    /// The second up to which the ring is kept.
    second: u64,
}

/// How many requests there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Requests {
    /// Since the start.
    pub total: u64,
    /// In the last whole second.
    pub last_second: u64,
    /// In the last minute.
    pub last_minute: u64,
    /// In the last hour.
    pub last_hour: u64,
}

impl Tally {
    /// Counts from now on.
    pub fn new(now: Instant) -> Self {
        let ring = vec![0; SECONDS as usize].into_boxed_slice();
        Self { begun: now, counts: Mutex::new(Counts { total: 0, ring, second: 0 }) }
    }

    /// Counts one.
    pub fn count(&self, now: Instant) {
        let second = now.saturating_duration_since(self.begun).as_secs();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.advance(second);
        let slot = (counts.second % SECONDS) as usize;
        counts.ring[slot] = counts.ring[slot].saturating_add(1);
        counts.total += 1;
    }

    /// What was counted.
    pub fn requests(&self, now: Instant) -> Requests {
        let second = now.saturating_duration_since(self.begun).as_secs();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.advance(second);
        Requests {
            total: counts.total,
            last_second: counts.before(1, 1),
            last_minute: counts.before(0, 60),
            last_hour: counts.before(0, SECONDS),
        }
    }
}

impl Counts {
    fn advance(&mut self, second: u64) {
        for passed in (self.second + 1..=second).rev().take(SECONDS as usize) {
            self.ring[(passed % SECONDS) as usize] = 0;
        }
        self.second = self.second.max(second);
    }

    /// The sum of `length` seconds, the last of which is `ago` seconds ago.
    fn before(&self, ago: u64, length: u64) -> u64 {
        let last = self.second.checked_sub(ago);
        let seconds = last.into_iter().flat_map(|last| last.saturating_sub(length - 1)..=last);
        seconds.map(|second| u64::from(self.ring[(second % SECONDS) as usize])).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_are_counted_by_second_minute_and_hour() {
        let start = Instant::now();
        let tally = Tally::new(start);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let counted = |now: u64| {
            let Requests { total, last_second, last_minute, last_hour } = tally.requests(at(now));
            [total, last_second, last_minute, last_hour]
        };
        assert_eq!(counted(0), [0, 0, 0, 0]);
        (0..3).for_each(|_| tally.count(at(0)));
        tally.count(at(1));
        assert_eq!(counted(1), [4, 3, 4, 4]);
        assert_eq!(counted(2), [4, 1, 4, 4]);
        assert_eq!(counted(59), [4, 0, 4, 4]);
        assert_eq!(counted(60), [4, 0, 1, 4]);
        assert_eq!(counted(3599), [4, 0, 0, 4]);
        assert_eq!(counted(3600), [4, 0, 0, 1]);
        assert_eq!(counted(100_000), [4, 0, 0, 0]);
        tally.count(at(100_000));
        assert_eq!(counted(100_001), [5, 1, 1, 1]);
    }
}
