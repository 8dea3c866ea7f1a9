//! The loops with frames from memory and without a model.

use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;
use crate::detect::Detection;
use crate::frame::Stamp;
use crate::frame::{ClockSource, Colorimetry, ColourMatrix, ColourRange, Layout, PixelFormat};
use crate::geometry::Rect;
use crate::recognise::{Identity, Verdict};
use crate::source::{Losses, Replay};
use crate::track::{self, Tracker};

/// Counts what it is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(usize, usize)>>);

impl Observer for Told {
    fn look(&mut self, _: &Frame, _: &[Track]) {}

    fn observe(&mut self, _: &Observation<'_>) {
        self.0.lock().unwrap().0 += 1;
    }

    fn lost(&mut self) {
        self.0.lock().unwrap().1 += 1;
    }

    fn idle(&mut self) {}
}

fn stamp(ms: u64) -> Stamp {
    let clock = ClockSource::Arrival;
    let (pts, captured_at) = (Duration::from_millis(ms), SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
    Stamp { pts, arrived_at: Monotonic::now(), decode: None, captured_at, clock }
}

fn frame(number: u64, ms: u64) -> Frame {
    sized(number, ms, Size::new(2, 2))
}

fn sized(number: u64, ms: u64, size: Size) -> Frame {
    let colour = Colorimetry { matrix: ColourMatrix::Bt601, range: ColourRange::Limited };
    let layout = Layout::packed(size, PixelFormat::I420, colour);
    Frame::new(number, stamp(ms), layout, Arc::new(vec![0; layout.end().unwrap()])).unwrap()
}

fn face(epoch: u64, number: u64) -> Seen {
    let detection = Detection { rect: Rect::new(100.0, 100.0, 50.0, 60.0), score: 0.9, landmarks: None };
    Seen {
        epoch,
        generation: 0,
        attested: true,
        score: 0.5,
        frame: sized(number, 100 * number, Size::new(640, 360)),
        detections: vec![detection],
        thumbnail: vec![0; THUMBNAIL.pixels() as usize],
        detect_time: Duration::ZERO,
    }
}

/// A camera that is not masked.
fn plain(frames: Box<dyn Frames>, to_see: Sender<Job>, when_busy: WhenBusy) -> Cam {
    Cam { frames, to_see, when_busy, masking: None }
}

fn follower(told: &Told, control: &Arc<Control>) -> Follower<Told> {
    follower_with(Box::new(()), told, control)
}

fn follower_with(names: Box<dyn Names>, told: &Told, control: &Arc<Control>) -> Follower<Told> {
    Follower::new(Box::new(|| track::Config::default().build()), names, told.clone(), Arc::clone(control))
}

#[test]
fn of_a_live_camera_the_newest_frame_waits() {
    let control = Control::new("newest");
    let (to_see, jobs) = channel(1);
    let busy = WhenBusy::NewestWins(Pacer::new(Duration::from_millis(100)), jobs.clone());
    // 30 frames a second, of which every third is due, and nobody who takes them
    let frames = Replay::new((0..30).map(|n| frame(n, n * 100 / 3)));
    run_cam(plain(Box::new(frames), to_see, busy), &control, |_| {});
    let waiting: Vec<u64> = jobs.try_iter().map(|job| job.frame.number).collect();
    assert_eq!(waiting, [27]);
    let Counts { captured, dropped, .. } = control.tally.counts();
    assert_eq!((captured, dropped), (30, 9));
}

#[test]
fn of_a_file_every_frame_waits_for_room() {
    let control = Control::new("file");
    let (to_see, jobs) = channel(2);
    let cam = Arc::clone(&control);
    let frames = Replay::new((0..50).map(|n| frame(n, n)));
    let cam = std::thread::spawn(move || run_cam(plain(Box::new(frames), to_see, WhenBusy::Wait), &cam, |_| {}));
    assert_eq!(jobs.iter().map(|job| job.frame.number).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    cam.join().unwrap();
    assert_eq!(control.tally.counts().dropped, 0);
}

#[test]
fn a_file_that_waits_for_room_stops_when_told() {
    let control = Control::new("stop");
    let (to_see, jobs) = channel(1);
    let cam = Arc::clone(&control);
    let frames = Replay::new((0..50).map(|n| frame(n, n)));
    let cam = std::thread::spawn(move || run_cam(plain(Box::new(frames), to_see, WhenBusy::Wait), &cam, |_| {}));
    control.stop();
    cam.join().unwrap();
    assert!(jobs.len() <= 1);
}

#[test]
fn detection_switched_off_ends_what_is_followed_without_another_frame() {
    let (control, told) = (Control::new("switch"), Told::default());
    let (to_see, jobs) = channel(1);
    let mut follower = follower(&told, &control);
    (0..5).for_each(|n| follower.follow(&face(0, n), Duration::ZERO));
    control.detect(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            follow_in_order(
                &jobs,
                vec![()],
                |job, ()| Err(Unseen { number: job.frame.number, generation: 0 }),
                &mut follower,
            )
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        while told.0.lock().unwrap().1 == 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        drop(to_see);
    });
    assert_eq!(*told.0.lock().unwrap(), (5, 1));
}

#[test]
fn a_frame_of_before_the_switch_is_not_followed() {
    let (control, told) = (Control::new("epoch"), Told::default());
    let mut follower = follower(&told, &control);
    control.detect(false);
    control.detect(true);
    follower.follow(&face(0, 0), Duration::ZERO);
    follower.follow(&face(1, 1), Duration::ZERO);
    assert_eq!(*told.0.lock().unwrap(), (1, 1));
}

#[test]
fn a_camera_that_is_gone_has_no_tracks_in_the_metrics() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let exporter = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let control = Control::new("gone");
        let mut follower = follower(&Told::default(), &control);
        (0..5).for_each(|n| follower.follow(&face(0, n), Duration::ZERO));
        assert!(exporter.render().contains("visor_tracks_active{camera=\"gone\"} 1"), "{}", exporter.render());
        drop(follower);
        assert!(exporter.render().contains("visor_tracks_active{camera=\"gone\"} 0"), "{}", exporter.render());
    });
}

/// Says the same of the first track of every frame, and counts the losses.
struct Parrot(Arc<Mutex<usize>>, Vec<Verdict>);

impl Names for Parrot {
    fn name(&mut self, _: &Frame, tracker: &dyn Tracker, _: Instant) -> Option<Named<'_>> {
        let track = tracker.tracks().first()?.id;
        let identity = Identity::Stranger { alias: "visitor-1".into(), score: None };
        let (quality, change, verified, tags, impression) = (None, None, None, Arc::default(), None);
        self.1 = vec![Verdict { track, identity, quality, doubtful: false, change, verified, tags, impression }];
        Some(Named { verdicts: &self.1, embedder: "parrot", revision: (0, 0) })
    }

    fn lost(&mut self) {
        *self.0.lock().unwrap() += 1;
    }

    fn idle(&mut self) {}
}

/// Keeps how many identities each observation had, and who gave them.
#[derive(Default)]
struct Heard(Arc<Mutex<Vec<(usize, bool)>>>);

impl Observer for Heard {
    fn look(&mut self, _: &Frame, _: &[Track]) {}

    fn observe(&mut self, observation: &Observation<'_>) {
        assert_eq!(observation.latency.recognise.is_some(), observation.embedder.is_some());
        self.0.lock().unwrap().push((observation.identities.len(), observation.embedder == Some("parrot")));
    }

    fn lost(&mut self) {}

    fn idle(&mut self) {}
}

#[test]
fn recognition_that_is_switched_off_gives_no_names_and_begins_anew() {
    let (control, losses, heard) = (Control::new("names"), Arc::default(), Heard::default());
    let seen = Arc::clone(&heard.0);
    let names = Box::new(Parrot(Arc::clone(&losses), Vec::new()));
    let make = Box::new(|| track::Config::default().build());
    let mut follower = Follower::new(make, names, heard, Arc::clone(&control));
    for (number, on) in [true, true, false, false, true].into_iter().enumerate() {
        control.recognise(on);
        follower.follow(&face(0, number as u64), Duration::ZERO);
    }
    assert_eq!(*seen.lock().unwrap(), [(1, true), (1, true), (0, false), (0, false), (1, true)]);
    assert_eq!(*losses.lock().unwrap(), 1);
    control.forget();
    follower.keep_up();
    assert_eq!(*losses.lock().unwrap(), 2);
}

/// A source that only loses.
struct Leaky(u64);

impl Frames for Leaky {
    fn next(&mut self, _: Monotonic) -> SourceEvent {
        self.0 += 1;
        if self.0 > 3 { SourceEvent::Ended } else { SourceEvent::Idle }
    }

    fn losses(&self) -> Losses {
        Losses { frames: 2 * self.0, children: self.0 }
    }
}

#[test]
fn what_a_source_loses_is_counted_though_it_never_opens() {
    let control = Control::new("leaky");
    let (to_see, _jobs) = channel(1);
    run_cam(plain(Box::new(Leaky(0)), to_see, WhenBusy::Wait), &control, |_| {});
    let Counts { captured, dropped, restarts, .. } = control.tally.counts();
    assert_eq!((captured, dropped, restarts), (0, 8, 4));
}
