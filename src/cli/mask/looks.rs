//! Which frames of a video are analysed.
//!
//! Frames that follow each other within a twentieth of a second show the same: of these one is analysed, and what lies
//! between two that show the same faces in the same places is proven by them. Wherever they do not agree, or either of them is
//! in doubt of what it shows, what lies between is analysed as well, down to each single frame.

use std::collections::VecDeque;
use std::time::Duration;

use super::eyes::Seen;
use crate::detect::Detection;
use crate::frame::Frame;
use crate::geometry::Rect;

/// A frame is analysed in any case where the last such one was so long before: every second one of 25 or 30 a second.
const APART: Duration = Duration::from_millis(45);

/// No further from one place to the next, in sizes, a face moves whose way there is in no doubt …
const STEP: f32 = 0.4;

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
    /// What was found in the last frame that was seen.
    before: Option<Vec<Detection>>,
    wanted: VecDeque<Frame>,
}

struct Look {
    number: u64,
    generation: u64,
    state: State,
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

    /// Takes in a frame. `cut`: it does not go on from the one before.
    pub fn take(&mut self, frame: Frame, generation: u64, cut: bool) {
        let at = frame.stamp.pts;
        let due = self.last.is_none_or(|last| at < last || at - last >= APART);
        let changed = self.frames.back().is_some_and(|before| before.generation != generation);
        if cut || changed {
            self.ask_last();
        }
        let number = frame.number;
        self.frames.push_back(Look { number, generation, state: State::Idle(frame) });
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
            Some(Look { state: State::Seen(seen), generation, .. }) => {
                self.before = seen.found.as_ref().ok().cloned();
                Next::Seen(seen, generation)
            }
            _ => Next::Nothing,
        }
    }

    /// Leaves out what lies between two that agree, wherever that is, and asks for what lies between others. Whether it asked.
    fn judge(&mut self) -> bool {
        let (mut gaps, mut begin, mut left) = (Vec::new(), 0, self.before.as_deref());
        for (index, look) in self.frames.iter().enumerate() {
            let found = match &look.state {
                State::Idle(_) => continue,
                State::Asked => None,
                State::Seen(seen) => seen.found.as_deref().ok(),
            };
            let known = look.is_seen() && (begin == 0 || self.frames[begin - 1].is_seen());
            if begin < index && known {
                gaps.push((begin..index, left.zip(found).is_some_and(|(left, found)| self.agree(left, found))));
            }
            (begin, left) = (index + 1, found);
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

    /// Whether what was seen before and what is seen now leave no doubt of what lies between.
    fn agree(&self, before: &[Detection], now: &[Detection]) -> bool {
        let has_all = |these: &[Detection], those: &[Detection]| {
            those.iter().all(|face| these.iter().any(|other| goes_on(face.rect, other.rect)))
        };
        before.len() == now.len()
            && [before, now].into_iter().all(|faces| self.is_plain(faces))
            && has_all(before, now)
            && has_all(now, before)
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

/// Whether a face at `from` may be at `to` a moment later.
fn goes_on(from: Rect, to: Rect) -> bool {
    let size = |rect: Rect| (rect.w * rect.h).max(0.0).sqrt();
    let (a, b, one, other) = (from.centre(), to.centre(), size(from), size(to));
    (a.x - b.x).hypot(a.y - b.y) <= STEP * one.min(other) && one.max(other) <= GROWTH * one.min(other)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat, Stamp};
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
        let mut asked: Vec<Frame> = Vec::new();
        for number in 0..count {
            looks.take(frame(number), 0, cut == Some(number));
        }
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
        assert_eq!(found, [0, 2, 4, 6, 7]);
        assert_eq!(analysed(&mut sparse(), 6, None, |_| Vec::new()), [0, 2, 4, 5]);
    }

    #[test]
    fn where_two_do_not_agree_what_lies_between_is_analysed() {
        let comes = |n: u64| if n >= 4 { vec![face(0.0, 0.9)] } else { Vec::new() };
        assert_eq!(analysed(&mut sparse(), 9, None, comes), [0, 2, 3, 4, 6, 8]);
        let jumps = |n: u64| vec![face(if n >= 4 { 60.0 } else { 0.0 }, 0.9)];
        assert_eq!(analysed(&mut sparse(), 9, None, jumps), [0, 2, 3, 4, 6, 8]);
    }

    #[test]
    fn where_a_face_is_in_doubt_every_frame_is_analysed() {
        let every: Vec<u64> = (0..9).collect();
        assert_eq!(analysed(&mut sparse(), 9, None, |_| vec![face(0.0, SCORE - 0.1)]), every);
        assert_eq!(analysed(&mut sparse(), 9, None, |_| vec![face(0.0, 0.9), face(30.0, 0.9)]), every, "they cross");
    }

    #[test]
    fn both_sides_of_a_cut_are_analysed_and_every_frame_where_that_is_wanted() {
        let nobody = |_| Vec::new();
        assert_eq!(analysed(&mut sparse(), 8, Some(4), nobody), [0, 2, 3, 4, 6, 7]);
        assert_eq!(analysed(&mut sparse(), 8, Some(3), nobody), [0, 2, 3, 5, 7]);
        assert_eq!(analysed(&mut Looks::new(SCORE, true), 5, None, nobody), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn of_many_frames_a_second_more_are_left_out_and_doubt_is_halved() {
        let mut looks = sparse();
        looks.last = Some(Duration::from_secs(1000));
        // the stream's clock goes back, and then stands still: the second and all but the last lie between
        for number in 0..9 {
            let mut frame = frame(number);
            frame.stamp.pts = Duration::from_millis(number * 5);
            looks.take(frame, 0, false);
        }
        looks.ask_last();
        let wanted: Vec<u64> = std::iter::from_fn(|| looks.wanted()).map(|frame| frame.number).collect();
        assert_eq!(wanted, [0, 8]);
        let see = |looks: &mut Looks, number, faces| {
            looks.seen(Seen { frame: frame(number), found: Ok(faces), thumbnail: Vec::new() });
        };
        see(&mut looks, 0, Vec::new());
        assert!(matches!(looks.next(), Next::Seen(..)));
        see(&mut looks, 8, vec![face(0.0, 0.9)]);
        assert!(matches!(looks.next(), Next::Asked));
        assert_eq!(looks.wanted().map(|frame| frame.number), Some(4), "the one in the middle");
    }
}
