//! Times and rate of what goes out.
//!
//! Players such as ffmpeg count pictures by the rate that the video tells, and take two that round to one count for an
//! error. Cameras are not that exact, and wireless networks less so. So every picture goes out at a whole count.

use std::collections::VecDeque;
use std::time::Duration;

use gstreamer::Fraction;

/// What a stream's own times may differ from those of the frames' coming before they count as having jumped.
const DRIFT: Duration = Duration::from_millis(250);

/// By how much a picture may be shown late, since others take the counts before, until it is left out.
const BEHIND: Duration = Duration::from_millis(250);

/// Rates that a stream may have, in frames a second.
const RATES: (f64, f64) = (1.0, 120.0);

/// What a stream's rate is taken for until frames came.
const USUAL_RATE: i32 = 25;

/// Steps from frame to frame by which a rate is measured: the fewest, and the most.
const STEPS: (usize, usize) = (24, 64);

/// A step longer than so many usual ones is a gap, in which frames are missing.
const GAP: f64 = 1.75;

/// How much faster than told a stream may be, and how much slower than was guessed.
const TOLERANCE: f64 = 0.1;

/// Rates that streams have. One that was measured is taken for the nearest of these if it is as near as that.
const COMMON: [(i32, i32); 16] = [
    (5, 1),
    (6, 1),
    (8, 1),
    (10, 1),
    (12, 1),
    (25, 2),
    (15, 1),
    (20, 1),
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
];
const NEAR: f64 = 0.045;

/// Turns a stream's own times, which may be uneven and jump, into times of the monotonic clock, evenly counted.
#[derive(Debug)]
pub(super) struct Pace {
    /// A frame's own time, and when that was.
    anchor: Option<(Duration, Duration)>,
    last: Option<Duration>,
    /// The frame before, by its own time.
    before: Option<Duration>,
    /// Seconds from frame to frame, the newest last.
    steps: VecDeque<f64>,
    /// What it is taken for until it could be measured.
    expected: Fraction,
    /// What players are told.
    rate: Fraction,
    /// It was told before it could be measured.
    guessed: bool,
}

impl Default for Pace {
    fn default() -> Self {
        let (steps, usual) = (VecDeque::with_capacity(STEPS.1), Fraction::from(USUAL_RATE));
        Self { anchor: None, last: None, before: None, steps, expected: usual, rate: usual, guessed: true }
    }
}

impl Pace {
    /// Of a stream that says of itself how many frames a second it has.
    pub fn expecting(fps: Option<f64>) -> Self {
        let usual = Self::default();
        let expected = fps.filter(|fps| (RATES.0..=RATES.1).contains(fps)).map_or(usual.expected, nearest);
        Self { expected, rate: expected, ..usual }
    }

    /// Counts a frame with the time `pts` in, whether it is shown or not.
    pub fn measure(&mut self, pts: Duration) {
        let step = self.before.and_then(|before| pts.checked_sub(before)).map(|step| step.as_secs_f64());
        self.before = Some(pts);
        let Some(step) = step.filter(|step| (1.0 / RATES.1..=1.0 / RATES.0).contains(step)) else { return };
        if self.steps.len() == STEPS.1 {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }

    /// Frames a second; `None` until there were enough.
    fn measured(&self) -> Option<f64> {
        if self.steps.len() < STEPS.0 {
            return None;
        }
        let mut sorted: Vec<f64> = self.steps.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        // not the middle one: some cameras give short and long steps by turns
        let usual = sorted[sorted.len() * 3 / 4];
        let frames = |step: &f64| if *step < usual * GAP { 1.0 } else { (step / usual).round() };
        let frames: f64 = self.steps.iter().map(frames).sum();
        Some(frames / self.steps.iter().sum::<f64>())
    }

    /// The rate to be told from now on.
    pub fn settle(&mut self) -> Fraction {
        let measured = self.measured();
        self.guessed = measured.is_none();
        self.rate = measured.map_or(self.expected, nearest);
        self.rate
    }

    /// Whether what was told is not the rate: it was a guess, or frames have become more.
    pub fn is_off(&self) -> bool {
        let Some(measured) = self.measured() else { return false };
        let told = per_second(self.rate);
        measured > told * (1.0 + TOLERANCE) || self.guessed && measured < told * (1.0 - TOLERANCE)
    }

    /// When a frame with the time `pts` that came at `now` is to be shown; `None` where too many want to be.
    pub fn frame(&mut self, pts: Duration, now: Duration) -> Option<Duration> {
        let by_own_time = self.anchor.and_then(|(own, at)| {
            let due = if pts >= own { at.checked_add(pts - own) } else { at.checked_sub(own - pts) };
            due.filter(|due| due.abs_diff(now) <= DRIFT)
        });
        let due = by_own_time.unwrap_or_else(|| {
            self.anchor = Some((pts, now));
            now
        });
        self.count(due)
    }

    /// When a picture is to be shown that is of no stream; `None` where too many want to be.
    pub fn slate(&mut self, now: Duration) -> Option<Duration> {
        self.anchor = None;
        self.count(now)
    }

    /// The nearest count to `due` that is still to be had.
    fn count(&mut self, due: Duration) -> Option<Duration> {
        let (count, last) = (self.nearest(due), self.last.map(|last| self.nearest(last)));
        let free = last.map_or(count, |last| count.max(last + 1));
        let most = count + self.nearest(BEHIND).max(2);
        if free > most {
            return None;
        }
        let (frames, seconds) = (self.rate.numer().unsigned_abs(), self.rate.denom().unsigned_abs());
        let at = u128::from(free) * u128::from(seconds) * NS / u128::from(frames);
        let at = Duration::from_nanos(at as u64);
        self.last = Some(at);
        Some(at)
    }

    fn nearest(&self, at: Duration) -> u64 {
        let (frames, seconds) = (self.rate.numer().unsigned_abs(), self.rate.denom().unsigned_abs());
        let whole = u128::from(seconds) * NS;
        ((at.as_nanos() * u128::from(frames) + whole / 2) / whole) as u64
    }
}

/// Nanoseconds a second.
const NS: u128 = 1_000_000_000;

/// Frames a second.
pub(super) fn per_second(rate: Fraction) -> f64 {
    f64::from(rate.numer()) / f64::from(rate.denom())
}

/// The rate that a stream of so many frames a second is likely to have.
fn nearest(measured: f64) -> Fraction {
    let off = |rate: &Fraction| (per_second(*rate) - measured).abs();
    let common = COMMON.map(|(frames, seconds)| Fraction::new(frames, seconds)).into_iter();
    let common = common.min_by(|a, b| off(a).total_cmp(&off(b)));
    let whole = || Fraction::from(measured.round().clamp(RATES.0, RATES.1) as i32);
    common.filter(|rate| off(rate) < measured * NEAR).unwrap_or_else(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A pace that was told so many frames a second.
    fn told(rate: u64) -> Pace {
        let mut pace = Pace::default();
        (0..100).for_each(|n| pace.measure(Duration::from_secs(n) / rate as u32));
        assert_eq!(pace.settle(), Fraction::from(rate as i32));
        pace
    }

    #[test]
    fn frames_go_out_evenly() {
        let mut pace = told(25);
        assert_eq!(pace.frame(ms(0), ms(10_000)), Some(ms(10_000)));
        assert_eq!(pace.frame(ms(55), ms(10_050)), Some(ms(10_040)), "late");
        assert_eq!(pace.frame(ms(62), ms(10_070)), Some(ms(10_080)), "early");
        assert_eq!(pace.frame(ms(160), ms(10_180)), Some(ms(10_160)), "after one that is missing");
    }

    #[test]
    fn a_jump_of_the_stream_is_none_of_what_goes_out() {
        let mut pace = told(25);
        pace.frame(ms(5_000), ms(10_000));
        assert_eq!(pace.frame(ms(0), ms(10_040)), Some(ms(10_040)), "back");
        assert_eq!(pace.frame(ms(40), ms(10_080)), Some(ms(10_080)));
        assert_eq!(pace.frame(ms(99_000), ms(10_120)), Some(ms(10_120)), "ahead");
        assert_eq!(pace.slate(ms(11_120)), Some(ms(11_120)));
        assert_eq!(pace.frame(ms(99_040), ms(11_125)), Some(ms(11_160)));
        assert_eq!(pace.frame(ms(99_040), ms(11_125)), Some(ms(11_200)), "twice the same time");
    }

    #[test]
    fn more_frames_than_were_told_are_left_out() {
        let mut pace = told(25);
        let shown: Vec<_> = (0..500).filter_map(|n| pace.frame(ms(n * 20), ms(n * 20))).collect();
        assert!(shown.windows(2).all(|pair| pair[1] - pair[0] == ms(40)), "{shown:?}");
        assert!((250..=260).contains(&shown.len()), "{}", shown.len());
    }

    #[test]
    fn a_rate_is_what_most_frames_keep() {
        let mut pace = Pace::default();
        assert_eq!(pace.settle(), Fraction::from(25), "of no frames");
        (0..100).filter(|n| n % 7 != 0).for_each(|n| pace.measure(ms(n * 100)));
        assert!(pace.is_off(), "it was a guess");
        assert_eq!(pace.settle(), Fraction::from(10));
        pace.measure(ms(60_000));
        assert!(!pace.is_off(), "a gap says nothing");
        (0..100).for_each(|n| pace.measure(ms(60_000) + Duration::from_secs(n) * 1001 / 30_000));
        assert!(pace.is_off(), "it has become faster");
        assert_eq!(pace.settle(), Fraction::new(30_000, 1001));
        (0..100).for_each(|n| pace.measure(ms(90_000 + n * 100)));
        assert!(!pace.is_off(), "who was told more frames counts fewer just as well");
    }

    #[test]
    fn a_rate_is_one_that_streams_have_if_it_is_near() {
        for (measured, rate) in
            [(25.9, (25, 1)), (24.6, (25, 1)), (29.8, (30_000, 1001)), (12.4, (25, 2)), (18.2, (18, 1))]
        {
            assert_eq!(nearest(measured), Fraction::new(rate.0, rate.1), "{measured}");
        }
        let mut pace = Pace::default();
        (0..100).for_each(|n| pace.measure(Duration::from_secs(n) / 26));
        assert!(!pace.is_off(), "what was told is near enough, and players keep to it");
    }

    #[test]
    fn what_a_stream_says_of_its_rate_holds_until_that_is_measured() {
        let mut pace = Pace::expecting(Some(29.97));
        assert_eq!(pace.settle(), Fraction::new(30_000, 1001));
        (0..100).for_each(|n| pace.measure(Duration::from_secs(n) / 15));
        assert!(pace.is_off(), "it was a mistake");
        assert_eq!(pace.settle(), Fraction::from(15));
        for none in [None, Some(0.0), Some(f64::NAN), Some(90_000.0)] {
            assert_eq!(Pace::expecting(none).settle(), Fraction::from(USUAL_RATE), "{none:?}");
        }
    }

    #[test]
    fn an_uneven_rate_is_measured_all_the_same() {
        let mut pace = Pace::default();
        (0..100_u64).for_each(|n| pace.measure(ms(n * 40 + n * 13 % 25)));
        assert_eq!(pace.settle(), Fraction::from(25));
    }
}
