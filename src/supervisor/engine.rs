//! The models that all cameras share.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::info;

use crate::fault::Fault;
use crate::geometry::Size;
use crate::infer::{Config, Manifest, Model, Runtime};

/// A call that has not come back by then never will: nothing can stop it but the end of the process.
pub const HOPELESS: Duration = Duration::from_secs(10);

/// ONNX Runtime and the detector in use. A reload loads the new model first, then swaps it; each camera takes it on
/// between two frames.
pub struct Engine {
    detector: Arc<ArcSwap<Model>>,
    /// Those that were replaced and may still be at work: a call that hangs does so also after its model was replaced.
    replaced: Mutex<Vec<Weak<Model>>>,
}

impl Engine {
    /// Loads the library and the detector.
    pub fn load(config: &Config, detector: &Manifest, input: Size) -> Result<Self, Fault> {
        Self::open(config, detector, input).map(Self::with)
    }

    /// An engine with a detector that is loaded already.
    pub fn with(detector: Arc<Model>) -> Self {
        Self { detector: Arc::new(ArcSwap::new(detector)), replaced: Mutex::default() }
    }

    /// Loads a detector, for now beside the one in use.
    pub fn open(config: &Config, detector: &Manifest, input: Size) -> Result<Arc<Model>, Fault> {
        let runtime = Runtime::load(config)?;
        let model = runtime.open(detector, config.sessions(), detector.input.shape(1, input))?;
        info!(
            model = detector.name,
            licence = detector.licence,
            provider = model.provider().name(),
            input = format!("{}x{}", input.width, input.height),
            sessions = model.sessions(),
            "detector ready"
        );
        Ok(model)
    }

    /// Puts another detector in the place of the present one, which ends with its last call.
    pub fn swap(&self, detector: Arc<Model>) {
        let old = self.detector.swap(detector);
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.retain(|model| model.strong_count() > 0);
        replaced.push(Arc::downgrade(&old));
    }

    /// The detector, whichever it is at the moment.
    pub fn detector(&self) -> &Arc<ArcSwap<Model>> {
        &self.detector
    }

    /// Why the process should be restarted, if it should.
    pub fn health(&self) -> Result<(), String> {
        let replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let models = replaced.iter().filter_map(Weak::upgrade).chain([self.detector.load_full()]);
        let ages = models.filter_map(|model| Some((model.oldest_call()?, model)));
        match ages.max_by_key(|(age, _)| *age) {
            Some((age, model)) if age > HOPELESS => {
                Err(format!("model {} has not answered for {} s", model.manifest().name, age.as_secs()))
            }
            _ => Ok(()),
        }
    }
}
