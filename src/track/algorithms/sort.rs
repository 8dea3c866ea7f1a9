//! SORT as published: Bewley, Ge, Ott, Ramos and Upcroft, *Simple online and realtime tracking*, ICIP 2016, with the
//! parameters and the order of steps of the authors' reference program.
//!
//! A baseline to compare with. It counts in frames and therefore depends on the frame rate; it knows neither scores nor
//! lost tracks. Its constants are the published ones and not settings.

use std::time::Duration;

use crate::detect::Detection;
use crate::geometry::{Point, Rect};
use crate::track::assign::Assigner;
use crate::track::kalman::{Axis, ProcessNoise};
use crate::track::roster::Roster;
use crate::track::{Analysis, Track, Tracker};

/// A pair below this overlap is not a match.
const IOU_THRESHOLD: f64 = 0.3;
/// Frames that a track outlives its last match by.
const MAX_AGE: u32 = 1;
/// Matches in a row before a track is announced, except in the first frames.
const MIN_HITS: u32 = 3;

/// The published tracker.
#[derive(Debug, Default)]
pub struct Sort {
    roster: Roster<BoxFilter>,
    frames: u64,
    last_at: Duration,
    pairs: Pairs,
}

/// SORT's seven states: centre, area and aspect ratio of the box, and the rates of all but the ratio.
///
/// F adds each rate to its value, H picks the values, P₀ = diag(10, 10, 10, 10, 10⁴, 10⁴, 10⁴),
/// Q = diag(1, 1, 1, 1, 10⁻², 10⁻², 10⁻⁴), R = diag(1, 1, 10, 10): all of them block-diagonal, hence four axes.
#[derive(Clone, Debug)]
struct BoxFilter {
    x: Axis,
    y: Axis,
    area: Axis,
    ratio: Axis,
    predicted: Rect,
    misses: u32,
    streak: u32,
}

impl BoxFilter {
    fn new(rect: Rect) -> Self {
        let [x, y, area, ratio] = measurement(rect);
        Self {
            x: Axis::new(x, 10.0, 1e4),
            y: Axis::new(y, 10.0, 1e4),
            area: Axis::new(area, 10.0, 1e4),
            ratio: Axis::new(ratio, 10.0, 0.0),
            predicted: rect,
            misses: 0,
            streak: 0,
        }
    }

    fn predict(&mut self) {
        if self.area.value + self.area.rate <= 0.0 {
            self.area.rate = 0.0;
        }
        self.x.predict(1.0, ProcessNoise::diagonal(1.0, 1e-2));
        self.y.predict(1.0, ProcessNoise::diagonal(1.0, 1e-2));
        self.area.predict(1.0, ProcessNoise::diagonal(1.0, 1e-4));
        self.ratio.predict(1.0, ProcessNoise::diagonal(1.0, 0.0));
        if self.misses > 0 {
            self.streak = 0;
        }
        self.misses += 1;
        self.predicted = self.rect();
    }

    fn correct(&mut self, rect: Rect) {
        let [x, y, area, ratio] = measurement(rect);
        self.x.correct(x, 1.0);
        self.y.correct(y, 1.0);
        self.area.correct(area, 10.0);
        self.ratio.correct(ratio, 10.0);
        self.misses = 0;
        self.streak += 1;
    }

    /// The box of the present state; not sound where area or ratio has fallen below zero.
    fn rect(&self) -> Rect {
        let width = (self.area.value * self.ratio.value).sqrt();
        let height = self.area.value / width;
        Rect::new(
            (self.x.value - width / 2.0) as f32,
            (self.y.value - height / 2.0) as f32,
            width as f32,
            height as f32,
        )
    }

    /// Movement in pixels a second, where a frame lasted `interval` seconds.
    fn velocity(&self, interval: f64) -> Point {
        let per_second = |rate: f64| if interval > 0.0 { (rate / interval) as f32 } else { 0.0 };
        Point::new(per_second(self.x.rate), per_second(self.y.rate))
    }
}

fn measurement(rect: Rect) -> [f64; 4] {
    let (w, h) = (f64::from(rect.w), f64::from(rect.h));
    [f64::from(rect.x) + w / 2.0, f64::from(rect.y) + h / 2.0, w * h, w / h]
}

/// SORT's association, with its memory.
#[derive(Debug, Default)]
struct Pairs {
    assigner: Assigner,
    overlaps: Vec<f64>,
    track_of: Vec<Option<usize>>,
}

impl Pairs {
    /// Fills `track_of` with the track of each detection, as the reference's `associate_detections_to_trackers` does:
    /// where overlaps above the threshold already are one-to-one they are the answer, otherwise the assignment that
    /// maximises the sum of *all* overlaps is, less its pairs below the threshold.
    fn associate(&mut self, roster: &Roster<BoxFilter>, detections: &[Detection]) {
        let tracks = roster.tracks().len();
        self.overlaps.clear();
        for detection in detections {
            self.overlaps.extend(roster.indices().map(|t| f64::from(roster.motion(t).predicted.iou(detection.rect))));
        }
        self.track_of.clear();
        self.track_of.resize(detections.len(), None);
        if tracks == 0 {
            return;
        }
        let unambiguous = self.is_one_to_one(tracks);
        self.assigner.begin(tracks);
        for row in self.overlaps.chunks(tracks) {
            self.assigner.row();
            for (track, &overlap) in row.iter().enumerate() {
                if !unambiguous || overlap > IOU_THRESHOLD {
                    self.assigner.candidate(track, overlap);
                }
            }
        }
        self.assigner.solve();
        for (detection, track) in self.track_of.iter_mut().enumerate() {
            let candidate = self.assigner.column_of(detection);
            *track = candidate.filter(|&t| self.overlaps[detection * tracks + t] >= IOU_THRESHOLD);
        }
    }

    fn is_one_to_one(&self, tracks: usize) -> bool {
        let above = |overlap: &&f64| **overlap > IOU_THRESHOLD;
        let row_fine = self.overlaps.chunks(tracks).all(|row| row.iter().filter(above).count() <= 1);
        row_fine && (0..tracks).all(|t| self.overlaps.iter().skip(t).step_by(tracks).filter(above).count() <= 1)
    }
}

impl Sort {
    /// Announces the tracks that the reference program would print for this frame.
    fn judge(&mut self) {
        for index in self.roster.indices() {
            let filter = self.roster.motion(index);
            let reliable = filter.streak >= MIN_HITS || self.frames <= u64::from(MIN_HITS);
            if filter.misses == 0 && reliable {
                self.roster.confirm(index);
            } else {
                self.roster.suspend(index);
            }
        }
    }
}

impl Tracker for Sort {
    fn update(&mut self, analysis: Analysis<'_>) {
        let since = analysis.at.saturating_sub(self.last_at).as_secs_f64();
        self.last_at = analysis.at;
        self.frames += 1;
        self.roster.begin();
        for index in self.roster.indices() {
            self.roster.motion_mut(index).predict();
        }
        self.roster.sweep(|_, filter| filter.predicted.is_sound());
        self.pairs.associate(&self.roster, analysis.detections);
        for (detection, track) in analysis.detections.iter().zip(&self.pairs.track_of) {
            if let Some(index) = *track {
                self.roster.motion_mut(index).correct(detection.rect);
                self.roster.hit(index, detection, analysis.at);
            } else {
                self.roster.open(detection, analysis.at, BoxFilter::new(detection.rect));
            }
        }
        for index in self.roster.indices() {
            let filter = self.roster.motion(index);
            let (rect, velocity) = (filter.rect(), filter.velocity(since));
            self.roster.place(index, rect, velocity);
        }
        self.judge();
        self.roster.sweep(|_, filter| filter.misses <= MAX_AGE);
    }

    fn tracks(&self) -> &[Track] {
        self.roster.tracks()
    }

    fn ended(&self) -> &[Track] {
        self.roster.ended()
    }
}
