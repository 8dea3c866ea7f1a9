//! How long a masked camera's frames are held: from a frame's arrival in the capture ring to its handing over in the out ring, as
//! the daemon's own metric says.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::Bench;
use super::figure::{Aim, Figure, quantile};
use crate::config;
use crate::fault::Fault;
use crate::metrics::{FRAME_AGE, MASK_COVERED};
use crate::restream::child::SimulatedCamera;
use crate::sink::Hub;
use crate::supervisor::{Engine, Supervisor};

/// How long stream, decoder and hold may take to run evenly; what they say until then does not count.
const SETTLING: Duration = Duration::from_secs(4);

/// What a camera is asked for, and what is wanted of it.
struct Run {
    /// Of the camera and of its mask.
    analysis_fps: u32,
    lookahead_ms: u32,
    /// Names and aims in milliseconds, by the share of frames that keep to them.
    aims: &'static [(&'static str, f64, f64)],
}

const RUNS: [Run; 2] = [
    Run { analysis_fps: 10, lookahead_ms: 200, aims: &[("masked-p50", 0.5, 250.0), ("masked-p99", 0.99, 350.0)] },
    Run { analysis_fps: 30, lookahead_ms: 0, aims: &[("masked-own-p50", 0.5, 60.0)] },
];

/// Keeps what the daemon records of the frames that it hands over.
#[derive(Clone, Default)]
struct Ages {
    handed_over: Arc<Values>,
    covered: Arc<Values>,
}

#[derive(Default)]
struct Values(Mutex<Vec<f64>>);

impl Values {
    fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, value: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }
}

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.push(value);
    }
}

impl metrics::CounterFn for Values {
    fn increment(&self, value: u64) {
        self.push(value as f64);
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Ages {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == MASK_COVERED { Counter::from_arc(Arc::clone(&self.covered)) } else { Counter::noop() }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let masked = key.labels().any(|label| label.key() == "stage" && label.value() == "masked");
        if key.name() == FRAME_AGE && masked {
            Histogram::from_arc(Arc::clone(&self.handed_over))
        } else {
            Histogram::noop()
        }
    }
}

/// One 1080p30 camera with the default look-ahead, and one without any.
pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let ages = Ages::default();
    metrics::set_global_recorder(ages.clone())
        .map_err(|_| Fault::internal("metrics are recorded elsewhere already"))?;
    let mut figures = Vec::new();
    for run in RUNS {
        figures.extend(watch(bench, &run, &ages)?);
    }
    Ok(figures)
}

fn watch(bench: &mut Bench, run: &Run, ages: &Ages) -> Result<Vec<Figure>, Fault> {
    let clip = bench.clip.path()?;
    let camera =
        SimulatedCamera::start(Path::new("/proc/self/exe"), &["--mount", &format!("bench={}", clip.display())])?;
    let uri = camera.url("bench").ok_or_else(|| Fault::internal("the simulated camera has no address"))?;
    let model = bench.models.detector()?;
    let text = format!(
        "[models]\ndetector = \"{}\"\n[restream]\nlisten = \"127.0.0.1:0\"\n[cameras.bench]\nuri = \"{uri}\"\n\
         analysis_fps = {}\n[cameras.bench.mask]\nlookahead_ms = {}\naudit = \"off\"\n[cameras.bench.restream]\n",
        model.manifest().name,
        run.analysis_fps,
        run.lookahead_ms
    );
    let settings = config::resolve_text(&text, &[]).map_err(|p| config::fault(Path::new("bench"), &p))?;
    let supervisor = Supervisor::start(settings, Hub::new(), Arc::new(Engine::with(model)))?;
    sleep(SETTLING);
    ages.handed_over.take();
    ages.covered.take();
    sleep(bench.time);
    let (mut seconds, covered) = (ages.handed_over.take(), ages.covered.take().len());
    supervisor.stop();
    if seconds.len() < 30 {
        let what = format!("{} frames were handed over in {:?}", seconds.len(), bench.time);
        return Err(Fault::unavailable(what).remedy("take more --seconds"));
    }
    let what = format!(
        "from a 1080p30 frame's arrival to its handing over masked, {} analyses a second, look-ahead {} ms; {covered} of {} covered",
        run.analysis_fps,
        run.lookahead_ms,
        seconds.len()
    );
    let figure = |(name, share, most): &(&'static str, f64, f64)| Figure {
        name,
        value: quantile(&mut seconds, *share) * 1e3,
        unit: "ms",
        baseline: None,
        aim: Aim::Value(0.0..=*most),
        what: what.clone(),
    };
    Ok(run.aims.iter().map(figure).collect())
}
