//! The two loops of a camera, naming each stage.
//!
//! `cam-<id>` takes frames in and says how the camera is; it never runs a model. `see-<id>` owns tracker and identities:
//! detect → track → recognise → observe, synchronous and single-owner. Between them is one bounded channel whose
//! full-policy is the source's: of a live camera only the newest frame waits, a file waits for room so that each of its
//! frames is seen. A file has several detections in flight; their order is restored before the tracker sees them.

mod eyes;
mod faces;
mod follower;
mod order;
mod pace;
mod recall;
mod sightings;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError, bounded};

pub use eyes::{Eyes, Seen};
pub use faces::FaceModels;
pub use follower::{Follower, Named, Names};
pub use order::in_order;
pub use pace::Pacer;
pub use recall::{Recall, Recognition};
pub use sightings::{Analysed, Faces, Sightings};
pub use tally::{Counts, DropReason, Tally};

use crate::clock::Monotonic;
use crate::detect::motion::Gate;
use crate::event::Observation;
use crate::frame::Frame;
use crate::geometry::Size;
use crate::source::{Frames, SourceEvent, SourceState};

/// How long a loop waits at most before it looks whether it should stop.
const TICK: Duration = Duration::from_millis(100);

/// A live frame that waited longer than this tells of the past: it is dropped, and counted.
const MAX_AGE: Duration = Duration::from_millis(500);

/// A model that has not answered a live camera by then has failed it.
const LIVE_DEADLINE: Duration = Duration::from_secs(1);

/// A file is in no hurry, but a model that hangs is noticed all the same.
const FILE_DEADLINE: Duration = Duration::from_secs(30);

/// Names that a live camera's tracks do not have by then are left for a later frame.
const LIVE_NAMING: Duration = Duration::from_millis(250);

/// Size of the grey picture by which the tracker sees the camera move, and the gate sees anything move.
pub const THUMBNAIL: Size = Size::new(160, 90);

/// Whom a camera's loops tell what they see. `cam-` tells of states, `see-` of observations.
pub trait Observer: Send {
    /// One analysed frame.
    fn observe(&mut self, observation: &Observation<'_>);

    /// The stream broke or ended: whatever was followed is gone.
    fn lost(&mut self);

    /// Time passes; called some times a second, with or without frames.
    fn idle(&mut self);
}

/// What is switched and counted while the loops run; shared with whoever controls the camera.
pub struct Control {
    stop: AtomicBool,
    ended: AtomicBool,
    detect: AtomicBool,
    recognise: AtomicBool,
    /// Counts up when what is being followed must be forgotten; a frame of an older epoch is not analysed.
    epoch: AtomicU64,
    /// The camera's counters.
    pub tally: Tally,
}

impl Control {
    /// A running camera with detection and recognition on.
    pub fn new(camera: &str) -> Arc<Self> {
        Arc::new(Self {
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            detect: AtomicBool::new(true),
            recognise: AtomicBool::new(true),
            epoch: AtomicU64::new(0),
            tally: Tally::new(camera),
        })
    }

    /// Both loops end at their next tick.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the source has given its last frame.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Switches detection; what was being followed ends when it goes off.
    pub fn detect(&self, on: bool) {
        if self.detect.swap(on, Ordering::Relaxed) && !on {
            self.forget();
        }
    }

    /// Switches recognition, from the next frame on; names that were given are taken back when it goes off.
    pub fn recognise(&self, on: bool) {
        self.recognise.store(on, Ordering::Relaxed);
    }

    fn recognises(&self) -> bool {
        self.recognise.load(Ordering::Relaxed)
    }

    /// Ends what is being followed, and begins anew with the next frame.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }
}

/// A frame on its way from `cam-` to `see-`.
pub struct Job {
    epoch: u64,
    frame: Frame,
}

/// The channel between the loops: a live camera keeps one frame waiting, a file as many as it has detectors.
pub fn channel(waiting: usize) -> (Sender<Job>, Receiver<Job>) {
    bounded(waiting.max(1))
}

/// What becomes of a frame when the analysis is not ready for it.
pub enum WhenBusy {
    /// A live camera: frames at this rate are offered, and a newer one takes the place of the one that waits.
    NewestWins(Pacer, Receiver<Job>),
    /// A file: the loop waits, and with it the ring, the decoder and the reader.
    Wait,
}

/// `cam-<id>`: takes frames in until the source has ended or the camera is stopped. `tell` hears each change of state.
pub fn run_cam(
    mut frames: Box<dyn Frames>,
    to_see: Sender<Job>,
    mut when_busy: WhenBusy,
    control: &Control,
    mut tell: impl FnMut(CamNews),
) {
    while !control.stopped() {
        let event = frames.next(Monotonic::now().plus(TICK));
        control.tally.lost(frames.losses());
        match event {
            SourceEvent::Frame(frame) => {
                control.tally.captured();
                // The epoch first: detection that is switched off in between then makes the frame an old one.
                let epoch = control.epoch();
                if control.detect.load(Ordering::Relaxed) {
                    offer(Job { epoch, frame }, &to_see, &mut when_busy, control);
                }
            }
            SourceEvent::Changed(state) => tell(CamNews::State(state)),
            SourceEvent::Opened(_) | SourceEvent::Idle => {}
            SourceEvent::Ended => {
                control.ended.store(true, Ordering::Relaxed);
                return tell(CamNews::Ended);
            }
        }
    }
}

/// What `cam-<id>` tells of its source.
pub enum CamNews {
    /// It is online, stalled or offline.
    State(SourceState),
    /// There will be no more frames.
    Ended,
}

fn offer(mut job: Job, to_see: &Sender<Job>, when_busy: &mut WhenBusy, control: &Control) {
    match when_busy {
        WhenBusy::NewestWins(pacer, waiting) => {
            if !pacer.choose(job.frame.stamp.pts) {
                return;
            }
            while let Err(TrySendError::Full(back)) = to_see.try_send(job) {
                job = back;
                if waiting.try_recv().is_ok() {
                    control.tally.dropped(DropReason::Superseded);
                }
            }
        }
        WhenBusy::Wait => {
            while let Err(SendTimeoutError::Timeout(back)) = to_see.send_timeout(job, TICK) {
                if control.stopped() {
                    return;
                }
                job = back;
            }
        }
    }
}

/// `see-<id>` of a live camera: one pair of eyes, one frame at a time, until `cam-` has gone. A frame that the `gate`
/// keeps back is not analysed, and not counted as dropped.
pub fn run_see<O: Observer>(jobs: &Receiver<Job>, mut eyes: Eyes, mut gate: Option<Gate>, mut follower: Follower<O>) {
    let control = Arc::clone(follower.control());
    loop {
        let next = jobs.recv_timeout(TICK);
        // Whatever becomes of the frame: it may be too old, or show nothing that moves, or fail the model.
        follower.keep_up();
        let job = match next {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if job.frame.stamp.arrived_at.elapsed() > MAX_AGE {
            control.tally.dropped(DropReason::Stale);
            continue;
        }
        let thumbnail = eyes.glance(&job);
        let rests = |gate: &mut Gate| !gate.opens(job.frame.stamp.pts, &thumbnail, follower.following());
        if gate.as_mut().is_some_and(rests) {
            continue;
        }
        if let Some(seen) = eyes.see(job, thumbnail, LIVE_DEADLINE, &control) {
            follower.follow(&seen, LIVE_NAMING);
        }
    }
}

/// `see-<id>` of a file: each frame, as many at once as there are eyes, in order. Frames that wait when the camera is
/// stopped are not analysed.
pub fn run_see_all<O: Observer>(jobs: &Receiver<Job>, eyes: Vec<Eyes>, mut follower: Follower<O>) {
    let control = Arc::clone(follower.control());
    let see = |job: Job, eyes: &mut Eyes| {
        if control.stopped() {
            return None;
        }
        let thumbnail = eyes.glance(&job);
        eyes.see(job, thumbnail, FILE_DEADLINE, &control)
    };
    follow_in_order(jobs, eyes, see, &mut follower);
}

fn follow_in_order<T: Send, O: Observer>(
    jobs: &Receiver<Job>,
    tools: Vec<T>,
    see: impl Fn(Job, &mut T) -> Option<Seen> + Sync,
    follower: &mut Follower<O>,
) {
    in_order(jobs, tools, TICK, see, |seen| match seen {
        Some(Some(seen)) => follower.follow(&seen, FILE_DEADLINE),
        Some(None) => {}
        None => follower.keep_up(),
    });
}

#[cfg(test)]
mod tests;
