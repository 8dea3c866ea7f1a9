//! The default: faces (or other boxes) followed on the clock of the stream.
//!
//! Each analysis is associated in passes; what one leaves over the next one gets:
//!
//! 1. *Overlap*, sure detections with followed tracks, then with all others: buffered overlap (Yang et al., *Hard to track
//!    objects with irregular motions and similar appearances? Make it easier by buffering the matching space*, WACV 2023)
//!    less a price for a change of shape, for another [`look`](crate::track::look), and for the chance that since a track
//!    was lost somebody else came to its place: high in a street, none in a video call. First of all it is asked, by
//!    place and shape alone, whether all faces changed places (see [`layout`](crate::track::layout)).
//! 2. *Low scores* with followed tracks that are still without a box (ByteTrack: Zhang et al., ECCV 2022).
//! 3. *Reach*: centre distance within what the track may have moved since it was last seen. The Kalman filter's spread
//!    sets the gate, so that a new face, of unknown speed, reaches far and one long followed does not. A lost track
//!    reaches for half a second only, since later a stranger is the likelier match; but where it left by the edge of the
//!    frame, or for what looks like it, for as long as it is kept.
//!
//! A track is announced on evidence: seconds seen, counting the more the surer the detector was. From then on it is
//! confirmed whenever it has a detection, however weak: a face that is seen is not lost. The filtered box is
//! the output: measured on the MOT15 sequences it gives nearly a point of MOTA over the detected one, and three with a
//! jitter of 5 % added. The constants were chosen where the scores stay level with boxes jittered, detections dropped
//! and a third of the frames, over pedestrians and faces together.

use std::time::Duration;

use crate::detect::Detection;
use crate::geometry::{Rect, Size};
use crate::track::camera::CameraMotion;
use crate::track::cascade::Cascade;
use crate::track::layout::Rearrangement;
use crate::track::look::{Look, Mirror};
use crate::track::motion::{BoxMotion, shape_change, size_of};
use crate::track::roster::Roster;
use crate::track::{Analysis, Config, Scores, Track, TrackState, Tracker};

/// Boxes are grown by this share of their extent on each side before their overlap is taken.
const BUFFER: f32 = 0.2;
/// A buffered overlap must exceed this, and the prices below.
const MIN_OVERLAP: f64 = 0.2;
/// Price of a change of shape (see [`shape_change`]) of a followed track.
const SHAPE_PRICE: f64 = 0.4;
/// The same of a lost track, of which nothing but the shape is known well.
const LOST_SHAPE_PRICE: f64 = 0.7;
/// Price of a lost track where strangers are certain to have come by meanwhile.
const LOST_PRICE: f64 = 0.5;
/// How much more often than by straight passing strangers come by a place: they also turn up, turn round and stop.
const ENCOUNTERS: f64 = 16.0;
/// Price of a look that is twice [`LOOK_DIFFERENCE`] away from the track's; one that is the same earns as much.
const LOOK_PRICE: f64 = 0.2;
/// Mean grey levels between two looks at which they are as likely those of two faces as of one. Measured on video: half a
/// second apart the same face differs by 5 to 11 in the median, another one by 18 to 35.
const LOOK_DIFFERENCE: f64 = 15.0;
/// Seconds over which a track's look is smoothed.
const LOOK_MEMORY: f64 = 0.3;
/// Low-scored detections continue a track where they overlap it by more than this, unbuffered.
const MIN_LOW_OVERLAP: f64 = 0.3;
/// The reach of a track in spreads of its place …
const REACH_SPREADS: f64 = 5.0;
/// … and at most in sizes: two widths between two analyses is the fastest that faces are followed.
const MAX_REACH: f64 = 2.2;
/// The same for a lost track: half a second later a stranger is the likelier match.
const MAX_LOST_REACH: f64 = 1.5;
/// Nothing within reach may differ in size by more than this factor.
const MAX_SIZE_RATIO: f64 = 1.5;
/// How long a track lost within the frame may reach.
const LOST_REACH: Duration = Duration::from_millis(500);
/// A box closer to the frame's border than this, in sizes, is at its edge.
const EDGE: f64 = 0.5;
/// A detection that overlaps a matched one by more than this is the same face seen twice, and opens no track.
const SAME_FACE: f32 = 0.6;
/// Seconds over which a track's score is smoothed.
const SCORE_MEMORY: f64 = 0.3;
/// Evidence counts at most this much faster than time.
const MAX_EVIDENCE_RATE: f64 = 5.0;

/// The default tracker.
#[derive(Debug)]
pub struct Visor {
    scores: Scores,
    confirm_after: f64,
    max_lost: Duration,
    roster: Roster<Face>,
    cascade: Cascade,
    rearrangement: Rearrangement,
    camera: CameraMotion,
    looks: Vec<Look>,
    last_at: Duration,
}

/// What is kept beside a track.
#[derive(Clone, Debug)]
struct Face {
    motion: BoxMotion,
    /// Seconds seen, weighted by how sure the detector was.
    evidence: f64,
    /// Score, smoothed over [`SCORE_MEMORY`].
    score: f64,
    /// Look, smoothed over [`LOOK_MEMORY`].
    look: Look,
}

/// What the passes look at: one instant's tracks and detections.
struct Scene<'a> {
    roster: &'a Roster<Face>,
    detections: &'a [Detection],
    looks: &'a [Look],
    at: Duration,
    frame: Size,
    /// Strangers that come by a place in a second.
    encounters: f64,
}

impl Scene<'_> {
    fn state(&self, track: usize) -> TrackState {
        self.roster.tracks()[track].state
    }

    fn unseen_for(&self, track: usize) -> Duration {
        self.at.saturating_sub(self.roster.tracks()[track].last_seen)
    }

    fn predicted(&self, track: usize) -> Rect {
        self.roster.motion(track).motion.rect()
    }

    /// Gain of a pair by place, shape and look.
    fn overlap(&self, track: usize, detection: usize) -> f64 {
        let gain = self.place_overlap(track, detection);
        if gain > -LOOK_PRICE { gain - LOOK_PRICE * self.strangeness(track, detection) } else { gain }
    }

    /// Gain of a pair by place and shape.
    fn place_overlap(&self, track: usize, detection: usize) -> f64 {
        let (place, found) = (self.predicted(track), self.detections[detection].rect);
        let overlap = f64::from(place.grown(BUFFER).iou(found.grown(BUFFER))) - MIN_OVERLAP;
        if overlap <= 0.0 {
            return -1.0; // no look makes up for it
        }
        let (shape_price, stranger) = match self.state(track) {
            TrackState::Lost => (LOST_SHAPE_PRICE, self.chance_of_a_stranger(track)),
            _ => (SHAPE_PRICE, 0.0),
        };
        let price = shape_price * shape_change(place, found) + LOST_PRICE * stranger;
        overlap - price
    }

    /// Chance that somebody else has come to the place of a lost track.
    fn chance_of_a_stranger(&self, track: usize) -> f64 {
        1.0 - (-self.encounters * self.unseen_for(track).as_secs_f64()).exp()
    }

    /// How unlike the track the detection looks: -1 where it is alike, 0 where that cannot be told, 1 where it is not.
    fn strangeness(&self, track: usize, detection: usize) -> f64 {
        let difference = self.roster.motion(track).look.difference(&self.looks[detection]);
        difference.map_or(0.0, |levels| (levels / LOOK_DIFFERENCE - 1.0).min(1.0))
    }

    fn low_overlap(&self, track: usize, detection: usize) -> f64 {
        f64::from(self.predicted(track).iou(self.detections[detection].rect)) - MIN_LOW_OVERLAP
    }

    fn within_reach(&self, track: usize, detection: usize) -> f64 {
        let (place, found) = (self.predicted(track), self.detections[detection].rect);
        let (size, found_size) = (size_of(place), size_of(found));
        let (from, to) = (place.centre(), found.centre());
        let distance = f64::from(from.x - to.x).hypot(f64::from(from.y - to.y)) / size;
        let comparable = found_size.max(size) <= MAX_SIZE_RATIO * found_size.min(size);
        let most = if self.state(track) == TrackState::Lost { MAX_LOST_REACH } else { MAX_REACH };
        if distance >= most || !comparable || self.gave_up(track, detection) {
            return 0.0;
        }
        let far = distance / (REACH_SPREADS * self.roster.motion(track).motion.spread()).min(most);
        if far >= 1.0 {
            return 0.0;
        }
        1.0 - far - LOOK_PRICE * self.strangeness(track, detection)
    }

    /// Whether a lost track may not reach for this detection any more.
    fn gave_up(&self, track: usize, detection: usize) -> bool {
        self.state(track) == TrackState::Lost
            && self.unseen_for(track) > LOST_REACH
            && self.strangeness(track, detection) >= 0.0
            && !(self.is_at_edge(self.roster.motion(track).motion.seen())
                && self.is_at_edge(self.detections[detection].rect))
    }

    fn is_at_edge(&self, rect: Rect) -> bool {
        let right = self.frame.width as f32 - rect.right();
        let bottom = self.frame.height as f32 - rect.bottom();
        f64::from(rect.x.min(rect.y).min(right).min(bottom)) < EDGE * size_of(rect)
    }
}

impl Visor {
    /// A tracker that has seen nothing yet.
    pub fn new(config: &Config) -> Self {
        Self {
            scores: config.scores(),
            confirm_after: config.confirm_after.0.as_secs_f64(),
            max_lost: config.max_lost.0,
            roster: Roster::default(),
            cascade: Cascade::default(),
            rearrangement: Rearrangement::default(),
            camera: CameraMotion::default(),
            looks: Vec::new(),
            last_at: Duration::ZERO,
        }
    }

    /// Moves every track to where it should be now, and ends those lost for too long.
    fn predict(&mut self, analysis: &Analysis<'_>) {
        let elapsed = analysis.at.saturating_sub(self.last_at).as_secs_f64();
        self.last_at = analysis.at;
        let camera = analysis.thumbnail.and_then(|picture| self.camera.shift(picture, analysis.frame_size));
        self.roster.begin();
        let (at, max_lost) = (analysis.at, self.max_lost);
        self.roster.sweep(|track, _| at.saturating_sub(track.last_seen) <= max_lost);
        for index in self.roster.indices() {
            let lost = self.roster.tracks()[index].state == TrackState::Lost;
            let motion = &mut self.roster.motion_mut(index).motion;
            motion.shift(camera.unwrap_or_default());
            if lost {
                motion.predict_unseen(elapsed, analysis.frame_size);
            } else {
                motion.predict(elapsed);
            }
        }
    }

    /// Takes the look of every detection.
    fn look(&mut self, analysis: &Analysis<'_>) {
        let mirror = analysis.thumbnail.and_then(|picture| Mirror::new(picture, analysis.frame_size));
        let look = |detection: &Detection| mirror.map_or(Look::default(), |mirror| mirror.look(detection.rect));
        self.looks.clear();
        self.looks.extend(analysis.detections.iter().map(look));
    }

    fn associate(&mut self, analysis: &Analysis<'_>) {
        let Self { scores, roster, cascade, rearrangement, looks, .. } = self;
        let detections = analysis.detections;
        let frame = analysis.frame_size;
        let scene = Scene { roster, detections, looks, at: analysis.at, frame, encounters: encounters(roster, frame) };
        let sure = |d: usize| detections[d].score >= scores.high;
        let low = |d: usize| detections[d].score >= scores.low;
        let followed = |t: usize| scene.state(t) == TrackState::Confirmed;
        cascade.begin(roster.tracks().len(), detections.len());
        cascade.pass(followed, sure, |t, d| scene.place_overlap(t, d));
        let change = |t: usize, d: usize| shape_change(scene.predicted(t), detections[d].rect);
        let rearranged = rearrangement.resolve(cascade, followed, sure, change);
        if !rearranged && looks.iter().any(Look::is_known) {
            cascade.begin(roster.tracks().len(), detections.len());
            cascade.pass(followed, sure, |t, d| scene.overlap(t, d));
        }
        cascade.pass(|_| true, sure, |t, d| scene.overlap(t, d));
        cascade.pass(followed, low, |t, d| scene.low_overlap(t, d));
        cascade.pass(|_| true, sure, |t, d| scene.within_reach(t, d));
        if rearranged {
            for (track, detection) in cascade.pairs() {
                roster.motion_mut(track).motion = BoxMotion::new(detections[detection].rect);
            }
        }
    }

    /// Takes in the detection of every track that has one.
    fn correct(&mut self, detections: &[Detection], at: Duration) {
        let sure_score = f64::from(self.scores.sure);
        for (index, found) in self.cascade.pairs() {
            let detection = &detections[found];
            let track = &self.roster.tracks()[index];
            let since = at.saturating_sub(track.last_seen).as_secs_f64();
            let doubt = 1.0 - f64::from(track.score.min(detection.score));
            let tentative = track.state == TrackState::Tentative;
            let face = self.roster.motion_mut(index);
            face.motion.correct(detection.rect);
            face.evidence += since * ((1.0 - sure_score) / doubt.max(1e-3)).min(MAX_EVIDENCE_RATE);
            let kept = (-since / SCORE_MEMORY).exp();
            face.look.renew(&self.looks[found], (-since / LOOK_MEMORY).exp() as f32);
            face.score = kept * face.score + (1.0 - kept) * f64::from(detection.score);
            let convincing = face.score + 1e-6 >= sure_score && face.evidence + 1e-6 >= self.confirm_after;
            self.roster.hit(index, detection, at);
            if convincing || !tentative {
                self.roster.confirm(index);
            } else {
                self.roster.suspend(index);
            }
        }
    }

    /// Opens a track at every sure detection that nothing explains.
    fn open(&mut self, detections: &[Detection], at: Duration) {
        for (index, detection) in detections.iter().enumerate() {
            if self.cascade.track_of(index).is_some() || detection.score < self.scores.sure {
                continue;
            }
            let is_same = |track: &Track| track.detection.is_some_and(|d| d.rect.iou(detection.rect) > SAME_FACE);
            if !self.roster.tracks().iter().any(is_same) {
                let face = Face {
                    motion: BoxMotion::new(detection.rect),
                    evidence: 0.0,
                    score: detection.score.into(),
                    look: self.looks[index],
                };
                self.roster.open(detection, at, face);
            }
        }
    }
}

/// How often a second, by the kinetic theory of gases, one of the followed faces comes by any one place of the frame.
fn encounters(roster: &Roster<Face>, frame: Size) -> f64 {
    let followed = roster.tracks().iter().filter(|track| track.state == TrackState::Confirmed);
    let swept = followed.map(|t| 2.0 * size_of(t.rect) * f64::from(t.velocity.x.hypot(t.velocity.y))).sum::<f64>();
    ENCOUNTERS * swept / frame.pixels().max(1) as f64
}

impl Tracker for Visor {
    fn update(&mut self, analysis: Analysis<'_>) {
        self.predict(&analysis);
        self.look(&analysis);
        self.associate(&analysis);
        for index in self.roster.indices() {
            if self.cascade.detection_of(index).is_none() {
                self.roster.suspend(index);
            }
        }
        self.correct(analysis.detections, analysis.at);
        self.open(analysis.detections, analysis.at);
        for index in self.roster.indices() {
            let motion = &self.roster.motion(index).motion;
            let (rect, velocity) = (motion.rect(), motion.velocity());
            self.roster.place(index, rect, velocity);
        }
        self.roster.sweep(|track, _| track.state != TrackState::Tentative || track.detection.is_some());
    }

    fn tracks(&self) -> &[Track] {
        self.roster.tracks()
    }

    fn ended(&self) -> &[Track] {
        self.roster.ended()
    }
}
