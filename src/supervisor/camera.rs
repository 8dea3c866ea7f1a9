//! One camera while it runs: its two threads, and what they tell.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use crossbeam_channel::Sender;
use tracing::warn;

use super::masked::Seeing;
use super::{Context, masked, outlets};
use crate::clock::Monotonic;
use crate::config::Camera;
use crate::detect::Mode;
use crate::detect::motion::Gate;
use crate::event::{Draft, EventType, Journal, Models, Observation, Settings, Status};
use crate::fault::Fault;
use crate::frame::Frame;
use crate::infer::Model;
use crate::pipeline::{
    self, Cam, CamNews, Control, Exits, Eyes, Follower, Job, Observer, Pacer, Recall, Recognition, Sightings, WhenBusy,
};
use crate::recognise::Identity;
use crate::sink::{CameraStats, CameraStatus, Hub, Lens, Snapshots, Subject, Switch, VideoTaker};
use crate::source::{Source, SourceState};
use crate::track::{Track, Tracker};

/// How long a camera's threads may take to end. Only a model that hangs takes longer, and nothing cures that but the end
/// of the process, which must not wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a thread that is to end is looked at; the standard library's join knows no deadline.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A camera's threads and their control. Dropping it stops them and waits for them, but not for ever.
pub(super) struct Running {
    id: Arc<str>,
    control: Arc<Control>,
    threads: Vec<JoinHandle<()>>,
    /// When both loops were told to end.
    stopped: OnceLock<Instant>,
}

impl Running {
    /// Starts both loops.
    pub(super) fn start(
        id: &str,
        camera: &Camera,
        context: &Context,
        outlet: Option<outlets::Shared>,
    ) -> Result<Self, Fault> {
        let control = Control::new(id);
        let (lens, takers) = photography(id, camera, context);
        let exits = Exits { outlet, takers };
        let (masking, seeing) = masked::new(id, camera, context, &control, exits)?.unzip();
        let mut source = Source::new(id, camera.source.clone(), &context.spawner);
        if let Some(masking) = &masking {
            source = source.woken_by(masking.bell().clone());
        }
        let follower = follower(camera, context, Teller::new(id, camera, context, &control).with(lens));
        let (to_see, when_busy, see) = see(camera, context, follower, seeing)?;
        let herald = Herald { id: id.into(), hub: context.hub.clone() };
        let cam_control = Arc::clone(&control);
        let cam = Cam { frames: Box::new(source), to_see, when_busy, masking };
        let cam = move || pipeline::run_cam(cam, &cam_control, |news| herald.tell(&news));
        let mut running = Self { id: id.into(), control, threads: Vec::new(), stopped: OnceLock::new() };
        running.threads.push(spawn(format!("see-{id}"), see)?);
        running.threads.push(spawn(format!("cam-{id}"), cam)?);
        Ok(running)
    }

    /// Begins anew with the next frame: another model looks, with thresholds of its own.
    pub(super) fn begin_anew(&self) {
        self.control.forget();
    }

    /// Puts one of its switches.
    pub(super) fn switch(&self, switch: Switch, on: bool) {
        match switch {
            Switch::Detect => self.control.detect(on),
            Switch::Recognise => self.control.recognise(on),
            Switch::Mask => self.control.mask(on),
            Switch::Restream => self.control.restream(on),
            Switch::Snapshots => self.control.snapshots(on),
        }
    }

    /// Whether its source has no more frames, by its own account.
    pub(super) fn ended(&self) -> bool {
        self.control.ended() && self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Whether a thread is gone that should be there: a bug, of which only this camera should suffer.
    pub(super) fn broken(&self) -> bool {
        !self.control.ended() && self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Its counts since it was started.
    pub(super) fn stats(&self) -> CameraStats {
        let counts = self.control.tally.counts();
        CameraStats {
            frames_captured_total: counts.captured,
            frames_analysed_total: counts.analysed,
            frames_dropped_total: counts.dropped,
            tracks_total: counts.tracks,
            identified_known_total: counts.known,
            identified_stranger_total: counts.strangers,
            restarts_total: counts.restarts,
            frames_masked_total: counts.masked,
            frames_covered_total: counts.covered,
        }
    }

    /// Tells both loops to end, without waiting: so that many cameras stop at once. Until when they may take, counted
    /// from the first call.
    pub(super) fn stop(&self) -> Instant {
        self.control.stop();
        *self.stopped.get_or_init(Instant::now) + PATIENCE
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let deadline = self.stop();
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(LOOK_EVERY);
            }
            if !thread.is_finished() {
                warn!(camera = &*self.id, "a thread of the camera does not end; it is left behind");
            } else if thread.join().is_err() {
                warn!(camera = &*self.id, "a thread of the camera had panicked");
            }
        }
    }
}

/// The end of `see-<id>` that has an order.
fn follower(camera: &Camera, context: &Context, teller: Teller) -> Follower<Teller> {
    let vigil = camera.masking.as_ref().and_then(|masking| Sightings::vigil(&masking.mask));
    let recall = Recall::new(&teller.id, Arc::clone(context.engine.recognition())).watching(vigil);
    let control = Arc::clone(&teller.control);
    Follower::new(maker(camera, context), Box::new(recall), teller, control)
}

/// What takes snapshots of the camera's tracks: in `see-<id>`, and of what `cam-<id>` releases.
fn photography(id: &str, camera: &Camera, context: &Context) -> (Option<Lens>, Vec<Box<dyn VideoTaker>>) {
    let Some(studio) = &context.studio else { return (None, Vec::new()) };
    match camera.snapshots {
        Snapshots::Off => (None, Vec::new()),
        Snapshots::Masked => {
            let (lens, photographer) = Lens::masked(id, studio, &context.hub);
            (Some(lens), vec![Box::new(photographer)])
        }
        Snapshots::Clear => {
            let zones = camera.masking.iter().flat_map(|masking| masking.mask.zones.clone()).collect();
            (Some(Lens::clear(id, studio, zones)), Vec::new())
        }
    }
}

/// What `cam-<id>` hands frames to, and how; and what `see-<id>` does.
type See = (Sender<Job>, WhenBusy, Box<dyn FnOnce() + Send>);

fn see(
    camera: &Camera,
    context: &Context,
    mut follower: Follower<Teller>,
    seeing: Option<Seeing>,
) -> Result<See, Fault> {
    let mut tested = None;
    if let Some(Seeing { witness, reporter, asked }) = seeing {
        follower = follower.witnessed(witness);
        tested = Some((reporter, asked));
    }
    let eyes = || {
        let eyes = Eyes::new(Arc::clone(context.engine.detector()), camera.detect.clone())?;
        Ok::<_, Fault>(match &tested {
            Some((reporter, asked)) => eyes.tested(reporter.clone()).seen_on(asked.clone()),
            None => eyes,
        })
    };
    if masked::waits_for_analyses(camera) {
        let sessions = context.engine.detector().load().sessions();
        let eyes = (0..sessions).map(|_| eyes()).collect::<Result<Vec<_>, _>>()?;
        let (to_see, jobs) = pipeline::channel(sessions);
        return Ok((to_see, WhenBusy::Wait, Box::new(move || pipeline::run_see_all(&jobs, eyes, follower))));
    }
    let eyes = eyes()?;
    let gate = (camera.detect.detect == Mode::Motion).then(|| Gate::new(pipeline::THUMBNAIL));
    let (to_see, jobs) = pipeline::channel(1);
    let when_busy = WhenBusy::NewestWins(Pacer::new(masked::analysis_period(camera)), jobs.clone());
    Ok((to_see, when_busy, Box::new(move || pipeline::run_see(&jobs, eyes, gate, follower))))
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Fault> {
    let failed = format!("cannot start the thread {name}");
    std::thread::Builder::new().name(name).spawn(work).map_err(|e| Fault::unavailable(format!("{failed}: {e}")))
}

/// Makes trackers whose thresholds are those of the model that looks at the time.
fn maker(camera: &Camera, context: &Context) -> Box<dyn Fn() -> Box<dyn Tracker> + Send> {
    let (config, set) = (camera.track.clone(), camera.detect.score);
    let detector = Arc::clone(context.engine.detector());
    Box::new(move || {
        let score = set.unwrap_or_else(|| detector.load().manifest().thresholds.score);
        config.for_detector(score).build()
    })
}

/// Says how a camera is.
struct Herald {
    id: Arc<str>,
    hub: Hub,
}

impl Herald {
    fn tell(&self, news: &CamNews) {
        let status = |status, reason: &str| self.hub.camera_status(&self.id, status, reason);
        match news {
            CamNews::State(SourceState::Connecting) => status(CameraStatus::Offline, "connecting"),
            CamNews::State(SourceState::Online) => status(CameraStatus::Online, ""),
            CamNews::State(SourceState::Stalled { reason }) => status(CameraStatus::Stalled, reason),
            CamNews::State(SourceState::Offline { reason, .. }) => status(CameraStatus::Offline, reason),
            CamNews::Ended => status(CameraStatus::Offline, "the file has ended"),
        }
    }
}

/// Turns what a camera sees into events.
struct Teller {
    id: Arc<str>,
    hub: Hub,
    journal: Journal,
    detector: Arc<ArcSwap<Model>>,
    recognition: Arc<ArcSwapOption<Recognition>>,
    /// Of the gallery, when names were last compared with it: which one, and its revision.
    compared: Option<(usize, u64)>,
    control: Arc<Control>,
    /// Chooses the moments of snapshots.
    lens: Option<Lens>,
}

impl Teller {
    fn new(id: &str, camera: &Camera, context: &Context, control: &Arc<Control>) -> Self {
        let detector = Arc::clone(context.engine.detector());
        let settings = Settings {
            zones: camera.zones.clone(),
            update_interval: camera.update_interval,
            models: Models { detector: detector.load().manifest().name.as_str().into(), embedder: None },
        };
        let journal = Journal::new(id, settings, context.hub.track_numbers(id));
        let recognition = Arc::clone(context.engine.recognition());
        let (hub, control) = (context.hub.clone(), Arc::clone(control));
        Self { id: id.into(), hub, journal, detector, recognition, compared: None, control, lens: None }
    }

    /// The same teller, which has snapshots taken with `lens`.
    fn with(self, lens: Option<Lens>) -> Self {
        Self { lens, ..self }
    }
}

impl Teller {
    /// The tracks that events have told of, as somebody may name them now.
    fn subjects(&self, observation: &Observation<'_>) -> Vec<Subject> {
        let (model, seen) = (observation.embedder.map(Arc::from), Instant::now());
        let subject = |track: &Track| {
            let name = Arc::clone(self.journal.name_of(track.id)?);
            let verdict = observation.identities.iter().find(|verdict| verdict.track == track.id);
            let reason = verdict.and_then(|verdict| verdict.quality?.reason);
            let identity = verdict.map_or(Identity::OFF, |verdict| verdict.identity.clone());
            let impression = verdict.and_then(|verdict| verdict.impression.clone());
            Some(Subject { track: name, identity, reason, impression, model: Option::clone(&model), seen })
        };
        observation.tracks.iter().filter_map(subject).collect()
    }

    fn publish(&self, drafts: Vec<Draft>) {
        for draft in &drafts {
            match (draft.kind(), draft.identity().status) {
                (EventType::Identified | EventType::Revised, status) => self.control.tally.identified(status),
                (EventType::Ended, Status::Undecided) => self.control.tally.identified(Status::Undecided),
                _ => {}
            }
        }
        self.hub.publish(drafts);
    }
}

impl Observer for Teller {
    fn look(&mut self, frame: &Frame, tracks: &[Track]) {
        let Some(lens) = &mut self.lens else { return };
        if !self.control.takes_snapshots() {
            return lens.rest();
        }
        let journal = &self.journal;
        let faces = tracks.iter().filter_map(|track| Some((Arc::clone(journal.name_of(track.id)?), track)));
        let faces: Vec<(Arc<str>, &Track)> = faces.collect();
        lens.look(frame, &faces);
        if !self.control.takes_snapshots() {
            // switched off meanwhile, perhaps before what was put into the album now
            self.hub.withdraw(&self.id);
        }
    }

    fn observe(&mut self, observation: &Observation<'_>) {
        self.journal.sees_with(&self.detector.load().manifest().name);
        let drafts = self.journal.observe(observation);
        let started = drafts.iter().filter(|draft| draft.kind() == EventType::Started).count();
        self.control.tally.started(started);
        self.publish(drafts);
        self.hub.see(&self.id, observation.stamp.arrived_at, self.subjects(observation));
        self.hub.faces(&self.id, self.journal.faces());
    }

    fn lost(&mut self) {
        self.idle();
        let drafts = self.journal.close();
        self.publish(drafts);
        self.hub.see(&self.id, Monotonic::now(), Vec::new());
        self.hub.faces(&self.id, 0);
    }

    /// Takes back the names of who is known no more, also while no frame comes.
    fn idle(&mut self) {
        let current = self.recognition.load();
        let now = current.as_ref().map(|r| (Arc::as_ptr(r).addr(), r.people.gallery.revision()));
        if now == self.compared {
            return;
        }
        let drafts = self.journal.recall(|person| current.as_ref().is_some_and(|r| r.people.gallery.holds(person)));
        drop(current);
        self.compared = now;
        self.publish(drafts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(work: impl FnOnce() + Send + 'static) -> Running {
        let thread = spawn("test".to_owned(), work).unwrap();
        Running { id: "test".into(), control: Control::new("test"), threads: vec![thread], stopped: OnceLock::new() }
    }

    #[test]
    fn a_thread_that_never_ends_holds_nobody_up() {
        let (release, hang) = crossbeam_channel::bounded::<()>(0);
        let camera = running(move || {
            let _ = hang.recv();
        });
        camera.stopped.set(Instant::now() - PATIENCE).unwrap();
        drop(camera);
        // it is still there, and nobody waits for it
        release.send(()).unwrap();
    }

    #[test]
    fn a_thread_that_ends_is_waited_for() {
        let (done, ended) = crossbeam_channel::bounded(1);
        drop(running(move || done.send(()).unwrap()));
        assert_eq!(ended.try_recv(), Ok(()));
    }
}
