//! Whether a child still does its work.

use super::config::Limits;
use crate::clock::Monotonic;

/// What a child has failed to do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// To say its first word.
    Startup,
    /// To say that it lives.
    Alive,
    /// To open the source and give the first frame.
    Opening,
    /// To give another frame.
    Frame,
}

/// When a child was last heard of.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Limits,
    started: Monotonic,
    heard: Option<Monotonic>,
    frame: Option<Monotonic>,
    /// The next frame is there, and waits for its time.
    waits: bool,
}

impl Watch {
    pub(super) fn new(limits: Limits, started: Monotonic) -> Self {
        Self { limits, started, heard: None, frame: None, waits: false }
    }

    /// The child said something.
    pub(super) fn heard(&mut self, now: Monotonic) {
        self.heard = Some(now);
    }

    /// The child gave a frame.
    pub(super) fn frame(&mut self, now: Monotonic) {
        self.frame = Some(now);
        self.waits = false;
    }

    /// The child cannot give a frame, through no fault of its own.
    pub(super) fn held_up(&mut self, now: Monotonic) {
        self.frame = Some(now);
    }

    /// The child has the next frame, and gives it when its time has come.
    pub(super) fn waits(&mut self) {
        self.waits = true;
    }

    /// What is overdue at `now`.
    pub(super) fn overdue(&self, now: Monotonic) -> Option<Overdue> {
        let (at, what) = self.next();
        (at <= now).then_some(what)
    }

    /// When something may be overdue next.
    pub(super) fn deadline(&self) -> Monotonic {
        self.next().0
    }

    fn next(&self) -> (Monotonic, Overdue) {
        let (word, picture) = (self.word(), self.picture());
        if self.waits || word.0 <= picture.0 { word } else { picture }
    }

    fn word(&self) -> (Monotonic, Overdue) {
        match self.heard {
            None => (self.started.plus(self.limits.startup), Overdue::Startup),
            Some(heard) => (heard.plus(self.limits.hang), Overdue::Alive),
        }
    }

    fn picture(&self) -> (Monotonic, Overdue) {
        match self.frame {
            Some(frame) => (frame.plus(self.limits.stall), Overdue::Frame),
            // the child itself gives up after `connect`, and knows better why
            None => {
                let Limits { startup, connect, stall, .. } = self.limits;
                (self.started.plus(startup + connect + stall), Overdue::Opening)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::default().plus(Duration::from_secs(1000 + seconds))
    }

    #[test]
    fn a_child_that_says_nothing_is_overdue_after_its_startup() {
        let watch = Watch::new(Limits::default(), at(0));
        assert_eq!(watch.overdue(at(9)), None);
        assert_eq!(watch.deadline(), at(10));
        assert_eq!(watch.overdue(at(10)), Some(Overdue::Startup));
    }

    #[test]
    fn a_child_that_falls_silent_hangs() {
        let mut watch = Watch::new(Limits::default(), at(0));
        watch.heard(at(1));
        watch.frame(at(1));
        assert_eq!(watch.overdue(at(2)), None);
        assert_eq!(watch.overdue(at(3)), Some(Overdue::Alive));
    }

    #[test]
    fn a_child_that_lives_without_frames_stalls() {
        let mut watch = Watch::new(Limits::default(), at(0));
        watch.frame(at(1));
        watch.heard(at(5));
        assert_eq!(watch.overdue(at(5)), None);
        assert_eq!(watch.overdue(at(6)), Some(Overdue::Frame));
    }

    #[test]
    fn a_child_that_waits_for_a_frames_time_does_not_stall_but_may_hang() {
        let mut watch = Watch::new(Limits::default(), at(0));
        watch.frame(at(1));
        watch.waits();
        watch.heard(at(60));
        assert_eq!(watch.overdue(at(61)), None);
        assert_eq!(watch.overdue(at(62)), Some(Overdue::Alive));
        watch.frame(at(61));
        watch.heard(at(66));
        assert_eq!(watch.overdue(at(66)), Some(Overdue::Frame));
    }

    #[test]
    fn a_source_that_never_opens_is_given_up() {
        let mut watch = Watch::new(Limits::default(), at(0));
        watch.heard(at(19));
        assert_eq!(watch.overdue(at(19)), None);
        assert_eq!(watch.overdue(at(20)), Some(Overdue::Opening));
    }
}
