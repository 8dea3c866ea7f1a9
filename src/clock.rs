//! The monotonic clock, comparable across processes of one machine.

use std::time::Duration;

/// A reading of `CLOCK_MONOTONIC`. Unlike [`std::time::Instant`] it can cross a process boundary as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The present reading.
    pub fn now() -> Self {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Self(Duration::new(t.tv_sec as u64, t.tv_nsec as u32))
    }

    /// From nanoseconds since the clock's origin, as carried in shared memory.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }

    /// Nanoseconds since the clock's origin.
    pub fn as_nanos(self) -> u64 {
        self.0.as_nanos() as u64
    }

    /// Time since `earlier`; zero where that is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Time passed since this reading.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// This reading and `later` more.
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}
