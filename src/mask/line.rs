//! The delay line: a frame is released when analysed frames bracket it, and covered when they do not.
//!
//! Pure logic on injected time: frames and analyses go in, in any order and at any pace, and each frame comes out once, in
//! order, with a [`Ruling`]. A frame is shown only if the frames analysed last before and first after it (or it itself)
//! belong to the same generation: anything that makes an analysis say nothing about its neighbours begins a new one. Of a
//! live camera that is looked ahead with, one that was analysed itself waits for the next analysis all the same: it may
//! find a face that was half hidden before.

use std::collections::VecDeque;
use std::time::Duration;

use super::policy::{Analysis, Lookahead, Policy, Release};
use super::rhythm::Rhythm;
use super::ruling::{Bracket, Cause, Fingerprint, Plan, Ruling};
use super::shots::Shots;
use super::strand::Between;
use super::strands::Strands;
use super::stretch::{Mark, Stretch};
use crate::clock::Monotonic;
use crate::frame::Frame;
use crate::geometry::Size;

/// A live stream whose times differ from those of the frames' arrival by more than this from one frame to the next has jumped.
const JUMP: Duration = Duration::from_millis(500);

/// Between two frames of a stream that goes on without a break.
const MOST_GAP: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Held {
    frame: Frame,
    due: Monotonic,
    fingerprint: Fingerprint,
    era: u64,
    state: State,
    /// A later frame was analysed: what that one found for the first time is masked in this one, too.
    followed: bool,
}

/// The faces of a stretch of the stream in which times and sizes can be compared.
#[derive(Debug, Default)]
struct Era {
    number: u64,
    strands: Strands,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Open,
    Bracketed(Bracket, Between),
    Condemned(Cause),
}

/// The delay line of one camera.
#[derive(Debug)]
pub struct Line {
    policy: Policy,
    held: VecDeque<Held>,
    /// The last one is the present; of the others frames are still held.
    eras: VecDeque<Era>,
    generation: u64,
    /// The newest analysis of this generation.
    newest: Option<Mark>,
    /// The newest frame whose analysis failed.
    failed: Option<u64>,
    /// Why there is none of this generation yet.
    broken: Cause,
    /// While set, every frame is covered.
    shut: Option<Cause>,
    last: Option<(u64, Duration, Monotonic, Size)>,
    rhythm: Rhythm,
    shots: Shots,
    released: Option<u64>,
    ended: bool,
}

impl Line {
    /// An empty line.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            held: VecDeque::new(),
            eras: VecDeque::from([Era::default()]),
            generation: 0,
            newest: None,
            failed: None,
            broken: Cause::Starting,
            shut: None,
            last: None,
            rhythm: Rhythm::default(),
            shots: Shots::default(),
            released: None,
            ended: false,
        }
    }

    /// To be handed on with each frame that goes to the analysis, after [`Line::push`] took it.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Frames that are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether the next frame of a file should wait: there is no room, and time to make some.
    pub fn is_full(&self) -> bool {
        matches!(self.policy.lookahead, Lookahead::File(_)) && self.held.len() >= self.policy.capacity
    }

    /// How long frames that arrive now are held; zero for a file.
    pub fn hold(&self) -> Duration {
        match &self.policy.lookahead {
            Lookahead::Held(hold) | Lookahead::Own(hold) => hold.now(),
            Lookahead::File(_) => Duration::ZERO,
        }
    }

    /// The stream says of itself how many frames a second it has.
    pub fn expect(&mut self, hz: f64) {
        self.rhythm.expect(hz);
    }

    /// Whether nobody is masked, in what is held too.
    pub fn mask_nobody(&mut self, nobody: bool) {
        self.policy.nobody = nobody;
    }

    /// Holds so many frames at most from now on.
    pub fn limit(&mut self, capacity: usize) {
        self.policy.capacity = capacity.max(self.held.len());
    }

    /// Takes a frame in. Where there is no room, the oldest leaves at once.
    pub fn push(&mut self, frame: Frame) -> Option<Release> {
        let stamp = frame.stamp;
        if let Some(cause) = self.discontinuity(&frame) {
            self.interrupt(cause);
            self.eras.push_back(Era { number: self.era() + 1, strands: Strands::default() });
        } else if let Some((_, before, ..)) = self.last {
            self.rhythm.step(stamp.pts.saturating_sub(before));
        }
        self.last = Some((frame.number, stamp.pts, stamp.arrived_at, frame.size()));
        let hold = self.hold();
        // a hold that shrinks must not let a frame overtake the one before
        let due = stamp.arrived_at.plus(hold).max(self.held.back().map_or(Monotonic::default(), |held| held.due));
        let fingerprint = Fingerprint::of(frame.picture());
        let state = self.shut.map_or(State::Open, State::Condemned);
        self.held.push_back(Held { frame, due, fingerprint, era: self.era(), state, followed: false });
        if self.held.len() <= self.policy.capacity {
            return None;
        }
        if let Some(Held { state: state @ State::Open, .. }) = self.held.front_mut() {
            *state = State::Condemned(Cause::QueueFull);
        }
        self.pop()
    }

    /// The stream is cut before frame `number`, which has not been taken in yet: its faces, and those after, are not where those
    /// before were, nor on the way from there.
    pub fn cut(&mut self, number: u64) {
        self.shots.begin(number);
    }

    /// The frame that was taken in last, where no analysis has said anything of it yet, with the generation that one would be of.
    pub fn last_open(&self) -> Option<(&Frame, u64)> {
        self.held.back().filter(|held| held.state == State::Open).map(|held| (&held.frame, self.generation))
    }

    fn era(&self) -> u64 {
        self.eras.back().map_or(0, |era| era.number)
    }

    /// Why the frames before say nothing about this one.
    fn discontinuity(&self, frame: &Frame) -> Option<Cause> {
        let (_, pts, arrived, size) = self.last?;
        let (now, arrival) = (frame.stamp.pts, frame.stamp.arrived_at);
        if frame.size() != size {
            return Some(Cause::SizeChanged);
        }
        let goes_on = match self.policy.lookahead {
            // a file may show one picture for minutes
            Lookahead::File(_) => now >= pts,
            _ => now > pts && now - pts <= MOST_GAP && (now - pts).abs_diff(arrival.since(arrived)) <= JUMP,
        };
        (!goes_on).then_some(Cause::ClockJumped)
    }

    /// Takes in an analysis that was there `took` after its frame had arrived. One of an older generation counts for nothing.
    pub fn analysed(&mut self, analysis: &Analysis, took: Duration) {
        let gap = self.newest.map_or(Duration::ZERO, |newest| analysis.at.saturating_sub(newest.at));
        match &mut self.policy.lookahead {
            Lookahead::Held(hold) => hold.took(took, gap),
            // no frame waits for another's
            Lookahead::Own(hold) => hold.took(took, Duration::ZERO),
            Lookahead::File(_) => {}
        }
        if analysis.withdrawn {
            self.eras.iter_mut().for_each(|era| era.strands.withdraw());
        }
        if analysis.generation != self.generation || self.shut.is_some() {
            return;
        }
        let mark = Mark { number: analysis.number, at: analysis.at, shot: self.shots.of(analysis.number) };
        let older_than = |number: Option<u64>| number.is_some_and(|number| mark.number < number);
        if older_than(self.newest.map(|newest| newest.number)) || older_than(self.failed) {
            return;
        }
        if let (Some(era), Some((.., size))) = (self.eras.back_mut(), self.last) {
            era.strands.take((mark.at, mark.shot), size, &analysis.sightings);
        }
        self.follow(mark);
        self.prove(self.newest, mark);
        self.newest = Some(mark);
    }

    /// Follows faces by their looks from frame to frame up to one that was analysed, if that one is held.
    fn follow(&mut self, to: Mark) {
        let Some(era) = self.eras.back_mut().filter(|_| !self.policy.nobody) else { return };
        let goes_on = |held: &&Held| {
            let number = held.frame.number;
            held.era == era.number && number <= to.number && self.shots.of(number) == to.shot
        };
        let frames: Vec<&Frame> = self.held.iter().filter(goes_on).map(|held| &held.frame).collect();
        if frames.last().is_some_and(|last| last.number == to.number) {
            era.strands.follow(&frames);
        }
    }

    /// Says what the frames up to `to` are worth, now that it was analysed.
    fn prove(&mut self, from: Option<Mark>, to: Mark) {
        let stretch = Stretch::new(from, to, self.broken);
        let stretch = match &self.policy.lookahead {
            Lookahead::Held(hold) => stretch.live(hold.farthest(), &self.rhythm),
            Lookahead::Own(_) => stretch.apart(),
            Lookahead::File(_) => stretch,
        };
        self.held.iter_mut().filter(|held| held.frame.number < to.number).for_each(|held| held.followed = true);
        for held in self.held.iter_mut().filter(|held| held.state == State::Open && held.frame.number <= to.number) {
            held.state = match stretch.brackets(held.frame.number, held.frame.stamp.pts) {
                Ok((bracket, between)) => State::Bracketed(bracket, between),
                Err(cause) => State::Condemned(cause),
            };
        }
    }

    /// The analysis of frame `number` failed: what lies around it is not proven.
    pub fn failed(&mut self, number: u64, generation: u64) {
        for held in &mut self.held {
            let rests_on_it = match held.state {
                State::Open => held.frame.number <= number,
                State::Bracketed(Bracket { from, to }, _) => from < number && number < to,
                State::Condemned(_) => false,
            };
            if rests_on_it {
                held.state = State::Condemned(Cause::Failed);
            }
        }
        self.failed = self.failed.max(Some(number));
        if generation == self.generation && self.newest.is_none_or(|newest| newest.number <= number) {
            self.newest = None;
            self.broken = Cause::Failed;
        }
    }

    /// Analyses so far say nothing about frames to come, nor those under way: frames that are not proven yet are covered
    /// until two new ones bracket a frame.
    pub fn interrupt(&mut self, cause: Cause) {
        self.generation += 1;
        self.newest = None;
        self.broken = cause;
        for held in &mut self.held {
            // nothing that is found from now on says anything of what is proven already
            held.followed = true;
            if held.state == State::Open {
                held.state = State::Condemned(cause);
            }
        }
    }

    /// Covers everything that is held, and all to come until [`Line::reopen`].
    pub fn shut(&mut self, cause: Cause) {
        self.interrupt(cause);
        self.shut = Some(cause);
        self.held.iter_mut().for_each(|held| held.state = State::Condemned(cause));
    }

    /// Analyses count again from now on.
    pub fn reopen(&mut self) {
        if let Some(cause) = self.shut.take() {
            self.interrupt(cause);
        }
    }

    /// There will be no more frames, nor analyses.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next frame to be released at `now`, if any; to be called until there is none.
    pub fn poll(&mut self, now: Monotonic) -> Option<Release> {
        let front = self.held.front()?;
        let due = now >= front.due;
        let ready = match (&self.policy.lookahead, front.state) {
            (Lookahead::Held(_), _) => due,
            (Lookahead::Own(_), State::Open) => due,
            (Lookahead::Own(_), _) => true,
            (Lookahead::File(window), State::Bracketed(..)) => {
                self.ended || self.has_seen(front.frame.stamp.pts + *window)
            }
            (Lookahead::File(_), State::Condemned(_)) => true,
            // it waits for its analysis as long as that takes; what was not analysed by the end never will be
            (Lookahead::File(_), State::Open) => self.ended,
        };
        ready.then(|| self.pop()).flatten()
    }

    /// When [`Line::poll`] may have something, if nothing comes in until then. A file's frames wait for analyses, not for a
    /// time.
    pub fn next_due(&self) -> Option<Monotonic> {
        let waits = matches!(self.policy.lookahead, Lookahead::File(_));
        self.held.front().filter(|_| !waits).map(|front| front.due)
    }

    fn has_seen(&self, until: Duration) -> bool {
        // after an interruption nothing that is to come says any more of them
        self.newest.is_none_or(|newest| newest.at >= until)
            // no more room to look any further ahead
            || self.held.len() >= self.policy.capacity
    }

    fn pop(&mut self) -> Option<Release> {
        let Held { frame, fingerprint, state, era, followed, .. } = self.held.pop_front()?;
        let looks_ahead = matches!(self.policy.lookahead, Lookahead::Held(_)) && !self.policy.nobody;
        let at = frame.stamp.pts;
        self.eras.retain(|other| other.number >= era);
        let strands = self.eras.front_mut().map(|era| &mut era.strands);
        let ruling = match state {
            // its own analysis came in time, and the next one, which may find a face that came into sight in it, did not
            State::Bracketed(..) if looks_ahead && !followed && !self.ended => Ruling::Covered(Cause::Late),
            State::Bracketed(bracket, between) => {
                let margins = self.policy.margins;
                let faces = strands.as_ref().filter(|_| !self.policy.nobody);
                let regions = faces.map(|strands| strands.regions(at, between, margins)).unwrap_or_default();
                let clear = faces.map(|strands| strands.clear(at, between)).unwrap_or_default();
                Ruling::Masked(Plan::new(regions, bracket, fingerprint).but_clear(clear))
            }
            State::Condemned(cause) => Ruling::Covered(cause),
            State::Open => Ruling::Covered(if self.ended { Cause::Ended } else { Cause::Late }),
        };
        self.released = Some(frame.number);
        if let Some(strands) = strands {
            // what the newest analysis found is one end of the next bracket, however long ago that was
            strands.forget_before(self.newest.map_or(at, |newest| newest.at.min(at)));
        }
        Some(Release { frame, ruling })
    }

    /// Holds at any time.
    pub fn check_invariants(&self) {
        assert!(self.held.len() <= self.policy.capacity, "more frames than there is room for");
        let numbers = || self.held.iter().map(|held| held.frame.number);
        assert!(numbers().zip(numbers().skip(1)).all(|(a, b)| a < b), "frames out of order");
        assert!(
            self.held.iter().zip(self.held.iter().skip(1)).all(|(a, b)| a.due <= b.due),
            "a frame overtakes another"
        );
        assert!(numbers().next().zip(self.released).is_none_or(|(first, last)| last < first), "a frame leaves twice");
        for held in &self.held {
            if let State::Bracketed(bracket, between) = held.state {
                assert!((bracket.from..=bracket.to).contains(&held.frame.number), "a frame outside its bracket");
                assert!(
                    (between.from..=between.to).contains(&held.frame.stamp.pts),
                    "a frame outside its bracket's times"
                );
                assert!(self.shut.is_none(), "a frame is to be shown while all are covered");
            }
        }
        assert!(self.held.iter().all(|held| self.eras.iter().any(|era| era.number == held.era)), "faces are forgotten");
        self.eras.iter().for_each(|era| era.strands.check_invariants());
    }
}
