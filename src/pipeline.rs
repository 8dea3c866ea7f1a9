//! The two loops of a camera, naming each stage.
//!
//! `cam-<id>` takes frames in and says how the camera is; it never runs a model. `see-<id>` owns the tracker:
//! detect → track → observe, synchronous and single-owner. Between them is one bounded channel whose full-policy is
//! the source's: of a live camera only the newest frame waits, a file waits for room so that each of its frames is
//! seen. A file has several detections in flight; their order is restored before the tracker sees them.

mod order;
mod pace;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError, bounded};
use tracing::warn;

pub use order::in_order;
pub use pace::Pacer;
pub use tally::{Counts, DropReason, Tally};

use crate::clock::Monotonic;
use crate::detect::motion::Gate;
use crate::detect::{Config, Detection, Detector, Settings, Thumbnailer};
use crate::event::{Latency, Observation};
use crate::fault::Fault;
use crate::frame::{Frame, Picture, Stamp};
use crate::geometry::Size;
use crate::infer::Model;
use crate::source::{Frames, SourceEvent, SourceState};
use crate::track::{Analysis, Thumbnail, TrackState, Tracker};

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

/// Size of the grey picture by which the tracker sees the camera move, and the gate sees anything move.
pub const THUMBNAIL: Size = Size::new(160, 90);

/// Whom a camera's loops tell what they see. `cam-` tells of states, `see-` of observations.
pub trait Observer: Send {
    /// One analysed frame.
    fn observe(&mut self, observation: &Observation<'_>);

    /// The stream broke or ended: whatever was followed is gone.
    fn lost(&mut self);
}

/// What is switched and counted while the loops run; shared with whoever controls the camera.
pub struct Control {
    stop: AtomicBool,
    ended: AtomicBool,
    detect: AtomicBool,
    /// Counts up when what is being followed must be forgotten; a frame of an older epoch is not analysed.
    epoch: AtomicU64,
    /// The camera's counters.
    pub tally: Tally,
}

impl Control {
    /// A running camera with detection on.
    pub fn new(camera: &str) -> Arc<Self> {
        Arc::new(Self {
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            detect: AtomicBool::new(true),
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

/// A frame whose faces are known.
pub struct Seen {
    epoch: u64,
    /// The frame's own time.
    pub stamp: Stamp,
    /// Counts the source's frames.
    pub number: u64,
    /// The size that boxes refer to.
    pub size: Size,
    /// Its faces, down to the detector's low score.
    pub detections: Vec<Detection>,
    thumbnail: Vec<u8>,
    detect_time: Duration,
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
        match frames.next(Monotonic::now().plus(TICK)) {
            SourceEvent::Frame(frame) => {
                control.tally.captured();
                // The epoch first: detection that is switched off in between then makes the frame an old one.
                let epoch = control.epoch();
                if control.detect.load(Ordering::Relaxed) {
                    offer(Job { epoch, frame }, &to_see, &mut when_busy, control);
                }
            }
            SourceEvent::Opened(_) => control.tally.opened(),
            SourceEvent::Changed(state) => tell(CamNews::State(state)),
            SourceEvent::Idle => {}
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

/// What looks at a frame: a detector, and the maker of its thumbnail. One for each thread that analyses.
pub struct Eyes {
    /// The model in use, whichever it is at the moment.
    current: Arc<ArcSwap<Model>>,
    config: Config,
    detector: Detector,
    thumbnailer: Thumbnailer,
}

impl Eyes {
    /// Eyes that look with the `current` model, and take on another one between two frames.
    pub fn new(current: Arc<ArcSwap<Model>>, config: Config) -> Result<Self, Fault> {
        let detector = detector(current.load_full(), &config)?;
        Ok(Self { current, config, detector, thumbnailer: Thumbnailer::new(THUMBNAIL) })
    }

    /// The frame in small.
    fn glance(&mut self, job: &Job) -> Vec<u8> {
        let mut thumbnail = Vec::new();
        self.thumbnailer.make(job.frame.picture(), &mut thumbnail);
        thumbnail
    }

    /// Finds the faces of one frame. `None` where the model failed or had no time: the frame counts as dropped.
    fn see(&mut self, job: &Job, thumbnail: Vec<u8>, deadline: Duration, control: &Control) -> Option<Seen> {
        let began = Instant::now();
        match self.look(job.frame.picture(), began + deadline) {
            Ok(detections) => {
                let Frame { stamp, number, .. } = job.frame;
                let (size, detect_time) = (job.frame.size(), began.elapsed());
                Some(Seen { epoch: job.epoch, stamp, number, size, detections, thumbnail, detect_time })
            }
            Err(error) => {
                control.tally.dropped(DropReason::Failed);
                warn!(%error, "frame not analysed");
                None
            }
        }
    }

    fn look(&mut self, picture: Picture<'_>, deadline: Instant) -> Result<Vec<Detection>, String> {
        let current = self.current.load();
        if !Arc::ptr_eq(&current, self.detector.model()) {
            self.detector = detector(Arc::clone(&current), &self.config).map_err(|fault| fault.to_string())?;
        }
        self.detector.detect(picture, deadline).map(<[_]>::to_vec).map_err(|error| error.to_string())
    }
}

/// A detector with the model's own thresholds where the settings have none.
fn detector(model: Arc<Model>, config: &Config) -> Result<Detector, Fault> {
    let settings = Settings::new(config, model.manifest())?;
    Detector::new(model, settings)
}

/// The end of `see-<id>` that has an order: track → observe.
pub struct Follower<O: Observer> {
    make_tracker: Box<dyn Fn() -> Box<dyn Tracker> + Send>,
    tracker: Box<dyn Tracker>,
    observer: O,
    control: Arc<Control>,
    epoch: u64,
    last: Instant,
}

impl<O: Observer> Follower<O> {
    /// A follower with a fresh tracker.
    pub fn new(make_tracker: Box<dyn Fn() -> Box<dyn Tracker> + Send>, observer: O, control: Arc<Control>) -> Self {
        let epoch = control.epoch();
        Self { tracker: make_tracker(), make_tracker, observer, control, epoch, last: Instant::now() }
    }

    /// Forgets what it follows, where the control asks for it or nothing was to be seen for too long.
    fn keep_up(&mut self) {
        let epoch = self.control.epoch();
        let gone = self.following() && self.last.elapsed() > GONE;
        if gone || epoch != self.epoch {
            self.epoch = epoch;
            self.tracker = (self.make_tracker)();
            self.observer.lost();
            self.control.tally.faces(0);
        }
    }

    fn following(&self) -> bool {
        !self.tracker.tracks().is_empty()
    }

    /// Takes in one frame's faces.
    pub fn follow(&mut self, seen: &Seen) {
        self.keep_up();
        if seen.epoch != self.epoch {
            return;
        }
        self.last = Instant::now();
        let began = Instant::now();
        self.tracker.update(Analysis {
            at: seen.stamp.pts,
            frame_size: seen.size,
            detections: &seen.detections,
            thumbnail: Some(Thumbnail { size: THUMBNAIL, luma: &seen.thumbnail }),
        });
        let latency =
            Latency { decode: seen.stamp.decode, detect: seen.detect_time, track: began.elapsed(), recognise: None };
        let observation = Observation {
            number: seen.number,
            stamp: seen.stamp,
            frame_size: seen.size,
            tracks: self.tracker.tracks(),
            ended: self.tracker.ended(),
            latency,
        };
        self.observer.observe(&observation);
        let confirmed = observation.tracks.iter().filter(|track| track.state == TrackState::Confirmed).count();
        self.control.tally.faces(confirmed);
        self.control.tally.analysed(&latency, seen.stamp.arrived_at.elapsed());
    }
}

impl<O: Observer> Drop for Follower<O> {
    fn drop(&mut self) {
        self.observer.lost();
        self.control.tally.faces(0);
    }
}

/// `see-<id>` of a live camera: one pair of eyes, one frame at a time, until `cam-` has gone. A frame that the `gate`
/// keeps back is not analysed, and not counted as dropped.
pub fn run_see<O: Observer>(jobs: &Receiver<Job>, mut eyes: Eyes, mut gate: Option<Gate>, mut follower: Follower<O>) {
    let control = Arc::clone(&follower.control);
    loop {
        let job = match jobs.recv_timeout(TICK) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                follower.keep_up();
                continue;
            }
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
        if let Some(seen) = eyes.see(&job, thumbnail, LIVE_DEADLINE, &control) {
            drop(job);
            follower.follow(&seen);
        }
    }
}

/// `see-<id>` of a file: each frame, as many at once as there are eyes, in order. Frames that wait when the camera is
/// stopped are not analysed.
pub fn run_see_all<O: Observer>(jobs: &Receiver<Job>, eyes: Vec<Eyes>, mut follower: Follower<O>) {
    let control = Arc::clone(&follower.control);
    let see = |job: Job, eyes: &mut Eyes| {
        if control.stopped() {
            return None;
        }
        let thumbnail = eyes.glance(&job);
        eyes.see(&job, thumbnail, FILE_DEADLINE, &control)
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
        Some(Some(seen)) => follower.follow(&seen),
        Some(None) => {}
        None => follower.keep_up(),
    });
}

#[cfg(test)]
mod tests;
