//! ByteTrack as published: Zhang et al., *ByteTrack: multi-object tracking by associating every detection box*, ECCV
//! 2022, with the parameters and the order of steps of the authors' reference program.
//!
//! A baseline to compare with. Its filter steps in frames as the published one does; the time for which lost tracks are
//! kept is the published 30 frames of a 30 fps video, a second. Its constants are not settings.

use std::time::Duration;

use crate::detect::Detection;
use crate::geometry::{Point, Rect};
use crate::track::cascade::Cascade;
use crate::track::kalman::{Axis, ProcessNoise};
use crate::track::roster::Roster;
use crate::track::{Analysis, Track, TrackState, Tracker};

/// Detections above this score are associated first.
const HIGH_SCORE: f32 = 0.6;
/// Detections above this score, and below the former, are associated second.
const LOW_SCORE: f32 = 0.1;
/// Detections from this score on open a track.
const BIRTH_SCORE: f32 = HIGH_SCORE + 0.1;
/// The largest cost (1 - overlap × score) of a pair in the first association.
const FIRST_COST: f64 = 0.9;
/// The largest cost (1 - overlap) of a pair in the association of low scores.
const SECOND_COST: f64 = 0.5;
/// The largest cost (1 - overlap × score) of a pair with a track seen only once.
const UNCONFIRMED_COST: f64 = 0.7;
/// A followed and a lost track that overlap more than this are the same; the one followed for longer stays.
const DUPLICATE_OVERLAP: f32 = 0.85;
/// How long a lost track is kept.
const MAX_LOST: Duration = Duration::from_secs(1);

/// The published tracker.
#[derive(Debug, Default)]
pub struct ByteTrack {
    roster: Roster<BoxFilter>,
    cascade: Cascade,
    begun: bool,
    last_at: Duration,
}

/// The filter of DeepSORT (Wojke, Bewley and Paulus, ICIP 2017): centre, aspect ratio and height with their rates. Its
/// matrices are block-diagonal, hence four axes; position noise is a twentieth, rate noise a 160th of the height.
#[derive(Clone, Debug)]
struct BoxFilter {
    x: Axis,
    y: Axis,
    ratio: Axis,
    height: Axis,
}

impl BoxFilter {
    fn new(rect: Rect) -> Self {
        let [x, y, ratio, height] = measurement(rect);
        let (position, rate) = ((2.0 * height / 20.0).powi(2), (10.0 * height / 160.0).powi(2));
        Self {
            x: Axis::new(x, position, rate),
            y: Axis::new(y, position, rate),
            ratio: Axis::new(ratio, 1e-4, 1e-10),
            height: Axis::new(height, position, rate),
        }
    }

    /// Moves on by a frame. The height of a lost track is held, as published.
    fn predict(&mut self, lost: bool) {
        if lost {
            self.height.rate = 0.0;
        }
        let scale = self.height.value;
        let noise = ProcessNoise::diagonal((scale / 20.0).powi(2), (scale / 160.0).powi(2));
        self.x.predict(1.0, noise);
        self.y.predict(1.0, noise);
        self.height.predict(1.0, noise);
        self.ratio.predict(1.0, ProcessNoise::diagonal(1e-4, 1e-10));
    }

    fn correct(&mut self, rect: Rect) {
        let [x, y, ratio, height] = measurement(rect);
        let variance = (self.height.value / 20.0).powi(2);
        self.x.correct(x, variance);
        self.y.correct(y, variance);
        self.ratio.correct(ratio, 1e-2);
        self.height.correct(height, variance);
    }

    fn rect(&self) -> Rect {
        let height = self.height.value.max(1.0);
        let width = (self.ratio.value * height).max(1.0);
        let (left, top) = (self.x.value - width / 2.0, self.y.value - height / 2.0);
        Rect::new(left as f32, top as f32, width as f32, height as f32)
    }
}

fn measurement(rect: Rect) -> [f64; 4] {
    let (w, h) = (f64::from(rect.w), f64::from(rect.h));
    [f64::from(rect.x) + w / 2.0, f64::from(rect.y) + h / 2.0, w / h, h]
}

impl ByteTrack {
    fn associate(&mut self, detections: &[Detection]) {
        let (roster, cascade) = (&self.roster, &mut self.cascade);
        cascade.begin(roster.tracks().len(), detections.len());
        let high = |d: usize| detections[d].score > HIGH_SCORE;
        let low = |d: usize| detections[d].score > LOW_SCORE && detections[d].score < HIGH_SCORE;
        let state = |t: usize| roster.tracks()[t].state;
        let overlap = |t: usize, d: usize| f64::from(roster.tracks()[t].rect.iou(detections[d].rect));
        let fused = |t: usize, d: usize| overlap(t, d) * f64::from(detections[d].score);
        cascade.pass(|t| state(t) != TrackState::Tentative, high, |t, d| FIRST_COST - (1.0 - fused(t, d)));
        cascade.pass(|t| state(t) == TrackState::Confirmed, low, |t, d| SECOND_COST - (1.0 - overlap(t, d)));
        cascade.pass(|t| state(t) == TrackState::Tentative, high, |t, d| UNCONFIRMED_COST - (1.0 - fused(t, d)));
    }

    fn update_tracks(&mut self, detections: &[Detection], at: Duration) {
        for index in self.roster.indices() {
            if let Some(found) = self.cascade.detection_of(index) {
                self.roster.motion_mut(index).correct(detections[found].rect);
                self.roster.hit(index, &detections[found], at);
                self.roster.confirm(index);
            } else {
                self.roster.suspend(index);
            }
        }
        let first = !std::mem::replace(&mut self.begun, true);
        for (index, detection) in detections.iter().enumerate() {
            if self.cascade.track_of(index).is_none() && detection.score >= BIRTH_SCORE {
                let opened = self.roster.open(detection, at, BoxFilter::new(detection.rect));
                if first {
                    self.roster.confirm(opened);
                }
            }
        }
    }

    /// Says where each track is; movement in pixels a second, where a frame lasted `interval` seconds.
    fn place(&mut self, interval: f64) {
        for index in self.roster.indices() {
            let filter = self.roster.motion(index);
            let per_second = |rate: f64| if interval > 0.0 { (rate / interval) as f32 } else { 0.0 };
            let (rect, velocity) = (filter.rect(), Point::new(per_second(filter.x.rate), per_second(filter.y.rate)));
            self.roster.place(index, rect, velocity);
        }
    }

    /// Whether another track is the same as this one and has been followed for longer.
    fn is_duplicate(track: &Track, others: &[Track]) -> bool {
        let lifetime = |t: &Track| t.last_seen.saturating_sub(t.first_seen);
        others.iter().any(|other| {
            let one_is_lost = (track.state == TrackState::Lost) != (other.state == TrackState::Lost);
            let confirmed = track.state != TrackState::Tentative && other.state != TrackState::Tentative;
            let stays =
                (lifetime(other), other.state == TrackState::Lost) > (lifetime(track), track.state == TrackState::Lost);
            one_is_lost && confirmed && stays && track.rect.iou(other.rect) > DUPLICATE_OVERLAP
        })
    }
}

impl Tracker for ByteTrack {
    fn update(&mut self, analysis: Analysis<'_>) {
        let interval = analysis.at.saturating_sub(self.last_at).as_secs_f64();
        self.last_at = analysis.at;
        self.roster.begin();
        for index in self.roster.indices() {
            let state = self.roster.tracks()[index].state;
            if state != TrackState::Tentative {
                self.roster.motion_mut(index).predict(state == TrackState::Lost);
            }
        }
        self.place(interval);
        self.associate(analysis.detections);
        self.update_tracks(analysis.detections, analysis.at);
        self.place(interval);
        let at = analysis.at;
        self.roster.sweep(|track, _| match track.state {
            TrackState::Tentative => track.detection.is_some(),
            _ => at.saturating_sub(track.last_seen) <= MAX_LOST,
        });
        self.roster.sweep_among(Self::is_duplicate);
    }

    fn tracks(&self) -> &[Track] {
        self.roster.tracks()
    }

    fn ended(&self) -> &[Track] {
        self.roster.ended()
    }
}
