//! Decoders, sessions and encoders of several cameras, unconnected, at the pace of live cameras and all at once, as they run in the
//! daemon: what each costs there.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::cameras::ANALYSES;
use super::figure::{Watch, millis};
use super::models::{Screen, time_bare};
use crate::cli::processor::ProcessorTime;
use crate::detect::Sampler;
use crate::fault::Fault;
use crate::frame::PixelFormat;
use crate::infer::Model;

/// How long decoders and encoders may take to run evenly.
const SETTLING: Duration = Duration::from_secs(3);

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
    fn start(command: &str, file: &Path, time: Duration, threads: Threads) -> Result<Self, Fault> {
        let failed = |e: &dyn std::fmt::Display| Fault::unavailable(format!("the bare {command} did not start: {e}"));
        let child = Command::new("/proc/self/exe")
            .args([command, "--bare"])
            .arg(file)
            .args(["--live", &time.as_secs().to_string()])
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

/// Has as much work done as so many cameras need: the first clip decoded, the second encoded.
pub(super) fn measure(
    time: Duration,
    cameras: usize,
    model: &Arc<Model>,
    clips: [&Path; 2],
    threads: Threads,
) -> Result<Bare, Fault> {
    let most = SETTLING + time + Duration::from_secs(5);
    let start = |command, clip| {
        (0..cameras).map(|_| Worker::start(command, clip, most, threads)).collect::<Result<Vec<_>, _>>()
    };
    let (decoders, encoders) = (start("capture", clips[0])?, start("restream", clips[1])?);
    let spent = |workers: &[Worker]| workers.iter().map(Worker::spent).sum::<Duration>();
    let work = || -> Result<_, Fault> {
        thread::sleep(SETTLING);
        let (began, before) = (Instant::now(), [spent(&decoders), spent(&encoders)]);
        thread::sleep(time);
        let frames = FPS * began.elapsed().as_secs_f64() * cameras as f64;
        let [decode, encode] = [spent(&decoders) - before[0], spent(&encoders) - before[1]];
        if decode.is_zero() || encode.is_zero() {
            return Err(Fault::unavailable("the bare decoder or the bare encoder has ended"));
        }
        Ok([millis(decode) / frames, millis(encode) / frames])
    };
    let (analyse, [decode, encode]) = sessions(cameras, model, work)?;
    Ok(Bare { decode, analyse, encode, threads })
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
        let (input, _) = sampler.fill(screen.picture()?);
        time_bare(model, input)?;
        let (began, watch, mut calls) = (Instant::now(), Watch::of_this_thread(), 0);
        while !done.load(Ordering::Relaxed) {
            thread::sleep((Duration::from_secs(1) * calls / ANALYSES).saturating_sub(began.elapsed()));
            time_bare(model, input)?;
            calls += 1;
        }
        Ok((watch.millis(), calls))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cameras).map(|_| scope.spawn(call)).collect();
        let given = meanwhile();
        done.store(true, Ordering::Relaxed);
        let (mut time, mut calls) = (0.0, 0);
        for thread in threads {
            let spent = thread.join().map_err(|_| Fault::internal("a thread of the benchmark panicked"))??;
            (time, calls) = (time + spent.0, calls + spent.1);
        }
        Ok((time / f64::from(calls.max(1)), given?))
    })
}
