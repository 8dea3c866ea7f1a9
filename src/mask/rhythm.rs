//! How far apart a live stream's frames are, as a rule.

use std::collections::VecDeque;
use std::time::Duration;

/// The time over which that is told.
const REMEMBERED: Duration = Duration::from_secs(4);

/// Steps that are remembered at most, of frames that come faster than any camera's.
const MOST_STEPS: usize = 1024;

/// What is taken for one while little is known: cameras without a rate of their own give 25 to 30 frames a second.
const EXPECTED: Duration = Duration::from_millis(40);

/// How long that counts as having been seen: what comes all at once when a stream begins is over by then.
const EXPECTED_FOR: Duration = Duration::from_secs(2);

/// What a stream says of its own rate is believed up to this; who is faster must show it first.
const MOST_HZ: f64 = 60.0;

/// A gap is no rhythm, and counts as no more than this.
const LONGEST: Duration = Duration::from_millis(250);

/// Frames may come so much faster than as a rule …
const FASTER: f32 = 1.5;

/// … and a few of them by this much more.
const JITTER: Duration = Duration::from_millis(20);

/// The times between frames. What waited on its way comes all at once, and a camera's times are those of arrival until it
/// has told its own: then they say nothing about how far a face has gone.
#[derive(Debug)]
pub(super) struct Rhythm {
    steps: VecDeque<Duration>,
    /// The sum of `steps`.
    time: Duration,
    /// Whether there has been a step that was not expected only.
    begun: bool,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self::expecting(EXPECTED)
    }
}

impl Rhythm {
    fn expecting(step: Duration) -> Self {
        let count = EXPECTED_FOR.div_duration_f32(step).round().max(1.0) as usize;
        Self { steps: VecDeque::from(vec![step; count]), time: step * count as u32, begun: false }
    }

    /// The stream says itself how many frames a second it has.
    pub fn expect(&mut self, hz: f64) {
        if !self.begun && hz > 0.0 {
            *self = Self::expecting(Duration::from_secs_f64(1.0 / hz.clamp(1.0, MOST_HZ)).min(LONGEST));
        }
    }

    /// A frame came so long after the one before, by its time.
    pub fn step(&mut self, time: Duration) {
        let time = time.min(LONGEST);
        self.begun = true;
        self.steps.push_back(time);
        self.time += time;
        while self.steps.len() > MOST_STEPS || self.time > REMEMBERED {
            self.time -= self.steps.pop_front().unwrap_or(self.time);
        }
    }

    /// Whether so many frames may have come within `time`.
    pub fn fits(&self, frames: u64, time: Duration) -> bool {
        let usual = self.usual().as_secs_f32() * frames as f32;
        usual <= time.as_secs_f32() * FASTER + JITTER.as_secs_f32()
    }

    /// The step that half of the time was spent in shorter ones than: many frames that come all at once take up little time.
    fn usual(&self) -> Duration {
        let mut steps: Vec<_> = self.steps.iter().copied().collect();
        steps.sort_unstable();
        let mut left = self.time / 2;
        let beyond = |step: &Duration| {
            let rest = left.checked_sub(*step);
            left = rest.unwrap_or_default();
            rest.is_none()
        };
        steps.iter().copied().find(beyond).or(steps.last().copied()).unwrap_or(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// After so many steps of each length.
    fn after(steps: &[(usize, u64)]) -> Rhythm {
        let mut rhythm = Rhythm::default();
        steps.iter().for_each(|(count, step)| (0..*count).for_each(|_| rhythm.step(ms(*step))));
        rhythm
    }

    #[test]
    fn frames_that_come_all_at_once_do_not_fit() {
        let rhythm = after(&[(100, 40), (25, 4)]);
        assert!(rhythm.fits(3, ms(120)));
        assert!(rhythm.fits(3, ms(70)), "jitter");
        assert!(!rhythm.fits(8, ms(180)));
        assert!(!after(&[(100, 40), (400, 4)]).fits(25, ms(100)), "many of them");
    }

    #[test]
    fn a_stream_that_begins_with_frames_all_at_once_has_no_rhythm_of_its_own_yet() {
        assert!(!Rhythm::default().fits(9, ms(30)));
        for burst in [1, 25, 250] {
            let rhythm = after(&[(burst, 4)]);
            assert!(!rhythm.fits(25, ms(100)), "{burst} frames at once");
            assert!(rhythm.fits(3, ms(100)), "at 30 a second");
        }
        assert!(after(&[(250, 4), (200, 20)]).fits(5, ms(100)), "50 a second, in the end");
    }

    #[test]
    fn a_rate_that_the_stream_tells_is_believed_within_reason() {
        let told = |hz| {
            let mut rhythm = Rhythm::default();
            rhythm.expect(hz);
            rhythm
        };
        assert!(told(60.0).fits(6, ms(100)));
        assert!(!told(5.0).fits(3, ms(120)));
        assert!(!told(1000.0).fits(25, ms(100)));
        for odd in [f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 0.0, -1.0] {
            assert!(!told(odd).fits(25, ms(100)), "{odd}");
        }
    }

    #[test]
    fn another_rate_is_the_rule_after_some_seconds() {
        assert!(after(&[(100, 40), (150, 20)]).fits(8, ms(160)));
        assert!(after(&[(100, 80), (75, 40)]).fits(3, ms(120)));
        assert!(after(&[(1000, 40), (1, 60_000)]).fits(3, ms(100)), "a gap");
        assert!(after(&[(5000, 0)]).fits(3, ms(120)), "times that stand still");
    }
}
