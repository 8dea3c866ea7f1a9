//! The detector for files, and the proof that it sees.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::settings;
use crate::detect::{Config, Detector, Settings};
use crate::fault::Fault;
use crate::geometry::Size;
use crate::infer::{Model, Runtime};
use crate::mask::TestFace;

/// How long one picture may wait for the model.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The detector, loaded and seen to work.
pub(super) struct Engine {
    model: Arc<Model>,
    settings: Settings,
}

impl Engine {
    /// Loads the detector that a configuration names, for inputs of `input` where that is given.
    pub fn load(config: Option<&Path>, input: Option<Size>) -> Result<Self, Fault> {
        let resolved = settings::resolved(config)?;
        let manifest = resolved.detector;
        let runtime = Runtime::load(&resolved.models)?;
        let size = manifest.size(input.or(Some(resolved.input)))?;
        let model = runtime.open(&manifest, resolved.models.sessions(), manifest.input.shape(1, size))?;
        let engine = Self { settings: Settings::new(&Config::default(), &manifest)?, model };
        look_at_test_face(&mut engine.detector()?)?;
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

    /// Calls at once.
    #[cfg(feature = "media")]
    pub fn sessions(&self) -> usize {
        self.model.sessions()
    }
}

/// Nothing is masked with a detector that does not find the built-in face.
pub(super) fn look_at_test_face(detector: &mut Detector) -> Result<(), Fault> {
    let name = detector.model().manifest().name.clone();
    match TestFace::new().is_seen_by(detector, Instant::now() + PATIENCE) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::unavailable(format!("model {name} does not find the built-in test face: it is blind"))
            .remedy("verify its file with visor models verify, or choose another detector")),
        Err(error) => Err(Fault::unavailable(format!("model {name} fails on the built-in test face: {error}"))),
    }
}
