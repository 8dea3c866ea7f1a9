//! A camera beside many clients, in turns with the camera alone.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use super::Bench;
use super::client::Client;
use super::many::{CLIENTS, together};
use crate::cli::bench::ages::ages;
use crate::cli::bench::figure::{Aim, Figure, quantile};
use crate::cli::daemon::Daemon;
use crate::config;
use crate::fault::Fault;
use crate::restream::child::SimulatedCamera;
use crate::sink::Hub;
use crate::supervisor::Supervisor;

/// How long the stream and its decoder may take to run evenly.
const SETTLING: Duration = Duration::from_secs(3);

/// The camera is alone and beside clients so often.
const ROUNDS: u32 = 3;

/// Names of figures, shares of frames, and the milliseconds that a camera's frames may take anyway.
const AIMS: [(&str, f64, f64); 2] = [("http-camera-p50", 0.5, 30.0), ("http-camera-p99", 0.99, 60.0)];

/// How old a 1080p30 camera's frames are once they are analysed by the daemon's sessions, ten a second.
pub(super) fn cameras(bench: &mut Bench, daemon: &Daemon, picture: &[u8]) -> Result<Vec<Figure>, Fault> {
    let (ages, clip) = (ages()?, bench.clip.path()?);
    let camera =
        SimulatedCamera::start(Path::new("/proc/self/exe"), &["--mount", &format!("bench={}", clip.display())])?;
    let uri = camera.url("bench").ok_or_else(|| Fault::internal("the simulated camera has no address"))?;
    let detector = bench.models.detector()?.manifest().name.clone();
    let text = format!("[models]\ndetector = \"{detector}\"\n[cameras.bench]\nuri = \"{uri}\"\nanalysis_fps = 10\n");
    let settings = config::resolve_text(&text, &[]).map_err(|p| config::fault(Path::new("bench"), &p))?;
    let supervisor = Supervisor::start(settings, Hub::new(), Arc::clone(daemon.engine()))?;
    let ready = || Client::connect(daemon.http_address());
    let ask = |client: &mut Client| client.recognise(picture)?.expect_either(200, 503);
    let (time, mut alone, mut beside, mut answered) = (bench.time / (2 * ROUNDS), Vec::new(), Vec::new(), 0);
    sleep(SETTLING);
    for _ in 0..ROUNDS {
        ages.observed.take();
        sleep(time);
        alone.extend(ages.observed.take());
        answered += together(CLIENTS, time, ready, ask)?.times.len();
        beside.extend(ages.observed.take());
    }
    supervisor.stop();
    if alone.len().min(beside.len()) < 10 {
        let what = format!("{} frames were analysed alone and {} beside clients", alone.len(), beside.len());
        return Err(Fault::unavailable(what).remedy("take more --seconds"));
    }
    let what = format!(
        "a 1080p30 camera's frames from arrival to analysed while {CLIENTS} clients have {:.0} pictures a second recognised, of {} \
         frames; bare: the camera alone, of {}",
        answered as f64 / (time * ROUNDS).as_secs_f64(),
        beside.len(),
        alone.len()
    );
    let figure = |(name, share, most)| Figure {
        name,
        value: 1e3 * quantile(&mut beside, share),
        unit: "ms",
        baseline: Some(1e3 * quantile(&mut alone, share)),
        aim: Aim::Value(0.0..=most),
        what: what.clone(),
    };
    Ok(AIMS.map(figure).into())
}
