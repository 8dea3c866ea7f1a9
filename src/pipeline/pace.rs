//! Which frames of a live camera are analysed.

use std::time::Duration;

/// Chooses frames at an even rate by their stream time, so that 30 fps analysed at 10 is every third frame.
#[derive(Debug)]
pub struct Pacer {
    period: Duration,
    due: Option<Duration>,
}

impl Pacer {
    /// One frame each `period`; zero chooses every frame.
    pub fn new(period: Duration) -> Self {
        Self { period, due: None }
    }

    /// Whether the frame at stream time `pts` is to be analysed.
    pub fn choose(&mut self, pts: Duration) -> bool {
        // A frame that comes a little early is the one meant: cameras jitter by a good part of a frame.
        let tolerance = self.period / 8;
        let next = match self.due {
            Some(due) if pts + tolerance >= due && pts < due + self.period => due + self.period,
            Some(due) if pts + tolerance < due && pts + self.period * 2 > due => return false,
            // First frame, a gap, or a clock that stepped: start counting anew.
            _ => pts + self.period,
        };
        self.due = Some(next);
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
    fn a_step_of_the_clock_does_not_stop_it() {
        let mut pacer = Pacer::new(period(10.0));
        assert!(pacer.choose(Duration::from_secs(100)));
        assert!(pacer.choose(Duration::from_secs(1)), "back");
        assert!(!pacer.choose(Duration::from_millis(1030)));
        assert!(pacer.choose(Duration::from_secs(500)), "ahead");
    }
}
