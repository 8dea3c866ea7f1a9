//! Faces over the time for which frames are held: where each may be at any instant, seen or not.
//!
//! A strand is one face, a knot one analysis of it. Between two knots the face is somewhere along the way; where it was not
//! found it is held where it was, and where the tracker believes it, both growing; before it was first found it was
//! nearby already. A wrong link between knots costs nothing but a larger mask: whatever an analysis found is a knot.

use std::collections::VecDeque;
use std::time::Duration;

use super::shape::Region;
use super::sighting::Sighting;
use crate::geometry::{Point, Rect, Size};

/// How much a mask is larger than the face's box, in shares of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margins {
    /// To the left and to the right.
    pub side: f32,
    /// Upwards.
    pub top: f32,
    /// Downwards.
    pub bottom: f32,
}

/// A face that something hides in part is as large as it was, or will be, within so many seconds …
const SIZE_HELD: f32 = 1.0;
/// … less this share a second, by which people walk away.
const SIZE_LOST: f32 = 0.2;
/// Boxes whose centres are no further apart than this, in sizes, may be of one face.
const SAME_PLACE: f32 = 0.6;
/// Width of a face that is seen whole, in heights.
const NARROW: f32 = 0.75;

impl Margins {
    /// From hair to throat, and both ears.
    pub const HEAD: Self = Self { side: 0.23, top: 0.28, bottom: 0.15 };
    /// What a detector calls a face, and what it may be off by.
    pub const FACE: Self = Self { side: 0.10, top: 0.12, bottom: 0.10 };

    fn around(self, rect: Rect) -> Rect {
        // a box that the picture's edge or another face cuts short belongs to a head that is as large as ever
        let (w, h) = (rect.w.max(rect.h * NARROW), rect.h.max(rect.w));
        let (dx, top, bottom) = (w * self.side, h * self.top, h * self.bottom);
        Rect::new(rect.x - dx, rect.y - top, rect.w + 2.0 * dx, rect.h + top + bottom)
    }
}

/// A face that is not found any more, with nothing near that could hide it, has turned away: it is held for so many seconds.
const TURNED_HELD: f32 = 2.0;
/// One that went behind another, or over the picture's edge, is held for this long …
const FIRM_HELD: f32 = 0.5;
/// … and what may have been one for this long.
const WEAK_HELD: f32 = 0.1;
/// A face that is found for the first time is masked this far back, as far as frames are held.
const FIRM_BACK: f32 = 0.5;
/// The same for what may be one.
const WEAK_BACK: f32 = 0.1;
/// What is not seen may move by this share of its size a second in any direction …
const LOSS: f32 = 4.0;
/// … the same before it was first seen, where nothing says how it moves …
const COMING: f32 = 2.5;
/// … and by this share at most, beyond where it is predicted.
const MOST_LOSS: f32 = 0.4;
/// Acceleration, in sizes a second squared, by which a way between two knots may differ from a straight one.
const CURVE: f32 = 8.0;
/// Share of a size by which that is bounded.
const MOST_CURVE: f32 = 0.5;
/// On its way between two knots a face may be early or late by this many seconds …
const UNEVEN: f32 = 0.02;
/// … and by this share of the way.
const UNEVEN_SHARE: f32 = 0.1;
/// Whoever cannot be told from another at some instant is masked this far back, as far as frames are held.
const DOUBTED_BACK: Duration = Duration::from_millis(500);
/// A box nearer to the picture's edge than this, in sizes, may go over it.
const EDGE: f32 = 0.7;
/// Faces no further apart than this, in sizes, may have been taken for each other.
const CLOSE: f32 = 1.5;
/// For so many seconds a face that is not seen goes on as before.
const STRAIGHT: f32 = 0.3;
/// Two knots further apart than so many sizes are no way: all places changed at once …
const FAR: f32 = 2.5;
/// … unless that is no more than so many sizes a second.
const FAST: f32 = 6.0;
/// Two knots no further apart than so many sizes are one face's for sure, unless another one is near.
const SHORT: f32 = 1.0;
/// Distance between two boxes that stand for a way, in shares of the smaller side.
const STEP: f32 = 0.15;
/// Most boxes of a way.
const MOST_STEPS: f32 = 64.0;
/// What is found without a track belongs to a strand whose last box is no further off than this, in sizes.
const NEAR: f32 = 0.7;

#[derive(Clone, Copy, Debug)]
struct Knot {
    at: Duration,
    sighting: Sighting,
    /// Since when it has not been seen, in seconds; 0 where it is.
    unseen: f32,
    /// The box where it was last seen.
    held: Rect,
    /// For how long it is held when it is not found any more, in seconds.
    patience: f32,
}

impl Knot {
    /// All places where it may be at the knot itself; none once it has been away for too long.
    fn places(&self, least: f32, places: &mut Vec<Rect>) {
        if self.unseen > self.patience {
            return;
        }
        let growth = loss(self.unseen).max(least);
        places.push(grown(self.sighting.rect, growth));
        if !self.sighting.seen {
            places.push(grown(self.held, growth));
        }
    }
}

#[derive(Clone, Debug)]
struct Strand {
    key: u64,
    track: Option<u64>,
    firm: bool,
    knots: VecDeque<Knot>,
}

/// All faces of the frames that are held.
#[derive(Debug, Default)]
pub(super) struct Strands {
    strands: Vec<Strand>,
    issued: u64,
}

/// The stream times of the analyses around a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Between {
    pub from: Duration,
    pub to: Duration,
}

impl Strands {
    /// Takes in what one analysis of a frame of this size found.
    pub fn take(&mut self, at: Duration, frame: Size, sightings: &[Sighting]) {
        for sighting in sightings.iter().filter(|sighting| sighting.rect.is_sound()) {
            let index = self.strand_of(at, sighting);
            let strand = &mut self.strands[index];
            let last = strand.knots.back();
            let (unseen, held, patience) = match last.filter(|_| !sighting.seen) {
                Some(last) => (last.unseen + seconds(at.saturating_sub(last.at)), last.held, last.patience),
                None => (0.0, sighting.rect, patience(sighting, sightings, frame)),
            };
            strand.track = sighting.track.or(strand.track);
            strand.firm |= sighting.firm;
            strand.knots.push_back(Knot { at, sighting: *sighting, unseen, held, patience });
        }
    }

    /// The strand that a sighting continues, or a new one. None gets two knots of one instant.
    fn strand_of(&mut self, at: Duration, sighting: &Sighting) -> usize {
        let open = |strand: &Strand| strand.knots.back().is_none_or(|knot| knot.at < at);
        let by_track = |strand: &Strand| sighting.track.is_some() && strand.track == sighting.track;
        let found = self.strands.iter().position(|strand| open(strand) && by_track(strand)).or_else(|| {
            let near = |strand: &Strand| {
                let untracked = strand.track.is_none() || sighting.track.is_none();
                strand
                    .knots
                    .back()
                    .filter(|_| untracked && open(strand))
                    .map(|knot| distance(knot.sighting.rect, sighting.rect))
            };
            let distances = self.strands.iter().enumerate().filter_map(|(n, strand)| Some((n, near(strand)?)));
            distances.filter(|(_, far)| *far < NEAR).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(n, _)| n)
        });
        found.unwrap_or_else(|| {
            self.issued += 1;
            self.strands.push(Strand { key: self.issued, track: None, firm: false, knots: VecDeque::new() });
            self.strands.len() - 1
        })
    }

    /// The face at `rect` as large as it is when nothing hides a part of it: as faces there were, or will be.
    fn whole(&self, rect: Rect, at: Duration) -> Rect {
        let seen = self.strands.iter().flat_map(|strand| &strand.knots).filter(|knot| knot.sighting.seen);
        let near = seen.filter(|knot| distance(knot.sighting.rect, rect) < SAME_PLACE);
        let sizes = near.filter_map(|knot| {
            let away = seconds(knot.at.abs_diff(at));
            let left = 1.0 - SIZE_LOST * away;
            (away <= SIZE_HELD).then_some((knot.sighting.rect.w * left, knot.sighting.rect.h * left))
        });
        let (w, h) = sizes.fold((0.0, 0.0), |(w, h), (other_w, other_h): (f32, f32)| (other_w.max(w), other_h.max(h)));
        widened(rect, w, h)
    }

    /// What is masked in a frame shown at `at`, which lies between two analyses.
    pub fn regions(&self, at: Duration, between: Between, margins: Margins) -> Vec<Region> {
        let region = |strand: &Strand| {
            let crowded = |knot: usize| self.is_crowded(strand, &strand.knots[knot]);
            let mut boxes = strand.places(at, between, crowded);
            boxes.iter_mut().for_each(|rect| *rect = margins.around(self.whole(*rect, at)));
            (!boxes.is_empty()).then_some(Region { key: strand.key, boxes })
        };
        self.strands.iter().filter(|strand| !strand.is_exempt(between)).filter_map(region).collect()
    }

    /// Where faces are that go unmasked in that frame.
    pub fn clear(&self, at: Duration, between: Between) -> Vec<Rect> {
        let exempt = self.strands.iter().filter(|strand| strand.is_exempt(between));
        exempt.flat_map(|strand| strand.places(at, between, |_| true)).collect()
    }

    /// Whether another face was near at that knot, or just before.
    fn is_crowded(&self, strand: &Strand, knot: &Knot) -> bool {
        let others = self.strands.iter().filter(|other| other.key != strand.key);
        let near = |other: &Strand| {
            let before = other.knots.iter().rev().find(|met| met.at <= knot.at);
            before.is_some_and(|met| distance(met.sighting.rect, knot.sighting.rect) < CLOSE)
        };
        others.into_iter().any(near)
    }

    /// Masks in the frames that are held who went unmasked in them.
    pub fn withdraw(&mut self) {
        let knots = self.strands.iter_mut().flat_map(|strand| &mut strand.knots);
        knots.for_each(|knot| knot.sighting.exempt = false);
    }

    /// Lets go of what no frame from `oldest` on needs any more.
    pub fn forget_before(&mut self, oldest: Duration) {
        let reach = Duration::from_secs_f32(TURNED_HELD);
        for strand in &mut self.strands {
            // the knot before the oldest frame is one end of its way, and those before it know its size
            let past = oldest.saturating_sub(Duration::from_secs_f32(SIZE_HELD));
            while strand.knots.get(1).is_some_and(|second| second.at <= past) {
                strand.knots.pop_front();
            }
        }
        self.strands.retain(|strand| strand.knots.back().is_some_and(|knot| knot.at + reach >= oldest));
    }

    /// How many knots are remembered.
    #[cfg(test)]
    pub fn knots(&self) -> usize {
        self.strands.iter().map(|strand| strand.knots.len()).sum()
    }

    pub fn check_invariants(&self) {
        for strand in &self.strands {
            assert!(!strand.knots.is_empty(), "a strand without a knot");
            let times = || strand.knots.iter().map(|knot| knot.at);
            assert!(times().zip(times().skip(1)).all(|(a, b)| a < b), "knots out of order");
        }
    }
}

/// What is masked in a still picture, of which there is no before and after.
pub fn still_regions(sightings: &[Sighting], margins: Margins) -> Vec<Region> {
    let mut strands = Strands::default();
    strands.take(Duration::ZERO, Size::new(0, 0), sightings);
    strands.regions(Duration::ZERO, Between { from: Duration::ZERO, to: Duration::ZERO }, margins)
}

impl Strand {
    /// Whether the face goes unmasked: each analysis from the one before the frame on found it and let it go, and one that is
    /// not before the frame verified it. So whatever a tracker took for the same face between two verifications, the later
    /// one comes before the frame is shown.
    fn is_exempt(&self, between: Between) -> bool {
        let mut since =
            self.knots.iter().filter(|knot| knot.at >= between.from && knot.at <= between.to + DOUBTED_BACK);
        let at = |time: Duration| self.knots.iter().any(|knot| knot.at == time);
        let verified = |knot: &Knot| knot.at >= between.to && knot.sighting.verified;
        at(between.from)
            && at(between.to)
            && self.knots.iter().any(verified)
            && since.all(|knot| knot.sighting.exempt && knot.sighting.seen)
    }

    fn places(&self, at: Duration, between: Between, crowded: impl Fn(usize) -> bool) -> Vec<Rect> {
        let mut places = Vec::new();
        let before = self.knots.iter().rposition(|knot| knot.at <= at);
        let after = self.knots.iter().position(|knot| knot.at >= at);
        match (before, after) {
            (Some(at_it), Some(same)) if at_it == same => self.knots[same].places(0.0, &mut places),
            (Some(before), Some(after)) => self.way((before, after), at, crowded(after), &mut places),
            (Some(last), None) => self.lost(&self.knots[last], at, between, &mut places),
            (None, Some(first)) => self.coming(&self.knots[first], at, between, &mut places),
            (None, None) => {}
        }
        places
    }

    /// Between two knots, which may belong to two faces where the place is `crowded`.
    fn way(&self, (before, after): (usize, usize), at: Duration, crowded: bool, places: &mut Vec<Rect>) {
        let (from, to) = (&self.knots[before], &self.knots[after]);
        let gap = seconds(to.at.saturating_sub(from.at));
        let (gone, left) = (seconds(at.saturating_sub(from.at)), seconds(to.at.saturating_sub(at)));
        let apart = distance(from.sighting.rect, to.sighting.rect);
        if to.sighting.seen && from.sighting.seen && !crowded && apart <= SHORT {
            let slack = (UNEVEN / gap.max(UNEVEN)).max(UNEVEN_SHARE);
            let share = gone / gap.max(1e-6);
            let growth = (CURVE * gone * left / 2.0).min(MOST_CURVE);
            return sweep(from, to, ((share - slack).max(0.0), (share + slack).min(1.0), growth), places);
        }
        let growth = (CURVE * gap * gap / 8.0).min(MOST_CURVE);
        from.places(growth, places);
        to.places(growth, places);
        if apart <= FAR.max(FAST * gap) && from.unseen <= from.patience {
            sweep(from, to, (0.0, 1.0, growth), places);
        }
        if to.sighting.seen && from.sighting.seen {
            return;
        }
        // lost in between, and found again: what lies between where it was last seen and where it was found
        let found = self.knots.range(after..).find(|knot| knot.sighting.seen);
        let Some(found) = found else { return };
        let (away, back) = (from.unseen + gone, seconds(found.at.saturating_sub(at)));
        places.push(grown(found.sighting.rect, loss(back)));
        if away + back > 0.0 {
            places.push(grown(mixed(from.held, found.sighting.rect, away / (away + back)), loss(away.min(back))));
        }
    }

    /// After the last knot.
    fn lost(&self, knot: &Knot, at: Duration, between: Between, places: &mut Vec<Rect>) {
        let since = seconds(at.saturating_sub(knot.at));
        let held = if self.firm { knot.patience } else { WEAK_HELD };
        // whatever the analysis before the frame found is masked up to the one after it
        if knot.at < between.from && knot.unseen + since > held {
            return;
        }
        let growth = loss(knot.unseen + since);
        places.push(grown(knot.sighting.rect, growth));
        places.push(grown(moved(knot.sighting.rect, knot.sighting.velocity, since), growth));
        if !knot.sighting.seen {
            places.push(grown(knot.held, growth));
        }
    }

    /// Before the first knot.
    fn coming(&self, knot: &Knot, at: Duration, between: Between, places: &mut Vec<Rect>) {
        let lead = seconds(knot.at.saturating_sub(at));
        let back = if self.firm { FIRM_BACK } else { WEAK_BACK };
        if knot.at > between.to && lead > back {
            return;
        }
        let second = self.knots.get(1).filter(|second| second.sighting.seen);
        let velocity = second.map_or(knot.sighting.velocity, |second| {
            let (a, b, dt) = (knot.sighting.rect.centre(), second.sighting.rect.centre(), seconds(second.at - knot.at));
            Point::new((b.x - a.x) / dt, (b.y - a.y) / dt)
        });
        let growth = if second.is_some() { loss(lead) } else { (COMING * lead).min(MOST_LOSS) };
        places.push(grown(knot.sighting.rect, growth));
        places.push(grown(moved(knot.sighting.rect, velocity, -lead), growth));
    }
}

/// Boxes that stand for the way from one knot to the next, or a part of it; each grown by at least `growth`.
fn sweep(from: &Knot, to: &Knot, (first, last, growth): (f32, f32, f32), places: &mut Vec<Rect>) {
    let (a, b) = (from.sighting.rect, to.sighting.rect);
    let (start, end) = (growth.max(loss(from.unseen)), growth.max(loss(to.unseen)));
    let smaller = a.w.min(a.h).min(b.w).min(b.h);
    let (from, to) = (a.centre(), b.centre());
    let length = (to.x - from.x).hypot(to.y - from.y) * (last - first);
    let steps = (length / (STEP * smaller)).ceil().clamp(1.0, MOST_STEPS) as u32;
    for step in 0..=steps {
        let share = first + (last - first) * step as f32 / steps as f32;
        places.push(grown(mixed(a, b, share), start + (end - start) * share));
    }
}

/// For how long a face is held once it is not found any more.
fn patience(sighting: &Sighting, all: &[Sighting], frame: Size) -> f32 {
    let rect = sighting.rect;
    let edge = rect.x.min(rect.y).min(frame.width as f32 - rect.right()).min(frame.height as f32 - rect.bottom());
    let near = |other: &Sighting| other.rect != rect && distance(other.rect, rect) < CLOSE;
    if edge < EDGE * size(rect) || all.iter().any(near) { FIRM_HELD } else { TURNED_HELD }
}

fn seconds(time: Duration) -> f32 {
    time.as_secs_f32()
}

/// By which share of its size a face may be elsewhere after so many seconds unseen.
fn loss(unseen: f32) -> f32 {
    (LOSS * unseen).min(MOST_LOSS)
}

fn size(rect: Rect) -> f32 {
    rect.area().sqrt()
}

/// `rect` with `share` of its size more on each side.
fn grown(rect: Rect, share: f32) -> Rect {
    let by = size(rect) * share;
    Rect::new(rect.x - by, rect.y - by, rect.w + 2.0 * by, rect.h + 2.0 * by)
}

/// `rect` after so many seconds, or before; nobody goes straight on for long.
fn moved(rect: Rect, velocity: Point, seconds: f32) -> Rect {
    let seconds = seconds.clamp(-STRAIGHT, STRAIGHT);
    Rect { x: rect.x + velocity.x * seconds, y: rect.y + velocity.y * seconds, ..rect }
}

fn mixed(a: Rect, b: Rect, share: f32) -> Rect {
    let mix = |a: f32, b: f32| a + (b - a) * share;
    Rect::new(mix(a.x, b.x), mix(a.y, b.y), mix(a.w, b.w), mix(a.h, b.h))
}

/// `rect` about the same centre, at least `w` wide and `h` high.
fn widened(rect: Rect, w: f32, h: f32) -> Rect {
    let (dx, dy) = ((w - rect.w).max(0.0) / 2.0, (h - rect.h).max(0.0) / 2.0);
    Rect::new(rect.x - dx, rect.y - dy, rect.w + 2.0 * dx, rect.h + 2.0 * dy)
}

/// Between two centres, in sizes.
fn distance(a: Rect, b: Rect) -> f32 {
    let (from, to) = (a.centre(), b.centre());
    (to.x - from.x).hypot(to.y - from.y) / size(a).max(size(b)).max(1.0)
}
