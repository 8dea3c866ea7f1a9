//! One 1080p30 camera through the daemon's own parts, from the decoded frame to the event.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Bench;
use super::figure::{Aim, Figure, quantile};
use crate::config;
use crate::event::Event;
use crate::fault::Fault;
use crate::restream::child::SimulatedCamera;
use crate::sink::{Forgotten, Hub, Settings, Sink, Snapshot};
use crate::supervisor::{Engine, Supervisor};

/// How long the stream and its decoder may take to run evenly; what they say until then does not count.
const SETTLING: Duration = Duration::from_secs(3);

/// Hears every event, and keeps how long it took.
#[derive(Default)]
struct Listener(Mutex<Vec<f64>>);

impl Listener {
    fn take(&self) -> Vec<f64> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Listener {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn event(&self, event: &Arc<Event>) {
        // the total counts from the coded picture, whose decoding is not the daemon's
        if let Some(total) = event.latency_ms.total {
            let since_decoded = total - event.latency_ms.decode.unwrap_or_default();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(since_decoded);
        }
    }

    fn snapshot(&self, _: &Arc<Snapshot>) {}

    fn changed(&self) {}

    fn forget(&self, _: Forgotten<'_>) -> usize {
        0
    }

    fn succeeded_by(&self, _: &Settings) {}

    fn close(&self, _: Instant) {}
}

/// From the decoded frame to the event, each frame analysed and told.
pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Figure>, Fault> {
    let clip = bench.clip.path()?;
    let camera =
        SimulatedCamera::start(Path::new("/proc/self/exe"), &["--mount", &format!("bench={}", clip.display())])?;
    let uri = camera.url("bench").ok_or_else(|| Fault::internal("the simulated camera has no address"))?;
    let model = bench.models.detector()?;
    let name = &model.manifest().name;
    let text = format!(
        "[models]\ndetector = \"{name}\"\n[cameras.bench]\nuri = \"{uri}\"\nanalysis_fps = 30\nupdate_interval = \"0s\"\n"
    );
    let settings = config::resolve_text(&text, &[]).map_err(|p| config::fault(Path::new("bench"), &p))?;
    let hub = Hub::new();
    let listener = Arc::new(Listener::default());
    hub.attach(Arc::<Listener>::clone(&listener));
    let supervisor = Supervisor::start(settings, hub, Arc::new(Engine::with(model)))?;
    sleep(SETTLING);
    listener.take();
    sleep(bench.time);
    let mut latencies = listener.take();
    supervisor.stop();
    if latencies.len() < 30 {
        let what = format!("{} events came from the camera in {:?}", latencies.len(), bench.time);
        return Err(Fault::unavailable(what).remedy("take more --seconds, or a --clip with more faces"));
    }
    let what = format!("from a decoded 1080p30 frame to its event, of {} events", latencies.len());
    let mut figure = |name, share, most| Figure {
        name,
        value: quantile(&mut latencies, share),
        unit: "ms",
        baseline: None,
        aim: Aim::Value(0.0..=most),
        what: what.clone(),
    };
    Ok(vec![figure("live-p50", 0.5, 30.0), figure("live-p99", 0.99, 60.0)])
}
