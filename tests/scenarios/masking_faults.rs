//! Masked video fails closed: whatever breaks while it is sent, no face shows in what a viewer receives.
#![cfg(feature = "media")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use visor::restream::child::SimulatedCamera;

use super::support::daemon::{Daemon, models, visor};
use super::support::patched::{Look, clip};
use super::support::shim::{Mode, Shim};
use super::support::viewer::{Seen, Viewer};

/// A detector that finds nothing although it runs goes unnoticed for so long at most: between two tests of its sight, and the
/// second of them may be late.
const BLIND: Duration = Duration::from_millis(2250);

/// How long a picture is on its way from its release to the viewer.
const WAY: Duration = Duration::from_millis(750);

/// Sizes of the camera's pictures.
const SIZES: [(u32, u32); 2] = [(960, 540), (640, 360)];

/// What is done to a camera, or to what masks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Detector(Mode),
    /// A child is killed.
    Killed(Role),
    /// A child stands still.
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

    /// Whether sound outputs of the detector are wrong while this lasts.
    fn blinds(self) -> bool {
        matches!(self, Self::Detector(Mode::Faint | Mode::Reversed | Mode::Frozen))
    }

    /// Whether video begins anew, the camera's or the viewer's, so that frames may come that came before.
    fn begins_anew(self) -> bool {
        !matches!(self, Self::Detector(_))
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
        let name: &[u8] = if role == Role::Capture { b"capture" } else { b"restream" };
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
    let kind = if changed(Change::Mask) { "pixelate" } else { "solid" };
    format!(
        "{}library = {:?}\ninput = \"{input}\"\n[restream]\nlisten = \"127.0.0.1:0\"\n[cameras.front]\nuri = {url:?}\n\
         analysis_fps = {rate}\nstall_timeout = \"1s\"\nconnect_timeout = \"2s\"\n[cameras.front.restream]\n\
         [cameras.front.mask]\nkind = \"{kind}\"\n{mask}",
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

/// How many injections a test makes: its share of a thousand within `make soak`, else of fifty.
fn share(of_fifty: usize) -> usize {
    if std::env::var_os("VISOR_SOAK_SECONDS").is_some() { of_fifty * 20 } else { of_fifty }
}

/// Pictures that show a face although they may not, and those that came twice.
fn judge(seen: &[Seen], injections: &[Injection]) -> Vec<String> {
    let mut findings = Vec::new();
    let during = |at: Instant| injections.iter().filter(move |i| i.from <= at && at <= i.over + WAY);
    for Seen { at, look } in seen.iter().filter(|seen| seen.look.leaks()) {
        let mut faults = during(*at);
        if !faults.any(|i| i.fault.blinds() && *at <= (i.from + BLIND).min(i.to) + WAY) {
            let faults: Vec<_> = during(*at).map(|i| (i.fault, at.duration_since(i.from))).collect();
            findings.push(format!("{look:?} shows a face; going on: {faults:?}"));
        }
    }
    let numbered: Vec<_> = seen.iter().filter_map(|seen| Some((seen.at, seen.look.number?))).collect();
    for pair in numbered.windows(2) {
        let [(last, before), (at, after)] = [pair[0], pair[1]];
        let back = (before + 300 - after) % 300;
        if (1..100).contains(&back) && at - last < Duration::from_secs(4) && !during(at).any(|i| i.fault.begins_anew())
        {
            let faults: Vec<_> = during(at).map(|i| (i.fault, at.duration_since(i.from))).collect();
            findings.push(format!("frame {after} came {:?} after {before}; going on: {faults:?}", at - last));
        }
    }
    findings
}

/// What each kind of fault came to.
fn print(seen: &[Seen], injections: &[Injection]) {
    let mut kinds: BTreeMap<Fault, [usize; 4]> = BTreeMap::new();
    for Injection { fault, from, over, .. } in injections {
        let during: Vec<_> = seen.iter().filter(|seen| *from <= seen.at && seen.at <= *over).collect();
        let count = |wanted: fn(&Look) -> bool| during.iter().filter(|seen| wanted(&seen.look)).count();
        let sums = kinds.entry(*fault).or_default();
        let more = [1, during.len(), count(|look| look.number.is_none()), count(|look| look.leaks())];
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    for (fault, [times, pictures, covered, leaks]) in kinds {
        eprintln!("{fault:?}: {times} times, {pictures} pictures received, {covered} covered, {leaks} with a face");
    }
}

/// Injects these faults in turn, `count` in all.
fn check(faults: &[Fault], count: usize) {
    let Some(mut stage) = Stage::set("") else { return };
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut injections = Vec::new();
    for index in 0..count {
        pass(Duration::from_millis(random.u64(0..300)));
        let fault = faults[index % faults.len()];
        injections.push(stage.inject(fault, Duration::from_millis(random.u64(fault.lasts()))));
    }
    let seen = stage.viewer.seen();
    print(&seen, &injections);
    let findings = judge(&seen, &injections);
    assert!(findings.is_empty(), "seed {seed}: {} findings\n{}", findings.len(), findings.join("\n"));
    assert_eq!(stage.daemon.metric("visor_mask_unproven_frames_total", &[]), 0.0);
    assert!(stage.daemon.metric("visor_mask_frames_total", &["outcome=\"masked\""]) > 0.0);
}

#[test]
fn soak_a_detector_that_fails_shows_no_face() {
    use Mode::{Failing, Faint, Frozen, Garbage, NotANumber, Reversed, Slow, Stalled, Zeroed};
    let modes = [Stalled, Failing, Zeroed, NotANumber, Garbage, Faint, Reversed, Frozen, Slow];
    check(&modes.map(Fault::Detector), share(24));
}

#[test]
fn soak_children_that_die_or_hang_show_no_face() {
    use Role::{Capture, Restream};
    let faults = [Fault::Killed(Capture), Fault::Stopped(Restream), Fault::Stopped(Capture), Fault::Killed(Restream)];
    check(&[&faults[..], &[Fault::Overrun]].concat(), share(14));
}

#[test]
fn soak_other_sizes_and_other_settings_show_no_face() {
    let changes = [Change::Model, Change::Camera, Change::Mask].map(Fault::Reloaded);
    check(&[&changes[..], &[Fault::SizeChanged]].concat(), share(12));
}

#[test]
fn a_face_that_is_shown_is_seen() {
    let Some(stage) = Stage::set("who = \"nobody\"\n") else { return };
    stage.viewer.wait_for_video(Instant::now(), "the start");
    let findings = judge(&stage.viewer.seen(), &[]);
    assert!(!findings.is_empty(), "nobody is masked, and nothing was seen of it");
}
