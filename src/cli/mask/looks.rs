//! Which frames of a video are analysed.
//!
//! Frames that follow each other within a tenth of a second mostly show the same: of these one is analysed, and what lies
//! between two that show the same faces, each on its way, is proven by them. Where they do not agree, or either of them is in
//! doubt of what it shows, what lies between is analysed as well, until analyses are closer than a live camera's; and wherever
//! a frame between shows something that neither of them shows there, down to each single frame.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::eyes::Seen;
use crate::detect::Detection;
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::mask::{Signature, Surroundings};

/// A frame is analysed in any case where the last such one was so long before: every third one of 25 or 30 a second.
const APART: Duration = Duration::from_millis(90);

/// Frames no further apart than this need not agree: what the delay line makes of them is enough for a live camera, too.
const CLOSE: Duration = Duration::from_millis(85);

/// No further from one frame to the other, in sizes, a face moves whose way there is in no doubt …
const STEP: f32 = 0.8;

/// … with nobody else so near: more than by that much further away …
const ALONE: f32 = 0.8;

/// … nor does it grow or shrink by more than this factor.
const GROWTH: f32 = 1.25;

/// By so much two faces of one frame may overlap, before they count as crossing.
const CROSSING: f32 = 0.02;

/// The frames of which it is not known yet what they show, in order.
pub(super) struct Looks {
    /// Least score of a face by itself.
    score: f32,
    /// Each frame is analysed.
    every: bool,
    frames: VecDeque<Look>,
    /// When the last frame was that is analysed in any case.
    last: Option<Duration>,
    /// What the last frame that was seen shows.
    before: Option<View>,
    wanted: VecDeque<Frame>,
}

struct Look {
    number: u64,
    generation: u64,
    at: Duration,
    /// The frame in small.
    signature: Signature,
    state: State,
}

/// What a frame shows.
struct View<F = Vec<Detection>, S = Signature> {
    at: Duration,
    faces: F,
    signature: S,
}

enum State {
    /// Nobody looks at it, as long as its neighbours agree.
    Idle(Frame),
    Asked,
    Seen(Box<Seen>),
}

impl Look {
    fn is_seen(&self) -> bool {
        matches!(self.state, State::Seen(_))
    }

    fn view(&self) -> Option<View<&[Detection], &Signature>> {
        let State::Seen(seen) = &self.state else { return None };
        let faces = seen.found.as_deref().ok()?;
        Some(View { at: self.at, faces, signature: &self.signature })
    }
}

/// What comes next.
pub(super) enum Next {
    /// What was seen in a frame, and the generation that it is of.
    Seen(Box<Seen>, u64),
    /// Another frame is wanted.
    Asked,
    /// Nothing, until more is seen or read.
    Nothing,
}

impl Looks {
    /// Where `every` frame is to be analysed, none is left out.
    pub fn new(score: f32, every: bool) -> Self {
        let (frames, last, before, wanted) = Default::default();
        Self { score, every, frames, last, before, wanted }
    }

    /// Frames of which it is not known yet what they show.
    pub fn unseen(&self) -> usize {
        self.frames.len()
    }

    /// Takes in a frame, which looks like that in small. `cut`: it does not go on from the one before.
    pub fn take(&mut self, frame: Frame, signature: Signature, generation: u64, cut: bool) {
        let at = frame.stamp.pts;
        let due = self.last.is_none_or(|last| at < last || at - last >= APART);
        let changed = self.frames.back().is_some_and(|before| before.generation != generation);
        if cut || changed {
            self.ask_last();
        }
        let number = frame.number;
        self.frames.push_back(Look { number, generation, at, signature, state: State::Idle(frame) });
        if self.every || due || cut || changed {
            self.last = Some(at);
            self.ask_last();
        }
    }

    /// A frame that somebody should look at.
    pub fn wanted(&mut self) -> Option<Frame> {
        self.wanted.pop_front()
    }

    /// Takes in what was seen in a frame.
    pub fn seen(&mut self, seen: Seen) {
        if let Some(look) = self.frames.iter_mut().find(|look| look.number == seen.frame.number) {
            look.state = State::Seen(Box::new(seen));
        }
    }

    /// What has been seen, in the frames' order.
    pub fn next(&mut self) -> Next {
        if self.judge() {
            return Next::Asked;
        }
        if !self.frames.front().is_some_and(Look::is_seen) {
            return Next::Nothing;
        }
        match self.frames.pop_front() {
            Some(Look { state: State::Seen(seen), generation, at, signature, .. }) => {
                self.before = seen.found.as_ref().ok().cloned().map(|faces| View { at, faces, signature });
                Next::Seen(seen, generation)
            }
            _ => Next::Nothing,
        }
    }

    /// Leaves out what lies between two that agree, wherever that is, and asks for what lies between others. Whether it asked.
    fn judge(&mut self) -> bool {
        let before = self.before.as_ref();
        let before = before.map(|View { at, faces, signature }| View { at: *at, faces: &**faces, signature });
        let (mut gaps, mut begin, mut left) = (Vec::new(), 0, before);
        for (index, look) in self.frames.iter().enumerate().filter(|(_, look)| !matches!(look.state, State::Idle(_))) {
            let right = look.view();
            let known = look.is_seen() && (begin == 0 || self.frames[begin - 1].is_seen());
            if begin < index && known {
                let agree = left.zip(look.view()).is_some_and(|(left, right)| {
                    self.agree(&left, &right) && !self.is_passed(begin..index, (left.signature, right.signature))
                });
                gaps.push((begin..index, agree));
            }
            (begin, left) = (index + 1, right);
        }
        let mut asked = false;
        for (gap, agree) in gaps.into_iter().rev() {
            if agree {
                self.frames.drain(gap);
            } else {
                self.ask((gap.start + gap.end - 1) / 2);
                asked = true;
            }
        }
        asked
    }

    /// Whether a frame of this gap shows something that is on neither side of it.
    fn is_passed(&self, gap: Range<usize>, (before, after): (&Signature, &Signature)) -> bool {
        let known = Surroundings::of(before, after);
        self.frames.range(gap).any(|look| known.lack(&look.signature))
    }

    /// Whether what was seen before and what is seen now leave no doubt of what lies between.
    fn agree(&self, before: &View<&[Detection], &Signature>, now: &View<&[Detection], &Signature>) -> bool {
        let all = |these: &[Detection], those: &[Detection]| these.iter().all(|face| goes_on(face.rect, those));
        now.at.saturating_sub(before.at) <= CLOSE
            || ([before, now].into_iter().all(|view| self.is_plain(view.faces))
                && all(before.faces, now.faces)
                && all(now.faces, before.faces))
    }

    /// Whether each face is one by itself, beyond doubt.
    fn is_plain(&self, faces: &[Detection]) -> bool {
        let crosses = |(n, face): (usize, &Detection)| faces[..n].iter().any(|o| o.rect.iou(face.rect) > CROSSING);
        faces.iter().all(|face| face.score >= self.score) && !faces.iter().enumerate().any(crosses)
    }

    /// Wants the frame that was taken in last. Whether that is news.
    pub fn ask_last(&mut self) -> bool {
        self.frames.len().checked_sub(1).is_some_and(|last| self.ask(last))
    }

    fn ask(&mut self, index: usize) -> bool {
        let Some(look) = self.frames.get_mut(index) else { return false };
        match std::mem::replace(&mut look.state, State::Asked) {
            State::Idle(frame) => {
                self.wanted.push_back(frame);
                true
            }
            known => {
                look.state = known;
                false
            }
        }
    }
}

/// Whether it is clear which of another frame's faces the one at `from` is, and how it got there.
fn goes_on(from: Rect, others: &[Detection]) -> bool {
    let away = |to: Rect| {
        let (a, b) = (from.centre(), to.centre());
        (a.x - b.x).hypot(a.y - b.y) / size(from).min(size(to)).max(1.0)
    };
    let mut near: Vec<(f32, Rect)> = others.iter().map(|other| (away(other.rect), other.rect)).collect();
    near.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let alone = |distance: f32| near.get(1).is_none_or(|(next, _)| *next >= distance + ALONE);
    near.first().is_some_and(|(distance, to)| {
        let (one, other) = (size(from), size(*to));
        *distance <= STEP && alone(*distance) && one.max(other) <= GROWTH * one.min(other)
    })
}

fn size(rect: Rect) -> f32 {
    rect.area().max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, Picture, PixelFormat, Stamp};
    use crate::geometry::Size;

    const SCORE: f32 = 0.6;

    fn frame(number: u64) -> Frame {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(Size::new(2, 2), PixelFormat::I420, colour);
        let (arrived_at, captured_at) = (Monotonic::default(), SystemTime::UNIX_EPOCH);
        let pts = Duration::from_millis(number * 40);
        let stamp = Stamp { pts, arrived_at, decode: None, captured_at, clock: ClockSource::Media };
        Frame::new(number, stamp, layout, Arc::new(vec![0; layout.end().unwrap()])).unwrap()
    }

    fn face(left: f32, score: f32) -> Detection {
        Detection { rect: Rect::new(left, 10.0, 40.0, 40.0), score, landmarks: None }
    }

    /// The frames that are analysed of `count`, each with what `found` says is in it; the last analyses come first.
    fn analysed(looks: &mut Looks, count: u64, cut: Option<u64>, found: impl Fn(u64) -> Vec<Detection>) -> Vec<u64> {
        for number in 0..count {
            looks.take(frame(number), Signature::default(), 0, cut == Some(number));
        }
        seen_by(looks, found)
    }

    fn seen_by(looks: &mut Looks, found: impl Fn(u64) -> Vec<Detection>) -> Vec<u64> {
        let mut asked: Vec<Frame> = Vec::new();
        looks.ask_last();
        let mut order = Vec::new();
        loop {
            asked.extend(std::iter::from_fn(|| looks.wanted()));
            match looks.next() {
                Next::Seen(seen, _) => order.push(seen.frame.number),
                Next::Asked => {}
                Next::Nothing => {
                    let Some(frame) = asked.pop() else { break };
                    let found = Ok(found(frame.number));
                    looks.seen(Seen { frame, found, thumbnail: Vec::new() });
                }
            }
        }
        assert_eq!(looks.unseen(), 0, "all are known in the end");
        assert!(order.is_sorted(), "{order:?}");
        order
    }

    fn sparse() -> Looks {
        Looks::new(SCORE, false)
    }

    #[test]
    fn between_two_that_agree_none_is_analysed_and_the_last_one_is() {
        let found = analysed(&mut sparse(), 8, None, |n| vec![face(n as f32, 0.9), face(200.0, 0.7)]);
        assert_eq!(found, [0, 3, 6, 7]);
        assert_eq!(analysed(&mut sparse(), 6, None, |_| Vec::new()), [0, 3, 5]);
        let fast = |n: u64| vec![face(n as f32 * 10.0, 0.9), face(400.0, 0.7)];
        assert_eq!(analysed(&mut sparse(), 7, None, fast), [0, 3, 6], "its way is clear");
    }

    #[test]
    fn where_two_do_not_agree_what_lies_between_is_analysed() {
        let comes = |n: u64| if n >= 5 { vec![face(0.0, 0.9)] } else { Vec::new() };
        assert_eq!(analysed(&mut sparse(), 9, None, comes), [0, 3, 4, 6, 8], "until they are close");
        let jumps = |n: u64| vec![face(if n >= 4 { 60.0 } else { 0.0 }, 0.9)];
        assert_eq!(analysed(&mut sparse(), 9, None, jumps), [0, 3, 4, 6, 8]);
        let near = |n: u64| vec![face(n as f32 * 8.0, 0.9), face(n as f32 * 8.0 + 60.0, 0.9)];
        assert_eq!(analysed(&mut sparse(), 4, None, near), [0, 1, 3], "who is who is not clear");
    }

    #[test]
    fn where_a_face_is_in_doubt_more_is_analysed() {
        assert_eq!(analysed(&mut sparse(), 7, None, |_| vec![face(0.0, SCORE - 0.1)]), [0, 1, 3, 4, 6]);
        let cross = |_| vec![face(0.0, 0.9), face(30.0, 0.9)];
        assert_eq!(analysed(&mut sparse(), 7, None, cross), [0, 1, 3, 4, 6]);
    }

    #[test]
    fn a_frame_that_shows_what_neither_of_two_shows_is_analysed() {
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(Size::new(640, 360), PixelFormat::I420, colour);
        let signature = |light: Option<usize>| {
            let mut bytes = vec![60; layout.end().unwrap()];
            for row in light.map(|top| top..top + 24).into_iter().flatten() {
                bytes[row * 640 + 300..row * 640 + 324].fill(180);
            }
            Signature::of(Picture::new(&layout, &bytes).unwrap())
        };
        let passes = |by: u64| {
            let mut looks = sparse();
            for number in 0..7 {
                looks.take(frame(number), signature((number == by).then_some(200)), 0, false);
            }
            seen_by(&mut looks, |_| Vec::new())
        };
        assert_eq!(passes(3), [0, 3, 6], "it is seen there");
        assert_eq!(passes(4), [0, 3, 4, 6]);
        assert_eq!(passes(5), [0, 3, 4, 5, 6]);
    }

    #[test]
    fn both_sides_of_a_cut_are_analysed_and_every_frame_where_that_is_wanted() {
        let nobody = |_| Vec::new();
        assert_eq!(analysed(&mut sparse(), 8, Some(4), nobody), [0, 3, 4, 7]);
        assert_eq!(analysed(&mut sparse(), 8, Some(3), nobody), [0, 2, 3, 6, 7]);
        assert_eq!(analysed(&mut Looks::new(SCORE, true), 5, None, nobody), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn of_many_frames_a_second_more_are_left_out_and_doubt_is_halved() {
        let mut looks = sparse();
        looks.last = Some(Duration::from_secs(1000));
        // the stream's clock goes back
        for number in 0..10 {
            let mut frame = frame(number);
            frame.stamp.pts = Duration::from_millis(number * 10);
            looks.take(frame, Signature::default(), 0, false);
        }
        let wanted: Vec<u64> = std::iter::from_fn(|| looks.wanted()).map(|frame| frame.number).collect();
        assert_eq!(wanted, [0, 9]);
        let see = |looks: &mut Looks, number, faces| {
            looks.seen(Seen { frame: frame(number), found: Ok(faces), thumbnail: Vec::new() });
        };
        see(&mut looks, 0, vec![face(60.0, 0.9)]);
        assert!(matches!(looks.next(), Next::Seen(..)));
        see(&mut looks, 9, vec![face(0.0, 0.9)]);
        assert!(matches!(looks.next(), Next::Asked));
        assert_eq!(looks.wanted().map(|frame| frame.number), Some(4), "the one in the middle");
    }
}
