//! What follows faces from frame to frame.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Control, GONE, Observer, Seen, THUMBNAIL, Unseen, Witness};
use crate::event::{Latency, Observation};
use crate::frame::Frame;
use crate::recognise::Verdict;
use crate::track::{Analysis, Thumbnail, TrackState, Tracker};

/// What gives tracks their names: one for each camera, after its tracker. What fails in it leaves a track undecided and
/// holds up nobody.
pub trait Names: Send {
    /// Who `tracker`'s tracks in `frame` are, as far as can be told by `deadline`; `None` while there is nothing to tell
    /// it with.
    fn name(&mut self, frame: &Frame, tracker: &dyn Tracker, deadline: Instant) -> Option<Named<'_>>;

    /// The tracks are gone; their ids will be given anew.
    fn lost(&mut self);

    /// Time passes, with or without frames: what is not in use any more is let go of.
    fn idle(&mut self);
}

/// Recognition that is off for good.
impl Names for () {
    fn name(&mut self, _: &Frame, _: &dyn Tracker, _: Instant) -> Option<Named<'_>> {
        None
    }

    fn lost(&mut self) {}

    fn idle(&mut self) {}
}

/// Who tracks are.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// At most one verdict a track.
    pub verdicts: &'a [Verdict],
    /// Name of the model that they rest on.
    pub embedder: &'a str,
    /// Which gallery they rest on, as the camera counts them, and that one's revision.
    pub revision: (u64, u64),
}

/// The end of `see-<id>` that has an order: track → recognise → observe.
pub struct Follower<O: Observer> {
    make_tracker: Box<dyn Fn() -> Box<dyn Tracker> + Send>,
    tracker: Box<dyn Tracker>,
    names: Box<dyn Names>,
    /// Whether `names` were asked about the last frame.
    naming: bool,
    observer: O,
    witness: Option<Witness>,
    control: Arc<Control>,
    epoch: u64,
    last: Instant,
}

impl<O: Observer> Follower<O> {
    /// A follower with a fresh tracker.
    pub fn new(
        make_tracker: Box<dyn Fn() -> Box<dyn Tracker> + Send>,
        names: Box<dyn Names>,
        observer: O,
        control: Arc<Control>,
    ) -> Self {
        let (tracker, epoch) = (make_tracker(), control.epoch());
        let last = Instant::now();
        Self { tracker, make_tracker, names, naming: false, observer, witness: None, control, epoch, last }
    }

    /// Of a masked camera: has `witness` say what each analysis proves.
    #[must_use]
    pub fn witnessed(mut self, witness: Witness) -> Self {
        self.witness = Some(witness);
        self
    }

    pub(super) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Forgets what it follows, where the control asks for it or nothing was to be seen for too long. To be called also
    /// while no frame comes.
    pub(super) fn keep_up(&mut self) {
        let epoch = self.control.epoch();
        let gone = self.following() && self.last.elapsed() > GONE;
        if gone || epoch != self.epoch {
            self.epoch = epoch;
            self.tracker = (self.make_tracker)();
            self.names.lost();
            self.observer.lost();
            self.witness.iter_mut().for_each(Witness::lost);
            self.control.tally.faces(0);
        }
        self.names.idle();
        self.observer.idle();
    }

    /// The analysis of a frame failed.
    pub(super) fn failed(&self, unseen: &Unseen) {
        self.witness.iter().for_each(|witness| witness.failed(unseen.number, unseen.generation));
    }

    pub(super) fn following(&self) -> bool {
        !self.tracker.tracks().is_empty()
    }

    /// Takes in one frame's faces. Names that are not there after `patience` are left for the next frame.
    pub fn follow(&mut self, seen: &Seen, patience: Duration) {
        self.keep_up();
        if seen.epoch != self.epoch {
            return;
        }
        self.last = Instant::now();
        let frame = &seen.frame;
        self.tracker.update(Analysis {
            at: frame.stamp.pts,
            frame_size: frame.size(),
            detections: &seen.detections,
            thumbnail: Some(Thumbnail { size: THUMBNAIL, luma: &seen.thumbnail }),
        });
        let track = self.last.elapsed();
        self.observer.look(frame, self.tracker.tracks());
        let patience = self.witness.as_ref().map_or(patience, |witness| witness.patience(patience));
        let (mut early, mut late) = (self.witness.as_mut(), None);
        if early.as_ref().is_some_and(|witness| witness.asks_for_names()) {
            (early, late) = (None, early);
        }
        early.into_iter().for_each(|witness| witness.analysed(seen, self.tracker.tracks(), None));
        let began = Instant::now();
        let wanted = self.control.recognises();
        if self.naming && !wanted {
            self.names.lost();
        }
        self.naming = wanted;
        let named = wanted.then(|| self.names.name(frame, &*self.tracker, began + patience)).flatten();
        let recognise = named.map(|_| began.elapsed());
        late.into_iter().for_each(|witness| witness.analysed(seen, self.tracker.tracks(), named));
        let latency = Latency { decode: frame.stamp.decode, detect: seen.detect_time, track, recognise };
        let observation = Observation {
            number: frame.number,
            stamp: frame.stamp,
            frame_size: frame.size(),
            tracks: self.tracker.tracks(),
            ended: self.tracker.ended(),
            identities: named.map_or(&[], |named| named.verdicts),
            embedder: named.map(|named| named.embedder),
            latency,
        };
        self.observer.observe(&observation);
        let confirmed = observation.tracks.iter().filter(|track| track.state == TrackState::Confirmed).count();
        self.control.tally.faces(confirmed);
        self.control.tally.analysed(&latency, frame.stamp.arrived_at.elapsed());
    }
}

impl<O: Observer> Drop for Follower<O> {
    fn drop(&mut self) {
        self.observer.lost();
        self.control.tally.faces(0);
    }
}
