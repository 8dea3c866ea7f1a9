//! How far apart a live stream's frames are, as a rule.

use std::collections::VecDeque;
use std::time::Duration;

/// Frames over which that is told.
const REMEMBERED: usize = 128;

/// Frames may come so much faster than as a rule …
const FASTER: f32 = 1.5;

/// … and a few of them by this much more.
const JITTER: Duration = Duration::from_millis(20);

/// The times between frames. What waited on its way comes all at once, and a camera's times are those of arrival until it
/// has told its own: then they say nothing about how far a face has gone.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    steps: VecDeque<Duration>,
}

impl Rhythm {
    /// A frame came so long after the one before, by its time.
    pub fn step(&mut self, time: Duration) {
        if self.steps.len() == REMEMBERED {
            self.steps.pop_front();
        }
        self.steps.push_back(time);
    }

    /// Whether so many frames may have come within `time`.
    pub fn fits(&self, frames: u64, time: Duration) -> bool {
        let usual = self.usual().as_secs_f32() * frames as f32;
        usual <= time.as_secs_f32() * FASTER + JITTER.as_secs_f32()
    }

    /// The median.
    fn usual(&self) -> Duration {
        let mut steps: Vec<_> = self.steps.iter().copied().collect();
        let middle = steps.len() / 2;
        if steps.is_empty() { Duration::ZERO } else { *steps.select_nth_unstable(middle).1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn frames_that_come_all_at_once_do_not_fit() {
        let mut rhythm = Rhythm::default();
        assert!(rhythm.fits(9, ms(30)), "nothing is known yet");
        (0..100).for_each(|_| rhythm.step(ms(40)));
        (0..25).for_each(|_| rhythm.step(ms(4)));
        assert!(rhythm.fits(3, ms(120)));
        assert!(rhythm.fits(3, ms(70)), "jitter");
        assert!(!rhythm.fits(8, ms(180)));
        (0..128).for_each(|_| rhythm.step(ms(20)));
        assert!(rhythm.fits(8, ms(160)), "another rate");
    }
}
