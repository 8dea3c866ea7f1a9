//! Reading the configuration and loading models beside the main loop, which hears signals meanwhile.

use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded, never};

use crate::config::{self, Changes, Resolved};
use crate::fault::Fault;
use crate::infer::Model;
use crate::lifecycle::Reloading;
use crate::lifecycle::signals::Reload;
use crate::pipeline::FaceModels;
use crate::supervisor::Engine;

/// What a reload has read and loaded, ready to be taken on.
pub(super) struct Loaded {
    pub(super) settings: Box<Resolved>,
    /// What differs from the settings in use.
    pub(super) changes: Changes,
    /// Another detector.
    pub(super) detector: Option<Arc<Model>>,
    /// Other models of recognition, or none from now on.
    pub(super) faces: Option<Option<FaceModels>>,
    /// The daemon's phase until this is dropped.
    pub(super) reloading: Option<Reloading>,
}

/// Reads `file` and loads the models that differ from those of `old`.
pub(super) fn load(file: &Path, old: &Resolved, reloading: Option<Reloading>) -> Result<Loaded, Fault> {
    let settings = config::load(file).map_err(|problems| config::fault(file, &problems))?;
    let changes = config::diff(old, &settings);
    let open = || Engine::open(&settings.models, &settings.detector, settings.input);
    let detector = changes.models.then(open).transpose()?;
    let open = || settings.embedder.as_ref().map(|model| FaceModels::open(&settings.models, model)).transpose();
    let faces = changes.embedder.then(open).transpose()?;
    Ok(Loaded { settings: Box::new(settings), changes, detector, faces, reloading })
}

/// The reload that is under way; one at a time, a wish for another one waits for it.
pub(super) struct Reloads {
    loaded: Option<Receiver<Result<Loaded, Fault>>>,
    nobody: Receiver<Result<Loaded, Fault>>,
    not_now: Receiver<Reload>,
}

impl Default for Reloads {
    fn default() -> Self {
        Self { loaded: None, nobody: never(), not_now: never() }
    }
}

impl Reloads {
    /// Where wishes for a reload and its outcome are to be heard of.
    pub(super) fn channels(&self, wishes: &Receiver<Reload>) -> (Receiver<Reload>, Receiver<Result<Loaded, Fault>>) {
        match &self.loaded {
            Some(loaded) => (self.not_now.clone(), loaded.clone()),
            None => (wishes.clone(), self.nobody.clone()),
        }
    }

    /// Has a thread do the work.
    pub(super) fn start(&mut self, work: impl FnOnce() -> Result<Loaded, Fault> + Send + 'static) -> Result<(), Fault> {
        let (done, loaded) = bounded(1);
        std::thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || drop(done.send(work())))
            .map_err(|e| Fault::unavailable(format!("cannot start the thread reload: {e}")))?;
        self.loaded = Some(loaded);
        Ok(())
    }

    /// The outcome was heard.
    pub(super) fn ended(&mut self) {
        self.loaded = None;
    }
}

/// What is said where the thread has panicked.
pub(super) fn broken_off() -> Fault {
    Fault::internal("reading the configuration broke off")
}
