//! The monotonic clock, comparable across processes of one machine; and how long the parts of some work take.

use std::time::{Duration, Instant};

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

/// How long the parts of some work took, in the order in which they were begun first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laps(Vec<(&'static str, Duration)>);

impl Laps {
    /// Does `work`, which is a part called `name`, or a further piece of it.
    pub fn time<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.add(name, begun.elapsed());
        done
    }

    /// Notes that the part `name` took so long, beside what it took already.
    pub fn add(&mut self, name: &'static str, took: Duration) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += took,
            None => self.0.push((name, took)),
        }
    }

    /// Adds the parts of other work.
    pub fn join(&mut self, other: &Self) {
        other.iter().for_each(|(name, took)| self.add(name, took));
    }

    /// The parts.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_part_are_added_up() {
        let mut laps = Laps::default();
        assert_eq!(laps.time("detect", || 7), 7);
        laps.add("embed", Duration::from_millis(3));
        let mut other = Laps::default();
        other.add("embed", Duration::from_millis(4));
        other.add("search", Duration::from_millis(1));
        laps.join(&other);
        let parts: Vec<_> = laps.iter().skip(1).collect();
        assert_eq!(parts, [("embed", Duration::from_millis(7)), ("search", Duration::from_millis(1))]);
    }
}
