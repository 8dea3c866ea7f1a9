//! Times and rate of what goes out.

use std::time::Duration;

/// What a stream's own times may differ from those of the frames' coming before they count as having jumped.
const DRIFT: Duration = Duration::from_millis(250);

/// The shortest time between two frames.
const STEP: Duration = Duration::from_millis(1);

/// Rates that a stream may have, in frames a second.
const RATES: (f64, f64) = (1.0, 120.0);

/// What a stream's rate is taken for until frames came.
const USUAL_RATE: f64 = 25.0;

/// Turns a stream's own times, which come evenly but may jump, into times of the monotonic clock, which do not go back.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// A frame's own time, and when that was.
    anchor: Option<(Duration, Duration)>,
    last: Option<Duration>,
    /// The frame before, by its own time.
    before: Option<Duration>,
    /// Seconds from frame to frame, smoothed.
    interval: Option<f64>,
}

impl Pace {
    /// When a frame with the time `pts` that came at `now` is to be shown.
    pub fn frame(&mut self, pts: Duration, now: Duration) -> Duration {
        self.measure(pts);
        let by_own_time = self.anchor.and_then(|(own, at)| {
            let due = if pts >= own { at.checked_add(pts - own) } else { at.checked_sub(own - pts) };
            due.filter(|due| due.abs_diff(now) <= DRIFT)
        });
        let due = by_own_time.unwrap_or_else(|| {
            self.anchor = Some((pts, now));
            now
        });
        self.later(due)
    }

    /// When a picture is to be shown that is of no stream.
    pub fn slate(&mut self, now: Duration) -> Duration {
        self.anchor = None;
        self.later(now)
    }

    fn later(&mut self, due: Duration) -> Duration {
        let due = self.last.map_or(due, |last| due.max(last + STEP));
        self.last = Some(due);
        due
    }

    fn measure(&mut self, pts: Duration) {
        let step = self.before.and_then(|before| pts.checked_sub(before)).map(|step| step.as_secs_f64());
        self.before = Some(pts);
        let Some(step) = step.filter(|step| (1.0 / RATES.1..=1.0 / RATES.0).contains(step)) else { return };
        let weight = if self.interval.is_some() { 0.05 } else { 1.0 };
        let interval = self.interval.unwrap_or(step);
        self.interval = Some(interval + (step - interval) * weight);
    }

    /// Frames a second, whole.
    pub fn rate(&self) -> u32 {
        let rate = self.interval.map_or(USUAL_RATE, |interval| 1.0 / interval);
        rate.round().clamp(RATES.0, RATES.1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn frames_go_out_as_evenly_as_they_were_taken() {
        let mut pace = Pace::default();
        assert_eq!(pace.frame(ms(0), ms(10_000)), ms(10_000));
        assert_eq!(pace.frame(ms(40), ms(10_055)), ms(10_040));
        assert_eq!(pace.frame(ms(80), ms(10_070)), ms(10_080));
        assert_eq!(pace.rate(), 25);
    }

    #[test]
    fn a_jump_of_the_stream_is_none_of_what_goes_out() {
        let mut pace = Pace::default();
        pace.frame(ms(5_000), ms(10_000));
        assert_eq!(pace.frame(ms(0), ms(10_040)), ms(10_040), "back");
        assert_eq!(pace.frame(ms(40), ms(10_080)), ms(10_080));
        assert_eq!(pace.frame(ms(99_000), ms(10_120)), ms(10_120), "ahead");
        assert_eq!(pace.slate(ms(11_120)), ms(11_120));
        assert_eq!(pace.frame(ms(99_040), ms(11_125)), ms(11_125));
        assert_eq!(pace.frame(ms(99_040), ms(11_125)), ms(11_126), "twice the same time");
    }

    #[test]
    fn a_rate_is_what_most_frames_keep() {
        let mut pace = Pace::default();
        assert_eq!(pace.rate(), 25, "of no frames");
        for n in 0..100 {
            pace.frame(ms(n * 100), ms(n * 100));
        }
        assert_eq!(pace.rate(), 10);
        pace.frame(ms(60_000), ms(60_000));
        assert_eq!(pace.rate(), 10, "a gap says nothing");
    }
}
