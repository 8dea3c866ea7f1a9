//! How old frames are, one by one: what the daemon records itself are counts by bucket.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::fault::Fault;
use crate::metrics::{self as names, FRAME_AGE, MASK_COVERED};

/// What is recorded of frames, in seconds and in order.
#[derive(Clone, Default)]
pub(super) struct Ages {
    /// Ages of those that a masked camera handed over.
    pub(super) handed_over: Arc<Values>,
    /// Ages of those that were analysed, at the end of that.
    pub(super) observed: Arc<Values>,
    /// One for each that was handed over covered.
    pub(super) covered: Arc<Values>,
}

/// Numbers as they came.
#[derive(Default)]
pub(super) struct Values(Mutex<Vec<f64>>);

impl Values {
    /// Those since the last time.
    pub(super) fn take(&self) -> Vec<f64> {
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

impl CounterFn for Values {
    fn increment(&self, value: u64) {
        self.push(value as f64);
    }

    fn absolute(&self, _: u64) {}
}

/// Stands before the daemon's own recorder, and takes the ages of frames.
struct Listener {
    ages: Ages,
    rest: PrometheusRecorder,
}

impl Recorder for Listener {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.rest.describe_counter(name, unit, text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.rest.describe_gauge(name, unit, text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.rest.describe_histogram(name, unit, text);
    }

    fn register_counter(&self, key: &Key, of: &Metadata<'_>) -> Counter {
        match key.name() {
            MASK_COVERED => Counter::from_arc(Arc::clone(&self.ages.covered)),
            _ => self.rest.register_counter(key, of),
        }
    }

    fn register_gauge(&self, key: &Key, of: &Metadata<'_>) -> Gauge {
        self.rest.register_gauge(key, of)
    }

    fn register_histogram(&self, key: &Key, of: &Metadata<'_>) -> Histogram {
        let stage = key.labels().find(|label| label.key() == "stage").map(|label| label.value());
        match (key.name(), stage) {
            (FRAME_AGE, Some("masked")) => Histogram::from_arc(Arc::clone(&self.ages.handed_over)),
            (FRAME_AGE, Some("observe")) => Histogram::from_arc(Arc::clone(&self.ages.observed)),
            _ => self.rest.register_histogram(key, of),
        }
    }
}

/// The ages of this process' frames; to be asked before anything else records.
pub(super) fn ages() -> Result<Ages, Fault> {
    static AGES: OnceLock<Ages> = OnceLock::new();
    let ages = AGES.get_or_init(Ages::default).clone();
    names::install_behind(|rest| Listener { ages: ages.clone(), rest })?;
    Ok(ages)
}
