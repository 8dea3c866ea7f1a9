//! Which frames of a live camera are analysed.

use std::time::Duration;

/// Chooses frames at an even rate by their stream time, so that 30 fps analysed at 10 is every third frame.
#[derive(Debug)]
pub struct Pacer {
    period: Duration,
    due: Option<Duration>,
    /// So many of the next frames follow after half the time.
    hurried: u32,
}

/// After a cut nobody knows how the faces move: so many frames are analysed at twice the rate.
const HURRIED: u32 = 2;

impl Pacer {
    /// One frame each `period`; zero chooses every frame.
    pub fn new(period: Duration) -> Self {
        Self { period, due: None, hurried: 0 }
    }

    /// Whether the frame at stream time `pts` is to be analysed.
    pub fn choose(&mut self, pts: Duration) -> bool {
        // A frame that comes a little early is the one meant: cameras jitter by a good part of a frame.
        let tolerance = self.period / 8;
        if self.hurried > 0 && self.due.is_some_and(|due| pts + tolerance >= due) {
            self.hurried -= 1;
            self.due = Some(pts + if self.hurried > 0 { self.period / 2 } else { self.period });
            return true;
        }
        let next = match self.due {
            Some(due) if pts + tolerance >= due && pts < due + self.period => due + self.period,
            Some(due) if pts + tolerance < due && pts + self.period * 2 > due => return false,
            // First frame, a gap, or a clock that stepped: start counting anew.
            _ => pts + self.period,
        };
        self.due = Some(next);
        true
    }

    /// The frame at stream time `pts`, the first one after a cut, is analysed, and some soon after it.
    pub fn choose_now(&mut self, pts: Duration) -> bool {
        (self.due, self.hurried) = (Some(pts + self.period / 2), HURRIED);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(rate_hz: f64) -> Duration {
        if rate_hz > 0.0 { Duration::from_secs_f64(1.0 / rate_hz) } else { Duration::ZERO }
    }

    fn chosen(rate_hz: f64, fps: u64, seconds: u64) -> usize {
        let mut pacer = Pacer::new(period(rate_hz));
        (0..fps * seconds).filter(|n| pacer.choose(Duration::from_micros(n * 1_000_000 / fps))).count()
    }

    #[test]
    fn the_rate_holds_over_time() {
        assert_eq!(chosen(10.0, 30, 10), 100);
        assert_eq!(chosen(10.0, 25, 10), 100);
        assert_eq!(chosen(10.0, 5, 10), 50);
        assert_eq!(chosen(0.0, 30, 10), 300);
    }

    #[test]
    fn after_a_cut_some_frames_are_chosen_soon_and_then_as_before() {
        let mut pacer = Pacer::new(period(5.0));
        let at = |n: u64| Duration::from_millis(n * 40);
        assert!(pacer.choose(at(0)));
        assert!(pacer.choose_now(at(2)));
        let chosen: Vec<u64> = (3..20).filter(|n| pacer.choose(at(*n))).collect();
        assert_eq!(chosen, [4, 6, 11, 16]);
    }

    #[test]
    fn a_step_of_the_clock_does_not_stop_it() {
        let mut pacer = Pacer::new(period(10.0));
        assert!(pacer.choose(Duration::from_secs(100)));
        assert!(pacer.choose(Duration::from_secs(1)), "back");
        assert!(!pacer.choose(Duration::from_millis(1030)));
        assert!(pacer.choose(Duration::from_secs(500)), "ahead");
    }
}
