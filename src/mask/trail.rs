//! Where one face was in the frames that are held, by its looks: forwards from the analysis that found it last, and
//! backwards from the one that found it after.
//!
//! It is looked for from frame to frame near where it was going, and always as what the analysis found, so that no error
//! adds up. From the first frame on in which nothing looks like it, nothing is said.

use std::collections::VecDeque;
use std::time::Duration;

use super::looks::Looks;
use super::motion::{distance, mixed, moved, seconds, share, signed, velocity_between};
use crate::frame::Frame;
use crate::geometry::{Point, Rect};

/// A face is looked for within so many sizes, and so many more for each second since the frame before, of where it was going …
const OFF: f32 = 0.1;
const TURNS: f32 = 3.0;
/// … and else as far away as it may get; it is not sure then that it is that face.
const ANYWHERE: f32 = 8.0;
/// Places no further apart than this, in sizes, are those of one face.
pub(super) const AGREED: f32 = 0.15;
/// How it moves is told by places so many seconds apart at least.
const TREND: f32 = 0.075;

/// What looked like the face in a frame.
#[derive(Clone, Copy, Debug)]
struct Glimpse {
    at: Duration,
    rect: Rect,
    /// The time of the analysis that found what it looks like.
    since: Duration,
    sure: bool,
}

/// What was found where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub rect: Rect,
    /// In pixels a second.
    pub velocity: Point,
    /// Nobody is so near that the box may be of that one in part.
    pub alone: bool,
}

/// Where it was in the last frame that says so, and how it moved, if that can be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub at: Duration,
    pub rect: Rect,
    pub velocity: Option<Point>,
    pub sure: bool,
}

/// The frame up to which a face was followed.
#[derive(Clone, Debug)]
struct End {
    looks: Looks,
    since: Duration,
    at: Duration,
    found: Found,
}

impl End {
    /// In the next frame, or the one before.
    fn step(&mut self, frame: &Frame) -> Option<Glimpse> {
        let (picture, at) = (frame.picture(), frame.stamp.pts);
        let later = signed(self.at, at);
        let expected = moved(self.found.rect, self.found.velocity, later);
        let look = |pace: f32| self.looks.find(picture, expected, OFF + pace * later.abs());
        let (rect, sure) = look(TURNS).or_else(|| look(ANYWHERE).map(|(rect, _)| (rect, false)))?;
        if later != 0.0 {
            self.found.velocity = velocity_between(self.found.rect, rect, later);
        }
        (self.at, self.found.rect) = (at, rect);
        Some(Glimpse { at, rect, since: self.since, sure: sure && self.found.alone })
    }
}

/// One face's way by its looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    glimpses: VecDeque<Glimpse>,
    end: Option<End>,
}

impl Trail {
    /// Follows it through frames after the analysis that found it last, in their order.
    pub fn forwards<'a>(&mut self, frames: impl Iterator<Item = &'a Frame>) {
        let Some(mut end) = self.end.take() else { return };
        let last = end.at;
        for frame in frames.filter(|frame| frame.stamp.pts > last) {
            let Some(glimpse) = end.step(frame) else { return };
            self.glimpses.push_back(glimpse);
        }
        self.end = Some(end);
    }

    /// Begins anew with what the analysis of `frame` found, and follows that through frames before it, the latest first.
    pub fn begin<'a>(&mut self, frame: &Frame, found: Found, before: impl Iterator<Item = &'a Frame>) {
        let at = frame.stamp.pts;
        self.end = Looks::of(frame.picture(), found.rect).map(|looks| End { looks, since: at, at, found });
        let Some(mut end) = self.end.clone() else { return };
        for frame in before {
            let Some(glimpse) = end.step(frame) else { return };
            self.glimpses.push_back(glimpse);
        }
    }

    /// Follows it no further.
    pub fn stop(&mut self) {
        self.end = None;
    }

    #[cfg(test)]
    pub fn is_followed(&self) -> bool {
        self.end.is_some()
    }

    /// Where in the frame at `at` what an analysis at `since` found was, and whether that is sure.
    pub fn seen(&self, since: Duration, at: Duration) -> Option<(Rect, bool)> {
        let found = self.glimpses.iter().find(|glimpse| glimpse.at == at && glimpse.since == since);
        found.map(|glimpse| (glimpse.rect, glimpse.sure))
    }

    /// The first and the last frame in which what an analysis at `since` found was seen.
    pub fn seen_around(&self, since: Duration) -> (Duration, Duration) {
        let own = self.glimpses.iter().filter(|glimpse| glimpse.since == since);
        own.fold((since, since), |(first, last), glimpse| (first.min(glimpse.at), last.max(glimpse.at)))
    }

    /// Whether what two analyses found is one face: it was followed from one to the other.
    pub fn joins(&self, from: (Duration, Rect), to: (Duration, Rect)) -> bool {
        let comes = |one: (Duration, Rect), other: (Duration, Rect)| {
            self.seen(one.0, other.0).is_some_and(|(rect, _)| distance(rect, other.1) <= AGREED)
        };
        comes(from, to) || comes(to, from)
    }

    /// Where it was between two analyses that it joins.
    pub fn between(&self, from: Duration, to: Duration, at: Duration) -> Option<Rect> {
        match (self.seen(from, at), self.seen(to, at)) {
            (Some((one, _)), Some((other, _))) => {
                (distance(one, other) <= AGREED).then(|| mixed(one, other, share(from, to, at)))
            }
            (one, other) => one.or(other).map(|(rect, _)| rect),
        }
    }

    /// The last frame on the way to `at` in which what an analysis at `since` found at `rect` was seen; `sure` leaves out where
    /// that was not.
    pub fn last_towards(&self, at: Duration, (since, rect): (Duration, Rect), sure: bool) -> Option<Last> {
        let way = since.min(at)..=since.max(at);
        let own = |glimpse: &&Glimpse| glimpse.since == since && (glimpse.sure || !sure) && way.contains(&glimpse.at);
        let seen = || self.glimpses.iter().filter(own);
        let last = seen().max_by_key(|glimpse| glimpse.at.abs_diff(since))?;
        let places = seen().map(|glimpse| (glimpse.at, glimpse.rect)).chain([(since, rect)]);
        let apart = |(seen, _): &(Duration, Rect)| seconds(seen.abs_diff(last.at)) >= TREND;
        let before = places.filter(apart).max_by_key(|(seen, _)| seen.abs_diff(since));
        let velocity = before.map(|before| velocity_between(before.1, last.rect, signed(before.0, last.at)));
        Some(Last { at: last.at, rect: last.rect, velocity, sure: last.sure })
    }

    /// Lets go of what was seen before `oldest`.
    pub fn forget_before(&mut self, oldest: Duration) {
        self.glimpses.retain(|glimpse| glimpse.at >= oldest);
    }
}
