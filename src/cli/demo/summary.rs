//! What the demo saw, in numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::processor::ProcessorTime;
use crate::event::{Event, EventType, Identity};
use crate::sink::{CameraStats, Forgotten, Settings, Sink, Snapshot};
use crate::supervisor::Supervisor;

/// Hears every event, and keeps only numbers.
#[derive(Default)]
pub(super) struct Listener(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    started: u64,
    updated: u64,
    identified: u64,
    revised: u64,
    retracted: u64,
    ended: u64,
    /// Faces that were found in masked video.
    leaked: u64,
    /// Each known person's name, and how often a track was found to be theirs.
    known: BTreeMap<Arc<str>, u64>,
    strangers: BTreeSet<Arc<str>>,
    /// From the frame's arrival to its event, in microseconds; kept small by its resolution of 1 %.
    latency: Option<Histogram<u64>>,
}

impl Heard {
    /// Notes who a track was found to be. Both are bounded: by the gallery, and by how many strangers are remembered.
    fn name(&mut self, Identity { name, alias, .. }: &Identity) {
        name.iter().for_each(|name| *self.known.entry(Arc::clone(name)).or_default() += 1);
        self.strangers.extend(alias.clone());
    }
}

impl Listener {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Listener {
    fn name(&self) -> &'static str {
        "summary"
    }

    fn event(&self, event: &Arc<Event>) {
        let mut heard = self.heard();
        match event.kind {
            EventType::Started => heard.started += 1,
            EventType::Ended => heard.ended += 1,
            EventType::Updated => heard.updated += 1,
            EventType::Retracted => heard.retracted += 1,
            EventType::Identified => {
                heard.identified += 1;
                heard.name(&event.identity);
            }
            EventType::Revised => {
                heard.revised += 1;
                heard.name(&event.identity);
            }
            EventType::FaceSeen => heard.leaked += 1,
        }
        if let Some(ms) = event.latency_ms.total {
            if heard.latency.is_none() {
                heard.latency = Histogram::new(2).ok();
            }
            if let Some(latency) = &mut heard.latency {
                let _ = latency.record((ms * 1e3) as u64);
            }
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

/// Collects numbers while the demo runs.
pub(super) struct Summary {
    detector: String,
    embedder: Option<String>,
    began: Instant,
    running: Duration,
    stats: CameraStats,
    processor: Duration,
}

impl Summary {
    pub(super) fn new(began: Instant, detector: &str, embedder: Option<String>) -> Self {
        Self {
            detector: detector.to_owned(),
            embedder,
            began,
            running: Duration::ZERO,
            stats: CameraStats::default(),
            processor: Duration::ZERO,
        }
    }

    /// Reads the camera's counts.
    pub(super) fn look(&mut self, supervisor: &Supervisor) {
        self.stats = supervisor.stats().next().unwrap_or_default();
    }

    /// The end of the time that rates refer to.
    pub(super) fn finish_running(&mut self) {
        self.running = self.began.elapsed();
    }

    /// Reads this process' processor time and that of its capture processes, which must have ended by now; the
    /// simulated camera and the broker must not have.
    pub(super) fn take_processor_time(&mut self) {
        self.processor = ProcessorTime::now().total();
    }

    pub(super) fn report(&self, listener: &Listener) -> Report {
        let heard = listener.heard();
        let seconds = self.running.as_secs_f64().max(1e-3);
        let at = |q: f64| heard.latency.as_ref().map(|h| h.value_at_quantile(q) as f64 / 1e3);
        Report {
            seconds: round(seconds),
            detector: self.detector.clone(),
            embedder: self.embedder.clone(),
            frames_captured: self.stats.frames_captured_total,
            frames_analysed: self.stats.frames_analysed_total,
            frames_dropped: self.stats.frames_dropped_total,
            analysed_per_second: round(self.stats.frames_analysed_total as f64 / seconds),
            tracks: heard.started,
            events_started: heard.started,
            events_identified: heard.identified,
            events_revised: heard.revised,
            events_retracted: heard.retracted,
            events_updated: heard.updated,
            events_ended: heard.ended,
            events_face_seen: heard.leaked,
            known: heard.known.clone(),
            strangers: heard.strangers.len(),
            frames_masked: self.stats.frames_masked_total,
            frames_covered: self.stats.frames_covered_total,
            latency_ms_p50: at(0.5),
            latency_ms_p99: at(0.99),
            processor_cores: round(self.processor.as_secs_f64() / seconds),
        }
    }
}

/// The summary.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    seconds: f64,
    detector: String,
    embedder: Option<String>,
    frames_captured: u64,
    frames_analysed: u64,
    frames_dropped: u64,
    analysed_per_second: f64,
    tracks: u64,
    events_started: u64,
    events_identified: u64,
    events_revised: u64,
    events_retracted: u64,
    events_updated: u64,
    events_ended: u64,
    events_face_seen: u64,
    known: BTreeMap<Arc<str>, u64>,
    strangers: usize,
    frames_masked: u64,
    frames_covered: u64,
    latency_ms_p50: Option<f64>,
    latency_ms_p99: Option<f64>,
    processor_cores: f64,
}

impl Report {
    /// Whether not a single frame came.
    pub(super) fn saw_nothing(&self) -> bool {
        self.frames_captured == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1} ms"));
        writeln!(f, "Summary of {:.0} s with {}", self.seconds, self.detector)?;
        writeln!(
            f,
            "  frames     {} captured, {} analysed ({:.1} a second), {} dropped",
            self.frames_captured, self.frames_analysed, self.analysed_per_second, self.frames_dropped
        )?;
        writeln!(f, "  tracks     {}", self.tracks)?;
        writeln!(
            f,
            "  events     {} started, {} identified, {} revised, {} retracted, {} updated, {} ended",
            self.events_started,
            self.events_identified,
            self.events_revised,
            self.events_retracted,
            self.events_updated,
            self.events_ended
        )?;
        if self.embedder.is_some() {
            let known: Vec<String> = self.known.iter().map(|(who, times)| format!("{who} {times}×")).collect();
            let known = if known.is_empty() { "nobody by name".to_owned() } else { known.join(", ") };
            writeln!(f, "  seen       {known}; {} strangers", self.strangers)?;
        }
        writeln!(
            f,
            "  video      {} frames with masks, {} wholly covered; {} faces found in what went out",
            self.frames_masked, self.frames_covered, self.events_face_seen
        )?;
        writeln!(
            f,
            "  latency    frame's arrival to its event: p50 {}, p99 {}",
            ms(self.latency_ms_p50),
            ms(self.latency_ms_p99)
        )?;
        write!(f, "  processor  {:.2} cores (capture, analysis and events)", self.processor_cores)
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
