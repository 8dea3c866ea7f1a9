//! A file through the capture child, and through the whole pipeline, against the decoder and the runtime alone.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::Bench;
use super::decode::{self, Cost, Rate};
use super::figure::{Aim, Figure, median};
use super::models::{Screen, time_bare};
use crate::clock::Monotonic;
use crate::detect::{self, Sampler};
use crate::event::Observation;
use crate::fault::Fault;
use crate::frame::{Frame, PixelFormat};
use crate::infer::Model;
use crate::pipeline::{self, Cam, Control, Eyes, Follower, Observer, WhenBusy};
use crate::source::{Config, FilePace, Frames, Source, SourceEvent, SourceState, Spawner};
use crate::track::{self, Track};

/// Rounds at least, however long they take.
const ROUNDS: usize = 3;

/// Frames that the daemon may hold beside those in [`in_flight`].
const SLOTS_BESIDE_ANALYSES: usize = 4;

/// Frames of a file that the daemon analyses, that wait for an earlier one, and the next.
fn in_flight(sessions: usize) -> usize {
    2 * sessions + 1
}

/// Decoded by the capture child and fetched from the ring, against decoding alone.
pub(super) fn ring(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let (clip, spawner, in_flight) = (bench.clip.path()?, spawner()?, in_flight(bench.models.config().sessions()));
    let (mut times, mut bare) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < bench.time || times.len() < ROUNDS {
        bare.push(decode::cost(|| decode::bare(&clip))?);
        times.push(decode::cost(|| fetch_all(source(bench, &spawner, in_flight)?))?);
    }
    let figure = |name, what: &str, part: fn(&Cost) -> f64| Figure {
        name,
        value: median(&mut times.iter().map(part).collect::<Vec<_>>()),
        unit: "ms",
        baseline: Some(median(&mut bare.iter().map(part).collect::<Vec<_>>())),
        aim: Aim::Ratio(0.0..=1.10),
        what: format!("{what} a frame of the clip through capture child and ring; bare: a process that decodes"),
    };
    Ok(vec![figure("ring", "time", |cost| cost.wall), figure("ring-cpu", "processor time", |cost| cost.processor)])
}

/// Takes all frames and lets go of each at once.
fn fetch_all(mut source: Source) -> Result<Rate, Fault> {
    let mut rate = Rate::default();
    loop {
        match source.next(Monotonic::now().plus(Duration::from_secs(1))) {
            SourceEvent::Frame(_) => rate.count(),
            SourceEvent::Ended => return Ok(rate),
            SourceEvent::Changed(SourceState::Stalled { reason } | SourceState::Offline { reason, .. }) => {
                return Err(Fault::unavailable(reason));
            }
            _ => {}
        }
    }
}

fn spawner() -> Result<Spawner, Fault> {
    Spawner::start().map_err(|e| Fault::unavailable(format!("cannot start a thread: {e}")))
}

fn source(bench: &Bench, spawner: &Spawner, in_flight: usize) -> Result<Source, Fault> {
    let mut config = Config::new(bench.clip.uri()?.as_str().into());
    config.pace = FilePace::Fast;
    let slots = u32::try_from(in_flight + SLOTS_BESIDE_ANALYSES).unwrap_or(u32::MAX);
    let settings = config.resolve(slots);
    let settings = settings
        .map_err(|problems| Fault::config(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    Ok(Source::new("bench", settings, spawner))
}

/// From the file to tracks, against whichever of decoder and sessions is slower: while both work, unconnected, since they share
/// the processors in the pipeline, too; and each with the machine to itself, which both cannot have at once.
pub(super) fn file(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let (clip, spawner, model) = (bench.clip.path()?, spawner()?, bench.models.detector()?);
    let (mut whole, mut together, mut alone) = (Vec::new(), [Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let began = Instant::now();
    while began.elapsed() < bench.time || whole.len() < ROUNDS {
        let (detected, decoded) = bare_sessions(&model, || decode::bare(&clip)?.millis())?;
        [detected, 1e3 / decoded].into_iter().zip(&mut together).for_each(|(rate, rates)| rates.push(rate));
        alone[0].push(
            bare_sessions(&model, || {
                thread::sleep(bench.time / 8);
                Ok(())
            })?
            .0,
        );
        alone[1].push(1e3 / decode::bare(&clip)?.millis()?);
        whole.push(1e3 / see_all(source(bench, &spawner, in_flight(model.sessions()))?, &model)?);
    }
    let whole = median(&mut whole);
    let figure = |name, rates: &mut [Vec<f64>; 2], aim, how: &str| {
        let [detecting, decoding] = rates.each_mut().map(|rates| median(rates));
        let bare = format!("{} sessions ({detecting:.0} fps) and its decoder ({decoding:.0} fps)", model.sessions());
        let what = format!("the clip from file to tracks; bare: the slower of {bare}, {how}");
        Figure { name, value: whole, unit: "fps", baseline: Some(decoding.min(detecting)), aim, what }
    };
    Ok(vec![
        figure("file", &mut together, Aim::Ratio(0.9..=f64::INFINITY), "at work together, unconnected"),
        figure("file-alone", &mut alone, Aim::None, "each with the machine to itself"),
    ])
}

/// Calls a second of all sessions at once, while something else is done, and what that gives.
fn bare_sessions<T>(model: &Model, meanwhile: impl FnOnce() -> Result<T, Fault>) -> Result<(f64, T), Fault> {
    let screen = Screen::new(PixelFormat::I420);
    let done = AtomicBool::new(false);
    let work = || {
        let mut sampler = Sampler::new(&model.manifest().input, model.input_shape());
        let (input, _) = sampler.fill(screen.picture()?);
        time_bare(model, input)?;
        let (began, mut calls) = (Instant::now(), 0_u32);
        while !done.load(Ordering::Relaxed) {
            time_bare(model, input)?;
            calls += 1;
        }
        Ok(f64::from(calls) / began.elapsed().as_secs_f64())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..model.sessions()).map(|_| scope.spawn(work)).collect();
        let given = meanwhile();
        done.store(true, Ordering::Relaxed);
        let panicked = || Fault::internal("a thread of the benchmark panicked");
        let rates =
            threads.into_iter().map(|thread| thread.join().map_err(|_| panicked())?).sum::<Result<f64, Fault>>();
        Ok((rates?, given?))
    })
}

/// Counts what was analysed.
struct Counter(Arc<Mutex<Rate>>);

impl Observer for Counter {
    fn look(&mut self, _: &Frame, _: &[Track]) {}

    fn observe(&mut self, _: &Observation<'_>) {
        if let Ok(mut rate) = self.0.lock() {
            rate.count();
        }
    }

    fn lost(&mut self) {}

    fn idle(&mut self) {}
}

/// Milliseconds a frame with the two loops that the daemon runs for a file.
fn see_all(source: Source, model: &Arc<Model>) -> Result<f64, Fault> {
    let control = Control::new("bench");
    let rate = Arc::new(Mutex::new(Rate::default()));
    let make_tracker = || track::Config::default().build();
    let follower =
        Follower::new(Box::new(make_tracker), Box::new(()), Counter(Arc::clone(&rate)), Arc::clone(&control));
    let current = Arc::new(ArcSwap::new(Arc::clone(model)));
    let eyes = || Eyes::new(Arc::clone(&current), detect::Config::default());
    let eyes = (0..model.sessions()).map(|_| eyes()).collect::<Result<Vec<_>, _>>()?;
    let (to_see, jobs) = pipeline::channel(model.sessions());
    thread::scope(|scope| {
        scope.spawn(|| pipeline::run_see_all(&jobs, eyes, follower));
        let cam = Cam { frames: Box::new(source), to_see, when_busy: WhenBusy::Wait, masking: None };
        pipeline::run_cam(cam, &control, |_| {});
    });
    let rate = *rate.lock().map_err(|_| Fault::internal("a thread of the benchmark panicked"))?;
    rate.millis()
}
