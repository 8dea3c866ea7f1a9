//! The models that all cameras share.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tracing::info;

use crate::fault::Fault;
use crate::geometry::Size;
use crate::infer::{Config, Manifest, Model, Runtime};
use crate::pipeline::Recognition;

/// A call that has not come back by then never will: nothing can stop it but the end of the process.
pub const HOPELESS: Duration = Duration::from_secs(10);

/// ONNX Runtime, the detector and what recognition works with. A reload loads a new model first, then swaps it; each
/// camera takes it on between two frames.
pub struct Engine {
    detector: Arc<ArcSwap<Model>>,
    recognition: Arc<ArcSwapOption<Recognition>>,
    /// All that may be at work: a call that hangs does so also after its model was replaced.
    watched: Mutex<Vec<Weak<Model>>>,
}

impl Engine {
    /// Loads the library and the detector.
    pub fn load(config: &Config, detector: &Manifest, input: Size) -> Result<Self, Fault> {
        Self::open(config, detector, input).map(Self::with)
    }

    /// An engine with a detector that is loaded already, and without recognition.
    pub fn with(detector: Arc<Model>) -> Self {
        let watched = Mutex::new(vec![Arc::downgrade(&detector)]);
        Self { detector: Arc::new(ArcSwap::new(detector)), recognition: Arc::default(), watched }
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
        self.watch(&detector);
        self.detector.store(detector);
    }

    /// The detector, whichever it is at the moment.
    pub fn detector(&self) -> &Arc<ArcSwap<Model>> {
        &self.detector
    }

    /// Puts other models and people in the place of the present ones; `None`: recognition goes off.
    pub fn recognise_with(&self, recognition: Option<Arc<Recognition>>) {
        self.recognition.store(recognition);
    }

    /// What cameras recognise with, whatever it is at the moment.
    pub fn recognition(&self) -> &Arc<ArcSwapOption<Recognition>> {
        &self.recognition
    }

    /// Has [`Engine::health`] look after a model, too.
    pub fn watch(&self, model: &Arc<Model>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|other| other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), Arc::as_ptr(model)));
        watched.push(Arc::downgrade(model));
    }

    /// Why the process should be restarted, if it should.
    pub fn health(&self) -> Result<(), String> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ages = watched.iter().filter_map(Weak::upgrade).filter_map(|model| Some((model.oldest_call()?, model)));
        match ages.max_by_key(|(age, _)| *age) {
            Some((age, model)) if age > HOPELESS => {
                Err(format!("model {} has not answered for {} s", model.manifest().name, age.as_secs()))
            }
            _ => Ok(()),
        }
    }
}
