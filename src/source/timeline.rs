//! Time as a child tells it, made sane: cameras lie about time.

use std::time::{Duration, SystemTime};

use crate::clock::Monotonic;
use crate::frame::{ClockSource, Stamp};
use crate::ring::wire::FrameHeader;

/// A decoder that claims more than this has told nothing.
const DECODE_MOST: Duration = Duration::from_secs(10);

/// Times that go back by less are disorder, not a new beginning.
const DISORDER: Duration = Duration::from_millis(500);

/// The least step from one frame to the next where a stream's own times do not go forward.
const LEAST_STEP: Duration = Duration::from_micros(1);

/// One time line over all of a source's children: `pts` always grows, whatever cameras and restarts do.
#[derive(Debug)]
pub(super) struct Timeline {
    live: bool,
    skew: Duration,
    /// The frame before: its time and its arrival.
    last: Option<(Duration, Monotonic)>,
    anchor: Option<Anchor>,
    /// When the present child was started: nothing of it arrived earlier.
    began: Monotonic,
}

/// The point from which on a stream's own times are counted.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    theirs: Duration,
    ours: Duration,
    arrived: Monotonic,
}

/// What was wrong with a frame's time, and has been put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The camera's wall clock is off by this much: the arrival counts instead.
    Clock(Duration),
    /// Presentation times went back, or ran away from the arrivals.
    Jump,
}

impl Timeline {
    pub(super) fn new(live: bool, skew: Duration) -> Self {
        Self { live, skew, last: None, anchor: None, began: Monotonic::default() }
    }

    /// Another child, whose times begin anew.
    pub(super) fn begin(&mut self, now: Monotonic) {
        self.anchor = None;
        self.began = now;
    }

    /// The time of a frame, received at `now` which the wall clock calls `wall`.
    pub(super) fn stamp(
        &mut self,
        header: &FrameHeader,
        now: Monotonic,
        wall: SystemTime,
    ) -> (Stamp, Option<Complaint>) {
        let earliest = self.last.map_or(self.began, |(_, at)| at.max(self.began));
        let arrived = Monotonic::from_nanos(header.arrived_ns).clamp(earliest.min(now), now);
        let (pts, jumped) = self.pts(Duration::from_nanos(header.pts_ns), arrived);
        self.last = Some((pts, arrived));

        let here = wall.checked_sub(now.since(arrived)).unwrap_or(wall);
        let claimed = SystemTime::UNIX_EPOCH + Duration::from_nanos(header.captured_unix_ns);
        let off = claimed.duration_since(here).unwrap_or_else(|e| e.duration());
        // a file's label is its position; nothing live has one
        let trusted = if header.clock == ClockSource::Media { !self.live } else { off <= self.skew };
        let stamp = Stamp {
            pts,
            arrived_at: arrived,
            decode: header.decode_ns.map(Duration::from_nanos).filter(|decode| *decode <= DECODE_MOST),
            captured_at: if trusted { claimed } else { here },
            clock: if trusted { header.clock } else { ClockSource::Arrival },
        };
        let complaint = if trusted { jumped.then_some(Complaint::Jump) } else { Some(Complaint::Clock(off)) };
        (stamp, complaint)
    }

    /// A frame's place on our time line, and whether the stream's own had to be left.
    fn pts(&mut self, theirs: Duration, arrived: Monotonic) -> (Duration, bool) {
        let Some(anchor) = self.anchor else {
            // a file's times are its own; what is live begins at zero, wherever the camera's counter is
            let first = if self.live { Duration::ZERO } else { theirs };
            return (self.anchored(theirs, arrived, first), false);
        };
        let passed = theirs.checked_sub(anchor.theirs);
        let pts = passed.and_then(|passed| anchor.ours.checked_add(passed));
        let ran_away = |passed: Duration| self.live && passed.abs_diff(arrived.since(anchor.arrived)) > self.skew;
        match (pts, self.last) {
            (Some(pts), Some((last, _))) if last.saturating_sub(pts) < DISORDER && !passed.is_some_and(ran_away) => {
                (pts.max(last.saturating_add(LEAST_STEP)), false)
            }
            _ => (self.anchored(theirs, arrived, Duration::ZERO), true),
        }
    }

    /// Goes on from the frame before by the time between arrivals; the very first frame is at `first`.
    fn anchored(&mut self, theirs: Duration, arrived: Monotonic, first: Duration) -> Duration {
        let ours = match self.last {
            Some((pts, at)) => pts.saturating_add(arrived.since(at).max(LEAST_STEP)),
            None => first,
        };
        self.anchor = Some(Anchor { theirs, ours, arrived });
        ours
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
    use crate::geometry::Size;

    const SKEW: Duration = Duration::from_secs(10);

    fn header(pts_ns: u64, arrived_ns: u64, captured_unix_ns: u64) -> FrameHeader {
        let colour = Colorimetry { matrix: ColourMatrix::Bt709, range: ColourRange::Limited };
        let layout = Layout::packed(Size::new(2, 2), PixelFormat::I420, colour);
        let clock = ClockSource::Rtcp;
        FrameHeader {
            ring: 1,
            slot: 0,
            layout,
            pts_ns,
            arrived_ns,
            decode_ns: None,
            captured_unix_ns,
            clock,
            dropped_total: 0,
        }
    }

    const fn secs(n: u64) -> u64 {
        n * 1_000_000_000
    }

    /// Stamps frames, each given as (its pts, its arrival) in seconds, and gives the pts that came of it.
    fn check_pts(live: bool, frames: &[(u64, u64)], expected: &[u64]) {
        let mut line = Timeline::new(live, SKEW);
        let got: Vec<u64> = frames
            .iter()
            .map(|(pts, at)| {
                let now = Monotonic::from_nanos(secs(*at));
                line.stamp(&header(secs(*pts), secs(*at), 0), now, SystemTime::UNIX_EPOCH).0.pts.as_secs()
            })
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn a_live_stream_begins_at_zero_and_a_file_where_it_says() {
        check_pts(true, &[(70, 100), (71, 101)], &[0, 1]);
        check_pts(false, &[(70, 100), (71, 100)], &[70, 71]);
    }

    #[test]
    fn a_live_stream_cannot_be_labelled_as_a_file() {
        let claim = FrameHeader { clock: ClockSource::Media, ..header(0, secs(100), secs(5)) };
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (now, file) = (Monotonic::from_nanos(secs(100)), SystemTime::UNIX_EPOCH + Duration::from_secs(5));
        for (live, clock, captured_at) in [(true, ClockSource::Arrival, wall), (false, ClockSource::Media, file)] {
            let (stamp, _) = Timeline::new(live, SKEW).stamp(&claim, now, wall);
            assert_eq!((stamp.clock, stamp.captured_at), (clock, captured_at), "live: {live}");
        }
    }

    #[test]
    fn a_jump_of_a_cameras_time_is_bridged_by_the_arrivals() {
        check_pts(true, &[(0, 100), (1, 101), (5000, 102), (5001, 103)], &[0, 1, 2, 3]);
        check_pts(true, &[(50, 100), (51, 101), (3, 102), (4, 103)], &[0, 1, 2, 3]);
    }

    #[test]
    fn times_that_stand_still_or_swap_are_put_in_order() {
        let mut line = Timeline::new(false, SKEW);
        let got = [0, 80, 40, 80, 120].map(|ms: u64| {
            let now = Monotonic::from_nanos(secs(100 + ms));
            let (stamp, complaint) = line.stamp(&header(ms * 1_000_000, now.as_nanos(), 0), now, SystemTime::now());
            assert!(!matches!(complaint, Some(Complaint::Jump)));
            stamp.pts.as_micros()
        });
        assert_eq!(got, [0, 80_000, 80_001, 80_002, 120_000]);
    }

    #[test]
    fn another_child_goes_on_where_the_one_before_ended() {
        let mut line = Timeline::new(true, SKEW);
        let wall = SystemTime::UNIX_EPOCH;
        line.stamp(&header(secs(5), secs(100), 0), Monotonic::from_nanos(secs(100)), wall);
        line.stamp(&header(secs(6), secs(101), 0), Monotonic::from_nanos(secs(101)), wall);
        line.begin(Monotonic::from_nanos(secs(105)));
        let (stamp, complaint) = line.stamp(&header(0, secs(107), 0), Monotonic::from_nanos(secs(107)), wall);
        assert_eq!((stamp.pts, complaint), (Duration::from_secs(7), None));
    }

    #[test]
    fn a_clock_that_is_off_by_more_than_the_skew_is_not_believed() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let now = Monotonic::from_nanos(secs(100));
        let mut line = Timeline::new(true, SKEW);
        let (stamp, complaint) = line.stamp(&header(0, secs(99), secs(1_000_008)), now, wall);
        assert_eq!((stamp.clock, complaint), (ClockSource::Rtcp, None));
        assert_eq!(stamp.captured_at, wall + Duration::from_secs(8));
        let (stamp, complaint) = line.stamp(&header(secs(1), secs(100), secs(1_000_011)), now, wall);
        assert_eq!((stamp.clock, complaint), (ClockSource::Arrival, Some(Complaint::Clock(Duration::from_secs(11)))));
        assert_eq!(stamp.captured_at, wall);
    }

    proptest! {
        #[test]
        fn time_always_goes_forward_and_never_panics(
            frames in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<Option<u64>>()), 1..50),
            live: bool,
        ) {
            let mut line = Timeline::new(live, SKEW);
            let mut last: Option<Stamp> = None;
            for (n, (pts, arrived, captured, decode)) in frames.into_iter().enumerate() {
                let now = Monotonic::from_nanos(secs(100 + n as u64));
                let header = FrameHeader { decode_ns: decode, ..header(pts, arrived, captured) };
                let (stamp, _) = line.stamp(&header, now, SystemTime::now());
                prop_assert!(stamp.arrived_at <= now);
                if let Some(last) = last {
                    prop_assert!(stamp.pts > last.pts && stamp.arrived_at >= last.arrived_at);
                }
                last = Some(stamp);
            }
        }
    }
}
