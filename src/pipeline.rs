//! The two loops of a camera, naming each stage.
//!
//! `cam-<id>` takes frames in and says how the camera is; it never runs a model. `see-<id>` owns tracker and identities:
//! detect → track → recognise → observe, synchronous and single-owner. Between them is one bounded channel whose
//! full-policy is the source's: of a live camera only the newest frame waits, a file waits for room so that each of its
//! frames is seen. A file has several detections in flight; their order is restored before the tracker sees them.
//!
//! Of a masked camera `cam-` owns the delay line, too: what `see-` finds comes back to it as reports, and it hands each frame on
//! when that was proven or its time has come.

mod audit;
mod control;
mod eyes;
mod faces;
mod follower;
mod job;
mod masking;
mod order;
mod pace;
mod recall;
mod report;
mod shutter;
mod sight;
mod sightings;
#[cfg(test)]
mod sightings_tests;
mod tally;
mod witness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError};

pub use audit::{Auditor, Finding, Look, Sample, audits, run_audit};
pub use control::Control;
pub use eyes::{Eyes, Seen};
pub use faces::FaceModels;
pub use follower::{Follower, Named, Names};
pub use job::{Job, channel};
pub use masking::{Exits, Masking};
pub use order::in_order;
pub use pace::Pacer;
pub use recall::{Recall, Recognition};
pub use report::{Reporter, Reports, reports};
pub use sightings::{Analysed, Faces, Sightings};
pub use tally::{Counts, DropReason, Tally};
pub use witness::Witness;

use crate::clock::Monotonic;
use crate::detect::motion::Gate;
use crate::event::Observation;
use crate::frame::Frame;
use crate::geometry::Size;
use crate::mask::Cut;
use crate::source::{Frames, SourceEvent, SourceState};
use crate::track::Track;

/// How long a loop waits at most before it looks whether it should stop.
const TICK: Duration = Duration::from_millis(100);

/// A live frame that waited longer than this tells of the past: it is dropped, and counted.
const MAX_AGE: Duration = Duration::from_millis(500);

/// A model that has not answered a live camera by then has failed it.
const LIVE_DEADLINE: Duration = Duration::from_secs(1);

/// A file is in no hurry, but a model that hangs is noticed all the same.
const FILE_DEADLINE: Duration = Duration::from_secs(30);

/// Without a frame for this long, what was followed is gone; a capture child is replaced sooner.
const GONE: Duration = Duration::from_secs(5);

/// Names that a live camera's tracks do not have by then are left for a later frame.
const LIVE_NAMING: Duration = Duration::from_millis(250);

/// Size of the grey picture by which the tracker sees the camera move, and the gate sees anything move.
pub const THUMBNAIL: Size = Size::new(160, 90);

/// Whom a camera's loops tell what they see. `cam-` tells of states, `see-` of observations.
pub trait Observer: Send {
    /// What the tracker makes of a frame, before anybody is named in it, and before what was seen may have it released.
    fn look(&mut self, frame: &Frame, tracks: &[Track]);

    /// One analysed frame.
    fn observe(&mut self, observation: &Observation<'_>);

    /// The stream broke or ended: whatever was followed is gone.
    fn lost(&mut self);

    /// Time passes; called some times a second, with or without frames.
    fn idle(&mut self);
}

/// What becomes of a frame when the analysis is not ready for it.
pub enum WhenBusy {
    /// A live camera: frames at this rate are offered, and a newer one takes the place of the one that waits.
    NewestWins(Pacer, Receiver<Job>),
    /// A file: the loop waits, and with it the ring, the decoder and the reader.
    Wait,
}

/// What `cam-<id>` works with.
pub struct Cam {
    /// Where frames come from.
    pub frames: Box<dyn Frames>,
    /// Where those go that are to be analysed.
    pub to_see: Sender<Job>,
    /// What becomes of a frame when the analysis is not ready for it.
    pub when_busy: WhenBusy,
    /// The delay line of a masked camera.
    pub masking: Option<Masking>,
}

/// `cam-<id>`: takes frames in until the source has ended or the camera is stopped. `tell` hears each change of state.
pub fn run_cam(mut cam: Cam, control: &Control, mut tell: impl FnMut(CamNews)) {
    while !control.stopped() {
        let tick = Monotonic::now().plus(TICK);
        if let Some(masking) = cam.masking.as_mut().filter(|masking| masking.is_full()) {
            masking.bell().wait(tick);
            masking.keep_up(control);
            continue;
        }
        let due = cam.masking.as_ref().and_then(Masking::next_due);
        let event = cam.frames.next(due.map_or(tick, |due| due.min(tick)));
        control.tally.lost(cam.frames.losses());
        match event {
            SourceEvent::Frame(frame) => {
                control.tally.captured();
                cam.take(frame, control);
            }
            SourceEvent::Changed(state) => {
                cam.masking.iter_mut().for_each(|masking| masking.changed(&state));
                tell(CamNews::State(state));
            }
            SourceEvent::Opened(info) => cam.masking.iter_mut().for_each(|masking| masking.opened(&info)),
            SourceEvent::Idle => {}
            SourceEvent::Ended => {
                control.end();
                cam.finish(control);
                return tell(CamNews::Ended);
            }
        }
        cam.masking.iter_mut().for_each(|masking| masking.keep_up(control));
    }
}

impl Cam {
    fn take(&mut self, frame: Frame, control: &Control) {
        // The epoch first: detection that is switched off in between then makes the frame an old one.
        let epoch = control.epoch();
        let is_beside_cut = self.masking.as_mut().and_then(|masking| masking.cut(&frame)) == Some(Cut::Rare);
        let (chosen, pinned) = match &mut self.when_busy {
            WhenBusy::NewestWins(pacer, _) if is_beside_cut => (pacer.choose_now(frame.stamp.pts), true),
            WhenBusy::NewestWins(pacer, _) => (pacer.choose(frame.stamp.pts), false),
            WhenBusy::Wait => (true, false),
        };
        let before = if pinned { self.other_side(epoch) } else { Vec::new() };
        let generation = self.masking.as_mut().map_or(0, |masking| masking.take(&frame, chosen, control));
        if chosen && control.detects() {
            self.offer(Job { pinned, before, ..Job::new(epoch, generation, frame) }, control);
        }
    }

    /// The last frame before a cut, where it is not analysed anyway.
    fn other_side(&self, epoch: u64) -> Vec<Job> {
        let last = self.masking.as_ref().and_then(Masking::last_left_out);
        last.map(|(frame, generation)| Job { pinned: true, ..Job::new(epoch, generation, frame) }).into_iter().collect()
    }

    fn offer(&mut self, mut job: Job, control: &Control) {
        match &mut self.when_busy {
            WhenBusy::NewestWins(_, waiting) => {
                while let Err(TrySendError::Full(back)) = self.to_see.try_send(job) {
                    job = back;
                    let left_out = waiting.try_recv().map_or(0, |older| job.replaces(older));
                    (0..left_out).for_each(|_| control.tally.dropped(DropReason::Superseded));
                }
            }
            WhenBusy::Wait => {
                while let Err(SendTimeoutError::Timeout(back)) = self.to_see.send_timeout(job, TICK) {
                    if control.stopped() {
                        return;
                    }
                    // it may wait for its reports to be heard
                    self.masking.iter_mut().for_each(|masking| masking.keep_up(control));
                    job = back;
                }
            }
        }
    }

    /// What `see-` still has is analysed, and what is held leaves when its time has come.
    fn finish(self, control: &Control) {
        let Self { to_see, when_busy, masking, .. } = self;
        drop((to_see, when_busy));
        masking.into_iter().for_each(|mut masking| masking.finish(control, TICK));
    }
}

/// What `cam-<id>` tells of its source.
pub enum CamNews {
    /// It is online, stalled or offline.
    State(SourceState),
    /// There will be no more frames.
    Ended,
}

/// `see-<id>` of a live camera: one pair of eyes, one frame at a time, until `cam-` has gone. A frame that the `gate`
/// keeps back is not analysed, and not counted as dropped.
pub fn run_see<O: Observer>(jobs: &Receiver<Job>, mut eyes: Eyes, mut gate: Option<Gate>, mut follower: Follower<O>) {
    let mut last_job = Instant::now();
    loop {
        // between two frames as a rule, so that none waits for it
        if last_job.elapsed() < GONE {
            eyes.test();
        }
        let next = jobs.recv_timeout(TICK);
        // Whatever becomes of the frame: it may be too old, or show nothing that moves, or fail the model.
        follower.keep_up();
        match next {
            Ok(job) => {
                last_job = Instant::now();
                job.in_order().for_each(|job| see_one(job, &mut eyes, &mut gate, &mut follower));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn see_one<O: Observer>(job: Job, eyes: &mut Eyes, gate: &mut Option<Gate>, follower: &mut Follower<O>) {
    let control = Arc::clone(follower.control());
    if job.frame.stamp.arrived_at.elapsed() > MAX_AGE {
        return control.tally.dropped(DropReason::Stale);
    }
    let thumbnail = eyes.glance(&job);
    let rests = |gate: &mut Gate| !gate.opens(job.frame.stamp.pts, &thumbnail, follower.following());
    if gate.as_mut().is_some_and(rests) {
        return;
    }
    let unseen = Unseen { number: job.frame.number, generation: job.generation };
    match eyes.see(job, thumbnail, LIVE_DEADLINE, &control) {
        Some(seen) => follower.follow(&seen, LIVE_NAMING),
        None => follower.failed(&unseen),
    }
}

/// `see-<id>` of a file: each frame, as many at once as there are eyes, in order. Frames that wait when the camera is
/// stopped are not analysed.
pub fn run_see_all<O: Observer>(jobs: &Receiver<Job>, eyes: Vec<Eyes>, mut follower: Follower<O>) {
    let control = Arc::clone(follower.control());
    let see = |job: Job, eyes: &mut Eyes| {
        let unseen = Unseen { number: job.frame.number, generation: job.generation };
        if control.stopped() {
            return Err(unseen);
        }
        eyes.test();
        let thumbnail = eyes.glance(&job);
        eyes.see(job, thumbnail, FILE_DEADLINE, &control).ok_or(unseen)
    };
    follow_in_order(jobs, eyes, see, &mut follower);
}

/// A frame that was not analysed.
struct Unseen {
    number: u64,
    generation: u64,
}

fn follow_in_order<T: Send, O: Observer>(
    jobs: &Receiver<Job>,
    tools: Vec<T>,
    see: impl Fn(Job, &mut T) -> Result<Seen, Unseen> + Sync,
    follower: &mut Follower<O>,
) {
    in_order(jobs, tools, TICK, see, |seen| match seen {
        Some(Ok(seen)) => follower.follow(&seen, FILE_DEADLINE),
        Some(Err(unseen)) => follower.failed(&unseen),
        None => follower.keep_up(),
    });
}

#[cfg(test)]
mod masking_tests;
#[cfg(test)]
mod tests;
