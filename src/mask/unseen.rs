//! Where a face may be in frames around which no analysis, or only one, found it: where its looks were followed to, where it
//! was, and where it was going.

use std::time::Duration;

use super::motion::{distance, mixed, moved, moved_on, seconds, signed, speed, velocity_between};
use super::sighting::Sighting;
use super::strand::{Between, FAST, Knot, Neighbours, Strand, WEAK};
use super::trail::{AGREED, Last};
use super::way::{Place, sweep};
use crate::geometry::{Point, Rect};

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
/// … and until nearly so many analyses have looked for it in vain …
const ROUNDS: f32 = 1.8;
/// … and for so many seconds where it would be no further than so many sizes from another face by now: that one may hide it, and
/// anybody may come out between two analyses.
const HIDDEN: f32 = 0.6;
const BESIDE: f32 = 1.0;
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
/// Analyses further apart than so many seconds are few.
const SELDOM: f32 = 0.25;

impl Strand {
    /// After an analysis that found it; `open` where none found it since.
    pub fn lost(
        &self,
        from: &Knot,
        (at, between): (Duration, Between),
        (open, others): (bool, &Neighbours),
        places: &mut Vec<Place>,
    ) {
        let away = seconds(at.saturating_sub(from.at));
        let velocity = self.velocity(from, -1.0);
        // whatever the analysis before the frame found is masked up to the one after it
        let next_to = from.at >= between.from;
        let rounds = ROUNDS * seconds(between.to.saturating_sub(between.from));
        if !next_to && away > self.held(from, velocity, rounds) {
            return places.extend(self.hidden(from, at, &others.beside));
        }
        if self.by_looks(from, at, places) {
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

    /// Before an analysis that found it.
    pub fn coming(&self, to: &Knot, (at, between): (Duration, Between), hiders: &[Rect], places: &mut Vec<Place>) {
        let lead = seconds(to.at.saturating_sub(at));
        let last = self.knots.iter().rev().find(|knot| knot.sighting.seen).unwrap_or(to);
        let velocity = self.velocity(to, 1.0).or_else(|| self.velocity_unseen(to));
        let came = velocity.map_or(BACK, |velocity| travel_time(speed(velocity, to.sighting.rect)));
        let back = if to.sighting.firm { BACK.min(self.known(last)).min(came) } else { WEAK };
        let next_to = to.at <= between.to;
        if !next_to && lead > back {
            return;
        }
        let seen = self.trail.seen(to.at, at).is_some();
        let by_looks = self.by_looks(to, at, places);
        if !(by_looks && seen) {
            from_behind(to, hiders, places);
        }
        if by_looks {
            return;
        }
        let doubt = doubt(velocity, &to.sighting, lead) + if next_to { starved(lead) } else { 0.0 };
        places.push(Place { rect: to.sighting.rect, doubt });
        if let Some(velocity) = velocity {
            places.push(Place { rect: moved(to.sighting.rect, velocity, -lead), doubt });
        }
    }

    /// Where what an analysis found was followed to by its looks, and where that is not sure where it was going, too; whether that
    /// is all.
    fn by_looks(&self, knot: &Knot, at: Duration, places: &mut Vec<Place>) -> bool {
        let Some((rect, sure)) = self.trail.seen(knot.at, at) else { return self.astray(knot, at, places) };
        places.push(Place { rect: knot.with_cut(rect), doubt: 0.0 });
        let going = if sure { None } else { self.going(knot, at) };
        places.extend(going.filter(|going| distance(going.rect, rect) > AGREED));
        sure || going.is_some()
    }

    /// On from where it was last for sure.
    fn going(&self, knot: &Knot, at: Duration) -> Option<Place> {
        let last = self.last_towards(knot, at, true);
        let velocity = last.velocity?;
        let later = signed(last.at, at);
        let doubt = doubt(last.velocity, &knot.sighting, later.abs());
        Some(Place { rect: moved(last.rect, velocity, later), doubt })
    }

    /// On from the last frame in which it was followed by its looks, if there is one, and from the last one for sure.
    pub fn astray(&self, knot: &Knot, at: Duration, places: &mut Vec<Place>) -> bool {
        let last = self.last_towards(knot, at, false);
        if last.at == knot.at {
            return false;
        }
        let later = signed(last.at, at);
        let doubt = doubt(last.velocity, &knot.sighting, later.abs());
        if last.velocity.is_none_or(|velocity| speed(velocity, last.rect) * later.abs() <= GONE) {
            places.push(Place { rect: last.rect, doubt });
        }
        places.extend(last.velocity.map(|velocity| Place { rect: moved(last.rect, velocity, later), doubt }));
        places.extend(if last.sure { None } else { self.going(knot, at) });
        true
    }

    /// The last frame on the way from a knot to `at` that says where it was; the knot itself where no other does.
    fn last_towards(&self, knot: &Knot, at: Duration, sure: bool) -> Last {
        let found = Last { at: knot.at, rect: knot.sighting.rect, velocity: None, sure: true };
        let last = self.trail.last_towards(at, (knot.at, knot.sighting.rect), sure).unwrap_or(found);
        let way = if knot.at < at { -1.0 } else { 1.0 };
        Last { velocity: last.velocity.or_else(|| self.velocity(knot, way)), ..last }
    }

    /// Where it would be by now, if another face is there that may hide it.
    fn hidden(&self, from: &Knot, at: Duration, beside: &[Rect]) -> Option<Place> {
        let last = self.last_towards(from, at, true);
        let velocity = last.velocity?;
        let later = signed(last.at, at);
        let rect = moved_on(last.rect, velocity, later);
        let in_time = signed(from.at, at) <= HIDDEN.min(self.known_by_looks(from));
        let is_hidden = from.sighting.firm && in_time && beside.iter().any(|other| distance(*other, rect) < BESIDE);
        is_hidden.then(|| Place { rect, doubt: doubt(last.velocity, &from.sighting, later) })
    }

    /// For how long it counts as known at a knot.
    fn known(&self, knot: &Knot) -> f32 {
        FIRST + seconds(knot.at.saturating_sub(self.since))
    }

    /// The same with the frames in which its looks were followed.
    fn known_by_looks(&self, knot: &Knot) -> f32 {
        let (first, last) = self.trail.seen_around(knot.at);
        FIRST + seconds(last.saturating_sub(self.since.min(first)))
    }

    /// For how long it is held after an analysis that found it; `rounds` is how long enough further ones take.
    fn held(&self, from: &Knot, velocity: Option<Point>, rounds: f32) -> f32 {
        if !from.sighting.firm {
            return WEAK;
        }
        let speed = velocity.map_or(f32::MAX, |velocity| speed(velocity, from.sighting.rect));
        from.patience.min(self.known(from)).min(travel_time(speed).max(rounds))
    }

    /// Where the tracker believes it.
    fn predicted(&self, from: &Knot, at: Duration, velocity: Option<Point>) -> Rect {
        let last = self.knots.iter().rev().find(|knot| knot.at <= at).unwrap_or(from);
        let velocity = if last.sighting.seen { velocity.unwrap_or_default() } else { last.sighting.velocity };
        moved(last.sighting.rect, velocity, seconds(at.saturating_sub(last.at)))
    }

    /// Lost, and found again: between the two.
    pub fn found_again(&self, from: &Knot, to: &Knot, at: Duration, places: &mut Vec<Place>) {
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
