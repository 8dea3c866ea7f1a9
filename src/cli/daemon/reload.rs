//! Reading the configuration and loading models beside the main loop, which hears signals meanwhile.

use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded, never};
use tracing::warn;

use crate::api::{CameraRefusal, CameraWish};
use crate::config::{self, Changes, Resolved, Written};
use crate::fault::{Fault, Problem};
use crate::infer::Model;
use crate::lifecycle::Reloading;
use crate::lifecycle::signals::Reload;
use crate::pipeline::FaceModels;
use crate::supervisor::Engine;

/// What a reload has read and loaded, ready to be taken on.
pub(super) struct Loaded {
    /// As it is written.
    pub(super) written: Written,
    pub(super) settings: Box<Resolved>,
    /// What differs from the settings in use.
    pub(super) changes: Changes,
    /// Another detector.
    pub(super) detector: Option<Arc<Model>>,
    /// Other models of recognition, or none from now on.
    pub(super) faces: Option<Option<FaceModels>>,
    /// Pictures may be new in the gallery's folder.
    pub(super) rereads: bool,
    /// The daemon's phase until this is dropped.
    pub(super) reloading: Option<Reloading>,
}

/// Why nothing can be taken on.
pub(super) enum Unfit {
    /// It is written wrongly.
    Written(Vec<Problem>),
    /// Something that it asks for cannot be had.
    Fault(Fault),
}

impl From<Fault> for Unfit {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Unfit {
    /// The same for whoever asked for it over HTTP.
    pub(super) fn refusal(self) -> CameraRefusal {
        match self {
            Self::Written(problems) => CameraRefusal::Problems(problems),
            Self::Fault(fault) => CameraRefusal::Failed(fault.to_string()),
        }
    }

    /// The same as one fault; `file` is where it is written.
    pub(super) fn fault(self, file: &Path) -> Fault {
        match self {
            Self::Written(problems) => config::fault(file, &problems),
            Self::Fault(fault) => fault,
        }
    }
}

/// Reads `file` and loads the models that differ from those of `old`. Cameras that were added to `before` stay, as far as
/// they fit.
pub(super) fn load(file: &Path, before: &Written, old: &Resolved) -> Result<Loaded, Unfit> {
    let written = Written::read(file).map_err(Unfit::Written)?.carrying(before);
    match written.resolve() {
        Ok(settings) => take_up(written, settings, old),
        Err(problems) => {
            let (fitting, gone) = written.without_wrong(&problems);
            if gone.is_empty() {
                return Err(Unfit::Written(problems));
            }
            let loaded = change(fitting, old)?;
            warn!(
                cameras = gone.join(" "),
                "cameras that came over http do not fit the configuration any more; removed"
            );
            Ok(loaded)
        }
    }
}

/// Loads the models that `written` asks for and that differ from those of `old`.
pub(super) fn change(written: Written, old: &Resolved) -> Result<Loaded, Unfit> {
    let settings = written.resolve().map_err(Unfit::Written)?;
    take_up(written, settings, old)
}

fn take_up(written: Written, settings: Resolved, old: &Resolved) -> Result<Loaded, Unfit> {
    let changes = config::diff(old, &settings);
    let open = || Engine::open(&settings.models, &settings.detector, settings.input);
    let detector = changes.models.then(open).transpose()?;
    let open = || settings.embedder.as_ref().map(|model| FaceModels::open(&settings.models, model)).transpose();
    let faces = changes.embedder.then(open).transpose()?;
    Ok(Loaded { written, settings: Box::new(settings), changes, detector, faces, rereads: false, reloading: None })
}

/// What was loaded, or why nothing was.
pub(super) type Outcome = Result<Loaded, Unfit>;

/// The reload that is under way; one at a time, a wish for another one waits for it.
pub(super) struct Reloads {
    loaded: Option<Receiver<Outcome>>,
    nobody: Receiver<Outcome>,
    not_now: Receiver<Reload>,
    no_wish: Receiver<CameraWish>,
}

/// Where the main loop hears of reloads, of wishes for cameras, and of what came of the one that is under way.
pub(super) type Channels = (Receiver<Reload>, Receiver<CameraWish>, Receiver<Outcome>);

impl Default for Reloads {
    fn default() -> Self {
        Self { loaded: None, nobody: never(), not_now: never(), no_wish: never() }
    }
}

impl Reloads {
    /// Where wishes and their outcome are to be heard of: one at a time.
    pub(super) fn channels(&self, reloads: &Receiver<Reload>, wishes: &Receiver<CameraWish>) -> Channels {
        match &self.loaded {
            Some(loaded) => (self.not_now.clone(), self.no_wish.clone(), loaded.clone()),
            None => (reloads.clone(), wishes.clone(), self.nobody.clone()),
        }
    }

    /// Has a thread do the work.
    pub(super) fn start(&mut self, work: impl FnOnce() -> Outcome + Send + 'static) -> Result<(), Fault> {
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
pub(super) fn broken_off() -> Unfit {
    Fault::internal("reading the configuration broke off").into()
}
