//! Several 720p30 cameras masked and encoded anew at once, each watched by somebody, against decoders, sessions and encoders alone
//! that do as much at the same pace, and at the same time: a machine that others use, too, does not stay equally fast from one
//! minute to the next.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Bench;
use super::clip;
use super::figure::{Aim, Figure, millis};
use super::together::{self, Bare, Threads};
use super::viewer::Viewer;
use crate::cli::processor::ProcessorTime;
use crate::config;
use crate::fault::Fault;
use crate::infer::Model;
use crate::restream::child::SimulatedCamera;
use crate::sink::{CameraStats, Hub};
use crate::supervisor::{Engine, Supervisor};

/// How many there should be.
const CAMERAS: usize = 5;

/// Analyses a second of each.
pub(super) const ANALYSES: u32 = 10;

/// Frames a second that a camera gives.
const FPS: f64 = 30.0;

/// A camera is held where so many of its frames reach who watches …
const ARRIVE: f64 = 0.98;

/// … and no more than these are covered.
const COVERED: f64 = 0.005;

/// They are compared so often; the round with the middle ratio is shown.
const ROUNDS: usize = 5;

/// How long streams, decoders and encoders may take to run evenly; what they say until then does not count.
const SETTLING: Duration = Duration::from_secs(4);

/// How long the cameras may take to show their first frames.
const PATIENCE: Duration = Duration::from_secs(30);

/// What so many cameras took and gave, each in a second.
struct Run {
    cameras: usize,
    /// Processor time of the daemon, of all that captures, and of what serves.
    spent: [Duration; 3],
    /// Frames that reached a viewer, of the camera that fewest did of.
    fewest: f64,
    /// Of all cameras.
    counts: CameraStats,
    frames: u64,
    time: Duration,
}

impl Run {
    fn covered(&self) -> f64 {
        let CameraStats { frames_masked_total: masked, frames_covered_total: covered, .. } = self.counts;
        covered as f64 / (masked + covered).max(1) as f64
    }

    fn is_held(&self) -> bool {
        self.fewest >= ARRIVE * FPS && self.covered() <= COVERED
    }

    /// In a second of one camera.
    fn each(&self, count: f64) -> f64 {
        count / self.time.as_secs_f64() / self.cameras as f64
    }

    /// Milliseconds of a processor for a second of one camera.
    fn cost(&self) -> f64 {
        self.spent.iter().map(|&spent| self.each(millis(spent))).sum()
    }

    fn ratio(&self, bare: &Bare) -> f64 {
        self.cost() / self.baseline(bare).iter().sum::<f64>()
    }

    /// The same for what the parts cost alone that do as much.
    fn baseline(&self, bare: &Bare) -> [f64; 3] {
        let CameraStats { frames_captured_total: captured, frames_analysed_total: analysed, .. } = self.counts;
        let counts = [captured, analysed, self.frames].map(|count| self.each(count as f64));
        [bare.decode * counts[0], bare.analyse * counts[1], bare.encode * counts[2]]
    }
}

/// One after another: what the cameras took beside bare parts, and what these did, with fitted and with their own threads.
type Round = [(Run, Bare); 2];

/// As many of five as the machine holds, and as many of those as it holds with the bare parts beside them.
pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let model = bench.models.detector()?;
    let clips = clip::small(&model)?;
    let ids: Vec<String> = (0..CAMERAS).map(|n| format!("c{n}")).collect();
    let mounts = ids.iter().flat_map(|id| ["--mount".to_owned(), format!("{id}={}", clips[0].display())]);
    let served = SimulatedCamera::start(Path::new("/proc/self/exe"), &mounts.collect::<Vec<_>>())?;
    let time = bench.time / ROUNDS as u32;
    let (mut alone, mut rounds) = (None, Vec::new());
    for cameras in (1..=CAMERAS).rev() {
        let watched = Watched::start(&model, &served, &ids[..cameras])?;
        let run = alone.take().unwrap_or_else(|| watched.run(time));
        if !run.is_held() && cameras > 1 {
            eprintln!("{cameras} cameras are too many for this machine: {}", rates(&run));
            watched.stop();
            continue;
        }
        alone = Some(run);
        rounds = compare(&watched, time, &model, &clips)?;
        watched.stop();
        let missed = rounds.iter().flatten().find(|(run, _)| !run.is_held());
        let Some((run, _)) = missed else { break };
        eprintln!("{cameras} cameras are too many for this machine beside as many bare ones: {}", rates(run));
    }
    let figures = [0, 1].map(|kind| middle(&mut rounds, kind));
    Ok(alone.iter().map(held).chain(figures.into_iter().flatten()).collect())
}

/// Takes turns until it was done often enough, or the machine was too slow.
fn compare(watched: &Watched, time: Duration, model: &Arc<Model>, clips: &[PathBuf; 2]) -> Result<Vec<Round>, Fault> {
    let clips = clips.each_ref().map(PathBuf::as_path);
    let beside = |threads| -> Result<_, Fault> {
        let cameras = watched.viewers.len();
        let (bare, run) = together::beside(cameras, model, clips, threads, || watched.run(time))?;
        Ok((run, bare))
    };
    let mut rounds: Vec<Round> = Vec::new();
    while rounds.len() < ROUNDS && rounds.iter().flatten().all(|(run, _)| run.is_held()) {
        let round = [beside(Threads::Fitted)?, beside(Threads::Own)?];
        let [fitted, own] = round.each_ref().map(|(run, bare)| run.ratio(bare));
        eprintln!("{fitted:.3} x the bare parts, {own:.3} x with their own number of threads");
        rounds.push(round);
    }
    Ok(rounds)
}

/// The processor time of the round with the middle ratio to one kind of bare parts.
fn middle(rounds: &mut [Round], kind: usize) -> Option<Figure> {
    let ratio = |round: &Round| round[kind].0.ratio(&round[kind].1);
    rounds.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    rounds.get(rounds.len() / 2).map(|round| cost(&round[kind].0, &round[kind].1))
}

fn rates(run: &Run) -> String {
    let analyses = run.each(run.counts.frames_analysed_total as f64);
    format!(
        "{:.1} of 30 frames a second arrive, {:.1} % of them covered, {analyses:.1} analyses a second",
        run.fewest,
        100.0 * run.covered()
    )
}

fn held(run: &Run) -> Figure {
    Figure {
        name: "cameras-held",
        value: if run.is_held() { run.cameras as f64 } else { 0.0 },
        unit: "cameras",
        baseline: None,
        aim: Aim::Value(CAMERAS as f64..=f64::INFINITY),
        what: format!(
            "held of {CAMERAS} of 720p30, masked, encoded anew and watched at once, {ANALYSES} analyses a second each; with {}: {}; \
             {:.0} ms of processor time for a second of one",
            run.cameras,
            rates(run),
            run.cost()
        ),
    }
}

fn cost(run: &Run, bare: &Bare) -> Figure {
    let baseline = run.baseline(bare);
    let [daemon, capture, serve] = run.spent.map(|spent| run.each(millis(spent)));
    let [decode, analyse, encode] = baseline;
    let (name, aim, threads) = match bare.threads {
        Threads::Fitted => ("cameras-cpu", Aim::Ratio(0.0..=1.15), "as many threads as visor gives them"),
        Threads::Own => ("cameras-cpu-own", Aim::None, "their own number of threads"),
    };
    Figure {
        name,
        value: run.cost(),
        unit: "ms",
        baseline: Some(baseline.iter().sum()),
        aim,
        what: format!(
            "processor time for a second of one of {} such cameras: daemon {daemon:.0}, capture {capture:.0}, serving {serve:.0} ms; \
             bare, at the same pace, decoder and encoder with {threads}: decoder {decode:.0}, session {analyse:.0}, encoder {encode:.0} ms",
            run.cameras
        ),
    }
}

/// Cameras that run, and who watches them.
struct Watched {
    viewers: Vec<Viewer>,
    supervisor: Supervisor,
    simulated: u32,
}

impl Watched {
    /// Starts these cameras, and waits until they run evenly.
    fn start(model: &Arc<Model>, served: &SimulatedCamera, ids: &[String]) -> Result<Self, Fault> {
        let mut text =
            format!("[models]\ndetector = \"{}\"\n[restream]\nlisten = \"127.0.0.1:0\"\n", model.manifest().name);
        for id in ids {
            let uri = served.url(id).ok_or_else(|| Fault::internal("the simulated camera has no address"))?;
            text += &format!("[cameras.{id}]\nuri = \"{uri}\"\nanalysis_fps = {ANALYSES}\n[cameras.{id}.restream]\n");
        }
        let settings = config::resolve_text(&text, &[]).map_err(|p| config::fault(Path::new("bench"), &p))?;
        let engine = Arc::new(Engine::with(Arc::clone(model)));
        let supervisor = Supervisor::start(settings, Hub::new(), engine)?;
        let viewers = viewers(&supervisor, ids)?;
        sleep(SETTLING);
        Ok(Self { viewers, supervisor, simulated: served.id() })
    }

    fn stop(self) {
        drop(self.viewers);
        self.supervisor.stop();
    }

    /// What they take and give for so long.
    fn run(&self, time: Duration) -> Run {
        let meter = Meter::start(self);
        sleep(time);
        meter.read(self)
    }
}

/// Somebody for each camera, once all show something.
fn viewers(supervisor: &Supervisor, ids: &[String]) -> Result<Vec<Viewer>, Fault> {
    let give_up = Instant::now() + PATIENCE;
    let shows = |stats: CameraStats| stats.frames_masked_total > 0;
    while !supervisor.stats().all(shows) && Instant::now() < give_up {
        sleep(Duration::from_millis(50));
    }
    let address = supervisor.video_address().ok_or_else(|| Fault::unavailable("masked video is not served"))?;
    watched(address, ids)
}

fn watched(address: SocketAddr, paths: &[String]) -> Result<Vec<Viewer>, Fault> {
    let watch = |path: &String| Viewer::watch(address, path);
    paths.iter().map(watch).collect::<Result<_, _>>().map_err(|e| Fault::unavailable(format!("nobody can watch: {e}")))
}

/// What was spent and done until the measurement began.
struct Meter {
    began: Instant,
    capture: Vec<u32>,
    serve: Vec<u32>,
    spent: [Duration; 3],
    counts: CameraStats,
    frames: Vec<u64>,
}

impl Meter {
    fn start(watched: &Watched) -> Self {
        let own = |child: &u32| *child != watched.simulated && !together::is_bare(&command(*child));
        let children: Vec<u32> = children().into_iter().filter(own).collect();
        let is_capture = |child: &u32| command(*child).get(1).is_some_and(|word| word == "capture");
        let (capture, serve): (Vec<_>, Vec<_>) = children.into_iter().partition(is_capture);
        Self {
            began: Instant::now(),
            spent: spent(&capture, &serve, &watched.viewers),
            capture,
            serve,
            counts: counts(&watched.supervisor),
            frames: watched.viewers.iter().map(Viewer::frames).collect(),
        }
    }

    fn read(self, watched: &Watched) -> Run {
        let Watched { viewers, supervisor, .. } = watched;
        let Self { began, capture, serve, spent: before, counts: earlier, frames } = self;
        let (time, after, now) = (began.elapsed(), spent(&capture, &serve, viewers), counts(supervisor));
        let arrived: Vec<u64> = viewers.iter().zip(frames).map(|(viewer, before)| viewer.frames() - before).collect();
        // the time of one that was started again meanwhile is not known
        let runs = |process: &u32| !command(*process).concat().is_empty();
        let whole = capture.iter().chain(&serve).all(runs);
        let fewest = arrived.iter().min().filter(|_| whole).map_or(0.0, |fewest| *fewest as f64 / time.as_secs_f64());
        let counts = CameraStats {
            frames_captured_total: now.frames_captured_total - earlier.frames_captured_total,
            frames_analysed_total: now.frames_analysed_total - earlier.frames_analysed_total,
            frames_masked_total: now.frames_masked_total - earlier.frames_masked_total,
            frames_covered_total: now.frames_covered_total - earlier.frames_covered_total,
            ..CameraStats::default()
        };
        let spent = std::array::from_fn(|n| after[n].saturating_sub(before[n]));
        Run { cameras: viewers.len(), spent, fewest, counts, frames: arrived.iter().sum(), time }
    }
}

/// Processor time of this process without its viewers and bare sessions, of what captures, and of what serves.
fn spent(capture: &[u32], serve: &[u32], viewers: &[Viewer]) -> [Duration; 3] {
    let others = viewers.iter().map(Viewer::spent).sum::<Duration>() + together::time_of_sessions();
    let all = |processes: &[u32]| processes.iter().map(|process| ProcessorTime::of(*process).own).sum();
    [ProcessorTime::now().own.saturating_sub(others), all(capture), all(serve)]
}

fn counts(supervisor: &Supervisor) -> CameraStats {
    supervisor.stats().fold(CameraStats::default(), |sum, camera| CameraStats {
        frames_captured_total: sum.frames_captured_total + camera.frames_captured_total,
        frames_analysed_total: sum.frames_analysed_total + camera.frames_analysed_total,
        frames_masked_total: sum.frames_masked_total + camera.frames_masked_total,
        frames_covered_total: sum.frames_covered_total + camera.frames_covered_total,
        ..sum
    })
}

/// The processes that this one has started.
fn children() -> Vec<u32> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    texts.flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// The words of a process' command line.
fn command(process: u32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}
