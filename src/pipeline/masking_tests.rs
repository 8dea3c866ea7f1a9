//! The masked half of `cam-` with frames from memory, and a `see-` that does what a test says.

use std::sync::Mutex;

use crossbeam_channel::unbounded;

use super::report::Report;
use super::*;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat, Stamp};
use crate::geometry::{Point, Rect};
use crate::mask::{self, Analysis, Cause, Hold, Lookahead, MaskedFrame, Outcome, Painter, Policy, Sighting};
use crate::sink::{Previews, VideoTaker};
use crate::source::{Bell, Losses};

const SIZE: Size = Size::new(64, 48);

/// What the frames show where nothing is masked.
const SCENE: u8 = 77;

/// How long frames are held here.
const HOLD: Duration = Duration::from_millis(400);

/// Between two frames: not faster than a camera that does not tell its rate is taken to be.
const APART: Duration = Duration::from_millis(25);

/// What came out: number, what was done, whether any of the scene is to be seen.
type Out = Arc<Mutex<Vec<(u64, Outcome, bool)>>>;

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

/// A masked camera with its `cam-` thread; the test plays the source and `see-`.
struct Rig {
    feed: Option<Sender<SourceEvent>>,
    jobs: Receiver<Job>,
    reporter: Option<Reporter>,
    bell: Bell,
    control: Arc<Control>,
    out: Out,
    cam: Option<std::thread::JoinHandle<()>>,
    fed: u64,
    start: Monotonic,
}

impl Rig {
    fn held() -> Self {
        Self::new(Lookahead::Held(Hold::new(HOLD, Duration::ZERO, Duration::ZERO)))
    }

    fn new(lookahead: Lookahead) -> Self {
        Self::with(lookahead, |masking| masking)
    }

    fn with(lookahead: Lookahead, change: impl FnOnce(Masking) -> Masking) -> Self {
        let settings = mask::Config::default().resolve(Vec::new()).unwrap();
        let policy = Policy { lookahead, capacity: 100, margins: settings.margins, nobody: false };
        let (reporter, reports) = reports().unwrap();
        let (bell, out) = (reports.bell().clone(), Out::default());
        let painter = Painter::new("test", &settings).unwrap();
        let exits = Exits { outlet: None, takers: vec![Box::new(Keep(Arc::clone(&out)))] };
        let masking = change(Masking::new("test", policy, painter, exits, reports));
        let (feed, fed) = unbounded();
        let (to_see, jobs) = channel(1);
        let frames = Box::new(Fed(fed, bell.clone()));
        let when_busy = WhenBusy::NewestWins(Pacer::new(Duration::ZERO), jobs.clone());
        let control = Control::new("test");
        let cam = Cam { frames, to_see, when_busy, masking: Some(masking) };
        let in_cam = Arc::clone(&control);
        let cam = std::thread::spawn(move || run_cam(cam, &in_cam, |_| {}));
        let (reporter, start) = (Some(reporter), Monotonic::now());
        Self { feed: Some(feed), jobs, reporter, bell, control, out, cam: Some(cam), fed: 0, start }
    }

    fn tell(&self, report: Report) {
        self.reporter.as_ref().unwrap().tell(report);
    }

    fn sees(&self) {
        self.tell(Report::Sees { at: Monotonic::now(), model: 1 });
    }

    fn event(&self, event: SourceEvent) {
        self.feed.as_ref().unwrap().send(event).unwrap();
        self.bell.ring();
    }

    /// Gives the next frame when its time has come, and what `cam-` hands to `see-` of it.
    fn feed(&mut self) -> Option<Job> {
        let due = self.start.plus(APART * self.fed as u32);
        std::thread::sleep(due.since(Monotonic::now()));
        let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Full };
        let layout = Layout::packed(SIZE, PixelFormat::I420, colour);
        let stamp = Stamp {
            pts: APART * self.fed as u32,
            arrived_at: Monotonic::now(),
            decode: None,
            captured_at: std::time::SystemTime::UNIX_EPOCH,
            clock: ClockSource::Arrival,
        };
        let pixels = Arc::new(vec![SCENE; layout.end().unwrap()]);
        self.event(SourceEvent::Frame(Frame::new(self.fed, stamp, layout, pixels).unwrap()));
        self.fed += 1;
        self.jobs.recv_timeout(Duration::from_secs(5)).ok()
    }

    /// Gives the next frame, in which there is one face.
    fn feed_and_see(&mut self) {
        let job = self.feed().unwrap();
        self.saw(&job, job.generation);
    }

    fn saw(&self, job: &Job, generation: u64) {
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
    fn end(mut self) -> Vec<Result<(), Cause>> {
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

    fn wait_for(&self, what: &str, reached: impl Fn(&[(u64, Outcome, bool)]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !reached(&self.out.lock().unwrap()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.out.lock().unwrap());
            std::thread::yield_now();
        }
    }
}

fn judged(outcome: Outcome, shows: bool) -> Result<(), Cause> {
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

#[test]
fn each_frame_comes_out_once_in_order_and_masked() {
    let mut rig = Rig::held();
    rig.sees();
    (0..20).for_each(|_| rig.feed_and_see());
    let out = rig.end();
    assert_eq!(out, vec![Ok(()); 20]);
}

#[test]
fn frames_are_masked_only_while_somebody_looks() {
    let screen = Previews::default().open("test");
    let hold = Hold::new(Duration::ZERO, HOLD, Duration::ZERO);
    let mut rig = Rig::with(Lookahead::Own(hold), |masking| masking.seen_on(Arc::clone(&screen)));
    rig.sees();
    (0..5).for_each(|_| rig.feed_and_see());
    let viewer = screen.watch();
    (5..10).for_each(|_| rig.feed_and_see());
    rig.wait_for("each frame that somebody looks at", |out| out.len() >= 5);
    let out = rig.out.lock().unwrap().clone();
    assert!(out.iter().map(|(number, ..)| *number).eq(5..10), "{out:?}");
    assert!(out.iter().all(|(_, outcome, shows)| judged(*outcome, *shows).is_ok()), "{out:?}");
    drop(viewer);
    assert!(screen.is_watched(), "for a while, in case another one comes");
}

#[test]
fn frames_between_two_analyses_are_shown_and_none_after_the_last() {
    let mut rig = Rig::held();
    rig.sees();
    for n in 0..20 {
        let job = rig.feed().unwrap();
        if n % 5 == 0 && n > 0 {
            rig.saw(&job, job.generation);
        }
    }
    let out = rig.end();
    let expected = (0..20).map(|n| match n {
        0..5 => Err(Cause::Starting),
        5..=15 => Ok(()),
        _ => Err(Cause::Ended),
    });
    assert_eq!(out, expected.collect::<Vec<_>>());
}

#[test]
fn a_see_thread_that_stalls_covers_by_the_clock() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    // its reports do not come any more, and it takes no jobs
    let last = (0..20).map(|_| rig.feed()).filter(Option::is_some).count();
    assert_eq!(last, 20);
    rig.wait_for("released though nothing is reported", |out| out.len() >= 5);
    assert!(rig.out.lock().unwrap()[3..].iter().all(|(_, outcome, _)| *outcome == Outcome::Covered(Cause::Late)));
    let out = rig.end();
    assert_eq!(out[..3], [Ok(()); 3]);
    assert!(out[3..].iter().all(|out| matches!(out, Err(Cause::Late | Cause::Ended))), "{out:?}");
}

#[test]
fn a_failed_analysis_covers_what_lies_around_it() {
    let mut rig = Rig::held();
    rig.sees();
    for n in 0..12 {
        let job = rig.feed().unwrap();
        if n == 6 {
            rig.tell(Report::Failed(job.frame.number, job.generation));
        } else if n % 2 == 0 {
            rig.saw(&job, job.generation);
        }
    }
    let out = rig.end();
    let failed = out.iter().enumerate().filter(|(_, out)| **out == Err(Cause::Failed)).map(|(n, _)| n);
    assert_eq!(failed.collect::<Vec<_>>(), [5, 6, 7]);
    assert!(out[..5].iter().chain(&out[8..11]).all(Result::is_ok), "{out:?}");
}

#[test]
fn an_analysis_of_an_older_generation_proves_nothing() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    let old = rig.feed().unwrap();
    rig.control.forget();
    let (_, next) = (rig.feed(), rig.feed().unwrap());
    assert!(next.generation > old.generation && next.epoch > old.epoch);
    rig.saw(&next, old.generation);
    let out = rig.end();
    assert_eq!(out[..3], [Ok(()); 3]);
    assert!(out[3..].iter().all(Result::is_err), "{out:?}");
}

#[test]
fn nothing_is_shown_before_the_test_face_was_seen_and_what_is_held_is_covered_when_it_is_not() {
    let mut rig = Rig::held();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.wait_for("covered", |out| out.len() == 3);
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.tell(Report::Blind);
    // it sees again at once, and that proves nothing of what was held
    rig.sees();
    let out = rig.end();
    assert!(out[..3].iter().all(|out| *out == Err(Cause::Starting)), "{out:?}");
    assert!(out[3..].iter().all(|out| *out == Err(Cause::Blind)), "{out:?}");
}

#[test]
fn another_model_proves_nothing_together_with_the_one_before() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    drop((rig.feed(), rig.feed()));
    rig.tell(Report::Sees { at: Monotonic::now(), model: 2 });
    (0..3).for_each(|_| rig.feed_and_see());
    let changed = Err(Cause::ModelChanged);
    assert_eq!(rig.end(), [Ok(()), Ok(()), Ok(()), changed, changed, Ok(()), Ok(()), Ok(())]);
}

#[test]
fn a_see_thread_that_ends_covers_what_comes_after() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.reporter = None;
    rig.bell.ring();
    (0..5).for_each(|_| drop(rig.feed()));
    let out = rig.end();
    assert!(out[4..].iter().all(|out| *out == Err(Cause::Failed)), "{out:?}");
}

#[test]
fn detection_that_is_switched_off_covers_what_is_held_until_it_is_on_again() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.control.detect(false);
    rig.wait_for("covered", |out| out.len() == 3);
    assert!(rig.out.lock().unwrap().iter().all(|(_, outcome, _)| *outcome == Outcome::Covered(Cause::DetectOff)));
    rig.control.detect(true);
    (0..3).for_each(|_| rig.feed_and_see());
    let out = rig.end();
    assert_eq!(out[3..], [Ok(()); 3], "{out:?}");
}

#[test]
fn a_face_that_was_seen_in_what_went_out_covers_for_a_while() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    rig.control.cover_for(HOLD + APART);
    rig.wait_for("covered", |out| out.len() == 3);
    assert!(rig.out.lock().unwrap().iter().all(|(_, outcome, _)| *outcome == Outcome::Covered(Cause::FaceSeen)));
    let covered = |rig: &Rig| rig.control.covers(Monotonic::now());
    while covered(&rig) {
        rig.feed_and_see();
    }
    let open = rig.fed as usize;
    (0..3).for_each(|_| rig.feed_and_see());
    let counts = Arc::clone(&rig.control);
    let out = rig.end();
    assert!(out[..open - 1].iter().all(|out| *out == Err(Cause::FaceSeen)), "{out:?}");
    assert!(out[open..].iter().all(Result::is_ok), "{out:?}");
    let Counts { masked, covered, .. } = counts.tally.counts();
    assert_eq!((masked + covered) as usize, out.len());
}

#[test]
fn a_source_that_is_lost_covers_what_was_not_proven() {
    let mut rig = Rig::held();
    rig.sees();
    (0..3).for_each(|_| rig.feed_and_see());
    drop((rig.feed(), rig.feed()));
    rig.event(SourceEvent::Changed(SourceState::Stalled { reason: "test".to_owned() }));
    (0..3).for_each(|_| rig.feed_and_see());
    let out = rig.end();
    let lost = Err(Cause::SourceLost);
    assert_eq!(out, [Ok(()), Ok(()), Ok(()), lost, lost, Ok(()), Ok(()), Ok(())]);
}

#[test]
fn masks_that_are_switched_on_are_on_in_what_is_held() {
    let mut rig = Rig::held();
    rig.control.mask(false);
    rig.sees();
    (0..20).for_each(|_| rig.feed_and_see());
    rig.wait_for("one without masks", |out| !out.is_empty());
    rig.control.mask(true);
    rig.wait_for("the others", |out| out.len() == 20);
    let masked: Vec<bool> = {
        let out = rig.out.lock().unwrap();
        out.iter().map(|(_, outcome, _)| matches!(outcome, Outcome::Masked { regions: 1, .. })).collect()
    };
    assert!(!masked[0] && masked[19] && masked.is_sorted(), "{masked:?}");
}

#[test]
fn without_look_ahead_a_frame_leaves_as_soon_as_it_is_analysed() {
    let bound = Duration::from_secs(1);
    let mut rig = Rig::new(Lookahead::Own(Hold::new(bound, Duration::ZERO, Duration::ZERO)));
    rig.sees();
    for n in 0..10 {
        rig.feed_and_see();
        let asked = Instant::now();
        rig.wait_for("the frame", |out| out.len() == n + 1);
        assert!(asked.elapsed() < bound / 2, "it waits for its time");
    }
    let (_, _) = (rig.feed(), rig.feed_and_see());
    let out = rig.end();
    assert_eq!(out[10..], [Err(Cause::NotAnalysed), Ok(())]);
    assert!(out[..10].iter().all(Result::is_ok), "{out:?}");
}
