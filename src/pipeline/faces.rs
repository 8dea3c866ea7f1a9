//! The models of recognition, and what is made with them.

use std::sync::Arc;

use tracing::info;

use crate::detect::{self, Detector};
use crate::fault::Fault;
use crate::infer::store::{self, State};
use crate::infer::{self, Manifest, Model, Runtime, manifest};
use crate::recognise::gallery::enroller::Enroller;
use crate::recognise::gallery::{Calibration, Settings};
use crate::recognise::{Config, Embedder, Gallery, Landmarker, People, Strangers};

/// The models of recognition.
#[derive(Clone)]
pub struct FaceModels {
    /// Tells people apart.
    pub embedder: Arc<Model>,
    /// Finds landmarks where the detector gives none; `None` where it is not in the models folder.
    pub landmarker: Option<Arc<Model>>,
}

impl FaceModels {
    /// Loads the embedder, and the landmarker where its file is there.
    pub fn open(config: &infer::Config, embedder: &Manifest) -> Result<Self, Fault> {
        let runtime = Runtime::load(config)?;
        let open = |manifest: &Manifest, what: &str| {
            let model = runtime.open(manifest, config.sessions(), manifest.input.shape(1, manifest.size(None)?))?;
            let (name, provider, sessions) = (&manifest.name, model.provider().name(), model.sessions());
            info!(model = name, licence = manifest.licence, provider, sessions, "{what} ready");
            Ok::<_, Fault>(model)
        };
        let folder = config.folder();
        let landmarker = manifest::find(Some(&folder), store::LANDMARKER)?;
        let there = store::state(&folder, &landmarker) == State::Ready;
        let landmarker = there.then(|| open(&landmarker, "landmarker")).transpose()?;
        Ok(Self { embedder: open(embedder, "embedder")?, landmarker })
    }

    /// Nobody, yet, who is known by this embedder.
    pub fn people(&self, settings: &Config) -> Result<People, Fault> {
        let manifest = self.embedder.manifest();
        let Some(spec) = &manifest.embedding else {
            return Err(Fault::config(format!("model {} is no embedder", manifest.name)));
        };
        let calibration = Calibration::of(spec);
        let gallery = Gallery::new(Settings {
            model: manifest.name.as_str().into(),
            dimension: spec.dimension,
            threshold: settings.threshold,
            margin: settings.margin,
            calibration,
            tags: settings.tags.clone(),
        });
        Ok(People { gallery, strangers: Strangers::new(settings.stranger_ttl.0, calibration) })
    }

    /// Somebody who enrols pictures into `gallery`, and finds the faces with this detector.
    pub fn enroller(&self, detector: &Arc<Model>, gallery: &Gallery) -> Result<Enroller, Fault> {
        let settings = detect::Settings::new(&detect::Config::default(), detector.manifest())?;
        let detector = Detector::new(Arc::clone(detector), settings)?;
        let landmarker = self.landmarker.clone().map(Landmarker::new).transpose()?;
        Enroller::new(detector, landmarker, Embedder::new(Arc::clone(&self.embedder))?, gallery.clone())
    }
}
