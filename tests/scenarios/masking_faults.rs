//! Masked video fails closed: whatever breaks while it is sent, no face shows in what a viewer receives.
#![cfg(feature = "media")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use visor::restream::child::SimulatedCamera;

use super::support::daemon::{Daemon, models, visor};
use super::support::patched::{FPS, FRAMES, clip};
use super::support::shim::{Mode, Shim};
use super::support::viewer::{Seen, Viewer};
use super::support::wait::eventually;

/// A detector that finds nothing although it runs goes unnoticed for so long at most: between two tests of its sight, and the
/// second of them may be late.
const BLIND: Duration = Duration::from_millis(2250);

/// How long a picture is on its way from its release to the viewer.
const WAY: Duration = Duration::from_millis(750);

/// Until so long after a fault that has it begin anew a camera's video may do so: it is tried again and again.
const ANEW: Duration = Duration::from_secs(15);

/// Frames among which the first one is that is not covered when video has begun anew.
const BEGINNING: u64 = 2 * FPS as u64 + 10;

/// Sizes of the camera's pictures.
const SIZES: [(u32, u32); 2] = [(960, 540), (640, 360)];

/// What is done to a camera, or to what masks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Detector(Mode),
    /// A child is killed.
    Killed(Role),
    /// It stands still.
    Stopped(Role),
    /// The daemon itself stands still: frames overrun the ring, and everything is late.
    Overrun,
    /// The camera is another one, with pictures of another size.
    SizeChanged,
    Reloaded(Change),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Capture,
    Restream,
    /// The camera itself: what it did not send comes all at once.
    Camera,
}

/// What another configuration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// The detector is loaded anew, for inputs of another size.
    Model,
    /// The camera's loops begin anew.
    Camera,
    /// Masks look otherwise.
    Mask,
}

impl Fault {
    /// For how many milliseconds it lasts.
    fn lasts(self) -> std::ops::Range<u64> {
        match self {
            // long enough to be noticed, and to show that it is
            _ if self.blinds() => 200..4000,
            Self::Detector(_) | Self::Stopped(_) => 50..1500,
            Self::Overrun => 50..1000,
            Self::Killed(_) | Self::SizeChanged | Self::Reloaded(_) => 0..100,
        }
    }

    /// For how many milliseconds at most there is peace before it: where another configuration was loaded, it takes effect.
    fn pause(self) -> u64 {
        match self {
            Self::Detector(_) | Self::Killed(_) => 300,
            Self::Stopped(_) | Self::Overrun | Self::SizeChanged | Self::Reloaded(_) => 900,
        }
    }

    /// Whether sound outputs of the detector are wrong while this lasts.
    fn blinds(self) -> bool {
        matches!(self, Self::Detector(Mode::Faint | Mode::Reversed | Mode::Frozen))
    }

    /// Whether the camera's video may begin anew, so that frames come that came before.
    fn begins_anew(self) -> bool {
        !matches!(self, Self::Detector(_) | Self::Killed(Role::Restream) | Self::Stopped(Role::Restream))
    }
}

/// A fault while it lasted, and until there was video again.
struct Injection {
    fault: Fault,
    from: Instant,
    to: Instant,
    over: Instant,
}

/// A patched camera, masked and served over RTSP, and somebody who watches it.
struct Stage {
    shim: Shim,
    clips: Vec<PathBuf>,
    camera: Option<SimulatedCamera>,
    daemon: Daemon,
    viewer: Viewer,
    /// What the present configuration has changed.
    changes: BTreeMap<Change, bool>,
    size: usize,
}

impl Stage {
    /// Sets it up, with `mask` as `[cameras.front.mask]`; `None`, aloud, where something is missing.
    fn set(mask: &str) -> Option<Self> {
        let shim = Shim::build()?;
        let clips: Vec<PathBuf> = SIZES.into_iter().map(clip).collect::<Option<_>>()?;
        let camera = SimulatedCamera::start(visor(), &["--mount", &mount(&clips[0])]).unwrap();
        let daemon = Daemon::start(&configuration(&shim, camera.url("front").unwrap(), &BTreeMap::new(), mask));
        let served = daemon.wait_for_log("serves masked video", |_| true);
        let viewer = Viewer::watch(&format!("rtsp://{}/front", served["address"].as_str().unwrap()));
        viewer.wait_for_video(Instant::now(), "the start");
        Some(Self { shim, clips, camera: Some(camera), daemon, viewer, changes: BTreeMap::new(), size: 0 })
    }

    fn inject(&mut self, fault: Fault, lasts: Duration) -> Injection {
        let from = Instant::now();
        match fault {
            Fault::Detector(mode) => {
                self.shim.set(mode);
                pass(lasts);
                self.shim.set(Mode::Sound);
            }
            Fault::Killed(role) => self.signal(role, Signal::KILL),
            Fault::Stopped(role) => {
                self.signal(role, Signal::STOP);
                pass(lasts);
                self.signal(role, Signal::CONT);
            }
            Fault::Overrun => {
                self.daemon.signal(Signal::STOP);
                pass(lasts);
                self.daemon.signal(Signal::CONT);
            }
            Fault::SizeChanged => {
                self.size = (self.size + 1) % SIZES.len();
                let (listen, mount) = (self.camera().listen().to_owned(), mount(&self.clips[self.size]));
                self.camera = None;
                self.camera = Some(SimulatedCamera::start(visor(), &["--listen", &listen, "--mount", &mount]).unwrap());
            }
            Fault::Reloaded(change) => {
                let changed = self.changes.entry(change).or_default();
                *changed = !*changed;
                let url = self.camera().url("front").unwrap();
                self.daemon.reload(&configuration(&self.shim, url, &self.changes, ""));
            }
        }
        let to = Instant::now();
        self.viewer.wait_for_video(to, &format!("{fault:?} for {lasts:?}"));
        Injection { fault, from, to, over: Instant::now() }
    }

    fn camera(&self) -> &SimulatedCamera {
        self.camera.as_ref().unwrap()
    }

    /// To the present child of this role, where there is one.
    fn signal(&self, role: Role, signal: Signal) {
        let name: &[u8] = match role {
            Role::Capture => b"capture",
            Role::Restream => b"restream",
            Role::Camera => {
                let camera = Pid::from_raw(self.camera().id() as i32).unwrap();
                return kill_process(camera, signal).unwrap();
            }
        };
        let is = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(name)
        };
        if let Some(pid) = self.daemon.children().into_iter().find(is).and_then(|pid| Pid::from_raw(pid as i32)) {
            // it may have gone meanwhile
            let _ = kill_process(pid, signal);
        }
    }
}

fn mount(clip: &std::path::Path) -> String {
    format!("front={}", clip.display())
}

fn configuration(shim: &Shim, url: &str, changes: &BTreeMap<Change, bool>, mask: &str) -> String {
    let changed = |change| changes.get(&change).copied().unwrap_or_default();
    let input = if changed(Change::Model) { "512x320" } else { "640x384" };
    let rate = if changed(Change::Camera) { 12 } else { 10 };
    // of no kind that is made of the colours below it, which are the patch's
    let look = if changed(Change::Mask) { "shape = \"ellipse\"\ncolour = \"#406080\"" } else { "kind = \"solid\"" };
    format!(
        "{}library = {:?}\ninput = \"{input}\"\n[restream]\nlisten = \"127.0.0.1:0\"\n[cameras.front]\nuri = {url:?}\n\
         analysis_fps = {rate}\nstall_timeout = \"1s\"\nconnect_timeout = \"2s\"\n[cameras.front.restream]\n\
         [cameras.front.mask]\n{look}\n{mask}",
        models(),
        shim.library(),
    )
}

fn pass(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// How often a test makes its share of fifty injections; of a thousand within `make soak`.
fn rounds() -> usize {
    if std::env::var_os("VISOR_SOAK_SECONDS").is_some() { 20 } else { 1 }
}

/// Injections that went on when something was received, or had just been over.
fn during(injections: &[Injection], at: Instant) -> impl Iterator<Item = &Injection> {
    injections.iter().filter(move |i| i.from <= at && at <= i.over + WAY)
}

fn names<'a>(faults: impl Iterator<Item = &'a Injection>, at: Instant) -> Vec<(Fault, Duration)> {
    faults.map(|i| (i.fault, at.duration_since(i.from))).collect()
}

/// Pictures that show a face although they may not.
fn shown<'a>(seen: &'a [Seen], injections: &'a [Injection]) -> impl Iterator<Item = &'a Seen> {
    let may_show = |at| during(injections, at).any(|i| i.fault.blinds() && at <= (i.from + BLIND).min(i.to) + WAY);
    seen.iter().filter(move |seen| seen.look.leaks() && !may_show(seen.at))
}

/// Pictures that came after a later one, but for those of a camera's video that begins anew.
fn disorder(seen: &[Seen], injections: &[Injection]) -> Vec<String> {
    let mut findings = Vec::new();
    for pair in seen.windows(2) {
        let (Some(before), Some(after), at) = (pair[0].look.number, pair[1].look.number, pair[1].at) else { continue };
        let back = (before + FRAMES - after) % FRAMES;
        let has_begun_anew = || injections.iter().any(|i| i.fault.begins_anew() && i.from <= at && at <= i.over + ANEW);
        // one that began while nothing was received goes on meanwhile
        let unseen = ((at - pair[0].at).as_secs_f64() * f64::from(FPS)) as u64 + 10;
        if (1..FRAMES / 3).contains(&back) && !(after < BEGINNING.max(unseen) && has_begun_anew()) {
            let faults = names(during(injections, at), at);
            findings.push(format!("frame {after} came {:?} after {before}; going on: {faults:?}", at - pair[0].at));
        }
    }
    findings
}

/// What was received: pictures, those of them that were covered, and those that show a face.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    injections: usize,
    pictures: usize,
    covered: usize,
    shown: usize,
}

impl Sums {
    fn add<'a>(&mut self, injections: usize, seen: impl Iterator<Item = &'a Seen>) {
        self.injections += injections;
        for Seen { look, .. } in seen {
            self.pictures += 1;
            self.covered += usize::from(look.number.is_none());
            self.shown += usize::from(look.leaks());
        }
    }
}

/// What all rounds of a test came to.
#[derive(Default)]
struct Report {
    kinds: BTreeMap<Fault, Sums>,
    whole: Sums,
    unproven: f64,
    findings: Vec<String>,
}

impl Report {
    fn add(&mut self, stage: &Stage, injections: &[Injection]) {
        let seen = stage.viewer.seen();
        self.whole.add(injections.len(), seen.iter());
        for Injection { fault, from, over, .. } in injections {
            let during = seen.iter().filter(|seen| *from <= seen.at && seen.at <= *over);
            self.kinds.entry(*fault).or_default().add(1, during);
        }
        for seen in shown(&seen, injections) {
            let faults = names(during(injections, seen.at), seen.at);
            let kept = stage.viewer.keep(seen);
            self.findings.push(format!("{:?} shows a face ({kept:?}); going on: {faults:?}", seen.look));
        }
        self.findings.extend(disorder(&seen, injections));
        self.unproven += stage.daemon.metric("visor_mask_unproven_frames_total", &[]);
        assert!(stage.daemon.metric("visor_mask_frames_total", &["outcome=\"masked\""]) > 0.0);
    }

    fn print(&self) {
        for (fault, Sums { injections, pictures, covered, shown }) in &self.kinds {
            eprintln!(
                "{fault:?}: {injections} times, {pictures} pictures meanwhile, {covered} covered, {shown} with a face"
            );
        }
        let Sums { injections, pictures, covered, shown } = self.whole;
        eprintln!(
            "in all: {injections} injections, {pictures} pictures received, {covered} covered, {shown} with a face while a \
             detector may be blind; {} findings, {} frames shown without proof",
            self.findings.len(),
            self.unproven
        );
    }
}

/// Injects these faults in turn, `count` in all; as often as there are rounds, each with a daemon of its own.
fn check(faults: &[Fault], count: usize) {
    let mut report = Report::default();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..rounds() {
        let Some(mut stage) = Stage::set("") else { return };
        let mut injections = Vec::new();
        for index in 0..count {
            let fault = faults[index % faults.len()];
            pass(Duration::from_millis(random.u64(0..fault.pause())));
            injections.push(stage.inject(fault, Duration::from_millis(random.u64(fault.lasts()))));
        }
        report.add(&stage, &injections);
    }
    report.print();
    let findings = &report.findings;
    assert!(findings.is_empty(), "seed {seed}: {} findings\n{}", findings.len(), findings.join("\n"));
    assert_eq!(report.unproven, 0.0);
}

#[test]
fn soak_a_detector_that_fails_shows_no_face() {
    use Mode::{Failing, Faint, Frozen, Garbage, NotANumber, Reversed, Slow, Stalled, Zeroed};
    let modes = [Stalled, Failing, Zeroed, NotANumber, Garbage, Faint, Reversed, Frozen, Slow];
    check(&modes.map(Fault::Detector), 24);
}

#[test]
fn soak_children_that_die_or_hang_show_no_face() {
    use Role::{Capture, Restream};
    let faults = [Fault::Killed(Capture), Fault::Stopped(Restream), Fault::Stopped(Capture), Fault::Killed(Restream)];
    check(&[&faults[..], &[Fault::Overrun]].concat(), 14);
}

#[test]
fn soak_other_sizes_and_other_settings_show_no_face() {
    let changes = [Change::Model, Change::Camera, Change::Mask].map(Fault::Reloaded);
    check(&[&changes[..], &[Fault::Stopped(Role::Camera), Fault::SizeChanged]].concat(), 12);
}

#[test]
fn a_detector_that_finds_the_test_face_in_everything_shows_nothing() {
    let (Some(shim), Some(clip)) = (Shim::build(), clip(SIZES[0])) else { return };
    let camera = SimulatedCamera::start(visor(), &["--mount", &mount(&clip)]).unwrap();
    // the first call is that with the test face
    shim.set(Mode::Frozen);
    let daemon = Daemon::start(&configuration(&shim, camera.url("front").unwrap(), &BTreeMap::new(), ""));
    let served = daemon.wait_for_log("serves masked video", |_| true);
    let viewer = Viewer::watch(&format!("rtsp://{}/front", served["address"].as_str().unwrap()));
    eventually("frames that are covered for it", || {
        (daemon.metric("visor_mask_covered_total", &["reason=\"failed\""]) >= 100.0).then_some(())
    });
    let looks = viewer.seen();
    assert!(looks.iter().all(|seen| seen.look.number.is_none()), "{looks:?}");
    shim.set(Mode::Sound);
    viewer.wait_for_video(Instant::now(), "the detector to look");
    assert!(daemon.stop().success());
}

#[test]
fn a_face_that_is_shown_is_seen() {
    let Some(stage) = Stage::set("who = \"nobody\"\n") else { return };
    stage.viewer.wait_for_video(Instant::now(), "the start");
    assert!(shown(&stage.viewer.seen(), &[]).next().is_some(), "nobody is masked, and nothing was seen of it");
}
