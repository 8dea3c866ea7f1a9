//! One face over the time for which frames are held: all places where it may be at an instant, seen or not.

use std::collections::VecDeque;
use std::time::Duration;

use super::motion::{distance, mixed, moved, seconds, speed, velocity_between};
use super::sighting::Sighting;
use super::way::{Place, sweep};
use crate::geometry::{Point, Rect};

/// What may be a face and is not taken for one is held for so many seconds, unless all that time has been looked at and it was not
/// found any more; it is masked that far back.
const WEAK: f32 = 0.1;
/// A face that is found for the first time is masked this far back, as far as frames are held, but no further than in which it
/// would get as far as one that is held once it is lost.
const BACK: f32 = 0.5;
/// A face found once is held for so many seconds, and masked that far back; by as much longer as it has been known.
const FIRST: f32 = 0.25;
/// A face that is not found any more is held for the time in which it would get this far, in sizes: where it is after that
/// nobody knows …
const TRAVEL: f32 = 0.75;
/// … but for so many seconds at least …
const LEAST_HELD: f32 = 0.3;
/// … and until nearly so many analyses have looked for it in vain.
const ROUNDS: f32 = 1.8;
/// Whoever has gone further than this since, in sizes, as it moved, is not where it was.
const GONE: f32 = 0.6;
/// A face that is first found beside another one may have come from behind it: so much of the way there is hidden.
const BEHIND: f32 = 0.7;
/// A gap that a face was lost in and found again after is bridged where it is no longer than so many seconds.
const BRIDGE: f32 = 1.0;
/// Where it stays is doubtful by this share of its size for each second in which it is not seen …
const DRIFT: f32 = 0.8;
/// … and by this share of how far it would get in that time …
const TURN: f32 = 0.3;
/// … by this share of its size at most.
const MOST_DOUBT: f32 = 0.2;
/// Where nothing says how it moves it is doubtful by so many sizes a second …
const UNKNOWN: f32 = 4.0;
/// … and so many at most.
const MOST_UNKNOWN: f32 = 0.5;
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
/// Two knots further apart than so many sizes are no way: all places changed at once …
const FAR: f32 = 2.5;
/// … unless that is no more than so many sizes a second.
const FAST: f32 = 6.0;
/// Analyses further apart than so many seconds are few.
const SELDOM: f32 = 0.25;
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
    fn is_surely(&self, from: &Knot, rect: Rect, at: Duration) -> bool {
        distance(from.sighting.rect, rect) <= SURE || distance(self.expected(from, at), rect) <= SURE
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
                self.way(from, to, at, &mut places);
                others.rivals.iter().for_each(|rival| other_way((from, *rival), (to.at, at), &mut places));
            }
            (from, to) => {
                // another track may be another face
                let open = |from: &Knot| to.is_none_or(|to| to.sighting.track != from.sighting.track);
                let in_vain = |from: &Knot| to.is_none() && self.was_nothing(from, between, others.newest);
                for from in self.last_seen(from, at).filter(|from| !in_vain(from)) {
                    self.lost(from, (at, between), open(from), &mut places);
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

    /// After an analysis that found it; `open` where none found it since.
    fn lost(&self, from: &Knot, (at, between): (Duration, Between), open: bool, places: &mut Vec<Place>) {
        let away = seconds(at.saturating_sub(from.at));
        let velocity = self.velocity(from, -1.0);
        // whatever the analysis before the frame found is masked up to the one after it
        let next_to = from.at >= between.from;
        let rounds = ROUNDS * seconds(between.to.saturating_sub(between.from));
        if !next_to && away > self.held(from, velocity, rounds) {
            return;
        }
        let doubt = doubt(velocity, &from.sighting, away) + if next_to { starved(away) } else { 0.0 };
        let gone = open && velocity.is_some_and(|velocity| speed(velocity, from.sighting.rect) * away > GONE);
        if !gone {
            places.push(Place { rect: from.sighting.rect, doubt });
        }
        if open {
            places.push(Place { rect: self.predicted(from, at, velocity), doubt });
        }
    }

    /// For how long it is held after an analysis that found it; `rounds` is how long enough further ones take.
    fn held(&self, from: &Knot, velocity: Option<Point>, rounds: f32) -> f32 {
        if !from.sighting.firm {
            return WEAK;
        }
        let known = FIRST + seconds(from.at.saturating_sub(self.since));
        let speed = velocity.map_or(f32::MAX, |velocity| speed(velocity, from.sighting.rect));
        from.patience.min(known).min(travel_time(speed).max(rounds))
    }

    /// Where the tracker believes it.
    fn predicted(&self, from: &Knot, at: Duration, velocity: Option<Point>) -> Rect {
        let last = self.knots.iter().rev().find(|knot| knot.at <= at).unwrap_or(from);
        let velocity = if last.sighting.seen { velocity.unwrap_or_default() } else { last.sighting.velocity };
        moved(last.sighting.rect, velocity, seconds(at.saturating_sub(last.at)))
    }

    /// Before an analysis that found it.
    fn coming(&self, to: &Knot, (at, between): (Duration, Between), hiders: &[Rect], places: &mut Vec<Place>) {
        let lead = seconds(to.at.saturating_sub(at));
        let last = self.knots.iter().rev().find(|knot| knot.sighting.seen).unwrap_or(to);
        let known = FIRST + seconds(last.at.saturating_sub(self.since));
        let velocity = self.velocity(to, 1.0).or_else(|| self.velocity_unseen(to));
        let came = velocity.map_or(BACK, |velocity| travel_time(speed(velocity, to.sighting.rect)));
        let back = if to.sighting.firm { BACK.min(known).min(came) } else { WEAK };
        let next_to = to.at <= between.to;
        if !next_to && lead > back {
            return;
        }
        let doubt = doubt(velocity, &to.sighting, lead) + if next_to { starved(lead) } else { 0.0 };
        places.push(Place { rect: to.sighting.rect, doubt });
        if let Some(velocity) = velocity {
            places.push(Place { rect: moved(to.sighting.rect, velocity, -lead), doubt });
        }
        from_behind(to, hiders, places);
    }

    /// Lost, and found again: between the two.
    fn found_again(&self, from: &Knot, to: &Knot, at: Duration, places: &mut Vec<Place>) {
        let (away, back) = (seconds(at.saturating_sub(from.at)), seconds(to.at.saturating_sub(at)));
        let (one, other) = (&from.sighting, &to.sighting);
        if away + back > if one.firm && other.firm { BRIDGE } else { WEAK } {
            return;
        }
        let doubt = doubt(self.velocity(from, -1.0), one, away.min(back));
        places.push(Place { rect: mixed(one.rect, other.rect, away / (away + back).max(1e-6)), doubt });
    }

    /// How it moved, in pixels a second, while it was lost and until it was found again where it was going, by the same track.
    fn velocity_unseen(&self, to: &Knot) -> Option<Point> {
        let seen = |knot: &&Knot| knot.at < to.at && knot.sighting.seen && knot.sighting.firm;
        let from = self.knots.iter().rev().find(seen)?;
        let gap = seconds(to.at.saturating_sub(from.at));
        let same = from.shot == to.shot && to.sighting.firm && from.sighting.track == to.sighting.track;
        let found = same && gap <= BRIDGE && self.is_surely(from, to.sighting.rect, to.at);
        found.then(|| velocity_between(from.sighting.rect, to.sighting.rect, gap))
    }

    /// How it moves at a knot, in pixels a second: by knots before it (`way` -1) or after it (1) in which it was seen.
    fn velocity(&self, knot: &Knot, way: f32) -> Option<Point> {
        // in whole durations: a stream that has run for days has times that a float does not tell apart
        let later =
            |other: &Knot| seconds(other.at.saturating_sub(knot.at)) - seconds(knot.at.saturating_sub(other.at));
        let apart = |other: &Knot| later(other) * way;
        let near = |other: &&Knot| {
            // how it moved before a cut says nothing of how it moves after it
            other.shot == knot.shot && other.sighting.seen && apart(other) > 0.0 && apart(other) < RECENT
        };
        let found = self.knots.iter().filter(near).min_by(|a, b| {
            // the nearest that is far enough away, or else the furthest
            let rank = |other: &Knot| if apart(other) >= TREND { apart(other) } else { 2.0 * RECENT - apart(other) };
            rank(a).total_cmp(&rank(b))
        });
        found.map(|other| velocity_between(knot.sighting.rect, other.sighting.rect, later(other)))
    }
}

/// By which share of its size the place of a face is doubtful that was not seen for so many seconds.
fn doubt(velocity: Option<Point>, sighting: &Sighting, unseen: f32) -> f32 {
    match velocity {
        // what may be a face is masked where it was found
        _ if !sighting.firm => 0.0,
        None => (UNKNOWN * unseen).min(MOST_UNKNOWN),
        Some(velocity) => ((DRIFT + TURN * speed(velocity, sighting.rect)) * unseen).min(MOST_DOUBT),
    }
}

/// What comes to the doubt about a face that only one of the analyses around the frame found, and so long ago, or later, that
/// analyses have become few: it may have gone anywhere.
fn starved(unseen: f32) -> f32 {
    (unseen - SELDOM).max(0.0) * FAST
}

/// The time in which a face of this speed gets as far as its mask follows it unseen, in seconds.
fn travel_time(speed: f32) -> f32 {
    (TRAVEL / speed.max(1e-3)).max(LEAST_HELD)
}

/// Before an analysis that found it beside other faces: part of the way from behind each.
fn from_behind(to: &Knot, hiders: &[Rect], places: &mut Vec<Place>) {
    let rect = to.sighting.rect;
    for hider in hiders.iter().filter(|_| to.sighting.firm) {
        let (here, there) = (rect.centre(), hider.centre());
        let behind = Rect { x: rect.x + there.x - here.x, y: rect.y + there.y - here.y, ..rect };
        sweep((rect, behind), (0.0, BEHIND), 0.0, places);
    }
}

/// From one knot to another face's box of the analysis after.
fn other_way((from, rival): (&Knot, Rect), (to, at): (Duration, Duration), places: &mut Vec<Place>) {
    let (gone, left) = (seconds(at.saturating_sub(from.at)), seconds(to.saturating_sub(at)));
    let share = gone / (gone + left).max(1e-6);
    let doubt = (CURVE * gone * left / 2.0).min(MOST_CURVE);
    places.push(Place { rect: mixed(from.sighting.rect, rival, share), doubt });
}
