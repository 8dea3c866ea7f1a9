//! How long a frame is held before it is shown.

use std::collections::VecDeque;
use std::time::Duration;

/// How far the masks of a file look ahead that is played as fast as it goes.
pub const FILE_LOOKAHEAD: Duration = Duration::from_secs(1);

/// Beyond what an analysis takes: threads that wake up late, frames that do not come evenly.
pub const RESERVE: Duration = Duration::from_millis(50);

/// What the slowest of a hundred analyses is taken to need until some were seen: detection, tracking and waiting for a
/// session, on a machine that carries its cameras.
pub const EXPECTED_P99: Duration = Duration::from_millis(60);

/// Longest hold: what takes longer is covered, since a picture of the past helps nobody.
pub const MOST: Duration = Duration::from_secs(2);

/// Two analyses that are further apart say too little about where a face was in between: one that moves fast may have gone
/// elsewhere, or come from there …
const FARTHEST: Duration = Duration::from_millis(250);

/// … unless that is how far apart they are to be, and as much more as frames that do not come evenly add.
const UNEVEN: f32 = 1.25;

/// Analyses over which the p99 is taken.
const REMEMBERED: usize = 300;

/// How much of a shorter hold is taken on with each analysis, so that one lucky second does not cover the next.
const SHRINK: u32 = 64;

/// The hold that a look-ahead, the analysis period and an analysis' p99 ask for.
pub fn hold(lookahead: Duration, period: Duration, p99: Duration) -> Duration {
    lookahead.max(period + p99 + RESERVE).min(MOST)
}

/// The hold of a camera, following how long its analyses take.
#[derive(Debug)]
pub struct Hold {
    lookahead: Duration,
    period: Duration,
    recent: VecDeque<Duration>,
    sorted: Vec<Duration>,
    now: Duration,
}

impl Hold {
    /// For analyses every `period`, expected to take `p99` at most.
    pub fn new(lookahead: Duration, period: Duration, p99: Duration) -> Self {
        let now = hold(lookahead, period, p99);
        Self { lookahead, period, recent: VecDeque::with_capacity(REMEMBERED), sorted: Vec::new(), now }
    }

    /// An analysis was there this long after its frame had arrived, and the one before was of a frame so much earlier: the
    /// frame that came right after that one has waited longest.
    pub fn took(&mut self, time: Duration, gap: Duration) {
        let time = time + gap.saturating_sub(self.period);
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(time);
        self.sorted.clear();
        self.sorted.extend(&self.recent);
        self.sorted.sort_unstable();
        let p99 = self.sorted[(self.sorted.len() - 1) * 99 / 100];
        let wanted = hold(self.lookahead, self.period, p99);
        // longer at once, shorter by and by
        self.now = if wanted >= self.now { wanted } else { self.now - (self.now - wanted) / SHRINK };
    }

    /// How far apart, in stream time, two analyses may be that prove what lies between them.
    pub fn farthest(&self) -> Duration {
        FARTHEST.max(self.period.mul_f32(UNEVEN))
    }

    /// The hold of frames that arrive now.
    pub fn now(&self) -> Duration {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_hold_is_the_longest_of_what_is_asked_for() {
        assert_eq!(hold(ms(200), ms(100), ms(30)), ms(200));
        assert_eq!(hold(ms(200), ms(200), ms(30)), ms(280));
        assert_eq!(hold(ms(0), ms(33), ms(20)), ms(103));
        assert_eq!(hold(ms(0), ms(33), ms(9000)), MOST);
    }

    #[test]
    fn it_grows_at_once_and_shrinks_slowly() {
        let mut hold = Hold::new(ms(0), ms(100), ms(20));
        assert_eq!(hold.now(), ms(170));
        hold.took(ms(400), ms(100));
        assert_eq!(hold.now(), ms(550));
        for _ in 0..REMEMBERED {
            hold.took(ms(20), ms(90));
            assert!(hold.now() > ms(170));
        }
        (0..1000).for_each(|_| hold.took(ms(20), ms(90)));
        assert!(hold.now() < ms(180), "{:?}", hold.now());
        hold.took(ms(20), ms(300));
        (0..2).for_each(|_| hold.took(ms(20), ms(400)));
        (0..2).for_each(|_| hold.took(ms(20), ms(300)));
        assert_eq!(hold.now(), ms(370), "fewer analyses than there should be");
    }
}
