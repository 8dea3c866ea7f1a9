//! A masked camera with its `cam-` thread; a test plays the source and `see-`.

use std::sync::Mutex;

use crossbeam_channel::unbounded;

use super::*;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat, Stamp};
use crate::geometry::{Point, Rect};
use crate::infer::Trials;
use crate::mask::{self, Analysis, MaskedFrame, Outcome, Painter, Policy, Sighting};
use crate::sink::VideoTaker;
use crate::source::{Bell, Losses};

const SIZE: Size = Size::new(64, 48);

/// What the frames show where nothing is masked.
const SCENE: u8 = 77;

/// How long frames are held here.
pub(super) const HOLD: Duration = Duration::from_millis(400);

/// Between two frames: not faster than a camera that does not tell its rate is taken to be.
pub(super) const APART: Duration = Duration::from_millis(25);

/// What came out: number, what was done, whether any of the scene is to be seen.
pub(super) type Out = Arc<Mutex<Vec<(u64, Outcome, bool)>>>;

struct Keep(Out);

impl VideoTaker for Keep {
    fn wants(&mut self, _: &Stamp) -> bool {
        true
    }

    fn take(&mut self, frame: &MaskedFrame<&[u8]>) {
        let shows = frame.picture().unwrap().plane(0).contains(&SCENE);
        self.0.lock().unwrap().push((frame.number(), frame.outcome(), shows));
    }
}

/// A live source that a test feeds.
struct Fed(Receiver<SourceEvent>, Bell);

impl Frames for Fed {
    fn next(&mut self, until: Monotonic) -> SourceEvent {
        loop {
            match self.0.try_recv() {
                Ok(event) => return event,
                Err(crossbeam_channel::TryRecvError::Disconnected) => return SourceEvent::Ended,
                Err(crossbeam_channel::TryRecvError::Empty) => {}
            }
            // the feeder rings the same bell
            if !self.1.wait(until) || self.1.rings() {
                return self.0.try_recv().unwrap_or(SourceEvent::Idle);
            }
        }
    }

    fn losses(&self) -> Losses {
        Losses::default()
    }
}

pub(super) fn policy(lookahead: Lookahead) -> Policy {
    Policy { lookahead, capacity: 100, margins: mask::Margins::HEAD, nobody: false }
}

/// What `cam-` masks with into `out`, and `see-`'s end of it.
pub(super) fn masking(policy: Policy, out: &Out) -> (Masking, Reporter) {
    let (reporter, reports) = reports().unwrap();
    let painter = Painter::new("test", &mask::Config::default().resolve(Vec::new()).unwrap()).unwrap();
    let exits = Exits { outlet: None, takers: vec![Box::new(Keep(Arc::clone(out)))] };
    (Masking::new("test", policy, painter, exits, reports), reporter)
}

/// The frame of that number, which has come just now.
pub(super) fn frame(number: u64) -> Frame {
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
    let layout = Layout::packed(SIZE, PixelFormat::I420, colour);
    let stamp = Stamp {
        pts: APART * number as u32,
        arrived_at: Monotonic::now(),
        decode: None,
        captured_at: std::time::SystemTime::UNIX_EPOCH,
        clock: ClockSource::Arrival,
    };
    Frame::new(number, stamp, layout, Arc::new(vec![SCENE; layout.end().unwrap()])).unwrap()
}

/// A masked camera with its `cam-` thread; the test plays the source and `see-`.
pub(super) struct Rig {
    pub(super) feed: Option<Sender<SourceEvent>>,
    pub(super) jobs: Receiver<Job>,
    pub(super) reporter: Option<Reporter>,
    pub(super) bell: Bell,
    pub(super) control: Arc<Control>,
    pub(super) out: Out,
    pub(super) cam: Option<std::thread::JoinHandle<()>>,
    pub(super) fed: u64,
    pub(super) start: Monotonic,
    pub(super) trials: Arc<Trials>,
}

impl Rig {
    pub(super) fn held() -> Self {
        Self::new(Lookahead::Held(Hold::new(HOLD, Duration::ZERO, Duration::ZERO)))
    }

    pub(super) fn new(lookahead: Lookahead) -> Self {
        Self::with(lookahead, |masking| masking)
    }

    pub(super) fn with(lookahead: Lookahead, change: impl FnOnce(Masking) -> Masking) -> Self {
        let out = Out::default();
        let (masking, reporter) = masking(policy(lookahead), &out);
        let (bell, masking) = (masking.bell().clone(), change(masking));
        let (feed, fed) = unbounded();
        let (to_see, jobs) = channel(1);
        let frames = Box::new(Fed(fed, bell.clone()));
        let when_busy = WhenBusy::NewestWins(Pacer::new(Duration::ZERO), jobs.clone());
        let control = Control::new("test");
        let cam = Cam { frames, to_see, when_busy, masking: Some(masking) };
        let in_cam = Arc::clone(&control);
        let cam = std::thread::spawn(move || run_cam(cam, &in_cam, |_| {}));
        let (reporter, start) = (Some(reporter), Monotonic::now());
        let trials = Arc::new(Trials::of(1));
        Self { feed: Some(feed), jobs, reporter, bell, control, out, cam: Some(cam), fed: 0, start, trials }
    }

    pub(super) fn tell(&self, report: Report) {
        self.reporter.as_ref().unwrap().tell(report);
    }

    pub(super) fn sees(&self) {
        self.tell(Report::Sees { at: Monotonic::now(), trials: Arc::clone(&self.trials) });
    }

    pub(super) fn event(&self, event: SourceEvent) {
        self.feed.as_ref().unwrap().send(event).unwrap();
        self.bell.ring();
    }

    /// Gives the next frame when its time has come, and what `cam-` hands to `see-` of it.
    pub(super) fn feed(&mut self) -> Option<Job> {
        let due = self.start.plus(APART * self.fed as u32);
        std::thread::sleep(due.since(Monotonic::now()));
        self.event(SourceEvent::Frame(frame(self.fed)));
        self.fed += 1;
        self.jobs.recv_timeout(Duration::from_secs(5)).ok()
    }

    /// Gives the next frame, in which there is one face.
    pub(super) fn feed_and_see(&mut self) {
        let job = self.feed().unwrap();
        self.saw(&job, job.generation);
    }

    pub(super) fn saw(&self, job: &Job, generation: u64) {
        let face = Sighting {
            track: Some(1),
            rect: Rect::new(24.0, 16.0, 8.0, 10.0),
            velocity: Point::default(),
            seen: true,
            firm: true,
            exempt: false,
            verified: false,
        };
        let stamp = job.frame.stamp;
        let analysis =
            Analysis { number: job.frame.number, at: stamp.pts, generation, sightings: vec![face], withdrawn: false };
        self.tell(Report::Analysed(analysis, stamp.arrived_at));
    }

    /// Ends the source and `see-`; what came out of each frame, once, in order.
    pub(super) fn end(mut self) -> Vec<Result<(), Cause>> {
        self.feed = None;
        self.bell.ring();
        // as `see-` does: it ends when there will be no more jobs
        while self.jobs.recv_timeout(Duration::from_secs(10)).is_ok() {}
        self.reporter = None;
        self.bell.ring();
        self.cam.take().unwrap().join().unwrap();
        let out = self.out.lock().unwrap();
        assert!(out.iter().map(|(number, ..)| *number).eq(0..self.fed), "{out:?}");
        out.iter().map(|(_, outcome, shows)| judged(*outcome, *shows)).collect()
    }

    pub(super) fn wait_for(&self, what: &str, reached: impl Fn(&[(u64, Outcome, bool)]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !reached(&self.out.lock().unwrap()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.out.lock().unwrap());
            std::thread::yield_now();
        }
    }
}

pub(super) fn judged(outcome: Outcome, shows: bool) -> Result<(), Cause> {
    match outcome {
        Outcome::Masked { regions, .. } => {
            assert!(shows && regions > 0, "the face is masked, and the rest is shown");
            Ok(())
        }
        Outcome::Covered(cause) => {
            assert!(!shows, "a covered frame that shows something");
            Err(cause)
        }
    }
}
