//! How each camera has been of late: what its health is told by. Bounded, by time or by number.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::CameraStats;
use crate::event::{Event, EventType};

/// Rates are those of so long …
const WINDOW: Duration = Duration::from_secs(8);

/// … and say nothing before.
const LEAST: Duration = Duration::from_secs(3);

/// Events that are looked back at.
const EVENTS: usize = 40;

/// Fewer of them say nothing of how long they take.
const FEW: usize = 5;

/// What happened is held against a camera for so long: a process that was started again, a slow event, a face that did not do.
const COUNTS_FOR: Duration = Duration::from_secs(600);

/// Restarts that are remembered: more say no more.
const RESTARTS: usize = 16;

/// How a camera has been of late.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Frames a second; `None` while too little was counted.
    pub rates: Option<Rates>,
    /// What 95 of 100 events took at most, in milliseconds; `None` after too few.
    pub slow_ms: Option<f64>,
    /// Faces that events told of …
    pub faces: usize,
    /// … and why some of them had no name, with how many each.
    pub reasons: BTreeMap<&'static str, usize>,
    /// How often its capture process was started again within ten minutes.
    pub restarts: usize,
}

/// Frames a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Received.
    pub captured: f64,
    /// Detected and tracked.
    pub analysed: f64,
    /// Handed out masked.
    pub masked: f64,
    /// Handed out wholly covered.
    pub covered: f64,
}

/// What is kept of one camera for that.
#[derive(Debug, Default)]
pub(super) struct Chart {
    counts: VecDeque<(Instant, CameraStats)>,
    restarts: VecDeque<Instant>,
    events: VecDeque<Heard>,
}

/// What an event says of its camera.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    /// How many milliseconds it took.
    total_ms: Option<f64>,
    /// Whether it tells of a face …
    of_face: bool,
    /// … and why that has no name.
    reason: Option<&'static str>,
}

impl Chart {
    /// Takes in a camera's counts.
    pub(super) fn count(&mut self, now: Instant, stats: CameraStats) {
        if let Some((_, last)) = self.counts.back() {
            let more = stats.restarts_total.saturating_sub(last.restarts_total);
            self.restarts.extend(std::iter::repeat_n(now, usize::try_from(more).unwrap_or(RESTARTS).min(RESTARTS)));
            // counts begin anew with the camera's settings
            if stats.frames_captured_total < last.frames_captured_total {
                self.counts.clear();
            }
        }
        self.counts.push_back((now, stats));
        let is_old = |(at, _): &(Instant, CameraStats)| now.duration_since(*at) > WINDOW;
        while self.counts.len() > 2 && self.counts.get(1).is_some_and(is_old) {
            self.counts.pop_front();
        }
        let excess = self.restarts.len().saturating_sub(RESTARTS);
        self.restarts.drain(..excess);
    }

    /// Takes in an event.
    pub(super) fn hear(&mut self, at: Instant, event: &Event) {
        let of_face = matches!(event.kind, EventType::Updated | EventType::Ended);
        let (total_ms, reason) = (event.latency_ms.total, event.identity.reason);
        self.events.push_back(Heard { at, total_ms, of_face, reason });
        if self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    pub(super) fn vitals(&self, now: Instant) -> Vitals {
        let counts = |at: Instant| now.duration_since(at) < COUNTS_FOR;
        let events = self.events.iter().filter(|heard| counts(heard.at));
        let mut latencies: Vec<f64> = events.clone().filter_map(|heard| heard.total_ms).collect();
        latencies.sort_by(f64::total_cmp);
        let within = (latencies.len() * 95).div_ceil(100);
        let slow_ms = latencies.get(within.saturating_sub(1)).copied().filter(|_| latencies.len() >= FEW);
        let mut reasons = BTreeMap::new();
        let faces = events.filter(|heard| heard.of_face);
        for reason in faces.clone().filter_map(|heard| heard.reason) {
            *reasons.entry(reason).or_default() += 1;
        }
        let restarts = self.restarts.iter().filter(|at| counts(**at)).count();
        Vitals { rates: self.rates(), slow_ms, faces: faces.count(), reasons, restarts }
    }

    fn rates(&self) -> Option<Rates> {
        let ((from, first), (until, last)) = (self.counts.front()?, self.counts.back()?);
        let span = until.duration_since(*from);
        let rate =
            |count: fn(&CameraStats) -> u64| count(last).saturating_sub(count(first)) as f64 / span.as_secs_f64();
        (span >= LEAST).then(|| Rates {
            captured: rate(|stats| stats.frames_captured_total),
            analysed: rate(|stats| stats.frames_analysed_total),
            masked: rate(|stats| stats.frames_masked_total),
            covered: rate(|stats| stats.frames_covered_total),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::fixture;

    fn stats(frames: u64, restarts: u64) -> CameraStats {
        CameraStats { frames_captured_total: frames, restarts_total: restarts, ..CameraStats::default() }
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let (mut chart, begun) = (Chart::default(), Instant::now());
        let at = |secs: u64| begun + Duration::from_secs(secs);
        chart.count(at(0), stats(0, 0));
        chart.count(at(1), stats(10, 0));
        assert_eq!(chart.vitals(at(1)).rates, None, "too little was counted");
        (2..30).for_each(|secs| chart.count(at(secs), stats(10 + 25 * (secs - 1), 0)));
        assert!((chart.vitals(at(30)).rates.unwrap().captured - 25.0).abs() < 1e-9);
        assert!(chart.counts.len() < 12);
        chart.count(at(30), stats(5, 0));
        assert_eq!(chart.vitals(at(30)).rates, None, "the camera was made anew");
    }

    #[test]
    fn restarts_are_held_against_a_camera_for_a_while() {
        let (mut chart, begun) = (Chart::default(), Instant::now());
        chart.count(begun, stats(0, 7));
        assert_eq!(chart.vitals(begun).restarts, 0, "who knows when that was");
        chart.count(begun, stats(0, 9));
        assert_eq!((chart.vitals(begun).restarts, chart.vitals(begun + COUNTS_FOR).restarts), (2, 0));
        chart.count(begun, stats(0, 9000));
        assert_eq!(chart.vitals(begun).restarts, RESTARTS);
    }

    #[test]
    fn events_say_how_long_they_take_and_what_is_in_the_way() {
        let (mut chart, begun) = (Chart::default(), Instant::now());
        let event = |ms: f64, kind: EventType| {
            let mut event = Event::clone(&fixture::event("front", 1));
            (event.kind, event.latency_ms.total, event.identity.reason) = (kind, Some(ms), Some("too_small"));
            event
        };
        (0..FEW - 1).for_each(|_| chart.hear(begun, &event(20.0, EventType::Started)));
        assert_eq!((chart.vitals(begun).slow_ms, chart.vitals(begun).faces), (None, 0));
        (1..=100).for_each(|n| chart.hear(begun, &event(f64::from(n), EventType::Updated)));
        let vitals = chart.vitals(begun);
        // 38 of the last 40
        assert_eq!((vitals.slow_ms, vitals.faces, vitals.reasons["too_small"]), (Some(98.0), EVENTS, EVENTS));
        assert_eq!(chart.vitals(begun + COUNTS_FOR), Vitals::default(), "who knows how it is now");
    }
}
