//! Faces over the time for which frames are held: where each may be at any instant, seen or not.
//!
//! A strand is one face, a knot one analysis of it. Between two knots the face is somewhere along the way; where it was not
//! found it is held where it was, and where the tracker believes it, both growing; before it was first found it was
//! nearby already. A wrong link between knots costs nothing but a larger mask: whatever an analysis found is a knot.

use std::collections::VecDeque;
use std::time::Duration;

use super::links::{Link, are_alike, links};
use super::motion::{distance, mixed, seconds, share, size};
use super::shape::Region;
use super::sighting::Sighting;
use super::strand::{Between, CLOSE, Knot, Neighbours, RECENT, SURE, Strand};
use super::trail::{Found, Trail};
use super::way::Place;
use crate::canvas::CELL;
use crate::frame::Frame;
use crate::geometry::{Rect, Size};

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
const SIZE_LOST: f32 = 0.1;
/// Boxes whose centres are no further apart than this, in sizes, may be of one face.
const SAME_PLACE: f32 = 0.6;
/// A face that was not there before and is first found no further than this from another one, in sizes, may have been behind it …
const HIDER: f32 = 2.0;
/// … unless that one was further away than this.
const FAR_HIDER: f32 = 3.0;
/// A mask that ends nearer to the picture's edge than this, in shares of the face, goes on to it: what the edge cuts is found less
/// exactly.
const CARRIED: f32 = 0.15;
/// Width of a face that is seen whole, in heights.
const NARROW: f32 = 0.75;

/// Margin, in shares of a face, that is left to what a detector may be off by where it is doubtful where the face is.
const SLOP: f32 = 0.18;
/// A mask is made of cells, all that it touches: that is a tenth more of a small face. Where a face is known to be within this share of
/// its size, its mask ends at the nearest edges of cells instead …
const CERTAIN: f32 = 0.02;
/// … if it is larger than the face by so many pixels all around.
const AMPLE_PX: f32 = 4.0;

impl Margins {
    /// From hair to throat, and both ears.
    pub const HEAD: Self = Self { side: 0.17, top: 0.23, bottom: 0.17 };
    /// What a detector calls a face, and what it may be off by.
    pub const FACE: Self = Self { side: 0.10, top: 0.12, bottom: 0.10 };

    /// What is masked of a place: a face is hidden wherever it may be, and the whole head where that is certain.
    fn around(self, Place { rect, doubt }: Place) -> Rect {
        // a box that the picture's edge or another face cuts short belongs to a head that is as large as ever
        let (w, h) = (rect.w.max(rect.h * NARROW), rect.h.max(rect.w));
        let room = |margin: f32, side: f32| (margin * side).max(margin.min(SLOP) * side + doubt * size(rect));
        let (dx, top, bottom) = (room(self.side, w), room(self.top, h), room(self.bottom, h));
        let mask = Rect::new(rect.x - dx, rect.y - top, rect.w + 2.0 * dx, rect.h + top + bottom);
        if doubt <= CERTAIN && dx.min(top).min(bottom) >= AMPLE_PX { to_cells(mask) } else { mask }
    }
}

/// The same to the nearest edges of cells.
fn to_cells(mask: Rect) -> Rect {
    let near = |at: f32| (at / CELL as f32).round() * CELL as f32;
    Rect::from_corners(near(mask.x), near(mask.y), near(mask.right()), near(mask.bottom()))
}

/// A face that is not found any more, with nothing near that could hide it, has turned away: it is held for so many seconds
/// at most.
const TURNED_HELD: f32 = 2.0;
/// One that went behind another, or over the picture's edge, is held for this long.
const FIRM_HELD: f32 = 0.5;
/// A box nearer to the picture's edge than this, in sizes, may go over it.
const EDGE: f32 = 0.7;
/// So many faces are followed by their looks at most: it takes time in which frames wait. Others' masks are as large as without.
pub(super) const MOST_FOLLOWED: usize = 32;
/// In the box of a face that is no further from another one than this, in sizes, there may be something of that one.
const ALONE: f32 = 1.0;
/// What is found without a track belongs to a strand whose last box is no further off than this, in sizes.
const NEAR: f32 = 0.7;

/// All faces of the frames that are held.
#[derive(Debug, Default)]
pub(super) struct Strands {
    /// Size of the frames, once one was analysed.
    frame: Option<Size>,
    strands: Vec<Strand>,
    issued: u64,
    /// Stream time of the newest analysis.
    newest: Duration,
}

impl Strands {
    /// Takes in what one analysis of a frame of this size found, at a time and in a shot.
    pub fn take(&mut self, (at, shot): (Duration, u64), frame: Size, sightings: &[Sighting]) {
        self.frame = Some(frame).filter(|frame| frame.pixels() > 0);
        let links = links(&self.strands, (at, shot), self.newest, sightings);
        let add = |strand: &mut Strand, sighting: &Sighting| {
            let patience = patience(sighting, sightings, frame);
            strand.track = sighting.track.or(strand.track);
            strand.firm |= sighting.firm;
            let cut = cut(sighting.rect, frame);
            strand.knots.push_back(Knot { at, shot, sighting: *sighting, patience, cut });
        };
        // first, so that nobody takes their place
        for Link { strand, sighting } in &links {
            self.hand_over(&sightings[*sighting]);
            add(&mut self.strands[*strand], &sightings[*sighting]);
        }
        for (n, sighting) in sightings.iter().enumerate().filter(|(_, sighting)| sighting.rect.is_sound()) {
            if links.iter().all(|link| link.sighting != n) {
                let index = self.strand_of(at, sighting);
                self.leave_behind(index, (at, sighting), sightings);
                add(&mut self.strands[index], sighting);
            }
        }
        self.newest = at;
    }

    /// Follows faces by their looks through the frames that are held, in their order, the last of which was analysed just now.
    pub fn follow(&mut self, frames: &[&Frame]) {
        let Some((last, before)) = frames.split_last() else { return };
        let now = |knot: &&Knot| knot.at == last.stamp.pts && knot.sighting.seen;
        let found = |strand: &Strand| strand.knots.back().filter(now).map(|knot| (strand.key, knot.sighting.rect));
        let all: Vec<(u64, Rect)> = self.strands.iter().filter_map(found).collect();
        let mut followed = 0;
        for strand in &mut self.strands {
            strand.trail.forwards(frames.iter().copied());
            let mut seen = strand.knots.iter().rev().filter(|knot| knot.sighting.seen);
            let Some(knot) = seen.next().filter(now) else { continue };
            followed += 1;
            if followed > MOST_FOLLOWED {
                strand.trail.stop();
                continue;
            }
            let rect = knot.sighting.rect;
            let alone = all.iter().all(|(key, other)| *key == strand.key || distance(*other, rect) > ALONE);
            let found = Found { rect, velocity: strand.velocity(knot, -1.0).unwrap_or_default(), alone };
            // back to where it was found before
            let since = seen.next().map_or(Duration::ZERO, |knot| knot.at);
            let back = before.iter().rev().copied().take_while(|frame| frame.stamp.pts >= since);
            strand.trail.begin(last, found, back);
        }
    }

    #[cfg(test)]
    pub fn followed(&self) -> usize {
        self.strands.iter().filter(|strand| strand.trail.is_followed()).count()
    }

    /// The track of this sighting follows another face from now on.
    fn hand_over(&mut self, sighting: &Sighting) {
        let followed = self.strands.iter_mut().filter(|strand| strand.is_followed_by(sighting));
        followed.for_each(|strand| strand.track = None);
    }

    /// A tracker that takes another face for the one it followed loses that one: it goes on as a strand of its own, as lost, unless
    /// something was found where it should be.
    fn leave_behind(&mut self, index: usize, (at, sighting): (Duration, &Sighting), sightings: &[Sighting]) {
        let strand = &self.strands[index];
        let there = |rect: Rect| sightings.iter().filter(move |other| other.seen && distance(other.rect, rect) <= SURE);
        let found = |rect: Rect| there(rect).any(|other| !self.is_somebody_else(index, (at, other)));
        if strand.left_behind_by(sighting, at).is_some_and(|rect| !found(rect)) {
            self.issued += 1;
            let left = Strand { key: self.issued, track: None, ..strand.clone() };
            self.strands.push(left);
        }
    }

    /// Whether a sighting is, beyond doubt, of another face than that strand's, one that was found before: that one may hide it.
    fn is_somebody_else(&self, index: usize, (at, sighting): (Duration, &Sighting)) -> bool {
        let known = |strand: &Strand| strand.knots.iter().any(|knot| knot.at < at && knot.sighting.seen);
        let others = self.strands.iter().enumerate().filter(|(n, strand)| *n != index && known(strand));
        others.map(|(_, strand)| strand).any(|strand| strand.goes_on_as(sighting, at))
    }

    /// The strand that a sighting continues, or a new one. None gets two knots of one instant.
    fn strand_of(&mut self, at: Duration, sighting: &Sighting) -> usize {
        let by_track = |strand: &Strand| strand.is_open(at) && strand.is_followed_by(sighting);
        let found = self.strands.iter().position(by_track).or_else(|| {
            let near = |strand: &Strand| {
                let untracked = strand.track.is_none() || sighting.track.is_none();
                let last = strand.knots.back().filter(|_| untracked && strand.is_open(at));
                last.filter(|knot| are_alike(knot.sighting.rect, sighting.rect))
                    .map(|knot| distance(knot.sighting.rect, sighting.rect))
            };
            let distances = self.strands.iter().enumerate().filter_map(|(n, strand)| Some((n, near(strand)?)));
            distances.filter(|(_, far)| *far < NEAR).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(n, _)| n)
        });
        found.unwrap_or_else(|| {
            self.issued += 1;
            self.strands.push(Strand {
                key: self.issued,
                track: None,
                firm: false,
                since: at,
                knots: VecDeque::new(),
                trail: Trail::default(),
            });
            self.strands.len() - 1
        })
    }

    /// What is masked in a frame shown at `at`, which lies between two analyses.
    pub fn regions(&self, at: Duration, between: Between, margins: Margins) -> Vec<Region> {
        let around = self.around(at, between);
        let region = |strand: &Strand| {
            let whole = |place: Place| Place { rect: self.whole(strand, place.rect, at, between), ..place };
            let places = strand.places(at, between, &self.neighbours(strand, (at, between), &around));
            let mask = |place: Place| self.carried(margins.around(whole(place)), size(place.rect));
            let boxes: Vec<Rect> = places.into_iter().map(mask).collect();
            (!boxes.is_empty()).then_some(Region { key: strand.key, boxes })
        };
        self.strands.iter().filter(|strand| !strand.is_exempt(between)).filter_map(region).collect()
    }

    /// `around`: where the faces are, and whose they are, that an analysis around the frame found.
    fn neighbours(&self, strand: &Strand, (at, between): (Duration, Between), around: &[(u64, Rect)]) -> Neighbours {
        let (rivals, hiders) = (self.rivals(strand, at, between), self.hiders(strand, at, between));
        let others = around.iter().filter(|(key, _)| *key != strand.key);
        Neighbours { newest: self.newest, rivals, hiders, beside: others.map(|(_, rect)| *rect).collect() }
    }

    /// Where faces are that an analysis around a frame at `at` found, each with its strand's key.
    fn around(&self, at: Duration, between: Between) -> Vec<(u64, Rect)> {
        let place = |strand: &Strand| {
            let before = strand.seen_before(at).filter(|knot| knot.at >= between.from);
            let after = strand.seen_after(at).filter(|knot| knot.at <= between.to);
            let (one, last) = (before.or(after)?, after.or(before)?);
            let gone = share(one.at, last.at, at).clamp(0.0, 1.0);
            Some((strand.key, mixed(one.sighting.rect, last.sighting.rect, gone)))
        };
        self.strands.iter().filter_map(place).collect()
    }

    /// Faces from behind which `strand` may come, that an analysis after the frame found and the one before did not: where they
    /// were.
    fn hiders(&self, strand: &Strand, at: Duration, between: Between) -> Vec<Rect> {
        let is_new = strand.seen_before(at).is_none_or(|knot| knot.at < between.from);
        let Some(Knot { at: found, sighting, .. }) = strand.seen_after(at).filter(|_| is_new) else {
            return Vec::new();
        };
        let beside = |knot: &&Knot| knot.at == *found && distance(knot.sighting.rect, sighting.rect) < HIDER;
        let others = self.strands.iter().filter(|other| other.key != strand.key);
        let hiders = others.filter(|other| other.seen_after(*found).filter(beside).is_some());
        let before = hiders.filter_map(|other| other.seen_before(at)).map(|knot| knot.sighting.rect);
        before.filter(|rect| distance(*rect, sighting.rect) < FAR_HIDER).collect()
    }

    /// Other faces found by the analysis after the frame that may be the one that `strand` was in the analysis before.
    fn rivals(&self, strand: &Strand, at: Duration, between: Between) -> Vec<Rect> {
        let Some(from) = strand.seen_before(at) else { return Vec::new() };
        let others = self.strands.iter().filter(|other| other.key != strand.key);
        let found = others.filter_map(|other| other.seen_after(at).filter(|knot| knot.at <= between.to));
        found.map(|knot| knot.sighting.rect).filter(|rect| distance(*rect, from.sighting.rect) < CLOSE).collect()
    }

    /// A mask that nearly ends at the picture's edge goes on to it.
    fn carried(&self, mask: Rect, size: f32) -> Rect {
        let Some(frame) = self.frame else { return mask };
        let (reach, width, height) = (CARRIED * size, frame.width as f32, frame.height as f32);
        let low = |at: f32| if at < reach { at.min(0.0) } else { at };
        let high = |at: f32, end: f32| if at > end - reach { at.max(end) } else { at };
        Rect::from_corners(low(mask.x), low(mask.y), high(mask.right(), width), high(mask.bottom(), height))
    }

    /// The face at `rect` as large as it is when nothing hides a part of it: as it was elsewhere, or will be, and as faces there
    /// were, or will be, but for those seen beside it.
    fn whole(&self, strand: &Strand, rect: Rect, at: Duration, between: Between) -> Rect {
        let beside = |other: &Strand| {
            other.knots.iter().any(|knot| knot.sighting.seen && (between.from..=between.to).contains(&knot.at))
        };
        let own = strand.knots.iter().filter(|_| strand.firm);
        let others = self.strands.iter().filter(|other| other.firm && other.key != strand.key && !beside(other));
        let there = |knot: &&Knot| distance(knot.sighting.rect, rect) < SAME_PLACE;
        let same = own.chain(others.flat_map(|strand| &strand.knots).filter(there));
        let seen = same.filter(|knot| knot.sighting.seen && knot.sighting.firm);
        let sizes = seen.filter_map(|knot| {
            let away = seconds(knot.at.abs_diff(at));
            let left = 1.0 - SIZE_LOST * away;
            (away <= SIZE_HELD).then_some((knot.sighting.rect.w * left, knot.sighting.rect.h * left))
        });
        let (widths, heights): (Vec<f32>, Vec<f32>) = sizes.unzip();
        let (w, h) = (upper_quartile(widths), upper_quartile(heights));
        widened(rect, w, h)
    }

    /// Where faces are that go unmasked in that frame.
    pub fn clear(&self, at: Duration, between: Between) -> Vec<Rect> {
        let around = self.around(at, between);
        let exempt = self.strands.iter().filter(|strand| strand.is_exempt(between));
        let places = |strand: &Strand| strand.places(at, between, &self.neighbours(strand, (at, between), &around));
        exempt.flat_map(places).map(|place| place.rect).collect()
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
            // whoever was followed by its looks for a while goes on from there
            strand.trail.forget_before(oldest.saturating_sub(Duration::from_secs_f32(RECENT)));
            // the knots before the oldest frame are one end of its way, and know its size and how it moved
            let past = oldest.saturating_sub(Duration::from_secs_f32(SIZE_HELD));
            let mut seen = strand.knots.iter().rev().filter(|knot| knot.at <= past && knot.sighting.seen);
            let needed = seen.next().map_or(past, |knot| knot.at).saturating_sub(Duration::from_secs_f32(RECENT));
            while strand.knots.len() > 1 && strand.knots.front().is_some_and(|first| first.at < needed) {
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
    strands.take((Duration::ZERO, 0), Size::new(0, 0), sightings);
    strands.regions(Duration::ZERO, Between { from: Duration::ZERO, to: Duration::ZERO, shot: 0 }, margins)
}

/// What a quarter of them reach, or the largest of few: a detector's boxes scatter, and the largest of many says little.
fn upper_quartile(mut sides: Vec<f32>) -> f32 {
    sides.sort_by(f32::total_cmp);
    sides.get((3 * sides.len().saturating_sub(1)).div_ceil(4)).copied().unwrap_or(0.0)
}

/// For how long a face is held once it is not found any more.
fn patience(sighting: &Sighting, all: &[Sighting], frame: Size) -> f32 {
    let Sighting { rect, .. } = *sighting;
    let edge = rect.x.min(rect.y).min(frame.width as f32 - rect.right()).min(frame.height as f32 - rect.bottom());
    let near = |other: &Sighting| other.rect != rect && distance(other.rect, rect) < CLOSE;
    let goes = edge < EDGE * size(rect) || all.iter().any(near);
    if goes { FIRM_HELD } else { TURNED_HELD }
}

/// How much of a face the picture's edge cuts off, on its left and on its right: it comes into sight when the face comes in.
fn cut(rect: Rect, frame: Size) -> [f32; 2] {
    let (reach, missing) = (CARRIED * size(rect), (NARROW * rect.h - rect.w).max(0.0));
    [rect.x, frame.width as f32 - rect.right()].map(|room| if room < reach { missing } else { 0.0 })
}

/// `rect` about the same centre, at least `w` wide and `h` high.
fn widened(rect: Rect, w: f32, h: f32) -> Rect {
    let (dx, dy) = ((w - rect.w).max(0.0) / 2.0, (h - rect.h).max(0.0) / 2.0);
    Rect::new(rect.x - dx, rect.y - dy, rect.w + 2.0 * dx, rect.h + 2.0 * dy)
}
