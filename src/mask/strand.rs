//! One face over the time for which frames are held: all places where it may be at an instant, seen or not.

use std::collections::VecDeque;
use std::time::Duration;

use super::motion::{distance, mixed, moved, seconds, share, signed, velocity_between};
use super::sighting::Sighting;
use super::trail::Trail;
use super::way::{Place, sweep};
use crate::geometry::{Point, Rect};

/// What may be a face and is not taken for one is held for so many seconds, unless all that time has been looked at and it was not
/// found any more; it is masked that far back.
pub(super) const WEAK: f32 = 0.1;
/// Whoever cannot be told from another at some instant is masked this far back, as far as frames are held.
const DOUBTED_BACK: Duration = Duration::from_millis(500);
/// Acceleration, in sizes a second squared, by which a way between two knots may differ from a straight one.
const CURVE: f32 = 8.0;
/// Share of a size by which that is bounded.
const MOST_CURVE: f32 = 0.5;
/// A detector's boxes scatter: those found within so many seconds before and after count where a face is found.
const SCATTER: f32 = 0.12;
/// On its way between two knots a face may be early or late by this many seconds: cameras are.
const UNEVEN: f32 = 0.01;
/// A knot no further than so many sizes from where a face was going is the same face's.
pub(super) const SURE: f32 = 0.4;
/// One that is found where it was is the same one if it should have got no further than so many sizes: who is faster than that does
/// not stop at once.
const STOPS: f32 = 0.8;
/// Two knots further apart than so many sizes are no way: all places changed at once …
const FAR: f32 = 2.5;
/// … unless that is no more than so many sizes a second.
pub(super) const FAST: f32 = 6.0;
/// Faces no further apart than this, in sizes, may have been taken for each other.
pub(super) const CLOSE: f32 = 1.5;
/// How a face moves is taken from knots so many seconds apart …
const TREND: f32 = 0.095;
/// … and no more than so many.
pub(super) const RECENT: f32 = 0.6;

/// One analysis of a face.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knot {
    pub at: Duration,
    /// Which part of the stream it is in, between two cuts.
    pub shot: u64,
    pub sighting: Sighting,
    /// For how long it is held when it is not found any more, in seconds.
    pub patience: f32,
    /// How much wider it is to the left and to the right, beyond the picture's edge, in pixels.
    pub cut: [f32; 2],
}

impl Knot {
    /// What the analysis found, at another place, with what the picture's edge had cut off.
    pub fn with_cut(&self, rect: Rect) -> Rect {
        let [left, right] = self.cut;
        Rect { x: rect.x - left, w: rect.w + left + right, ..rect }
    }
}

/// One face.
#[derive(Clone, Debug)]
pub(super) struct Strand {
    pub key: u64,
    pub track: Option<u64>,
    pub firm: bool,
    /// When it was first found.
    pub since: Duration,
    pub knots: VecDeque<Knot>,
    /// Where it was in between, by its looks.
    pub trail: Trail,
}

/// The stream times of the analyses around a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Between {
    pub from: Duration,
    pub to: Duration,
    /// The part of the stream that they and the frame are in, between two cuts.
    pub shot: u64,
}

/// What is known besides: other faces by which this one may be mistaken, or hidden.
#[derive(Clone, Debug, Default)]
pub(super) struct Neighbours {
    /// Stream time of the newest analysis.
    pub newest: Duration,
    /// Found by the analysis after the frame: each may be this one.
    pub rivals: Vec<Rect>,
    /// Where those are from behind which it may come.
    pub hiders: Vec<Rect>,
    /// Where those are that an analysis around the frame found.
    pub beside: Vec<Rect>,
}

impl Strand {
    /// Whether the face goes unmasked: each analysis from the one before the frame on found it as this track and let it go, and one that is
    /// not before the frame verified it. So whatever a tracker took for the same face between two verifications, the later
    /// one comes before the frame is shown. What was verified on the other side of a cut says nothing.
    pub fn is_exempt(&self, between: Between) -> bool {
        let mut since =
            self.knots.iter().filter(|knot| knot.at >= between.from && knot.at <= between.to + DOUBTED_BACK);
        let at = |time: Duration| self.knots.iter().any(|knot| knot.at == time);
        let verified = |knot: &Knot| knot.at >= between.to && knot.shot == between.shot && knot.sighting.verified;
        at(between.from)
            && at(between.to)
            && self.knots.iter().any(verified)
            && since.all(|knot| knot.sighting.exempt && knot.sighting.seen && knot.sighting.track == self.track)
    }

    /// The last analysis up to `at` that found it.
    pub fn seen_before(&self, at: Duration) -> Option<&Knot> {
        self.knots.iter().rev().find(|knot| knot.at <= at && knot.sighting.seen)
    }

    /// The first analysis from `at` on that found it.
    pub fn seen_after(&self, at: Duration) -> Option<&Knot> {
        self.knots.iter().find(|knot| knot.at >= at && knot.sighting.seen)
    }

    /// Whether a face that is found at `rect` is surely the one that it was at `from`.
    pub fn is_surely(&self, from: &Knot, rect: Rect, at: Duration) -> bool {
        let (was, expected) = (from.sighting.rect, self.expected(from, at));
        distance(expected, rect) <= SURE || (distance(was, rect) <= SURE && distance(was, expected) <= STOPS)
    }

    /// Where it should be at `at` if it goes on as it did up to `from`.
    fn expected(&self, from: &Knot, at: Duration) -> Rect {
        let velocity = self.velocity(from, -1.0).unwrap_or_default();
        moved(from.sighting.rect, velocity, seconds(at.saturating_sub(from.at)))
    }

    /// Whether this is a sighting of the track that follows it.
    pub fn is_followed_by(&self, sighting: &Sighting) -> bool {
        sighting.track.is_some() && sighting.track == self.track
    }

    /// Whether no analysis at `at` or after it has said anything of it yet.
    pub fn is_open(&self, at: Duration) -> bool {
        self.knots.back().is_none_or(|knot| knot.at < at)
    }

    /// The last analysis that found it, and where it should be at `at`; `None` where that was too short a time to tell.
    pub fn heading_for(&self, at: Duration) -> Option<(&Knot, Rect)> {
        let last = self.knots.iter().rev().find(|knot| knot.sighting.seen).filter(|knot| knot.at < at)?;
        self.velocity(last, -1.0)?;
        Some((last, self.expected(last, at)))
    }

    /// Whether this is a sighting of the track that follows it, and beyond doubt of this face.
    pub fn goes_on_as(&self, sighting: &Sighting, at: Duration) -> bool {
        self.is_followed_by(sighting) && self.left_behind_by(sighting, at).is_none()
    }

    /// Where it should be instead, if a face that an analysis at `at` found and takes for it may be another one. Of who was found
    /// but once that cannot be told.
    pub fn left_behind_by(&self, sighting: &Sighting, at: Duration) -> Option<Rect> {
        let (last, expected) = self.heading_for(at).filter(|_| sighting.seen)?;
        (!self.is_surely(last, sighting.rect, at)).then_some(expected)
    }

    /// All places where it may be in a frame at `at`.
    pub fn places(&self, at: Duration, between: Between, others: &Neighbours) -> Vec<Place> {
        let mut places = Vec::new();
        match (self.seen_before(at), self.seen_after(at)) {
            (Some(from), Some(to)) if from.at == to.at => self.found(to, &mut places),
            (Some(from), Some(to)) if from.at >= between.from && to.at <= between.to => {
                if let Some(place) = self.followed(from, to, at) {
                    return vec![place];
                }
                self.astray(from, at, &mut places);
                self.astray(to, at, &mut places);
                self.way(from, to, at, &mut places);
                others.rivals.iter().for_each(|rival| other_way((from, *rival), (to.at, at), &mut places));
            }
            (from, to) => {
                // another track may be another face
                let open = |from: &Knot| to.is_none_or(|to| to.sighting.track != from.sighting.track);
                let in_vain = |from: &Knot| to.is_none() && self.was_nothing(from, between, others.newest);
                for from in self.last_seen(from, at).filter(|from| !in_vain(from)) {
                    self.lost(from, (at, between), (open(from), others), &mut places);
                }
                for to in self.next_seen(to, at) {
                    self.coming(to, (at, between), &others.hiders, &mut places);
                }
                if let (Some(from), Some(to)) = (from, to) {
                    self.found_again(from, to, at, &mut places);
                }
            }
        }
        places
    }

    /// Where the frame's own analysis found it, and where those just before and after would have it.
    fn found(&self, knot: &Knot, places: &mut Vec<Place>) {
        places.push(Place { rect: knot.sighting.rect, doubt: 0.0 });
        let away = |other: &Knot| seconds(other.at.abs_diff(knot.at));
        let near = |other: &&Knot| {
            other.shot == knot.shot && other.sighting.seen && other.sighting.firm && away(other) <= SCATTER
        };
        let before = self.knots.iter().rev().find(|other| other.at < knot.at).filter(near);
        let after = self.knots.iter().find(|other| other.at > knot.at).filter(near);
        if let (Some(before), Some(after)) = (before, after) {
            let share = away(before) / (away(before) + away(after)).max(1e-6);
            places.push(Place { rect: mixed(before.sighting.rect, after.sighting.rect, share), doubt: 0.0 });
        }
    }

    /// The last analysis before that found a face, and the one after that found what may be it.
    fn last_seen<'a>(&'a self, from: Option<&'a Knot>, at: Duration) -> impl Iterator<Item = &'a Knot> {
        let firm = self.knots.iter().rev().find(|knot| knot.at <= at && knot.sighting.seen && knot.sighting.firm);
        let weak = from.filter(|from| !from.sighting.firm);
        firm.into_iter().chain(weak)
    }

    /// Whether what an analysis before those around the frame found was never taken for a face, nor found again within the time
    /// for which it would be held.
    fn was_nothing(&self, from: &Knot, between: Between, newest: Duration) -> bool {
        !self.firm && from.at < between.from && seconds(newest.saturating_sub(from.at)) >= WEAK
    }

    /// The same for the first analyses after it.
    fn next_seen<'a>(&'a self, to: Option<&'a Knot>, at: Duration) -> impl Iterator<Item = &'a Knot> {
        let firm = self.knots.iter().find(|knot| knot.at >= at && knot.sighting.seen && knot.sighting.firm);
        let weak = to.filter(|to| !to.sighting.firm);
        firm.into_iter().chain(weak)
    }

    /// Between two analyses in a row, if it was followed from one to the other by its looks.
    fn followed(&self, from: &Knot, to: &Knot, at: Duration) -> Option<Place> {
        let (one, other) = (from.sighting.rect, to.sighting.rect);
        if !self.trail.joins((from.at, one), (to.at, other)) {
            return None;
        }
        let centre = self.trail.between(from.at, to.at, at)?.centre();
        let Rect { w, h, .. } = mixed(one, other, share(from.at, to.at, at));
        Some(Place { rect: Rect::new(centre.x - w / 2.0, centre.y - h / 2.0, w, h), doubt: 0.0 })
    }

    /// Between two analyses in a row.
    fn way(&self, from: &Knot, to: &Knot, at: Duration, places: &mut Vec<Place>) {
        let gap = seconds(to.at.saturating_sub(from.at));
        let (gone, left) = (seconds(at.saturating_sub(from.at)), seconds(to.at.saturating_sub(at)));
        let ends = (from.sighting.rect, to.sighting.rect);
        let apart = distance(ends.0, ends.1);
        if self.is_surely(from, to.sighting.rect, to.at) {
            let (slack, share) = (UNEVEN / gap.max(UNEVEN), gone / gap.max(1e-6));
            let doubt = (CURVE * gone * left / 2.0).min(MOST_CURVE);
            return sweep(ends, ((share - slack).max(0.0), (share + slack).min(1.0)), doubt, places);
        }
        let doubt = (CURVE * gap * gap / 8.0).min(MOST_CURVE);
        places.push(Place { rect: from.sighting.rect, doubt });
        places.push(Place { rect: to.sighting.rect, doubt });
        // two faces may have been taken for one: each goes its own way
        if let Some(velocity) = self.velocity(from, -1.0) {
            places.push(Place { rect: moved(from.sighting.rect, velocity, gone), doubt });
        }
        if let Some(velocity) = self.velocity(to, 1.0) {
            places.push(Place { rect: moved(to.sighting.rect, velocity, -left), doubt });
        }
        if apart <= FAR.max(FAST * gap) {
            sweep(ends, (0.0, 1.0), doubt, places);
        }
    }

    /// How it moves at a knot, in pixels a second: by knots before it (`way` -1) or after it (1) in which it was seen.
    pub fn velocity(&self, knot: &Knot, way: f32) -> Option<Point> {
        let apart = |other: &Knot| signed(knot.at, other.at) * way;
        let near = |other: &&Knot| {
            // how it moved before a cut says nothing of how it moves after it
            other.shot == knot.shot && other.sighting.seen && apart(other) > 0.0 && apart(other) < RECENT
        };
        let found = self.knots.iter().filter(near).min_by(|a, b| {
            // the nearest that is far enough away, or else the furthest
            let rank = |other: &Knot| if apart(other) >= TREND { apart(other) } else { 2.0 * RECENT - apart(other) };
            rank(a).total_cmp(&rank(b))
        });
        found.map(|other| velocity_between(knot.sighting.rect, other.sighting.rect, signed(knot.at, other.at)))
    }
}

/// From one knot to another face's box of the analysis after.
fn other_way((from, rival): (&Knot, Rect), (to, at): (Duration, Duration), places: &mut Vec<Place>) {
    let (gone, left) = (seconds(at.saturating_sub(from.at)), seconds(to.saturating_sub(at)));
    let share = gone / (gone + left).max(1e-6);
    let doubt = (CURVE * gone * left / 2.0).min(MOST_CURVE);
    places.push(Place { rect: mixed(from.sighting.rect, rival, share), doubt });
}
