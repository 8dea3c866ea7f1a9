//! Decoders, sessions and encoders of several cameras, unconnected, at the pace of live cameras and all at once, as they run in the
//! daemon: what each costs while something else goes on.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::cameras::ANALYSES;
use super::figure::{Watch, millis};
use super::models::{Screen, time_bare};
use crate::cli::processor::{ProcessorTime, time_of_threads};
use crate::detect::Sampler;
use crate::fault::Fault;
use crate::frame::PixelFormat;
use crate::infer::Model;

/// How long decoders and encoders may take to run evenly.
const SETTLING: Duration = Duration::from_secs(3);

/// Seconds after which decoders and encoders end by themselves, for whoever measures for so long.
const LONGEST_S: &str = "3600";

/// What the names of the threads that call sessions begin with.
const NAME: &str = "bare-";

/// Frames a second of each.
const FPS: f64 = 30.0;

/// Milliseconds of a processor.
pub(super) struct Bare {
    /// For a decoded frame.
    pub(super) decode: f64,
    /// For a call of the session.
    pub(super) analyse: f64,
    /// For an encoded frame.
    pub(super) encode: f64,
    /// Of decoder and encoder.
    pub(super) threads: Threads,
}

/// A process that works until it is dropped.
struct Worker(Child);

/// Whose choice it is over how many threads a part spreads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// The part's own, as whoever takes it as it comes has it.
    Own,
    /// Visor's.
    Fitted,
}

impl Worker {
    fn start(command: &str, file: &Path, threads: Threads) -> Result<Self, Fault> {
        let failed = |e: &dyn std::fmt::Display| Fault::unavailable(format!("the bare {command} did not start: {e}"));
        let child = Command::new("/proc/self/exe")
            .args([command, "--bare"])
            .arg(file)
            .args(["--live", LONGEST_S])
            .args((threads == Threads::Own).then_some("--own-threads"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        child.map(Self).map_err(|e| failed(&e))
    }

    fn spent(&self) -> Duration {
        ProcessorTime::of(self.0.id()).own
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has as much work done as so many cameras need, the first clip decoded and the second encoded, while `meanwhile` goes on; what it
/// costs then, and what that gives.
pub(super) fn beside<T>(
    cameras: usize,
    model: &Arc<Model>,
    clips: [&Path; 2],
    threads: Threads,
    meanwhile: impl FnOnce() -> T,
) -> Result<(Bare, T), Fault> {
    let start =
        |command, clip| (0..cameras).map(|_| Worker::start(command, clip, threads)).collect::<Result<Vec<_>, _>>();
    let (decoders, encoders) = (start("capture", clips[0])?, start("restream", clips[1])?);
    let spent = |workers: &[Worker]| workers.iter().map(Worker::spent).sum::<Duration>();
    let work = || -> Result<_, Fault> {
        thread::sleep(SETTLING);
        let (began, before) = (Instant::now(), [spent(&decoders), spent(&encoders)]);
        let given = meanwhile();
        let frames = FPS * began.elapsed().as_secs_f64() * cameras as f64;
        let [decode, encode] = [spent(&decoders) - before[0], spent(&encoders) - before[1]];
        if decode.is_zero() || encode.is_zero() {
            return Err(Fault::unavailable("the bare decoder or the bare encoder has ended"));
        }
        Ok(([millis(decode) / frames, millis(encode) / frames], given))
    };
    let (analyse, ([decode, encode], given)) = sessions(cameras, model, work)?;
    Ok((Bare { decode, analyse, encode, threads }, given))
}

/// Processor time of the sessions that are called beside, since the beginning: this process' own threads.
pub(super) fn time_of_sessions() -> Duration {
    time_of_threads(NAME).unwrap_or_default()
}

/// Whether a process is a bare part: the words of its command line.
pub(super) fn is_bare(command: &[String]) -> bool {
    command.get(2).is_some_and(|word| word == "--bare")
}

/// Calls sessions as often as so many cameras do, while something else is done; what a call costs, and what that gives.
fn sessions<T>(
    cameras: usize,
    model: &Arc<Model>,
    meanwhile: impl FnOnce() -> Result<T, Fault>,
) -> Result<(f64, T), Fault> {
    let screen = Screen::new(PixelFormat::I420);
    let done = AtomicBool::new(false);
    let call = || -> Result<(f64, u32), Fault> {
        let mut sampler = Sampler::new(&model.manifest().input, model.input_shape());
        let (began, mut spent, mut calls) = (Instant::now(), 0.0, 0);
        while !done.load(Ordering::Relaxed) {
            thread::sleep((Duration::from_secs(1) * calls / ANALYSES).saturating_sub(began.elapsed()));
            // written just before, as in the daemon, and not counted
            let (input, _) = sampler.fill(screen.picture()?);
            let watch = Watch::of_this_thread();
            time_bare(model, input)?;
            (spent, calls) = (spent + watch.millis(), calls + 1);
        }
        Ok((spent, calls))
    };
    thread::scope(|scope| {
        // also where something panics: the scope waits for them
        let until = Until(&done);
        let thread = |n| thread::Builder::new().name(format!("{NAME}{n}")).spawn_scoped(scope, call);
        let threads = (0..cameras).map(thread).collect::<Result<Vec<_>, _>>();
        let threads =
            threads.map_err(|e| Fault::unavailable(format!("a thread of the benchmark did not start: {e}")))?;
        let given = meanwhile();
        drop(until);
        let (mut time, mut calls) = (0.0, 0);
        for thread in threads {
            let spent = thread.join().map_err(|_| Fault::internal("a thread of the benchmark panicked"))??;
            (time, calls) = (time + spent.0, calls + spent.1);
        }
        Ok((time / f64::from(calls.max(1)), given?))
    })
}

/// Says that there is nothing more to do when it is dropped.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
