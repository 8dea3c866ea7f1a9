//! The detector for files, and the proof that it sees.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::{MaskArgs, people};
use crate::cli::settings;
use crate::detect::{Config, Detector, Settings};
use crate::fault::Fault;
use crate::infer::{Model, Runtime};
use crate::mask::TestFace;
use crate::pipeline::Recognition;
use crate::recognise::still::Onlooker;
use crate::recognise::{Embedder, Landmarker};

/// How long one picture may wait for the model.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The detector, which is loaded while the first file is opened.
pub(super) struct Loading<'a> {
    args: &'a MaskArgs,
    #[cfg(feature = "media")]
    sessions: usize,
    loaded: OnceLock<Result<Engine, Fault>>,
}

impl<'a> Loading<'a> {
    /// Nothing is loaded yet: the configuration alone is read.
    pub fn new(args: &'a MaskArgs) -> Result<Self, Fault> {
        Ok(Self {
            args,
            #[cfg(feature = "media")]
            sessions: settings::models(args.config.as_deref())?.sessions(),
            loaded: OnceLock::new(),
        })
    }

    /// The engine; the first caller loads it, and others wait for that.
    pub fn engine(&self) -> Result<&Engine, Fault> {
        self.loaded.get_or_init(|| Engine::load(self.args)).as_ref().map_err(Clone::clone)
    }

    /// Calls at once that there will be.
    #[cfg(feature = "media")]
    pub fn sessions(&self) -> usize {
        self.sessions
    }
}

/// The detector, loaded and seen to work, and who is known where that matters.
pub(super) struct Engine {
    model: Arc<Model>,
    settings: Settings,
    recognition: Option<Arc<Recognition>>,
}

impl Engine {
    /// Loads the detector that the configuration names, and the gallery where somebody may go unmasked.
    fn load(args: &MaskArgs) -> Result<Self, Fault> {
        let resolved = settings::resolved(args.config.as_deref())?;
        let (manifest, input) = (resolved.detector.clone(), args.size.map(|size| size.0));
        let runtime = Runtime::load(&resolved.models)?;
        let size = manifest.size(input.or(Some(resolved.input)))?;
        let model = runtime.open(&manifest, resolved.models.sessions(), manifest.input.shape(1, size))?;
        let mut engine = Self { settings: Settings::new(&Config::default(), &manifest)?, model, recognition: None };
        TestFace::prove(&mut engine.detector()?, Instant::now() + PATIENCE)?;
        engine.recognition = people::known(args, resolved, &engine.model)?.map(Arc::new);
        Ok(engine)
    }

    /// A detector for one thread.
    pub fn detector(&self) -> Result<Detector, Fault> {
        Detector::new(Arc::clone(&self.model), self.settings)
    }

    /// Thresholds.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// What people are known by, where that matters.
    #[cfg(feature = "media")]
    pub fn recognition(&self) -> Option<&Arc<Recognition>> {
        self.recognition.as_ref()
    }

    /// One who says who is on a picture, where that matters.
    pub fn onlooker(&self) -> Result<Option<Onlooker>, Fault> {
        let Some(Recognition { models, people }) = self.recognition.as_deref() else { return Ok(None) };
        let landmarker = models.landmarker.clone().map(Landmarker::new).transpose()?;
        Onlooker::new(Embedder::new(Arc::clone(&models.embedder))?, landmarker, people.clone()).map(Some)
    }
}
